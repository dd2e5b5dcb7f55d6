"""A file that is quantized already: its layers with their scales, beside what would be chosen here."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from pages.parts import text
from pages.parts.tables import csv_button
from quant_core.study import Study, quantized_records

_COLUMNS = {
    "layer": "Layer",
    "op": "Operator",
    "style": st.column_config.TextColumn("Style", help="How the file says it: QDQ, QOperator, dynamic."),
    "shape": "Weights",
    "format": "Format",
    "granularity": "Shared by",
    "scales": st.column_config.TextColumn("Scales", help="How many, and from which to which."),
    "zero_points": "Zero points",
    "entering": st.column_config.TextColumn("Activations", help="Format, scale, zero point of what enters."),
    "ours": st.column_config.TextColumn(
        "Ours", help="int8 per channel on the weights that the file stands for: from which scale to which."
    ),
}


@st.cache_data(max_entries=8, show_spinner=False)
def _records(model: str, _study: Study) -> list[dict[str, Any]]:
    return quantized_records(_study.graph)


def quantized_already(study: Study) -> None:
    """The table of quantized layers; nothing for a float model."""
    records = _records(study.graph.file.sha256, study)
    if not records:
        return
    st.subheader("Quantized already", anchor=False)
    st.caption(f"{len(records)} layers of this file are quantized; beside them what would be chosen here.")
    table = pd.DataFrame([_row(record) for record in records])
    st.dataframe(
        table,
        hide_index=True,
        height=320 if len(table) > 8 else "content",
        column_config=_COLUMNS,
        placeholder="–",
        alt="Quantized layers of the opened file",
    )
    csv_button(pd.DataFrame(records), "quantized")


def _row(r: dict[str, Any]) -> dict[str, object]:
    entering = r["activation_format"]
    if entering is not None and r["activation_scale"] is not None:
        entering = f"{entering}, {r['activation_scale']:.3g}, {r['activation_zero_point']}"
    many = f"{r['scales']}: " if r["scales"] else ""
    return {
        "layer": r["name"],
        "op": r["op"],
        "style": r["style"],
        "shape": text.shape(tuple(r["shape"] or ())),
        "format": r["format"],
        "granularity": r["granularity"],
        "scales": many + _span(r["scale_low"], r["scale_high"]),
        "zero_points": _span(r["zero_point_low"], r["zero_point_high"]),
        "entering": entering,
        "ours": _span(r["our_scale_low"], r["our_scale_high"]),
    }


def _span(low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return ""
    return f"{low:.3g}" if low == high else f"{low:.3g} to {high:.3g}"
