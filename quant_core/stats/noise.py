"""What quantization does to the values of a histogram: the noise it adds, and the share that it clips.

The mean-square error of rounding, with all in steps of the scale, is the integral of (t - c(t))^2 against the
density of t = x / scale, where c(t) is the nearest value that has a code. An antiderivative of (t - c)^2 that
is continuous over all codes is

    F(t) = sum of g^3 / 12 over the gaps g between codes up to c(t), + (t - c(t))^3 / 3

since a whole gap adds g^3 / 12; for integers, where g is 1, that is the noise power of a uniform quantizer
(Widrow and Kollar 2008, "Quantization Noise"). The values of a bin are taken as spread evenly about their
mean, with the variance that they have: a bin of equal values stays a point, and a bin wider than a step gives
the average over the steps in it. Zeros have a code and add no noise; they are taken out of their bin first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quant_core.errors import FormatError
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
    """The noise of `scheme`, of a format with a scale and the range `low` to `high`, on the values of
    `histogram`.

    Exact but for bins in which the code changes, where the values count as spread evenly. FormatError for a
    format without a scale. Where nothing was seen, all powers are 0."""
    bins = histogram.moments()
    total = float(bins.counts.sum())
    number = scheme.number
    if number.kind not in ("integer", "minifloat", "table"):
        raise FormatError(f"{number} has no scale that a range decides", "choose an integer or a small float")
    scale, zero = affine_parameters(low, high, number, scheme.symmetric)
    step = float(scale)
    grid = _Grid(number.grid().astype(np.float64) - int(zero))
    if not total:
        return Noise(0.0, 0.0, 0.0, step)
    signal = float(np.sum(bins.counts * (bins.variances + np.square(bins.means))) / total)
    if grid.has_zero:
        bins = histogram.without_zeros()
    counts = bins.counts
    middle, half = bins.means / step, np.sqrt(3.0 * bins.variances) / step
    left = np.maximum(middle - half, histogram.minimum / step)
    right = np.minimum(middle + half, histogram.maximum / step)
    wide = right - left > 2 * _POINT
    spread = np.where(wide, right - left, 1.0)
    error = np.where(
        wide,
        (grid.antiderivative(right) - grid.antiderivative(left)) / spread,
        np.square(middle - grid.nearest(middle)) + np.square(half) / 3.0,
    )
    beyond = np.maximum(right - np.maximum(left, grid.last), 0) + np.maximum(
        np.minimum(right, grid.first) - left, 0
    )
    outside = np.where(wide, beyond / spread, (middle > grid.last) | (middle < grid.first))
    noise = float(np.sum(counts * error) / total) * step**2
    return Noise(signal, noise, float(np.sum(counts * outside) / total), step)


class _Grid:
    """The values that have a code, in steps, rising, `[levels]`. `first` and `last` are where clipping
    begins: half a gap beyond the outermost.
    """

    def __init__(self, values: NDArray[np.float64]) -> None:
        gaps = np.diff(values)
        self.has_zero = bool((values == 0).any())
        self.first, self.last = float(values[0] - gaps[0] / 2), float(values[-1] + gaps[-1] / 2)
        self._values = values
        self._changes = values[:-1] + gaps / 2
        self._upto = np.concatenate([[0.0], np.cumsum(gaps**3 / 12.0)])  # noise of the whole gaps below

    def nearest(self, t: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(self._values[np.searchsorted(self._changes, t)], np.float64)

    def antiderivative(self, t: NDArray[np.float64]) -> NDArray[np.float64]:
        code = np.searchsorted(self._changes, t)
        return np.asarray(self._upto[code] + (t - self._values[code]) ** 3 / 3.0, np.float64)
