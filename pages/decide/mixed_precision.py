"""Mixed precision: choose a format for each layer and watch size and quality move."""

from __future__ import annotations

import json

import streamlit as st

from pages.parts import text
from pages.parts.desk import download, export_panel, layer_panel, plot, search_panel
from pages.parts.header import Header
from pages.parts.matrix import Event, matrix
from pages.parts.measuring import known_cells, known_plan, measure_plan, sweep_missing
from pages.parts.opening import opened, theme
from pages.parts.state import State
from quant_core.errors import QuantscopeError
from quant_core.plan import PRESETS, Plan, Precision, check_plan, preset_plan
from quant_core.study import (
    Study,
    choose,
    desk_cells,
    forecast_sqnr,
    toggle_lock,
)

_PARTS = {"weights": "Weights", "activations": "Activations"}


def main() -> None:
    state, study = opened()
    header = Header(state, study)
    keys = {part: desk_cells(study, part) if study.has_data else [] for part in _PARTS}
    cells = {part: known_cells(study, part_keys) for part, part_keys in keys.items()}
    everything = {**cells["weights"], **cells["activations"]}
    known = known_plan(state, study)
    header.show(known, forecast_sqnr(state.plan, everything))

    st.title("Mixed precision", anchor=False)
    st.caption(
        "Each cell is the damage that one layer does at one format: output SQNR in dB, warmer is worse. "
        "A click chooses; hatched cells are not possible and say why."
    )
    left, right = st.columns([11, 6], gap="medium")
    with left:
        _tools(state, study)
        _notice(state)
        progress = st.container()
        shown = cells[state.view.part]
        matrix(
            study, state.plan, state.view.part, shown, state.layer, theme(), lambda e: _apply(e, state, study)
        )
        download(cells[state.view.part], state.view.part)
    with right:
        tradeoff_place = st.container(border=True)
        layer_panel(state, study, cells["weights"])
        search_panel(state, study)
        export_panel(state, study)
    evaluation = measure_plan(state, study)
    header.show(evaluation, forecast_sqnr(state.plan, everything))
    with tradeoff_place:
        plot(state, study)
    with progress:
        _sweep(state, study, [*keys["weights"], *keys["activations"]], everything)


def _tools(state: State, study: Study) -> None:
    """Presets, and the part that the matrix shows."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = st.segmented_control(
            "Part",
            list(_PARTS),
            default=state.view.part,
            format_func=_PARTS.__getitem__,
            label_visibility="collapsed",
        )
        if chosen and chosen != state.view.part:
            state.look(part=chosen)
            st.rerun()
        with st.popover("Presets", icon=":material/tune:"):
            st.caption("A preset sets every layer that is not locked.")
            for name in ("FP32", *PRESETS):
                needs = name in PRESETS and study.calibration is None and _is_static(PRESETS[name])
                said = "Needs calibration samples." if needs else None
                if st.button(name, key=f"preset-{name}", width="stretch", disabled=needs, help=said):
                    _take_preset(state, study, name)
                    st.rerun()
            _open_plan(state, study)
        correct = st.toggle(
            "Bias correction",
            state.correct,
            disabled=study.calibration is None,
            help="Undo the shift of each output channel's mean, as calibration samples show it.",
        )
        if correct != state.correct:
            state.correct = correct
            state.take(state.plan.with_bias_correction(correct))
            state.save()
            st.rerun()
    if state.view.part == "activations" and study.calibration is None:
        st.info(
            "Activations need calibration samples; open the data with some set aside.", icon=":material/info:"
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


def _take_preset(state: State, study: Study, name: str) -> None:
    layers = dict(preset_plan(study.graph, name).layers) if name in PRESETS else {}
    locked = {n: p for n, p in state.plan.layers.items() if p.locked}
    file = study.graph.file
    _take(state, Plan(name, {**layers, **locked}, file.sha256, file.name))


def _take(state: State, plan: Plan) -> None:
    state.take(plan.with_bias_correction() if state.correct else plan)


def _apply(event: Event, state: State, study: Study) -> None:
    """Carry out a click in the matrix."""
    state.notice = ""
    try:
        if event.kind == "select":
            state.select(study.graph.layer(event.layer).name)
        elif event.kind == "lock":
            state.take(toggle_lock(state.plan, study.graph.layer(event.layer).name))
        elif event.kind in ("cell", "column"):
            every = [layer.name for layer in study.graph.quantizable]
            layers = [event.layer] if event.kind == "cell" else every
            plan, refused = choose(study, state.plan, layers, state.view.part, event.format)
            state.select(event.layer or state.layer)
            more = f"; and {len(refused) - 3} more" if len(refused) > 3 else ""
            state.notice = f"Left as they were: {'; '.join(refused[:3])}{more}." if refused else ""
            _take(state, plan)
    except QuantscopeError as error:
        state.notice = str(error)


def _notice(state: State) -> None:
    if state.notice:
        st.info(text.name(state.notice), icon=":material/info:")
        state.notice = ""


def _sweep(state: State, study: Study, keys: list, known: dict) -> None:
    """A sample fills its matrix by itself; the user's own model when asked to."""
    missing = len([key for key in keys if key not in known])
    if not missing:
        return
    slot = f"sweep-{state.id}"
    if not (state.source.is_sample or st.session_state.get(slot)):
        st.caption(f"{missing} cells are not measured. Finished cells are kept, whatever you do meanwhile.")
        if not st.button(f"Measure {missing} cells", icon=":material/play_arrow:", type="primary"):
            return
        st.session_state[slot] = True
    if st.session_state.get(slot) and st.button("Stop", icon=":material/stop:"):
        st.session_state[slot] = False
        st.rerun()
    sweep_missing(study, keys, known)


main()
