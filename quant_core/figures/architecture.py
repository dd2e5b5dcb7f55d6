"""The graph of a model as a picture: an ECharts option to pan, zoom and click, and the same for Plotly."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import plotly.graph_objects as go
from plotly.colors import find_intermediate_color, hex_to_rgb

from quant_core.figures.layered import SMALL_TALL, SMALL_WIDE, TALL, WIDE, Layout, Point
from quant_core.figures.palette import damage_color, palette, text_on
from quant_core.figures.style import FONT, styled

LETTERS = 21  # of a name that a box has room for
_MORE = 7  # letters that the second line, which is smaller, has room for beyond that
READABLE = 0.85  # zoom at which both lines of a box are read with ease
_TWO_LINES, _ONE_LINE = 0.78, 0.5  # zoom down to which a box holds two lines, one line
_MARGIN = 10.0
_NARROW = 600  # pixels of a canvas below which the view opens around the selected box
_PER_LABEL = 300  # boxes that the still figure labels at most
_PALE = 0.18  # opacity of what a search does not find


@dataclass(frozen=True)
class Box:
    """A box of the picture: its name, a second line of kind and value, the lines of its tooltip, its colour.

    The colour is `#RRGGBB`; None draws it hollow. `small` is a helper operator, `pale` no search result.
    """

    name: str
    kind: str
    tip: tuple[str, ...]
    color: str | None = None
    value: str = ""
    small: bool = False
    pale: bool = False


def amount_color(share: float, theme: str | None) -> str:
    """The colour of an amount as a `share` 0..1 of the largest: one hue, more is stronger."""
    colors = palette(theme)
    low, high = hex_to_rgb(colors.line), hex_to_rgb(colors.accent)
    mixed = find_intermediate_color(low, high, min(max(share, 0.0), 1.0) ** 0.5)
    return "#" + "".join(f"{round(c):02X}" for c in mixed)


def value_color(colour: str, value: float | None, largest: float, theme: str | None) -> str | None:
    """The colour of a box whose `value` is in the unit of `colour`: bits, error (dB), bytes or macs."""
    if value is None:
        return None
    if colour == "bits":
        return palette(theme).bits.get(int(value), palette(theme).bits[8])
    if colour == "error":
        return damage_color(value, theme)
    return amount_color(value / largest if largest else 0.0, theme)


def graph_option(
    layout: Layout,
    boxes: Sequence[Box],
    theme: str | None,
    size: tuple[float, float],
    *,
    selected: int | None = None,
    ringed: bool = False,
    whole: bool = False,
) -> dict[str, Any]:
    """The ECharts option of the graph on a canvas of `size` pixels (width, height).

    Items 0 to n-1 are the boxes. `selected` is ringed: by the chart's own selection, which a click moves, or
    with `ringed` by its outline, so that a click on it still counts. Where the whole is too large to read,
    the view opens around `selected`, or with `whole` on everything.
    """
    colors = palette(theme)
    zoom, centre = _view(layout, size, selected, whole)
    narrow = _view(layout, (0.8 * _NARROW, size[1]), selected, whole)
    items = [
        _item(i, box, at, zoom, theme, i == selected, ringed)
        for i, (box, at) in enumerate(zip(boxes, layout.centres, strict=True))
    ]
    points: dict[Point, int] = {}
    links: list[dict[str, Any]] = []
    for line in layout.lines:
        corners = [points.setdefault(p, len(boxes) + len(points)) for p in line]
        for step, (a, b) in enumerate(pairwise(corners), start=2):
            links.append({"source": a, "target": b})
            if step == len(corners):
                links[-1] |= {"symbol": ["none", "arrow"], "symbolSize": [0, 6]}
    frame = [(0.0, 0.0), (layout.width, layout.height)]  # so that one unit is one pixel at zoom 1
    items += [
        {"name": f"p{i}", "x": round(x, 1), "y": round(y, 1), "symbol": "none"}
        for i, (x, y) in enumerate([*points, *frame])
    ]
    return {
        "animation": False,
        "textStyle": {"fontFamily": FONT},
        "tooltip": {
            "trigger": "item",
            "confine": True,
            "backgroundColor": colors.panel,
            "borderColor": colors.line,
            "textStyle": {"color": colors.text, "fontSize": 12},
            "extraCssText": "max-width:420px;white-space:normal;overflow-wrap:anywhere",
        },
        "series": [
            {
                "type": "graph",
                "id": "nodes",
                "layout": "none",
                "left": "center",
                "top": "middle",
                "width": layout.width,
                "height": layout.height,
                "roam": True,
                "zoom": zoom,
                "center": list(centre),
                "scaleLimit": {"min": 0.6 * min(zoom, _fit(layout, size)), "max": 3.0},
                "nodeScaleRatio": 1,
                "selectedMode": "single",
                "select": {"itemStyle": {**_ring(theme), "borderType": "solid"}},
                "emphasis": {"scale": False, "itemStyle": {"borderColor": colors.accent, "borderWidth": 2}},
                "tooltip": {"show": False},
                "labelLayout": {"hideOverlap": True},
                "label": _label(zoom, theme),
                "lineStyle": {"color": colors.secondary, "opacity": 0.55, "width": 1},
                "edgeSymbol": ["none", "none"],
                "data": items,
                "links": links,
            }
        ],
        "media": [
            {
                "query": {"maxWidth": _NARROW},
                "option": {"series": [{"id": "nodes", "zoom": narrow[0], "center": list(narrow[1])}]},
            },
        ],
    }


def _fit(layout: Layout, size: tuple[float, float]) -> float:
    return min((size[0] - 2 * _MARGIN) / layout.width, (size[1] - 2 * _MARGIN) / layout.height, 1.0)


def _view(
    layout: Layout, size: tuple[float, float], selected: int | None, whole: bool
) -> tuple[float, Point]:
    """Zoom, and the point in the middle of the canvas."""
    fit = _fit(layout, size)
    if whole or fit >= _TWO_LINES:
        return fit, (layout.width / 2, layout.height / 2)
    x, y = layout.centres[selected or 0]
    along, down = size[0] / READABLE / 2 - _MARGIN, size[1] / READABLE / 2 - _MARGIN
    return READABLE, (_within(x, along, layout.width), _within(y, down, layout.height))


def _within(at: float, reach: float, length: float) -> float:
    """The middle of a view that shows `at` and as little as possible beyond both ends."""
    return length / 2 if 2 * reach >= length else min(max(at, reach), length - reach)


def _label(zoom: float, theme: str | None) -> dict[str, Any]:
    """Labels as large as the boxes are at `zoom`; ink 0 is black, 1 white, 2 the theme's own."""
    colors = palette(theme)
    rich = {}
    for ink, color in enumerate(("#000000", "#FFFFFF", colors.text)):
        rich[f"n{ink}"] = {"color": color, "fontSize": 11, "fontWeight": 600, "lineHeight": 14}
        rich[f"d{ink}"] = {"color": color, "fontSize": 10, "lineHeight": 13}
    return {"show": zoom >= _ONE_LINE, "position": "inside", "rich": rich, "color": colors.text}


