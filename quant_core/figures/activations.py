"""Figures of activations: the histogram under the ranges of each method, and the ranges of all layers."""

from __future__ import annotations

import html
from collections.abc import Mapping

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from quant_core.figures.grid import add_grid, extent_of
from quant_core.figures.palette import palette
from quant_core.figures.style import styled


def activation_figure(
    edges: NDArray[np.float64],
    counts: NDArray[np.float64],
    grid: NDArray[np.float64],
    bits: int,
    clips: pd.DataFrame,
    labels: Mapping[str, str],
    chosen: str,
    log: bool,
    theme: str | None,
) -> go.Figure:
    """The histogram with the grid of a format, and above it what each range method keeps.

    `edges` `[bins + 1]`, `counts` `[bins]`, `grid` `[levels]`. `clips` has the columns range, low, high,
    clipped; `labels` names the methods; the lines of `chosen` go dashed through the histogram, the others
    dotted. With `log`, counts are on a logarithmic axis.
    """
    colors = palette(theme)
    color = colors.bits.get(bits, colors.bits[8])
    figure = make_subplots(rows=2, shared_xaxes=True, row_heights=[0.3, 0.7], vertical_spacing=0.03)
    bottom, top = (0.5 if log else 0.0), float(counts.max(initial=1.0))
    figure.add_bar(
        x=(edges[:-1] + edges[1:]) / 2,
        y=np.where(counts > 0, counts, np.nan) if log else counts,
        width=np.diff(edges),
        marker={"color": colors.accent, "opacity": 0.55, "line": {"width": 0}},
        hovertemplate="activation %{x:.4g}<br>%{y:,.0f} values<extra></extra>",
        row=2, col=1,
    )  # fmt: skip
    add_grid(figure, grid, bits, extent_of(edges), (bottom, top), theme, row=2, col=1)
    for method, low, high, clipped in clips[["range", "low", "high", "clipped"]].to_numpy(object):
        here = method == chosen
        label = labels.get(method, method)
        line = {"color": color if here else colors.secondary, "width": 3 if here else 1.5}
        figure.add_scatter(
            x=[low, high],
            y=[label, label],
            mode="lines+markers",
            line=line,
            marker={"symbol": "line-ns", "size": 10, "line": line},
            hovertemplate=f"{label}<br>%{{x:.4g}}<br>{100 * clipped:.3g} % clipped<extra></extra>",
            row=1, col=1,
        )  # fmt: skip
        dash = {"color": line["color"], "width": 1.5 if here else 1, "dash": "dash" if here else "dot"}
        for end in (low, high):
            figure.add_vline(x=float(end), line=dash, opacity=1 if here else 0.6, row=2, col=1)
    styled(figure, theme, 500, "", "")
    axis = {"gridcolor": colors.line, "zerolinecolor": colors.line, "color": colors.secondary}
    figure.update_xaxes(axis, row=1, col=1)
    figure.update_xaxes({**axis, "title": {"text": "activation"}, "automargin": True}, row=2, col=1)
    figure.update_yaxes(
        {**axis, "title": {"text": ""}, "showgrid": False, "automargin": True, "dtick": 1}, row=1, col=1
    )
    ends = [np.log10(bottom), np.log10(top) + 0.1] if log else None
    span = {"type": "log", "dtick": 1, "range": ends} if log else {"type": "linear"}
    y = {**axis, "title": {"text": "values per bin"}, "automargin": True, "exponentformat": "SI", **span}
    figure.update_yaxes(y, row=2, col=1)
    return figure.update_layout(bargap=0)


