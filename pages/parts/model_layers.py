"""The table of layers and the details of the selected one, on the page Model."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from pages.parts import links, text
from pages.parts.layers import layer_picker
from pages.parts.state import State
from pages.parts.tables import csv_button
from quant_core.formats import Scheme
from quant_core.study import GraphBox, Study, tensors_of

_KEY = "model-layers"
_ROWS = 11  # that the table shows without scrolling


def draw_table(state: State, study: Study, table: pd.DataFrame) -> None:
    """The layers that the search finds; a click on a row selects its layer."""
    find = state.view.find.strip().lower()
    found = table[table["name"].str.lower().str.contains(find, regex=False)] if find else table
    names = list(found["name"])
    rows = [names.index(state.layer)] if state.layer in names else []
    key = f"{_KEY}-{st.session_state.setdefault(_KEY, 0)}"
    st.session_state[key] = {"selection": {"rows": rows, "columns": [], "cells": []}}
    st.dataframe(
        found.assign(bytes=found["bytes"] / 1024, format=found["format"].where(found["sqnr_db"].notna())),
        hide_index=True,
        height="content" if len(found) <= _ROWS else 420,
        key=key,
        on_select=lambda: _picked(state, study, names, key),
        selection_mode="single-row",
        placeholder="–",
        column_config=_columns(found),
        column_order=[c for c in found if c != "reason" or table["reason"].any()],
        alt="Layers of the model in the order of execution",
    )
    csv_button(found, "layers")


def _columns(table: pd.DataFrame) -> dict[str, object]:
    column = st.column_config
    return {
        "name": column.TextColumn("Layer", width=118),
        "kind": column.TextColumn("Kind", width=104),
        "shape": column.TextColumn("Weights", width=92, help="Shape of the stored weights."),
        "bits": column.NumberColumn(
            "Bits", width=42, format="%d", help="Bits of one weight in the plan in hand."
        ),
        "bytes": column.ProgressColumn(
            "Size in FP32",
            width=122,
            format="%.2f KiB",
            min_value=0,
            max_value=max(float(table["bytes"].fillna(0).max()) / 1024, 1e-3) if len(table) else 1,
            help="Bytes of the weights as the file stores them.",
        ),
        "macs": column.NumberColumn(
            "MACs", width=56, format="compact", help="Multiply-accumulate operations for one sample."
        ),
        "format": column.TextColumn(
            "Error at",
            width=62,
            help="The weight format that the SQNR beside it is taken at: that of the plan, or, for a layer "
            "that the plan leaves in FP32, the one chosen beside Colour by, Error.",
        ),
        "sqnr_db": column.NumberColumn(
            "SQNR, dB",
            width=72,
            format="%.1f",
            help="Signal-to-quantization-noise ratio of the model's outputs with only this layer quantized.",
        ),
        "reason": column.TextColumn("Why not", help="Why the layer cannot be quantized.", width=200),
    }


def _picked(state: State, study: Study, names: list[str], key: str) -> None:
    rows = st.session_state[key]["selection"]["rows"]
    layer = study.graph.layer(names[rows[0]]) if rows and rows[0] < len(names) else None
    if layer is not None and layer.reason is None:
        state.select(layer.name)
        return
    st.session_state[_KEY] += 1  # a new table, which marks the row of the layer that is still selected
    if layer is not None and layer.reason is not None:
        state.notice = f"'{layer.name}' cannot be selected: {layer.reason.text}."


def draw_details(state: State, study: Study, table: pd.DataFrame, node: GraphBox | None) -> None:
    """What is known of the selected layer, and below it of a helper operator that was clicked."""
    layer = study.graph.layer(state.layer)
    row = table[table["name"] == layer.name].iloc[0]
    precision = state.plan[layer.name]
    enters, leaves = tensors_of(study, layer)
    layer_picker(state, study)
    error = "–" if pd.isna(row["sqnr_db"]) else f"{text.decibel(float(row['sqnr_db']))} at {row['format']}"
    _facts(
        {
            "Kind": layer.kind,
            "Weights": text.shape(layer.shape),
            "Parameters": text.count(layer.parameters),
            "Size in FP32": text.size(layer.bytes),
            "MACs": "–" if layer.macs is None else text.count(layer.macs),
            "Weights in the plan": _scheme(precision.weights),
            "Activations in the plan": _scheme(precision.activations),
            "SQNR of this layer alone": error,
            "Reads": enters or "indices",
            "Writes": leaves,
            **({"Shares its weights with": ", ".join(layer.tied)} if layer.tied else {}),
        }
    )
    st.page_link(links.WEIGHTS, label="Weights of this layer", icon=":material/bar_chart:")
    st.page_link(links.MIXED_PRECISION, label="Choose its precision", icon=":material/grid_on:")
    if node is not None:
        st.divider()
        st.markdown(f"**{text.name(node.name)}**")
        reasons = [study.graph.layer(name).reason for name in node.layers]
        _facts(
            {
                "Operator": node.kind,
                "Output": text.shape(node.shape) or "unknown",
                "Nodes": ", ".join(node.nodes),
                "Quantizing": next((r.text for r in reasons if r), "it has no weights"),
            }
        )


def _scheme(scheme: Scheme | None) -> str:
    if scheme is None:
        return "fp32"
    if scheme.number.kind == "float":
        return scheme.format
    symmetry = "symmetric" if scheme.symmetric else "asymmetric"
    return f"{scheme.format}, {scheme.granularity}, {symmetry}, {scheme.range}"


def _facts(facts: dict[str, str]) -> None:
    """Terms and values, a line each."""
    parts = [
        f"<div><dt>{text.escape(term)}</dt><dd>{text.escape(value)}</dd></div>"
        for term, value in facts.items()
    ]
    st.html(f'<dl class="qs-facts">{"".join(parts)}</dl>')
