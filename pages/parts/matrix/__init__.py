"""The layers x formats matrix, a Streamlit component v2: a click chooses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from pages.parts import text
from quant_core.figures import damage_color, palette, text_on
from quant_core.formats import get_format
from quant_core.plan import Plan, cell_precision, why_not
from quant_core.study import Cell, CellKey, Study, chosen_column, column_label, formats_of

_HERE = Path(__file__).parent
_HELP = {
    "fp32": "32-bit float, as opened.",
    "fp16": "16-bit float.",
    "int16": "16-bit integers.",
    "int8": "8-bit integers.",
    "int4": "4-bit integers.",
    "int2": "2-bit integers.",
}

_component = st.components.v2.component(
    "quantscope_matrix",
    html='<div class="matrix"></div>\n<!-- filled by the script -->',
    css=(_HERE / "matrix.css").read_text(encoding="utf-8"),
    js=(_HERE / "matrix.js").read_text(encoding="utf-8"),
)


@dataclass(frozen=True)
class Event:
    """What was clicked: a `cell`, a `column` for all layers, a layer's name (`select`) or its `lock`."""

    kind: str
    layer: str
    format: str


def matrix(
    study: Study,
    plan: Plan,
    part: str,
    cells: dict[CellKey, Cell],
    selected: str,
    theme: str,
    on_event: Callable[[Event], None],
) -> None:
    """Draw the matrix of `part`, weights or activations. A click calls `on_event`, then the page runs."""
    key = f"matrix-{part}"

    def clicked() -> None:
        event: dict[str, Any] = st.session_state[key]["event"] or {}
        on_event(Event(str(event.get("kind")), str(event.get("layer", "")), str(event.get("format", ""))))

    _component(data=_data(study, plan, part, cells, selected, theme), key=key, on_event_change=clicked)


def _data(
    study: Study, plan: Plan, part: str, cells: dict[CellKey, Cell], selected: str, theme: str
) -> dict[str, Any]:
    colors = palette(theme)
    columns = [
        {
            "name": name,
            "label": column_label(part, name),
            "color": colors.bits[get_format(name).bits],
            "help": _HELP[name],
        }
        for name in formats_of(part)
    ]
    largest = max((layer.bytes for layer in study.graph.quantizable), default=1)
    layers = []
    for layer in study.graph.quantizable:
        bits = plan[layer.name].bits
        layers.append(
            {
                "name": layer.name,
                "kind": layer.kind,
                "shape": text.shape(layer.shape),
                "bytes": f"{text.size(layer.bytes)} of weights in FP32, now {bits} bits each",
                "share": layer.bytes / largest,
                "color": colors.bits[bits],
                "chosen": chosen_column(plan[layer.name], part),
                "locked": plan[layer.name].locked,
                "cells": [_cell(study, layer.name, name, part, cells, theme) for name in formats_of(part)],
            }
        )
    return {"columns": columns, "layers": layers, "selected": selected, "secondary": colors.secondary}


def _cell(
    study: Study, layer_name: str, name: str, part: str, cells: dict[CellKey, Cell], theme: str
) -> dict[str, Any]:
    if name == "fp32":
        return {"text": "", "title": "As opened: no damage.", "color": None, "ink": None, "reason": None}
    layer = study.graph.layer(layer_name)
    precision = cell_precision(layer, name, part)
    reason = "its input holds indices" if precision is None else why_not(layer, precision)
    if reason is not None:
        return {
            "text": "",
            "title": f"Not possible: {reason}.",
            "color": None,
            "ink": None,
            "reason": str(reason),
        }
    cell = cells.get(CellKey(layer_name, name, part))
    if cell is None:
        return {"text": "", "title": "Not measured yet.", "color": None, "ink": None, "reason": None}
    quality = cell.quality
    color = damage_color(quality.sqnr_db, theme)
    parts = [f"{quality.sqnr_db:.2f} dB output SQNR with only this layer quantized"]
    if quality.metric is not None:
        parts.append(f"{quality.metric_name} {text.percent(quality.metric)}")
    parts.append(f"agreement {text.percent(quality.agreement)}")
    parts.append(f"file {cell.bytes:,} bytes")
    shown = "=" if quality.sqnr_db >= 200 else f"{quality.sqnr_db:.0f}"
    return {"text": shown, "title": ", ".join(parts), "color": color, "ink": text_on(color), "reason": None}
