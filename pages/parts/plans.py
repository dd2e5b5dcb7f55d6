"""Whole plans: presets, a plan from a file, bias correction for all layers."""

from __future__ import annotations

import json

import streamlit as st

from pages.parts.state import State
from quant_core.errors import QuantscopeError
from quant_core.plan import PRESETS, Plan, Precision, check_plan, preset_plan
from quant_core.study import Study

PRESET_HELP = {
    "FP32": "As opened: nothing is quantized.",
    "fp16": "Weights as 16-bit floats, computed in float.",
    "int8": "Weights per output channel and activations as 8-bit integers, ranges from calibration.",
    "int8-tensor": "As int8, but one scale for each whole weight tensor.",
    "int8-dynamic": "8-bit weights; activations as 8-bit integers whose range is found while running.",
    "int8-weights": "Weights as 8-bit integers per output channel, computed in float.",
    "int4-weights": "Weights as 4-bit integers, 32 share a scale, computed in float.",
    "w8a16": "8-bit weights, 16-bit activations.",
    "w4a8": "4-bit weights in groups of 32, 8-bit activations.",
}


def take(state: State, plan: Plan, layer: str = "") -> None:
    """Make `plan` the one in hand, with bias correction where it is switched on, and select `layer`."""
    state.take(plan.with_bias_correction() if state.correct else plan, layer)


def take_preset(state: State, study: Study, name: str) -> None:
    """Make a preset the plan in hand; locked layers keep what they have."""
    layers = dict(preset_plan(study.graph, name).layers) if name in PRESETS else {}
    locked = {n: p for n, p in state.plan.layers.items() if p.locked}
    file = study.graph.file
    take(state, Plan(name, {**layers, **locked}, file.sha256, file.name))


def presets_menu(state: State, study: Study) -> None:
    """Presets for all layers, and plans from a file."""
    with st.popover("Presets", icon=":material/tune:"):
        st.caption("A preset sets every layer that is not locked.")
        for name in ("FP32", *PRESETS):
            needs = name in PRESETS and study.calibration is None and _is_static(PRESETS[name])
            st.button(
                name,
                key=f"preset-{name}",
                width="stretch",
                disabled=needs,
                help="Needs calibration samples." if needs else PRESET_HELP[name],
                on_click=take_preset,
                args=(state, study, name),
            )
        _open_plan(state, study)


def bias_correction(state: State, study: Study) -> None:
    """The switch for bias correction in all layers."""
    st.session_state["bias-correction"] = state.correct

    def switch() -> None:
        state.correct = st.session_state["bias-correction"]
        state.take(state.plan.with_bias_correction(state.correct))
        state.save()

    st.toggle(
        "Bias correction",
        key="bias-correction",
        on_change=switch,
        disabled=study.calibration is None,
        help="Undo the shift of each output channel's mean, as calibration samples show it.",
    )


def _is_static(precision: Precision) -> bool:
    """Whether ranges of activations must be calibrated."""
    return precision.activations is not None and not precision.activations.is_dynamic


def _open_plan(state: State, study: Study) -> None:
    """Take the plan of a file, once."""
    file = st.file_uploader(
        "Open a plan", type="json", help="A plan file that this page or the command line wrote."
    )
    slot = f"plan-{state.id}"
    if file is None or st.session_state.get(slot) == file.file_id:
        return
    st.session_state[slot] = file.file_id
    try:
        plan = Plan.from_json(json.loads(file.getvalue()), f"'{file.name}'")
        check_plan(study.graph, plan)
    except (ValueError, RecursionError):
        state.notice = f"'{file.name}' is not JSON; give a plan file."
    except QuantscopeError as error:
        state.notice = str(error)
    else:
        state.take(plan)
    st.rerun()
