"""Figures of one layer's weights."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from quant_core.figures.grid import add_grid, extent_of
from quant_core.figures.palette import palette
from quant_core.figures.style import styled


def histogram_figure(
    edges: NDArray[np.float64],
    counts: NDArray[np.int64],
    grid: NDArray[np.float64] | None,
    bits: int,
    steps: bool,
    theme: str | None,
    noise: NDArray[np.float64] | None = None,
) -> go.Figure:
    """The histogram of weights with the grid of a format: a line for each value that has a code, dashed at
    both ends.

    `edges` `[bins + 1]`, `counts` `[bins]`, `grid` `[levels]` or None; `noise` `[bins]`, each bin's share of
    the squared error, is drawn below.
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
        add_grid(figure, grid, bits, extent_of(edges), (0.0, float(counts.max(initial=1))), theme)
        for end, side in ((grid[0], "left"), (grid[-1], "right")):
            figure.add_vline(x=float(end), line={"color": color, "dash": "dash", "width": 1.5})
            figure.add_annotation(
                x=float(end), y=1, yref="paper", text="clip", showarrow=False, xanchor=side, yanchor="bottom",
                font={"size": 11, "color": colors.secondary},
            )  # fmt: skip
    label = "weight / scale + zero point (codes)" if steps else "weight"
    figure.update_layout(bargap=0)
    styled(figure, theme, 340 if noise is None else 430, label, "weights per bin")
    if noise is not None:
        figure.add_bar(
            x=centres,
            y=100 * noise,
            width=np.diff(edges),
            marker={"color": colors.bad, "opacity": 0.8, "line": {"width": 0}},
            name="error",
            yaxis="y2",
            hovertemplate=f"{unit} %{{x:.4g}}<br>%{{y:.2f}} % of the error<extra></extra>",
        )
        axis = {"gridcolor": colors.line, "zerolinecolor": colors.line, "color": colors.secondary}
        figure.update_layout(
            xaxis={"anchor": "y2"},
            yaxis={"domain": [0.3, 1]},
            yaxis2={**axis, "domain": [0, 0.22], "title": {"text": "error, %"}, "anchor": "x"},
        )
    return figure


def codes_figure(
    codes: NDArray[np.int64], counts: NDArray[np.int64], bits: int, theme: str | None
) -> go.Figure:
    """How often each code occurs, `codes` and `counts` `[levels]`; those that never do are marked."""
    colors = palette(theme)
    color = colors.bits.get(bits, colors.bits[8])
    figure = go.Figure()
    figure.add_bar(
        x=codes,
        y=counts,
        marker={"color": color, "line": {"width": 0}},
        hovertemplate="code %{x}<br>%{y} weights<extra></extra>",
    )
    idle = codes[counts == 0]
    if idle.size:
        figure.add_scatter(
            x=idle,
            y=np.zeros(idle.size),
            mode="markers",
            marker={"symbol": "x-thin", "size": 7, "line": {"color": colors.bad, "width": 1.4}},
            hovertemplate="code %{x}<br>never used<extra></extra>",
        )
    styled(figure, theme, 240, "code", "weights")
    return figure.update_layout(bargap=0.1 if codes.size <= 64 else 0)


def channel_figure(
    channels: pd.DataFrame,
    chosen: int | None,
    theme: str | None,
    across: str = "output channel",
    up: str = "weight",
) -> go.Figure:
    """Lowest to highest value of each channel, in the order of the rows; columns channel, low, high, outlier,
    sqnr_db (NaN: not shown). The axes are called `across` and `up`. The chosen channel is in the accent,
    outliers carry a triangle. A point that is clicked carries the channel.
    """
    colors = palette(theme)
    place = np.arange(len(channels))
    fill = [colors.accent if chosen is None or c == chosen else colors.secondary for c in channels["channel"]]
    figure = go.Figure()
    figure.add_bar(
        x=place,
        y=channels["high"] - channels["low"],
        base=channels["low"],
        marker={"color": fill, "opacity": 0.7, "line": {"width": 0}},
        # As lists: the browser gives rows of plain arrays back as objects.
        customdata=channels[["channel", "low", "high", "sqnr_db"]].to_numpy(object).tolist(),
        hovertemplate="channel %{customdata[0]}<br>%{customdata[1]:.4g} to %{customdata[2]:.4g}"
        + ("" if channels["sqnr_db"].isna().all() else "<br>SQNR %{customdata[3]:.1f} dB")
        + "<extra></extra>",
    )
    far = channels["outlier"].to_numpy(bool)
    if far.any():
        figure.add_scatter(
            x=place[far],
            y=channels["high"][far],
            mode="markers",
            marker={"symbol": "triangle-down", "size": 9, "color": colors.bad},
            customdata=channels.loc[far, ["channel"]].to_numpy(object).tolist(),
            hovertemplate="channel %{customdata[0]}<br>outlier<extra></extra>",
        )
    styled(figure, theme, 240, across, up)
    every = max(1, -(-len(channels) // 16))
    ticks = {"tickvals": place[::every], "ticktext": [str(c) for c in channels["channel"][::every]]}
    figure.update_xaxes(ticks)
    return figure.update_layout(bargap=0.15, clickmode="event+select")


def panels_figure(
    panels: Sequence[tuple[str, NDArray[np.float64], NDArray[np.int64], NDArray[np.float64], int]],
    theme: str | None,
) -> go.Figure:
    """One histogram under several grids, three in a row. Each panel: title, `edges` `[bins + 1]`, `counts`
    `[bins]`, `grid` `[levels]`, bits."""
    colors = palette(theme)
    rows = -(-len(panels) // 3)
    figure = make_subplots(
        rows=rows, cols=3, subplot_titles=[p[0] for p in panels], shared_xaxes="all", shared_yaxes="all",
        horizontal_spacing=0.03, vertical_spacing=0.2,
    )  # fmt: skip
    styled(figure, theme, 60 + 200 * rows, "", "")
    axis = {"gridcolor": colors.line, "zerolinecolor": colors.line, "color": colors.secondary}
    figure.update_xaxes(axis)
    figure.update_yaxes(axis)
    for number, (_, edges, counts, grid, bits) in enumerate(panels):
        place = {"row": number // 3 + 1, "col": number % 3 + 1}
        figure.add_bar(
            x=(edges[:-1] + edges[1:]) / 2,
            y=counts,
            width=np.diff(edges),
            marker={"color": colors.accent, "opacity": 0.45, "line": {"width": 0}},
            hovertemplate="weight %{x:.4g}<br>%{y} weights<extra></extra>",
            **place,
        )
        add_grid(figure, grid, bits, extent_of(edges), (0.0, float(counts.max(initial=1))), theme, **place)
    figure.update_annotations(font={"size": 12, "color": colors.text})
    return figure.update_layout(bargap=0, margin={"t": 44, "b": 28})
