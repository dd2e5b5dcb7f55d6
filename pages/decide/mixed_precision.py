"""Mixed precision: choose a format for each layer and watch size and quality move."""

from __future__ import annotations

import time

import streamlit as st

from pages.parts.columns import columns_menu
from pages.parts.desk import layer_panel, plot, search_panel
from pages.parts.header import window
from pages.parts.live import EVERY
from pages.parts.matrix import Event, matrix
from pages.parts.measuring import known_cells
from pages.parts.nothing import nothing_to_quantize
from pages.parts.notice import notice
from pages.parts.opening import theme
from pages.parts.plans import bias_correction, presets_menu, take
from pages.parts.state import State
from pages.parts.sweeping import failures, sweep_job, sweep_status
from pages.parts.tables import csv_button
from quant_core.errors import QuantscopeError
from quant_core.study import (
    Study,
    choose,
    desk_cells,
    desk_formats,
    formats_of,
    sensitivity_table,
    toggle_lock,
)

_PARTS = {"weights": "Weights", "activations": "Activations"}
_SENT = 0.06  # seconds until a drawing has left for the browser: a run that begins sooner throws it away


def main() -> None:
    with window() as (state, study):
        st.title("Mixed precision", anchor=False)
        st.caption(
            "Each cell is the damage that one layer does at one format: output SQNR in dB, warmer is worse. "
            "A click chooses, Shift and a click choose for all layers in between; "
            "hatched cells are not possible and say why."
        )
        if nothing_to_quantize(study):
            return
        with st.container(key="desk-columns"):
            left, right = st.columns([11, 6], gap="medium")
        with left:
            _tools(state, study)
            notice(state)
            job = sweep_job(state, study, desk_formats(state.view.more))
            every = EVERY if job is not None and job.alive else None
            st.fragment(_matrix, run_every=every)(state, study)
        with right:
            with st.container(border=True):
                plot(state, study)
            cells = known_cells(study, desk_cells(study, "weights", state.view.more))
            layer_panel(state, study, cells)
            search_panel(state, study, cells)


def _matrix(state: State, study: Study) -> None:
    """The matrix, live while it is measured. A click repaints it first, then the page."""
    part = state.view.part
    formats = desk_formats(state.view.more)
    job = sweep_job(state, study, formats)
    keys = {p: desk_cells(study, p, state.view.more) if study.has_data else [] for p in _PARTS}
    cells = known_cells(study, [key for p in _PARTS for key in keys[p]])
    total = sum(len(k) for k in keys.values())
    sweep_status(state, study, formats, job, cells, total)
    matrix(
        study,
        state.plan,
        [(part, name) for name in formats_of(part, state.view.more)],
        cells,
        state.layer,
        theme(),
        lambda event: _apply(event, state, study),
        failed=failures(job),
        key=f"matrix-{part}",
    )
    table = {key: cell for key, cell in cells.items() if key.part == part}
    csv_button(lambda: sensitivity_table(table), f"sensitivity-{part}")
    if st.session_state.pop("desk-clicked", False):
        time.sleep(_SENT)
        st.rerun()


def _tools(state: State, study: Study) -> None:
    """Presets, and the part that the matrix shows."""
    st.session_state["desk-part"] = state.view.part

    def choose_part() -> None:
        state.look(part=st.session_state["desk-part"] or state.view.part)

    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.segmented_control(
            "Part",
            list(_PARTS),
            key="desk-part",
            on_change=choose_part,
            format_func=_PARTS.__getitem__,
            label_visibility="collapsed",
        )
        columns_menu(state, state.view.part)
        presets_menu(state, study)
        bias_correction(state, study)
    if state.view.part == "activations" and study.calibration is None:
        st.info(
            "Activations need calibration samples; open the data with some set aside.", icon=":material/info:"
        )


def _apply(event: Event, state: State, study: Study) -> None:
    """Carry out a click in the matrix."""
    st.session_state["desk-clicked"] = True
    state.notice = ""
    try:
        layers = [study.graph.layer(name).name for name in event.layers]
        if event.kind == "select" and layers:
            state.select(layers[0])
        elif event.kind == "lock" and layers:
            state.take(toggle_lock(state.plan, layers[0]))
        elif event.kind in ("cell", "column"):
            wanted = layers or [layer.name for layer in study.graph.quantizable]
            plan, refused = choose(study, state.plan, wanted, event.part, event.format)
            take(state, plan, layers[-1] if layers else "")
            more = f"; and {len(refused) - 3} more" if len(refused) > 3 else ""
            state.notice = f"Left as they were: {'; '.join(refused[:3])}{more}." if refused else ""
    except QuantscopeError as error:
        state.notice = str(error)


main()
