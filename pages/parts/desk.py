"""The panels beside the matrix: trade-off, why not lower, search."""

from __future__ import annotations

import math

import streamlit as st

from pages.parts import metrics, text
from pages.parts.charts import chart
from pages.parts.links import EXPORT, WEIGHTS
from pages.parts.measuring import known_presets
from pages.parts.opening import theme
from pages.parts.state import State
from quant_core.figures import tradeoff_figure
from quant_core.plan import Plan
from quant_core.study import (
    Cell,
    CellKey,
    Study,
    alternatives,
    search_wish,
    smallest_share,
    tradeoff,
    widest_channel,
)


def plot(state: State, study: Study) -> None:
    """Everything measured so far; a click on a point loads its plan."""
    st.subheader("Trade-off", anchor=False)
    if not study.has_data:
        st.caption("Open data to measure plans.")
        return
    known_presets(state, study, ask=state.source.is_sample)
    if not any(m.plan.quantized for m in state.measured.values()):
        st.caption(
            "Choose a format in the matrix, or a preset: each plan that is measured becomes a point here."
        )
        return
    points, label, reference = tradeoff([(m.plan, m.evaluation) for m in state.measured.values()])
    figure = tradeoff_figure(points, label, reference, state.plan.key, theme())
    # The key changes with the figure: an old selection must not load its plan again.
    key = f"tradeoff-{state.plan.key[:8]}-{len(points)}"
    table = points.drop(columns=["front"])
    picked = chart(figure, "tradeoff", key, table, on_select="rerun", selection_mode="points")
    st.caption(
        "Solid: measured, with a 95 % interval. Dashed: FP32. Ringed: the plan in hand. A click loads a plan."
    )
    for point in picked.selection.points:
        wanted = (point.get("customdata") or [""])[0]
        if wanted in state.measured and wanted != state.plan.key:
            state.take(state.measured[wanted].plan)
            st.rerun()


def search_panel(state: State, study: Study, cells: dict[CellKey, Cell]) -> None:
    """The best weight formats under a size, measured."""
    with st.container(border=True):
        st.subheader("Search", anchor=False)
        locked = {n: p for n, p in state.plan.layers.items() if p.locked}
        start = Plan("search", locked, study.graph.file.sha256, study.graph.file.name)
        least = max(5.0, math.ceil(200 * smallest_share(study, start, cells)) / 2)
        most = 60.0 if least < 40 else 100.0
        # The key changes with the ends: a value that they push is not one that was chosen.
        key = f"budget-{least}-{most}"
        budget = st.session_state[key] = min(max(state.budget, least), most)

        def choose() -> None:
            state.budget = st.session_state[key]
            state.save()

        st.slider(
            "Largest file, % of FP32",
            min(least, most - 1),
            most,
            step=0.5,
            format="%.1f %%",
            key=key,
            on_change=choose,
            help="The weight formats under this size that do least damage on calibration samples, "
            "with and without bias correction. Locked layers are kept. The left end is what the lowest "
            "formats reach, once the cells are measured.",
        )
        wish = search_wish(state.source, start, budget / 100)
        job = wish.find(state.id)
        busy = job is not None and job.alive
        if st.button(
            "Searching" if busy else "Search and measure",
            type="primary",
            icon=":material/search:",
            disabled=busy or not study.has_data,
            help=None if study.has_data else "Needs data: open some on Start.",
        ):
            wish.ask(state.id)
            st.rerun()


def layer_panel(state: State, study: Study, cells: dict[CellKey, Cell]) -> None:
    """What a lower format would save and cost in the selected layer."""
    with st.container(border=True):
        st.subheader(f"{text.name(state.layer)}: why not lower?", anchor=False)
        lower = alternatives(study, state.plan, state.layer, cells)
        for option in lower:
            saved = text.size(option.saves) if option.saves > 0 else "nothing"
            left = metrics.left(option.quality, few=option.few)
            st.write(text.name(f"{option.format} saves {saved} and leaves {left}."))
        if not lower:
            st.caption("No lower format of this layer is measured; the cells of the matrix will tell.")
        channel, ratio = widest_channel(study, study.graph.layer(state.layer))
        st.caption(
            f"{'With only this layer quantized. ' if lower else ''}"
            f"Widest output channel: {channel}, {ratio:.3g} times the median."
        )
        with st.container(horizontal=True):
            st.page_link(str(WEIGHTS), label="See its weights", icon=":material/bar_chart:")
            st.page_link(str(EXPORT), label="Export this plan", icon=":material/download:")
