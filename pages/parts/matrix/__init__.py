"""The layers x formats matrix, a Streamlit component v2: a click chooses or selects."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from pages.parts.matrix.content import Column, Frame, Look, matrix_data
from quant_core.plan import Plan
from quant_core.study import Cell, CellKey, Study

__all__ = ["Column", "Event", "Frame", "Look", "matrix", "matrix_data"]

_HERE = Path(__file__).parent

_AS_USUAL = Look()
_component = st.components.v2.component(
    "quantscope_matrix",
    html='<div class="matrix"></div>\n<!-- filled by the script -->',
    css=(_HERE / "matrix.css").read_text(encoding="utf-8"),
    js=(_HERE / "matrix.js").read_text(encoding="utf-8"),
)


@dataclass(frozen=True)
class Event:
    """What was clicked: a `cell` of some layers (several where a range was chosen), a `column` for all
    layers, a layer's name (`select`) or its `lock`. `format` and `part` are the column's.
    """

    kind: str
    layers: tuple[str, ...]
    format: str
    part: str


def matrix(
    study: Study,
    plan: Plan,
    columns: Sequence[Column],
    cells: Mapping[CellKey, Cell],
    selected: str,
    theme: str,
    on_event: Callable[[Event], None],
    look: Look = _AS_USUAL,
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

    frame = Frame(tuple(columns), look, theme, tuple((failed or {}).items()))
    _component(data=matrix_data(study, plan, frame, cells, selected), key=key, on_event_change=clicked)
