"""The panels beside the matrix: trade-off, search and export."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

import pandas as pd
import streamlit as st

from pages.parts import text
from pages.parts.links import WEIGHTS
from pages.parts.measuring import measure_presets
from pages.parts.opening import calm, theme
from pages.parts.state import State
from pages.parts.tables import csv_button
from quant_core.errors import QuantscopeError
from quant_core.figures import tradeoff_figure
from quant_core.plan import Plan
from quant_core.study import BudgetSearch, Cell, CellKey, Study, alternatives, tradeoff, widest_channel

_FILE = "application/octet-stream"


def plot(state: State, study: Study) -> None:
    """Everything measured so far; a click on a point loads its plan."""
    st.subheader("Trade-off", anchor=False)
    if not study.has_data:
        st.caption("Open data to measure plans.")
        return
    if state.source.is_sample:
        measure_presets(state, study, measure=True)
    if not any(m.plan.quantized for m in state.measured.values()):
        st.caption(
            "Choose a format in the matrix, or a preset: each plan that is measured becomes a point here."
        )
        return
    points, label, reference = tradeoff([(m.plan, m.evaluation) for m in state.measured.values()])
    figure = tradeoff_figure(points, label, reference, state.plan.key, theme())
    # The key changes with the figure: an old selection must not load its plan again.
    key = f"tradeoff-{state.plan.key[:8]}-{len(points)}"
    picked = st.plotly_chart(figure, key=key, on_select="rerun", selection_mode="points", theme=None)
    st.caption(
        "Solid: measured, with a 95 % interval. Dashed: FP32. Ringed: the plan in hand. A click loads a plan."
    )
    csv_button(points.drop(columns=["front"]), "tradeoff")
    for point in picked.selection.points:
        wanted = (point.get("customdata") or [""])[0]
        if wanted in state.measured and wanted != state.plan.key:
            state.take(state.measured[wanted].plan)
            st.rerun()


def search_panel(state: State, study: Study) -> None:
    """The best weight formats under a size, measured."""
    with st.container(border=True):
        st.subheader("Search", anchor=False)
        state.budget = st.slider(
            "Largest file, % of FP32",
            5.0,
            60.0,
            state.budget,
            0.5,
            format="%.1f %%",
            help="The weight formats under this size that do least damage on calibration samples, "
            "with and without bias correction. Locked layers are kept.",
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
        plan = replace(found.plan, name=f"Search, {state.budget:g} %")
        state.take(plan)
        state.keep(plan, found.evaluation)
        corrected = any(p.bias_correction for p in plan.layers.values())
        state.notice = _found(plan, corrected)
        st.rerun()


def layer_panel(state: State, study: Study, cells: dict[CellKey, Cell]) -> None:
    """What a lower format would save and cost in the selected layer."""
    with st.container(border=True):
        st.subheader(f"{text.name(state.layer)}: why not lower?", anchor=False)
        lower = alternatives(study, state.plan, state.layer, cells)
        for option in lower:
            saved = text.size(option.saves) if option.saves > 0 else "nothing"
            line = f"{option.format} saves {saved} and leaves {text.decibel(option.sqnr_db)}"
            if option.agreement is not None:
                line += f", {text.percent(option.agreement)} agreement"
            st.write(text.name(line + "."))
        if not lower:
            st.caption("No lower format is measured.")
        channel, ratio = widest_channel(study, study.graph.layer(state.layer))
        st.caption(
            f"With only this layer quantized. Widest output channel: {channel}, {ratio:.3g} times the median."
        )
        st.page_link(str(WEIGHTS), label="See its weights", icon=":material/bar_chart:")


def _found(plan: Plan, corrected: bool) -> str:
    """What a search chose, in a sentence."""
    counts = Counter(p.weights.format for p in plan.quantized.values() if p.weights is not None)
    chosen = ", ".join(f"{count} layers {name}" for name, count in counts.most_common())
    tail = "bias correction helped and is on" if corrected else "bias correction did not help and is off"
    return f"Search chose {chosen}; {tail}."


def export_panel(state: State, study: Study) -> None:
    """The file that the numbers come from, and its plan."""
    with st.container(border=True):
        st.subheader("Export", anchor=False)
        if not state.plan.quantized:
            st.caption("Choose a format for a layer first.")
            return
        try:
            model = study.lowered(state.plan)
        except QuantscopeError:
            st.caption("This plan cannot be written; the line under the header says why.")
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


def download(cells: dict[CellKey, Cell], part: str) -> None:
    """The measured cells as a table."""
    rows = [
        {"layer": k.layer, "format": k.format, "quantized": k.part, **vars(c.quality), "bytes": c.bytes}
        for k, c in cells.items()
    ]
    csv_button(pd.DataFrame(rows), f"sensitivity-{part}")
