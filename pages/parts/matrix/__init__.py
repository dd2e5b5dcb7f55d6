"""The layers x formats matrix, a Streamlit component v2: a click chooses or selects."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from pages.parts import text
from quant_core.figures import damage_color, loss_color, palette, text_on
from quant_core.formats import get_format
from quant_core.plan import Plan
from quant_core.study import Cell, CellKey, Study, chosen_column, column_label, loss, reasons

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

Column = tuple[str, str]  # part and format


@dataclass(frozen=True)
class Event:
    """What was clicked: a `cell` of some layers (several where a range was chosen), a `column` for all
    layers, a layer's name (`select`) or its `lock`. `format` and `part` are the column's.
    """

    kind: str
    layers: tuple[str, ...]
    format: str
    part: str


@dataclass(frozen=True)
class Look:
    """How the matrix is drawn: which measure stands in the cells, in which order the layers stand (empty: the
    model's), and whether a click on a cell chooses its format.
    """

    measure: str = "sqnr_db"
    order: tuple[str, ...] = ()
    chooses: bool = True
    baseline: float | None = None  # the FP32 metric, where the measure is the metric


def matrix(
    study: Study,
    plan: Plan,
    columns: Sequence[Column],
    cells: Mapping[CellKey, Cell],
    selected: str,
    theme: str,
    on_event: Callable[[Event], None],
    look: Look = Look(),
    failed: Mapping[CellKey, str] | None = None,
    key: str = "matrix",
) -> None:
    """Draw the matrix. A click calls `on_event`, then what the matrix is part of runs again."""

    def clicked() -> None:
        event: dict[str, Any] = st.session_state[key]["event"] or {}
        layers = tuple(str(name) for name in event.get("layers", ()))
        on_event(
            Event(str(event.get("kind")), layers, str(event.get("format", "")), str(event.get("part", "")))
        )

    data = matrix_data(study, plan, columns, cells, selected, theme, look, failed or {})
    _component(data=data, key=key, on_event_change=clicked)


def matrix_data(
    study: Study,
    plan: Plan,
    columns: Sequence[Column],
    cells: Mapping[CellKey, Cell],
    selected: str,
    theme: str,
    look: Look,
    failed: Mapping[CellKey, str],
) -> dict[str, Any]:
    """What the component draws. Cells are short lists, and what many share (colours, reasons) is sent
    once.
    """
    colors = palette(theme)
    shades: dict[str, int] = {}
    impossible = reasons(study, tuple(columns))
    quality = next((c.quality.metric_name for c in cells.values() if c.quality.metric_name), None)
    largest = max((layer.bytes for layer in study.graph.quantizable), default=1)
    rows = []
    for layer in _ordered(study, look.order):
        precision = plan[layer.name]
        entries: list[Any] = []
        for part, name in columns:
            key = CellKey(layer.name, name, part)
            if name == "fp32":
                entries.append(0)
            elif key in failed:
                entries.append(["!", failed[key]])
            elif (layer.name, part, name) in impossible:
                entries.append(["x", impossible[layer.name, part, name]])
            elif key in cells:
                entries.append(_entry(cells[key], look, theme, shades))
            else:
                entries.append(None)
        rows.append(
            {
                "name": layer.name,
                "kind": layer.kind,
                "shape": text.shape(layer.shape),
                "bytes": f"{text.size(layer.bytes)} of weights in FP32, now {precision.bits} bits each",
                "share": round(layer.bytes / largest, 3),
                "color": colors.bits[precision.bits],
                "chosen": [look.chooses and chosen_column(precision, part) == name for part, name in columns],
                "locked": precision.locked,
                "cells": entries,
            }
        )
    return {
        "columns": [
            {
                "name": name,
                "part": part,
                "label": column_label(part, name),
                "color": colors.bits[get_format(name).bits],
                "help": _HELP[name],
            }
            for part, name in columns
        ],
        "layers": rows,
        "shades": [[color, text_on(color)] for color in shades],
        "metric": quality or "",
        "selected": selected,
        "secondary": colors.secondary,
        "chooses": look.chooses,
        "measure": look.measure,
        "plan": plan.key,
    }


def _ordered(study: Study, order: Sequence[str]) -> list[Any]:
    layers = {layer.name: layer for layer in study.graph.quantizable}
    return [layers[name] for name in order if name in layers] or list(layers.values())


def _entry(cell: Cell, look: Look, theme: str, shades: dict[str, int]) -> list[Any]:
    """[shade, SQNR, metric, agreement, bytes]: what the cell and its tooltip are made of."""
    quality = cell.quality
    lost = loss(cell, look.measure, look.baseline)
    in_db = look.measure == "sqnr_db"
    color = damage_color(round(-lost, 1), theme) if in_db else loss_color(round(lost, 4), theme)
    shade = shades.setdefault(color, len(shades))
    shares = (None if s is None else round(100 * s, 2) for s in (quality.metric, quality.agreement))
    return [shade, round(quality.sqnr_db, 2), *shares, cell.bytes]
