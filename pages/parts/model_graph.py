"""The graph of the page Model: boxes coloured by what the user asks, one of them the selected layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st

from pages.parts import text
from pages.parts.state import State
from quant_core.figures import (
    DAMAGE_DB,
    Box,
    Layout,
    damage_color,
    graph_figure,
    graph_option,
    layered,
    page_of,
    palette,
    value_color,
)
from quant_core.study import Architecture, GraphBox, Study, architecture

SIZE = (720, 560)  # pixels of the canvas that the first view is made for
_LEAST, _AIR = 360.0, 60.0  # height of the canvas of a small graph, and what stays free above and below it
_SLOT = "model-graph"
Rows = Mapping[str, Any]


@st.cache_data(max_entries=32, show_spinner="Laying out the graph")
def _laid_out(
    model: str, prepared: int, folded: bool | None, unfolded: tuple[str, ...], _study: Study
) -> tuple[Architecture, Layout]:
    built = architecture(_study.graph, folded, unfolded)
    return built, layered([box.is_small for box in built.boxes], built.edges, SIZE[0] / SIZE[1])


def laid_out(state: State, study: Study) -> tuple[Architecture, Layout]:
    """The boxes of the graph and where they stand, kept by the hash of the model and by what is folded."""
    kept = len(study.steps)
    return _laid_out(study.graph.file.sha256, kept, state.view.folded, state.view.unfolded, study)


def draw_graph(
    state: State, study: Study, built: Architecture, layout: Layout, table: pd.DataFrame, theme: str
) -> GraphBox | None:
    """Draw the graph; a click on a layer selects it, on a folded block unfolds it. Gives the helper operator
    that was clicked last, if it was not a layer.
    """
    slot: dict[str, Any] = st.session_state.setdefault(_SLOT, {"turn": 0})
    rows = {row.name: row for row in table.itertuples(index=False)}
    boxes = [_box(box, rows, state, theme) for box in _valued(built, rows, state.view.colour)]
    at = built.box_of.get(state.layer)
    frame = (study.graph.file.sha256, state.view.folded, state.view.unfolded)
    seen = (tuple(boxes), theme, state.view.whole)
    if slot.get("layer") != state.layer or slot.get("frame") != frame:
        # Selected elsewhere, or another graph: a new chart, so that no earlier click comes back to life.
        slot.update(turn=slot["turn"] + 1, node=None, focus=at)
    elif slot.get("seen") != seen:
        slot.update(focus=at)
    # Otherwise the option stays as it was, and with it the part of the graph that the user looks at.
    ringed = slot["focus"] is not None and bool(built.boxes[slot["focus"]].block)
    slot.update(layer=state.layer, frame=frame, seen=seen, ringed=ringed)
    option = graph_option(
        layout, boxes, theme, SIZE, selected=slot["focus"], ringed=ringed, whole=state.view.whole
    )
    key = f"{_SLOT}-{slot['turn']}"
    st.echarts_chart(
        option,
        height=int(min(max(layout.height + _AIR, _LEAST), SIZE[1])),
        theme=None,
        key=key,
        on_select=lambda: _clicked(state, study, built, key),
        alt=f"Graph of {study.graph.file.name}: {len(built.boxes)} boxes, coloured by {state.view.colour}. "
        "The table below holds the same layers.",
    )
    name = f"graph-{state.view.colour}"
    st.download_button(
        "HTML",
        lambda: page_of(graph_figure(layout, boxes, theme)),
        f"{name}.html",
        "text/html",
        icon=":material/account_tree:",
        type="tertiary",
        key="html-graph",
        on_click="ignore",
        help="Download the graph as a page that works offline. The arrow in its corner gives a PNG.",
    )
    return None if slot["node"] is None else next((b for b in built.boxes if b.name == slot["node"]), None)


def _clicked(state: State, study: Study, built: Architecture, key: str) -> None:
    """Carry out a click in the graph."""
    slot = st.session_state[_SLOT]
    groups = st.session_state[key]["selection"]["selected"]
    picked = [i for group in groups if group["data_type"] == "node" for i in group["data_indices"]]
    if not picked or picked[0] >= len(built.boxes):
        slot.update(layer=None)  # a line, or the ring taken off: draw it again
        return
    box = built.boxes[picked[0]]
    layer = box.layers[0] if box.layers else ""
    if box.block:
        state.look(unfolded=(*state.view.unfolded, box.name))
    elif layer and study.graph.layer(layer).reason is None:
        state.select(layer)
        slot.update(node=None, layer=None if slot["ringed"] else layer)
    else:
        slot.update(node=box.name)


def _valued(built: Architecture, rows: Rows, colour: str) -> list[tuple[GraphBox, float | None, float]]:
    """Each box with its value in the unit of `colour`, and the largest value of all."""
    values = [_value(box, rows, colour) for box in built.boxes]
    largest = max((v for v in values if v is not None), default=0.0)
    return [(box, value, largest) for box, value in zip(built.boxes, values, strict=True)]


def _value(box: GraphBox, rows: Rows, colour: str) -> float | None:
    """Fewest bits, worst error, summed bytes or MACs of the layers in a box; None where there are none."""
    inside = [rows[name] for name in box.layers if name in rows and not rows[name].reason]
    if colour == "bits":
        return min((float(row.bits) for row in inside), default=None)
    if colour == "error":
        return min((float(row.sqnr_db) for row in inside if not pd.isna(row.sqnr_db)), default=None)
    known = [getattr(row, colour) for row in inside]
    return float(sum(v for v in known if not pd.isna(v))) if any(not pd.isna(v) for v in known) else None


def _written(value: float | None, colour: str, several: bool) -> str:
    """A value with its unit; of several layers bits and error are those of the worst."""
    if value is None:
        return "not measured" if colour == "error" else ""
    if colour == "bits":
        return f"{'from ' if several else ''}{value:.0f} bits"
    if colour == "error":
        return f"{'worst ' if several else ''}{text.decibel(value)}"
    return text.size(value) if colour == "bytes" else f"{text.count(value)} MACs"


def _box(valued: tuple[GraphBox, float | None, float], rows: Rows, state: State, theme: str) -> Box:
    box, value, largest = valued
    colour, find = state.view.colour, state.view.find.strip().lower()
    inside = [rows[name] for name in box.layers if name in rows]
    can = [row for row in inside if not row.reason]
    written = _written(
        value, colour, len({row.bits for row in can}) > 1 if colour == "bits" else len(can) > 1
    )
    if box.is_small or not can:
        written = ""
    kind = box.kind.split(" + ")[0]
    name = f"Block {box.block}" if box.block else box.name
    tip = [f"{name}: {box.name} to {box.nodes[-1]}" if box.block else name, box.kind, written]
    tip += [f"Layers: {_few(box.layers)}", "A click unfolds it."] if box.block else []
    tip += [f"Weights {row.shape}" for row in inside if row.shape and not box.block]
    tip += [row.reason[:1].upper() + row.reason[1:] for row in inside if row.reason and not box.block]
    tip += [f"Output {text.shape(box.shape)}"] if box.shape else []
    return Box(
        name=(name.rsplit("/", 1)[-1] or name) if box.is_small else name,
        kind=kind,
        value=text.HOLLOW if written and value is None else written,
        tip=tuple(line for line in tip if line),
        color=value_color(colour, value, largest, theme),
        small=box.is_small,
        pale=bool(find) and not any(find in node.lower() for node in box.nodes),
    )


def _few(names: tuple[str, ...], most: int = 6) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def draw_legend(state: State, built: Architecture, table: pd.DataFrame, theme: str) -> None:
    """What the colours mean, with units."""
    colors, colour = palette(theme), state.view.colour
    rows = {row.name: row for row in table.itertuples(index=False)}
    largest = max((top for _, _, top in _valued(built, rows, colour)), default=0.0)
    if colour == "bits":
        used = sorted({int(bits) for bits in table["bits"].dropna()} | {32, 8, 4}, reverse=True)
        marks = [(colors.bits.get(bits, colors.bits[8]), f"{bits} bits") for bits in used]
    elif colour == "error":
        marks = [(damage_color(stop, theme), f"{stop:.0f} dB") for stop in DAMAGE_DB]
    else:
        shares = (0.0, 0.25, 1.0)
        marks = [
            (
                value_color(colour, share * largest, largest, theme) or "",
                _written(share * largest, colour, False),
            )
            for share in shares
        ]
    swatch = "display:inline-block;width:11px;height:11px;border-radius:3px;margin:0 5px -1px 0"
    edge = f"border:1px solid {colors.line}"
    parts = [
        f'<span style="margin-right:14px"><i style="{swatch};{edge};background:{color}"></i>{label}</span>'
        for color, label in marks
    ]
    hollow = "not measured" if colour == "error" else "no weights to quantize"
    parts.append(f'<span><i style="{swatch};border:1px dashed {colors.secondary}"></i>{hollow}</span>')
    st.html(f'<div style="font-size:0.8rem;color:{colors.secondary}">{"".join(parts)}</div>')
