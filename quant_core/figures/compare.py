"""How many weights several plans store in how many bits."""

from __future__ import annotations

import html
from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go

from quant_core.figures.palette import palette, text_on
from quant_core.figures.style import styled

_NARROW = 0.07  # a share below this has no room for its label


def shares_figure(shares: pd.DataFrame, labels: Sequence[str], theme: str | None) -> go.Figure:
    """A bar for each plan, cut by the bits that its weights take; columns plan (number), bits, layers,
    weights, share. `labels` name the plans.
    """
    colors = palette(theme)
    labels = [html.escape(label) for label in labels]  # Plotly reads a subset of HTML in its texts
    figure = go.Figure()
    for bits in sorted(set(shares["bits"]), reverse=True):
        part = shares[shares["bits"] == bits]
        color = colors.bits.get(int(bits), colors.secondary)
        figure.add_bar(
            y=[labels[number] for number in part["plan"]],
            x=100 * part["share"],
            orientation="h",
            name=f"{bits} bit",
            marker={"color": color, "line": {"width": 1, "color": colors.background}},
            text=[f"{bits} bit" if share > _NARROW else "" for share in part["share"]],
            textposition="inside",
            insidetextanchor="middle",
            textfont={"color": text_on(color)},
            customdata=part[["layers", "weights"]],
            hovertemplate=f"{bits} bit: %{{x:.3g}} % of the weights<br>%{{customdata[0]}} layers, "
            "%{customdata[1]:,} weights<extra></extra>",
        )
    styled(figure, theme, 70 + 38 * len(labels), "share of the weights, %", "")
    figure.update_yaxes(categoryorder="array", categoryarray=list(labels)[::-1], showgrid=False)
    figure.update_xaxes(range=[0, 100.5], dtick=20)
    return figure.update_layout(barmode="stack", bargap=0.3)
