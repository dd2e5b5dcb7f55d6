"""Figures of one layer's weights."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray

from quant_core.figures.palette import palette
from quant_core.figures.style import styled

_MOST_LINES = 64  # more grid lines than this would cover the histogram: they become ticks along the axis


def histogram_figure(
    edges: NDArray[np.float64],
    counts: NDArray[np.int64],
    grid: NDArray[np.float64] | None,
    bits: int,
    steps: bool,
    theme: str | None,
) -> go.Figure:
    """The histogram of weights with the grid of a format: a line for each value that has a code, dashed at
    both ends.

    `edges` `[bins + 1]`, `counts` `[bins]`, `grid` `[levels]` or None.
    """
    colors = palette(theme)
    centres = (edges[:-1] + edges[1:]) / 2
    unit = "step" if steps else "weight"
    figure = go.Figure()
    figure.add_bar(
        x=centres,
        y=counts,
        width=np.diff(edges),
        marker={"color": colors.accent, "opacity": 0.55, "line": {"width": 0}},
        name="weights",
        hovertemplate=f"{unit} %{{x:.4g}}<br>%{{y}} weights<extra></extra>",
    )
    if grid is not None and grid.size:
        color = colors.bits.get(bits, colors.bits[8])
        top = float(counts.max(initial=1))
        inner = grid[
            (grid >= edges[0] - (edges[-1] - edges[0])) & (grid <= edges[-1] + (edges[-1] - edges[0]))
        ]
        tall = top if inner.size <= _MOST_LINES else 0.06 * top
        figure.add_scatter(
            x=np.repeat(inner, 3),
            y=np.tile([0.0, tall, np.nan], inner.size),
            mode="lines",
            line={"color": color, "width": 1.4 if inner.size <= _MOST_LINES else 0.8},
            name="grid",
            hovertemplate="grid %{x:.4g}<extra></extra>",
        )
        for end, side in ((grid[0], "left"), (grid[-1], "right")):
            figure.add_vline(x=float(end), line={"color": color, "dash": "dash", "width": 1.5})
            figure.add_annotation(
                x=float(end), y=1, yref="paper", text="clip", showarrow=False, xanchor=side, yanchor="bottom",
                font={"size": 11, "color": colors.secondary},
            )  # fmt: skip
    label = "weight / scale + zero point (codes)" if steps else "weight"
    figure.update_layout(bargap=0)
    return styled(figure, theme, 340, label, "weights per bin")


def channel_figure(ranges: pd.DataFrame, chosen: int | None, theme: str | None) -> go.Figure:
    """Lowest to highest weight of each output channel; columns channel, low, high."""
    colors = palette(theme)
    fill = [colors.accent if chosen is None or c == chosen else colors.secondary for c in ranges["channel"]]
    figure = go.Figure()
    figure.add_bar(
        x=ranges["channel"],
        y=ranges["high"] - ranges["low"],
        base=ranges["low"],
        marker={"color": fill, "opacity": 0.7, "line": {"width": 0}},
        customdata=ranges[["low", "high"]],
        hovertemplate="channel %{x}<br>%{customdata[0]:.4g} to %{customdata[1]:.4g}<extra></extra>",
    )
    figure.update_layout(bargap=0.15)
    return styled(figure, theme, 220, "output channel", "weight")