def settling_figure(
    table: pd.DataFrame, labels: Mapping[str, str], chosen: str, theme: str | None
) -> go.Figure:
    """How each range method settles as samples are added: its SQNR above, the ends of its range below.

    Columns samples, method, low, high, sqnr_db; `labels` names the methods; `chosen` is drawn thick."""
    colors = palette(theme)
    lines = [colors.accent, *(colors.bits[b] for b in (8, 4, 2, 1, 16, 6))]
    marks = ("circle", "square", "diamond", "triangle-up", "cross", "x", "star")
    figure = make_subplots(rows=2, shared_xaxes=True, row_heights=[0.55, 0.45], vertical_spacing=0.06)
    for number, (method, part) in enumerate(table.groupby("method", sort=False)):
        here, label = method == chosen, labels.get(str(method), str(method))
        look = {
            "mode": "lines+markers",
            "line": {"color": lines[number % len(lines)], "width": 3 if here else 1.4},
            "marker": {"symbol": marks[number % len(marks)], "size": 9 if here else 6},
            "legendgroup": str(method),
            "name": label,
        }
        hover = f"{label}<br>%{{x}} samples<br>%{{y:.4g}}"
        figure.add_scatter(
            x=part["samples"],
            y=part["sqnr_db"],
            hovertemplate=f"{hover} dB<extra></extra>",
            row=1,
            col=1,
            **look,
        )
        for end in ("high", "low"):
            figure.add_scatter(
                x=part["samples"], y=part[end], showlegend=False, row=2, col=1,
                hovertemplate=f"{hover}<extra></extra>", **look,
            )  # fmt: skip
    styled(figure, theme, 460, "", "")
    axis = {
        "gridcolor": colors.line,
        "zerolinecolor": colors.line,
        "color": colors.secondary,
        "automargin": True,
    }
    ticks = sorted(set(table["samples"]))
    log = {"type": "log", "tickvals": ticks, "ticktext": [str(t) for t in ticks]}
    figure.update_xaxes({**axis, **log}, row=1, col=1)
    figure.update_xaxes({**axis, **log, "title": {"text": "calibration samples"}}, row=2, col=1)
    figure.update_yaxes({**axis, "title": {"text": "SQNR, dB"}}, row=1, col=1)
    figure.update_yaxes({**axis, "title": {"text": "ends of the range"}}, row=2, col=1)
    legend = {"orientation": "h", "y": 1.02, "yanchor": "bottom", "font": {"color": colors.text}}
    return figure.update_layout(showlegend=True, legend=legend)


def layer_ranges_figure(layers: pd.DataFrame, chosen: str, theme: str | None) -> go.Figure:
    """The range of what enters each layer, in the order of the model: thin from minimum to maximum, thick
    where the middle values are; the chosen layer in the accent.

    Columns layer, minimum, maximum, low, high, sqnr_db. A point that is clicked carries the row's number."""
    colors = palette(theme)
    here = (layers["layer"] == chosen).to_numpy()
    fill = np.where(here, colors.accent, colors.secondary)
    place = np.arange(len(layers))
    # Plotly reads a subset of HTML in its texts: names from a file are escaped.
    names = [html.escape(" ".join(str(n).split())) for n in layers["layer"]]
    hover = (
        "%{customdata[1]}<br>%{customdata[2]:.4g} to %{customdata[3]:.4g}"
        "<br>99.9 %% within %{customdata[4]:.4g} to %{customdata[5]:.4g}<br>SQNR %{customdata[6]:.1f} dB"
        "<extra></extra>"
    ).replace("%%", "%")
    numbers = layers[["minimum", "maximum", "low", "high", "sqnr_db"]].to_numpy(object)
    data = [[i, name, *row] for i, name, row in zip(place.tolist(), names, numbers.tolist(), strict=True)]
    figure = go.Figure()
    for low, high, width, opacity in (("minimum", "maximum", 0.22, 0.55), ("low", "high", 0.7, 0.8)):
        figure.add_bar(
            x=place,
            y=layers[high] - layers[low],
            base=layers[low],
            width=width,
            marker={"color": fill, "opacity": opacity, "line": {"width": 0}},
            customdata=data,
            hovertemplate=hover,
        )
    styled(figure, theme, 240, "layer, in the order of the model", "activation")
    return figure.update_layout(barmode="overlay", clickmode="event+select")
