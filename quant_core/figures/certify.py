"""Where error enters over depth, and where time goes."""

from __future__ import annotations

import html

import pandas as pd
import plotly.graph_objects as go

from quant_core.figures.palette import palette
from quant_core.figures.style import styled

_NAMED = 48  # layers whose names fit under a chart
_EQUAL = 200.0  # dB that stand for equal


def depth_figure(table: pd.DataFrame, theme: str | None) -> go.Figure:
    """The SQNR of each layer alone (dots) and with all before it (line), in the order of execution. `table`
    has the columns layer, isolated_db (NaN: in float), accumulated_db; 200 dB, which is equal, is left out.
    """
    colors = palette(theme)
    names = [html.escape(str(name)) for name in table["layer"]]
    figure = go.Figure()
    for column, label, mode, color in (
        ("accumulated_db", "with all before it", "lines+markers", colors.accent),
        ("isolated_db", "alone", "markers", colors.bits[4]),
    ):
        values = table[column].astype(float)
        figure.add_scatter(
            x=list(range(len(table))),
            y=values.where(values < _EQUAL),
            mode=mode,
            name=label,
            line={"color": color, "width": 1.5},
            marker={"color": color, "size": 8 if mode == "markers" else 4},
            customdata=names,
            hovertemplate=f"%{{customdata}}<br>{label}: %{{y:.2f}} dB<extra></extra>",
        )
    styled(figure, theme, 380 if len(table) <= _NAMED else 320, "", "SQNR of the layer's output, dB")
    return _over_layers(figure, names)


def times_figure(table: pd.DataFrame, theme: str | None) -> go.Figure:
    """Milliseconds of the kernels of each layer in FP32 and in the exported file; columns what, fp32_ms,
    ms.
    """
    colors = palette(theme)
    names = [html.escape(str(name)) for name in table["what"]]
    figure = go.Figure()
    for column, label, color in (
        ("fp32_ms", "FP32", colors.bits[32]),
        ("ms", "exported file", colors.bits[8]),
    ):
        figure.add_bar(
            x=list(range(len(table))),
            y=table[column],
            name=label,
            marker={"color": color, "line": {"width": 0}},
            customdata=names,
            hovertemplate=f"%{{customdata}}<br>{label}: %{{y:.3g}} ms<extra></extra>",
        )
    styled(figure, theme, 340 if len(table) <= _NAMED else 280, "", "time in kernels, ms")
    return _over_layers(figure.update_layout(barmode="group", bargap=0.25), names)


def _over_layers(figure: go.Figure, names: list[str]) -> go.Figure:
    """Layers along the axis, by name where they fit; what the colours mean above."""
    if len(names) <= _NAMED:
        figure.update_xaxes(tickvals=list(range(len(names))), ticktext=names, tickangle=-60)
    else:
        figure.update_xaxes(title={"text": "layers in the order of execution"})
    figure.update_xaxes(showgrid=False, zeroline=False, range=[-0.7, len(names) - 0.3])
    return figure.update_layout(
        showlegend=True,
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "xanchor": "left"},
        margin={"l": 8, "r": 8, "t": 36, "b": 8},
    )
