"""The trade-off between size and quality: every plan that was measured."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from quant_core.figures.palette import palette
from quant_core.figures.style import styled


def tradeoff_figure(
    points: pd.DataFrame, quality: str, reference: float | None, current: str, theme: str | None
) -> go.Figure:
    """Measured plans, solid, with the front that no other beats and the current plan ringed.

    `reference` is the quality of FP32. `points` has the columns key, name, share (of the FP32 file), value,
    error (standard error or NaN), front (bool)."""
    colors = palette(theme)
    figure = go.Figure()
    front = points[points["front"]].sort_values("share")
    figure.add_scatter(
        x=100 * front["share"],
        y=front["value"],
        mode="lines",
        line={"color": colors.accent, "width": 1.5},
        hoverinfo="skip",
    )
    figure.add_scatter(
        x=100 * points["share"],
        y=points["value"],
        error_y={"array": 1.96 * points["error"], "color": colors.secondary, "thickness": 1, "width": 0},
        mode="markers",
        marker={
            "size": [15 if k == current else 9 for k in points["key"]],
            "color": colors.accent,
            "line": {"color": colors.text, "width": [2 if k == current else 0 for k in points["key"]]},
        },
        customdata=points[["key", "name"]],
        hovertemplate="%{customdata[1]}<br>%{x:.2f} % of FP32<br>%{y:.4g}<extra></extra>",
    )
    if reference is not None:
        figure.add_hline(y=reference, line={"color": colors.secondary, "dash": "dash", "width": 1})
    styled(figure, theme, 300, "file size, % of FP32", quality)
    return figure.update_layout(dragmode="pan", clickmode="event+select")
