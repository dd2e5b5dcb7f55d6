"""Statistics of activations: accumulators fed batch by batch. Nothing here runs a model."""

from quant_core.stats.histogram import StreamingHistogram
from quant_core.stats.ranges import Ranges

__all__ = ["Ranges", "StreamingHistogram"]
