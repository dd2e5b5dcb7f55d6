"""Statistics of activations: accumulators fed batch by batch. Nothing here runs a model."""

from quant_core.stats.channels import ChannelStats
from quant_core.stats.extremes import Extremes, ExtremesSnapshot
from quant_core.stats.histogram import Moments, Snapshot, StreamingHistogram
from quant_core.stats.noise import Noise, noise_of
from quant_core.stats.ranges import Ranges, range_of
from quant_core.stats.settling import Checkpoints, Drift, drift, enough, settling

__all__ = [
    "ChannelStats",
    "Checkpoints",
    "Drift",
    "Extremes",
    "ExtremesSnapshot",
    "Moments",
    "Noise",
    "Ranges",
    "Snapshot",
    "StreamingHistogram",
    "drift",
    "enough",
    "noise_of",
    "range_of",
    "settling",
]
