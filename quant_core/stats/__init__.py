"""Statistics of activations: accumulators fed batch by batch. Nothing here runs a model."""

from quant_core.stats.histogram import Moments, Snapshot, StreamingHistogram
from quant_core.stats.noise import Noise, noise_of
from quant_core.stats.ranges import Ranges

__all__ = ["Moments", "Noise", "Ranges", "Snapshot", "StreamingHistogram", "noise_of"]
