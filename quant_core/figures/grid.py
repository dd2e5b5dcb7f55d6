"""The grid of a format on a histogram: where the values that have a code lie."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from quant_core.figures.palette import palette

_MOST_LINES = 64  # more lines than this would cover the histogram: they become ticks along the axis
_MOST_TICKS = 1024  # more than this cannot be told apart: they become a band


def add_grid(
    figure: go.Figure,
    grid: NDArray[np.float64],
    bits: int,
    extent: tuple[float, float],
    counts: tuple[float, float],
    theme: str | None,
    **place: Any,
) -> None:
    """Draw `grid` `[levels]`, in rising order, within `extent` on the x axis, from the lowest to the highest
    of `counts` on the y axis, which may be logarithmic. `place` is the row and column of a subplot."""
    color = palette(theme).bits.get(bits, palette(theme).bits[8])
    room = extent[1] - extent[0]
    inner = grid[(grid >= extent[0] - room) & (grid <= extent[1] + room)]
    if not inner.size:
        return
    bottom, top = counts
    few = inner.size <= _MOST_LINES
    # A sixteenth of the height: of its logarithm where the axis starts above zero.
    tall = top if few else bottom * (top / bottom) ** 0.06 if bottom > 0 else 0.06 * top
    if inner.size > _MOST_TICKS:
        x, y = inner[[0, 0, -1, -1]], np.array([bottom, tall, tall, bottom])
        filled = {"fill": "toself", "fillcolor": color, "opacity": 0.45, "hoveron": "fills"}
        figure.add_scatter(
            x=x, y=y, mode="lines", line={"width": 0}, name=f"{inner.size:,} values", hoverinfo="name",
            **filled, **place,
        )  # fmt: skip
        return
    figure.add_scatter(
        x=np.repeat(inner, 3),
        y=np.tile([bottom, tall, np.nan], inner.size),
        mode="lines",
        line={"color": color, "width": 1.4 if few else 0.8},
        name="grid",
        hovertemplate="grid %{x:.4g}<extra></extra>",
        **place,
    )


def extent_of(edges: NDArray[np.float64]) -> tuple[float, float]:
    """First and last edge."""
    return float(edges[0]), float(edges[-1])
