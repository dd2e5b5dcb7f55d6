"""Sensitivity: what each layer alone does to the output at each format, and the worst of it in words."""

from __future__ import annotations

import streamlit as st

from pages.parts import metrics, text
from pages.parts.columns import columns_menu
from pages.parts.header import window
from pages.parts.links import MIXED_PRECISION, WEIGHTS
from pages.parts.live import EVERY
from pages.parts.matrix import Event, Look, matrix
from pages.parts.measuring import known_cells
from pages.parts.nothing import nothing_to_quantize
from pages.parts.notice import notice
from pages.parts.opening import theme
from pages.parts.state import State
from pages.parts.sweeping import Formats, failures, sweep_job, sweep_status
from pages.parts.tables import csv_button
from quant_core.study import (
    MEASURES,
    ORDERS,
    Cell,
    CellKey,
    Study,
    cells_of,
    desk_formats,
    ordered,
    sensitivity_table,
    worst_cells,
)

_PARTS = {"weights": "Weights", "activations": "Activations", "both": "Both"}
_MEASURES = {"sqnr_db": "SQNR", "agreement": "Agreement", "metric": "Metric"}
_HELP = {
    "measure": "SQNR: signal-to-quantization-noise ratio of the outputs in dB. "
    "Agreement: share of samples whose top-1 equals that of FP32. Metric: the quality on the labels.",
    "order": "Damage: the largest among the measured cells of a layer. Per byte: that damage over the bytes "
    "of the weights; what does little damage for many bytes is worth quantizing first.",
    "parts": "What is quantized in a cell: the weights of one layer, its input activations, or both at once.",
}


def main() -> None:
    with window() as (state, study):
        st.title("Sensitivity", anchor=False)
        st.caption(
            "One layer at one format, all others in float: what that alone leaves of the output. "
            "Warmer is worse. W: weights, A: activations."
        )
        if nothing_to_quantize(study):
            return
        notice(state)
        formats = _controls(state, study)
        job = sweep_job(state, study, formats)
        every = EVERY if job is not None and job.alive else None
        st.fragment(_table, run_every=every)(state, study, formats)


def _formats(state: State, study: Study) -> Formats:
    desk = desk_formats(state.view.more)
    named = {**desk, "both": tuple(f for f in desk_formats()["activations"] if f != "int16")}
    swept = state.view.swept if study.calibration is not None else ("weights",)
    return {part: named[part] for part in _PARTS if part in swept}


def _controls(state: State, study: Study) -> Formats:
    view = state.view
    st.session_state["swept"] = list(view.swept)
    st.session_state["measure"] = view.measure if view.measure in _measures(study) else MEASURES[0]
    st.session_state["order"] = view.order
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.pills(
            "Quantized",
            list(_PARTS) if study.calibration is not None else ["weights"],
            selection_mode="multi",
            format_func=_PARTS.__getitem__,
            key="swept",
            on_change=lambda: state.look(swept=tuple(st.session_state["swept"]) or ("weights",)),
            help=_HELP["parts"],
        )
        st.segmented_control(
            "Measure",
            _measures(study),
            format_func=_MEASURES.__getitem__,
            key="measure",
            on_change=lambda: state.look(measure=st.session_state["measure"] or "sqnr_db"),
            help=_HELP["measure"],
        )
        st.selectbox(
            "Order of layers",
            list(ORDERS),
            format_func=lambda name: {"model": "As in the model"}.get(name, name.capitalize()),
            key="order",
            on_change=lambda: state.look(order=st.session_state["order"]),
            width=190,
            help=_HELP["order"],
        )
        for part in ("weights", "activations"):
            if part in view.swept and (part == "weights" or study.calibration is not None):
                columns_menu(state, part)
    return _formats(state, study)


def _table(state: State, study: Study, formats: Formats) -> None:
    """The matrix, live while it is measured, and the worst cells."""
    job = sweep_job(state, study, formats)
    keys = cells_of(study, formats) if study.has_data else []
    cells = known_cells(study, keys)
    baseline = study.known_baseline() if study.has_data else None
    view = state.view
    measure = view.measure if any(_has(c, view.measure) for c in cells.values()) else "sqnr_db"
    columns = [(part, name) for part, names in formats.items() for name in names]
    order = ordered(study, cells, view.order, measure, baseline)
    look = Look(measure, order, False, baseline)
    sweep_status(state, study, formats, job, cells, len(keys))
    with st.container(horizontal=True, gap="large"):
        with st.container(key="sensitive"):
            matrix(
                study,
                state.plan,
                columns,
                cells,
                state.layer,
                theme(),
                lambda event: _select(event, state),
                look,
                failures(job),
                key="sensitivity",
            )
            csv_button(lambda: sensitivity_table(cells), "sensitivity")
        if cells:
            with st.container(key="worst"):
                _worst(study, cells, measure, baseline)
    if st.session_state.pop("sensitivity-clicked", False):
        st.rerun()


def _worst(study: Study, cells: dict[CellKey, Cell], measure: str, baseline: float | None) -> None:
    st.subheader("The ten worst, and why", anchor=False)
    st.caption("The most damaging cell of each layer, and what stands out in its values.")
    lines = []
    for finding in worst_cells(study, cells, measure, baseline):
        key, quality = finding.cell.key, finding.cell.quality
        kind = study.graph.layer(key.layer).kind
        what = "weights and activations" if key.part == "both" else key.part
        left = metrics.left(quality, few=finding.cell.band is not None)
        line = f"{key.layer} ({kind}), {key.format} {what}: {left}; {finding.why}."
        lines.append(f"- {text.name(line)}")
    st.markdown("\n".join(lines))
    with st.container(horizontal=True):
        st.page_link(str(MIXED_PRECISION), label="Choose formats", icon=":material/grid_on:")
        st.page_link(str(WEIGHTS), label="See the weights of the selected layer", icon=":material/bar_chart:")


def _measures(study: Study) -> list[str]:
    """Those that there are: only classes agree with FP32, and without labels there is no metric."""
    scored = study.has_data and (study.data.labels is not None or study.task.kind == "embedding")
    missing = {"agreement": study.task.kind != "classification", "metric": not scored}
    return [measure for measure in MEASURES if not missing.get(measure)]


def _has(cell: Cell, measure: str) -> bool:
    return getattr(cell.quality, measure) is not None


def _select(event: Event, state: State) -> None:
    if event.kind == "select" and event.layers:
        state.select(event.layers[0])
        st.session_state["sensitivity-clicked"] = True


main()
