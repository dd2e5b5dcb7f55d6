"""Mixed precision: choose a format for each layer and watch size and quality move."""

from __future__ import annotations

import json

import pandas as pd
import streamlit as st

from pages.parts import text
from pages.parts.header import Header
from pages.parts.matrix import Event, matrix
from pages.parts.measuring import known_cells, known_plan, measure_plan, measure_presets, sweep_missing
from pages.parts.opening import calm, opened, theme
from pages.parts.state import State
from quant_core.errors import QuantscopeError
from quant_core.figures import tradeoff_figure
from quant_core.plan import PRESETS, Plan, preset_plan
from quant_core.study import (
    BudgetSearch,
    Evaluation,
    Study,
    choose,
    desk_cells,
    forecast_sqnr,
    toggle_lock,
    tradeoff,
)

_PARTS = {"weights": "Weights", "activations": "Activations"}
_FILE = "application/octet-stream"


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
        progress = st.container()
        event = matrix(study, state.plan, state.part, cells[state.part], state.layer, theme())
        _download(cells[state.part], state.part)
    with right:
        plot = st.container(border=True)
        _search_panel(state, study)
        _export_panel(state, study)
    if event is not None and _apply(event, state, study):
        st.rerun()
    with left:
        _notice(state)
    evaluation = measure_plan(state, study)
    header.show(evaluation, forecast_sqnr(state.plan, everything))
    with plot:
        _plot(state, study, evaluation)
    with progress:
        _sweep(state, study, [*keys["weights"], *keys["activations"]], everything)


def _tools(state: State, study: Study) -> None:
    """Presets, and the part that the matrix shows."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = st.segmented_control(
            "Part",
            list(_PARTS),
            default=state.part,
            format_func=_PARTS.__getitem__,
            label_visibility="collapsed",
        )
        if chosen and chosen != state.part:
            state.part = chosen
            state.save()
            st.rerun()
        with st.popover("Presets", icon=":material/tune:"):
            st.caption("A preset sets every layer that is not locked.")
            for name in ("FP32", *PRESETS):
                if st.button(name, key=f"preset-{name}", width="stretch"):
                    _take_preset(state, study, name)
                    st.rerun()
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
    if state.part == "activations" and study.calibration is None:
        st.info(
            "Activations need calibration samples; open the data with some set aside.", icon=":material/info:"
        )


def _take_preset(state: State, study: Study, name: str) -> None:
    layers = dict(preset_plan(study.graph, name).layers) if name in PRESETS else {}
    locked = {n: p for n, p in state.plan.layers.items() if p.locked}
    file = study.graph.file
    _take(state, Plan(name, {**layers, **locked}, file.sha256, file.name))


def _take(state: State, plan: Plan) -> None:
    state.take(plan.with_bias_correction() if state.correct else plan)


def _apply(event: Event, state: State, study: Study) -> bool:
    """Carry out a click in the matrix; whether the page must be drawn again."""
    state.notice = ""
    try:
        if event.kind == "select":
            state.layer = study.graph.layer(event.layer).name
            state.save()
        elif event.kind == "lock":
            state.take(toggle_lock(state.plan, study.graph.layer(event.layer).name))
        elif event.kind in ("cell", "column"):
            every = [layer.name for layer in study.graph.quantizable]
            layers = [event.layer] if event.kind == "cell" else every
            plan, refused = choose(study, state.plan, layers, state.part, event.format)
            state.layer = event.layer or state.layer
            state.notice = "; ".join(refused[:3]) + (
                f" and {len(refused) - 3} more" if len(refused) > 3 else ""
            )
            _take(state, plan)
    except QuantscopeError as error:
        calm(error)
        return False
    return True


def _notice(state: State) -> None:
    if state.notice:
        st.info(text.name(f"Left as they were: {state.notice}."), icon=":material/lock:")


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


def _plot(state: State, study: Study, evaluation: Evaluation | None) -> None:
    """Everything measured so far; a click on a point loads its plan."""
    st.subheader("Trade-off", anchor=False)
    if not study.has_data:
        st.caption("Open data to measure plans.")
        return
    if state.source.is_sample:
        measure_presets(state, study, measure=True)
    points, label, reference = tradeoff([(m.plan, m.evaluation) for m in state.measured.values()])
    figure = tradeoff_figure(points, label, reference, state.plan.key, theme())
    # The key changes with the figure: an old selection must not load its plan again.
    key = f"tradeoff-{state.plan.key[:8]}-{len(points)}"
    picked = st.plotly_chart(figure, key=key, on_select="rerun", selection_mode="points", theme=None)
    st.caption(
        "Solid: measured, with a 95 % interval. Dashed: FP32. Ringed: the plan in hand. A click loads a plan."
    )
    _download_table(points.drop(columns=["front"]), "tradeoff")
    for point in picked.selection.points:
        wanted = (point.get("customdata") or [""])[0]
        if wanted in state.measured and wanted != state.plan.key:
            state.take(state.measured[wanted].plan)
            st.rerun()


def _search_panel(state: State, study: Study) -> None:
    with st.container(border=True):
        st.subheader("Search", anchor=False)
        state.budget = st.slider(
            "Largest file, % of FP32",
            5.0,
            60.0,
            state.budget,
            0.5,
            help="The weight formats under this size with the least sum of measured damage. Locks are kept.",
        )
        if not st.button(
            "Search and measure", type="primary", icon=":material/search:", disabled=not study.has_data
        ):
            return
        bar = st.progress(0.0, "Measuring damage on calibration samples")
        try:
            search = BudgetSearch(study, start=state.plan)
            search.measure(
                lambda done, total: bar.progress(done / total, f"{done} of {total} cells") and None
            )
            found = search.within_bytes(int(study.graph.file.bytes * state.budget / 100))
        except QuantscopeError as error:
            bar.empty()
            calm(error)
            return
        state.correct = any(p.bias_correction for p in found.plan.layers.values())
        state.take(found.plan)
        state.keep(found.plan, found.evaluation)
        st.rerun()


def _export_panel(state: State, study: Study) -> None:
    with st.container(border=True):
        st.subheader("Export", anchor=False)
        if not state.plan.quantized:
            st.caption("Choose a format for a layer first.")
            return
        try:
            model = study.lowered(state.plan)
        except QuantscopeError as error:
            calm(error)
            return
        stem = "".join(c if c.isalnum() or c in "-_" else "_" for c in study.graph.file.name) or "model"
        with st.container(horizontal=True):
            st.download_button(
                "ONNX file",
                model,
                f"{stem}-quantized.onnx",
                _FILE,
                icon=":material/download:",
                on_click="ignore",
            )
            plan = json.dumps(state.plan.to_json(), indent=1)
            st.download_button(
                "Plan",
                plan,
                f"{stem}-plan.json",
                "application/json",
                icon=":material/download:",
                on_click="ignore",
            )
        st.caption(f"{len(model):,} bytes. The numbers above come from running this file.")


def _download(cells: dict, part: str) -> None:
    rows = [
        {"layer": k.layer, "format": k.format, "quantized": k.part, **vars(c.quality), "bytes": c.bytes}
        for k, c in cells.items()
    ]
    _download_table(pd.DataFrame(rows), f"sensitivity-{part}")


def _download_table(table: pd.DataFrame, name: str) -> None:
    st.download_button(
        "CSV", table.to_csv(index=False), f"{name}.csv", "text/csv", icon=":material/table:", type="tertiary",
        key=f"csv-{name}", on_click="ignore",
    )  # fmt: skip


main()
