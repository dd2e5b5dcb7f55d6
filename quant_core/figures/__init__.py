"""Figures: Plotly figures from result tables, and the palette that the whole window shares."""

from quant_core.figures.palette import DAMAGE_DB, Palette, contrast, damage_color, palette, text_on
from quant_core.figures.style import Figure, page_of
from quant_core.figures.tradeoff import tradeoff_figure
from quant_core.figures.weights import channel_figure, histogram_figure

__all__ = [
    "DAMAGE_DB",
    "Figure",
    "Palette",
    "channel_figure",
    "contrast",
    "damage_color",
    "histogram_figure",
    "page_of",
    "palette",
    "text_on",
    "tradeoff_figure",
]
