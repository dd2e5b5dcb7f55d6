"""Figures: Plotly figures from result tables, and the palette that the whole window shares."""

from quant_core.figures.activations import activation_figure, layer_ranges_figure, settling_figure
from quant_core.figures.architecture import Box, graph_figure, graph_option, value_color
from quant_core.figures.certify import depth_figure, times_figure
from quant_core.figures.compare import shares_figure
from quant_core.figures.integers import accumulator_figure
from quant_core.figures.layered import Layout, layered
from quant_core.figures.palette import (
    DAMAGE_DB,
    Palette,
    contrast,
    damage_color,
    loss_color,
    palette,
    text_on,
)
from quant_core.figures.style import Figure, page_of
from quant_core.figures.tradeoff import tradeoff_figure
from quant_core.figures.treemap import bytes_figure
from quant_core.figures.weights import channel_figure, codes_figure, histogram_figure, panels_figure

__all__ = [
    "DAMAGE_DB",
    "Box",
    "Figure",
    "Layout",
    "Palette",
    "accumulator_figure",
    "activation_figure",
    "bytes_figure",
    "channel_figure",
    "codes_figure",
    "contrast",
    "damage_color",
    "depth_figure",
    "graph_figure",
    "graph_option",
    "histogram_figure",
    "layer_ranges_figure",
    "layered",
    "loss_color",
    "page_of",
    "palette",
    "panels_figure",
    "settling_figure",
    "shares_figure",
    "text_on",
    "times_figure",
    "tradeoff_figure",
    "value_color",
]
