"""The figure of a layer's integer sums."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from quant_core.figures.palette import palette
from quant_core.figures.style import styled

_INT16 = 1 << 15


def accumulator_figure(
    edges: NDArray[np.float64], counts: NDArray[np.float64], theme: str | None
) -> go.Figure:
    """The histogram of accumulators, `edges` `[bins + 1]`, `counts` `[bins]`; what 16 bits do not hold is
    shaded.
    """
    colors = palette(theme)
    figure = go.Figure()
    figure.add_bar(
        x=(edges[:-1] + edges[1:]) / 2,
        y=counts,
        width=np.diff(edges),
        marker={"color": colors.accent, "opacity": 0.7, "line": {"width": 0}},
        hovertemplate="sum about %{x:,.0f}<br>%{y:,.0f} outputs<extra></extra>",
    )
    low, high = float(edges[0]), float(edges[-1])
    for start, end in ((low, -_INT16), (_INT16, high)):
        if start < end:
            figure.add_vrect(x0=start, x1=end, fillcolor=colors.bad, opacity=0.1, line_width=0)
    styled(figure, theme, 260, "accumulator", "outputs (log)")
    figure.update_yaxes(type="log")
    return figure.update_layout(bargap=0)
