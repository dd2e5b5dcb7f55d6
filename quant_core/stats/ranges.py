"""Activation ranges by each range method, from streaming histograms."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from quant_core.errors import PlanError
from quant_core.formats import Scheme, find_range
from quant_core.stats.histogram import StreamingHistogram


class Ranges:
    """What calibration found: a histogram per activation. Ranges are computed once per (tensor, scheme)."""

    def __init__(self, histograms: Mapping[str, StreamingHistogram]) -> None:
        self.histograms = dict(histograms)
        self._found: dict[tuple[str, Scheme], tuple[float, float]] = {}

    def find(self, tensor: str, scheme: Scheme) -> tuple[float, float]:
        """Low and high end of `tensor` by the method of `scheme`. PlanError where it was not calibrated."""
        histogram = self.histograms.get(tensor)
        if histogram is None or histogram.count == 0:
            raise PlanError(
                "the plan quantizes activations whose ranges were not measured",
                "give calibration data, or a plan that quantizes weights only",
            )
        key = (tensor, scheme)
        if key not in self._found:
            self._found[key] = _range_of(histogram, scheme)
        return self._found[key]


def _range_of(histogram: StreamingHistogram, scheme: Scheme) -> tuple[float, float]:
    if scheme.range == "minmax":
        return histogram.minimum, histogram.maximum
    values, counts = histogram.occupied()
    values = np.clip(values, histogram.minimum, histogram.maximum)
    low, high = find_range(values[None], scheme.range, scheme.number, scheme.symmetric, counts[None])
    return float(low[0]), float(high[0])