def _item(
    number: int, box: Box, at: Point, zoom: float, theme: str | None, selected: bool, ringed: bool
) -> dict[str, Any]:
    colors = palette(theme)
    wide, tall = (SMALL_WIDE, SMALL_TALL) if box.small else (WIDE, TALL)
    style: dict[str, Any] = {"color": box.color or colors.background, "borderWidth": 1}
    style["borderColor"] = colors.line if box.color or box.small else colors.secondary
    if box.small:
        style["color"] = colors.panel
    elif box.color is None:
        style["borderType"] = "dashed"
    if selected and ringed:
        style |= _ring(theme)
    if box.pale:
        style["opacity"] = _PALE
    item: dict[str, Any] = {
        "name": f"b{number}",  # unlike names of nodes, different for each
        "x": round(at[0], 1),
        "y": round(at[1], 1),
        "symbol": _rounded(wide, tall),
        "symbolSize": wide,
        "symbolKeepAspect": True,  # a symbol stretched to two sizes would have its border stretched too
        "itemStyle": style,
        "label": {"formatter": _text(box, zoom), **({"opacity": _PALE} if box.pale else {})},
        "tooltip": {"show": True, "formatter": _tip(box)},
    }
    if selected and not ringed:
        item["selected"] = True
    return item


def _ring(theme: str | None) -> dict[str, Any]:
    accent = palette(theme).accent
    return {"borderColor": accent, "borderWidth": 4, "shadowColor": accent, "shadowBlur": 12}


def _rounded(wide: float, tall: float, radius: float = 6.0) -> str:
    """A rectangle with round corners; the chart's own would have its corners stretched with its sides."""
    w, h, r = wide - 2 * radius, tall - 2 * radius, radius
    a = f"a{r} {r} 0 0 1"
    return f"path://M{r} 0h{w}{a} {r} {r}v{h}{a} -{r} {r}h-{w}{a} -{r} -{r}v-{h}{a} {r} -{r}z"


