"""The look all figures share."""

from __future__ import annotations

import plotly.graph_objects as go

from quant_core.figures.palette import palette

Figure = go.Figure

FONT = "'Source Sans', system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif"


def styled(figure: go.Figure, theme: str | None, height: int, x: str, y: str) -> go.Figure:
    """`figure` with hairlines, tabular figures, axis titles and no frame."""
    colors = palette(theme)
    axis = {
        "gridcolor": colors.line,
        "zerolinecolor": colors.line,
        "linecolor": colors.line,
        "color": colors.secondary,
    }
    figure.update_layout(
        height=height,
        margin={"l": 8, "r": 8, "t": 24, "b": 8},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": FONT, "size": 12, "color": colors.text},
        hoverlabel={"bgcolor": colors.panel, "font": {"color": colors.text, "family": FONT}},
        showlegend=False,
        xaxis={**axis, "title": {"text": x, "font": {"size": 12}}, "automargin": True},
        yaxis={**axis, "title": {"text": y, "font": {"size": 12}}, "automargin": True},
        dragmode="zoom",
    )
    return figure


def page_of(figure: go.Figure) -> bytes:
    """`figure` as a page of HTML that holds everything it needs, UTF-8."""
    return str(figure.to_html(include_plotlyjs=True, full_html=True)).encode()
