"""What quantization does to the values of a histogram: the noise it adds, and the share that it clips.

The mean-square error of rounding, with all in steps of the scale, is the integral of (t - c(t))^2 against the
density of t = x / scale, where c(t) = clip(round(t), first, last) is the code that t gets. An antiderivative
of (t - c)^2 that is continuous over all codes is

    F(t) = c(t) / 12 + (t - c(t))^3 / 3

since a whole step between two codes adds 1/12, the noise power of a uniform quantizer (Widrow and Kollar
2008, "Quantization Noise"). The values of a bin are taken as spread evenly about their mean, with the
variance that they have: a bin of equal values stays a point, and a bin wider than a step gives the average
over the steps in it. Zeros have a code and add no noise; they are taken out of their bin first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quant_core.formats import Scheme, affine_parameters, sqnr_from_power
from quant_core.stats.histogram import StreamingHistogram

_POINT = 1e-3  # steps: a spread below this is treated as a point, where F would lose its digits


@dataclass(frozen=True)
class Noise:
    """Mean squares of the values and of their error, the share that is clipped, and the step of the grid."""

    signal: float
    noise: float
    clipped: float
    step: float

    @property
    def sqnr_db(self) -> float:
        """Signal-to-quantization-noise ratio in dB."""
        return sqnr_from_power(self.signal, self.noise)


def noise_of(histogram: StreamingHistogram, scheme: Scheme, low: float, high: float) -> Noise:
    """The noise of `scheme`, an integer format with the range `low` to `high`, on the values of `histogram`.

    Exact but for bins in which the code changes, where the values count as spread evenly.
    """
    bins = histogram.moments()
    total = float(bins.counts.sum())
    number = scheme.number
    scale, zero = affine_parameters(low, high, number, scheme.symmetric)
    step, first, last = float(scale), number.qmin - int(zero), number.qmax - int(zero)
    if not total:
        return Noise(0.0, 0.0, 0.0, step)
    signal = float(np.sum(bins.counts * (bins.variances + np.square(bins.means))) / total)
    counts, means, variances = _without_zeros(histogram)
    middle, half = means / step, np.sqrt(3.0 * variances) / step
    left = np.maximum(middle - half, histogram.minimum / step)
    right = np.minimum(middle + half, histogram.maximum / step)
    wide = right - left > 2 * _POINT
    spread = np.where(wide, right - left, 1.0)
    error = np.where(
        wide,
        (_antiderivative(right, first, last) - _antiderivative(left, first, last)) / spread,
        np.square(middle - _code(middle, first, last)) + np.square(half) / 3.0,
    )
    beyond = np.maximum(right - np.maximum(left, last + 0.5), 0) + np.maximum(
        np.minimum(right, first - 0.5) - left, 0
    )
    outside = np.where(wide, beyond / spread, (middle > last + 0.5) | (middle < first - 0.5))
    noise = float(np.sum(counts * error) / total) * step**2
    return Noise(signal, noise, float(np.sum(counts * outside) / total), step)


def _without_zeros(
    histogram: StreamingHistogram,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Count, mean and variance of each bin, of the values in it that are not zero."""
    bins = histogram.moments()
    zeros = np.zeros_like(bins.counts)
    share = bins.counts.sum() / max(1, histogram.count)  # of the values seen, those in the bins
    zeros[bins.index == 0] = histogram.zeros * share
    counts = np.maximum(bins.counts - zeros, 0.0)
    some = counts > 0.5
    factor = np.where(some, bins.counts / np.where(some, counts, 1.0), 0.0)
    means = bins.means * factor
    squares = (bins.variances + np.square(bins.means)) * factor
    return np.where(some, counts, 0.0), means, np.maximum(squares - np.square(means), 0.0)


def _code(t: NDArray[np.float64], first: int, last: int) -> NDArray[np.float64]:
    return np.asarray(np.clip(np.rint(t), first, last), np.float64)


def _antiderivative(t: NDArray[np.float64], first: int, last: int) -> NDArray[np.float64]:
    code = _code(t, first, last)
    return np.asarray(code / 12.0 + (t - code) ** 3 / 3.0, np.float64)
