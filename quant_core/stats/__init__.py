"""Statistics of activations: accumulators fed batch by batch. Nothing here runs a model."""

from quant_core.stats.channels import ChannelStats
from quant_core.stats.differences import CodeDifferences, FloatDifferences
from quant_core.stats.extremes import Extremes, ExtremesSnapshot
from quant_core.stats.histogram import Moments, Snapshot, StreamingHistogram
from quant_core.stats.interval import Z, paired_change, wilson
from quant_core.stats.noise import Noise, noise_of
from quant_core.stats.ranges import Ranges, range_of
from quant_core.stats.settling import Checkpoints, Drift, drift, enough, settling

__all__ = [
    "ChannelStats",
    "Checkpoints",
    "CodeDifferences",
    "Drift",
    "Extremes",
    "ExtremesSnapshot",
    "FloatDifferences",
    "Moments",
    "Noise",
    "Ranges",
    "Snapshot",
    "StreamingHistogram",
    "Z",
    "drift",
    "enough",
    "noise_of",
    "paired_change",
    "range_of",
    "settling",
    "wilson",
]