def _text(box: Box, zoom: float) -> str:
    ink = 2 if box.color is None or box.small else int(text_on(box.color) == "#FFFFFF")
    letters = int(LETTERS * (SMALL_WIDE if box.small else WIDE) / WIDE * min(zoom, 1.0))
    if box.small:
        return f"{{d{ink}|{_inert(box.name, letters + 1)}}}"
    first = f"{{n{ink}|{_inert(box.name, letters)}}}"
    return first if zoom < _TWO_LINES else f"{first}\n{{d{ink}|{_second(box, letters + _MORE)}}}"


def _second(box: Box, letters: int) -> str:
    """The second line of a box: its value in full, and of its kind the beginning."""
    value = f" · {_inert(box.value, letters)}" if box.value else ""
    kind, room = _flat(box.kind), max(letters - len(value), 4)
    return (kind if len(kind) <= room else kind[: room - 1].rstrip() + "…") + value


def _inert(name: str, letters: int) -> str:
    """The end of a name: its beginning is often that of its neighbours."""
    flat, letters = _flat(name), max(letters, 4)
    return flat if len(flat) <= letters else "…" + flat[1 - letters :]


def _flat(name: str) -> str:
    """A name on one line and without the braces that ECharts reads as a template."""
    return " ".join(name.split()).translate({ord("{"): "(", ord("}"): ")", ord("|"): "/"})


def _tip(box: Box) -> str:
    """A tooltip, which ECharts reads as HTML and as a template."""
    lines = [html.escape(" ".join(line.split())) for line in box.tip]
    lines[:1] = [f"<b>{line}</b>" for line in lines[:1]]
    return "<br>".join(lines).replace("{", "&#123;").replace("}", "&#125;")


def graph_figure(layout: Layout, boxes: Sequence[Box], theme: str | None) -> go.Figure:
    """The same picture as a figure: outlines filled with the colour of each box, lines, and labels."""
    colors = palette(theme)
    figure = go.Figure()
    line_x, line_y = _joined(list(layout.lines))
    figure.add_scatter(
        x=line_x, y=line_y, mode="lines", line={"color": colors.secondary, "width": 1}, hoverinfo="skip"
    )
    groups: dict[tuple[str, str], list[tuple[Point, ...]]] = {}
    for box, at in zip(boxes, layout.centres, strict=True):
        fill = colors.panel if box.small else box.color or colors.background
        edge = colors.secondary if box.color is None and not box.small else colors.line
        groups.setdefault((fill, edge), []).append(_outline(at, box.small))
    for (fill, edge), outlines in groups.items():
        x, y = _joined(outlines)
        figure.add_scatter(
            x=x, y=y, mode="lines", fill="toself", fillcolor=fill, line={"color": edge, "width": 1},
            hoverinfo="skip",
        )  # fmt: skip
    inks = [text_on(b.color) if b.color and not b.small else colors.text for b in boxes]
    figure.add_scatter(
        x=[x for x, _ in layout.centres],
        y=[y for _, y in layout.centres],
        mode="markers+text" if len(boxes) <= _PER_LABEL else "markers",
        marker={"size": 14, "opacity": 0},
        text=[_caption(b) for b in boxes],
        textfont={"size": 10, "color": inks},
        customdata=[_tip(b) for b in boxes],
        hovertemplate="%{customdata}<extra></extra>",
    )
    height = int(min(max(layout.height, 400.0), 2400.0))
    styled(figure, theme, height, "", "")
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False, autorange="reversed", scaleanchor="x")
    return figure.update_layout(paper_bgcolor=colors.background, dragmode="pan")


def _caption(box: Box) -> str:
    """Both lines of a box as the still figure writes them, which reads markup."""
    name = _inert(box.name, LETTERS + 4)
    lines = [name] if box.small else [name, _second(box, LETTERS + _MORE)]
    return "<br>".join(html.escape(line, quote=False) for line in lines)


def _outline(at: Point, small: bool) -> tuple[Point, ...]:
    (x, y), (w, h) = at, (SMALL_WIDE / 2, SMALL_TALL / 2) if small else (WIDE / 2, TALL / 2)
    return (x - w, y - h), (x + w, y - h), (x + w, y + h), (x - w, y + h), (x - w, y - h)


def _joined(lines: Sequence[Sequence[Point]]) -> tuple[list[float | None], list[float | None]]:
    """Many lines as one, with a gap after each."""
    x: list[float | None] = []
    y: list[float | None] = []
    for line in lines:
        x += [p[0] for p in line] + [None]
        y += [p[1] for p in line] + [None]
    return x, y
