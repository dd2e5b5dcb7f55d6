"""A histogram of a stream of values whose range is not known beforehand."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quant_core.stats.extremes import Extremes, ExtremesSnapshot, sample_extremes

BINS = 4096


@dataclass(frozen=True)
class Snapshot:
    """All that a histogram knows, for a file. `index` `[used]` are the bins in use, in widths from zero;
    `counts`, `sums` and `squares` `[used]` what they hold. `exponent` is log2 of the width, None where
    nothing was added."""

    bins: int
    exponent: int | None
    minimum: float
    maximum: float
    count: int
    zeros: int
    zeros_binned: int
    not_finite: int
    index: NDArray[np.int64]
    counts: NDArray[np.float64]
    sums: NDArray[np.float64]
    squares: NDArray[np.float64]
    extremes: ExtremesSnapshot


@dataclass(frozen=True)
class Moments:
    """The bins in use, in rising order: `index` in widths from zero, `counts`, `means` and `variances`
    `[used]` of the values in each.
    """

    index: NDArray[np.int64]
    counts: NDArray[np.float64]
    means: NDArray[np.float64]
    variances: NDArray[np.float64]


class StreamingHistogram:
    """Counts values batch by batch in at most `bins` bins, keeping no sample.

    Bin widths are powers of two and bins start at whole multiples of their width. When the range outgrows the
    bins, the width doubles and pairs of bins merge, so re-binning moves no count across an edge and the order
    of batches does not matter. Minimum, maximum, the number of zeros and the sums of each bin are exact, so
    that a spike at zero stays at zero. `extremes` sums up the minimum and maximum of each sample.

    NaN and infinite values are counted in `not_finite` and else left out. Without a finite value, `count` is
    0 and the minimum, infinity, lies above the maximum."""

    def __init__(self, bins: int = BINS) -> None:
        self.bins = bins
        self.minimum = math.inf
        self.maximum = -math.inf
        self.count = 0  # values seen
        self.zeros = 0  # of them, exactly zero
        self.zeros_binned = 0  # of those, counted in the bins
        self.not_finite = 0  # NaN and infinite values, which are left out
        self.extremes = Extremes()
        self._exponent: int | None = None
        self._first = 0  # index of the first bin, in widths
        self._held = np.zeros((3, bins), np.float64)  # of each bin: count, sum, sum of squares

    @property
    def _counts(self) -> NDArray[np.float64]:
        return np.asarray(self._held[0], np.float64)

    @property
    def width(self) -> float:
        """Width of a bin."""
        return math.ldexp(1.0, self._exponent or 0)

    def add(
        self,
        values: NDArray[np.floating],
        keep: int | None = None,
        samples: NDArray[np.int64] | None = None,
    ) -> None:
        """Add all `values`, whole samples along the first axis (a single number is one).

        With `keep`, the range sees all of them and the bins an even stride of about `keep`. `samples` are
        their numbers, by default those that follow."""
        values = np.asarray(values)
        values = values if values.ndim else values[None]
        rows = values.reshape(len(values), math.prod(values.shape[1:]))
        lows, highs, whole = sample_extremes(rows)
        self.extremes.add(lows, highs, samples)
        flat = rows.reshape(-1)
        if not whole:
            flat = flat[np.isfinite(flat)]
            self.not_finite += rows.size - flat.size
        if flat.size == 0:
            return
        low, high = float(lows.min()), float(highs.max())
        self.minimum, self.maximum = min(self.minimum, low), max(self.maximum, high)
        self.count += flat.size
        # Comparing first is faster than count_nonzero of floats (NumPy 2.4).
        self.zeros += int(np.count_nonzero(flat == 0))
        self._fit(low, high)
        part = np.ascontiguousarray(flat[:: max(1, flat.size // keep)]) if keep else flat
        self.zeros_binned += int(np.count_nonzero(part == 0))
        index = np.floor(part * np.float64(1.0 / self.width)).astype(np.int64) - self._first
        self._held[0] += np.bincount(index, minlength=self.bins)
        self._held[1] += np.bincount(index, weights=part, minlength=self.bins)
        self._held[2] += np.bincount(index, weights=np.square(part, dtype=np.float64), minlength=self.bins)

    def _fit(self, low: float, high: float) -> None:
        """Widen the bins until `low` and `high` have one."""
        if self._exponent is None:
            spread = max(high - low, abs(high) * 1e-6, 1e-30)
            self._exponent = math.ceil(math.log2(spread / self.bins)) - 1
            self._first = math.floor(low / self.width)
        while True:
            lowest, highest = math.floor(low / self.width), math.floor(high / self.width)
            used = np.flatnonzero(self._counts)
            if used.size:
                lowest = min(lowest, self._first + int(used[0]))
                highest = max(highest, self._first + int(used[-1]))
            if highest - lowest < self.bins:
                self._move(lowest)
                return
            self._halve()

    def _move(self, first: int) -> None:
        """Let the bins begin at index `first`, where all used ones still fit."""
        if first == self._first:
            return
        used = np.flatnonzero(self._counts)
        held = np.zeros_like(self._held)
        held[:, used + self._first - first] = self._held[:, used]
        self._held, self._first = held, first

    def _halve(self) -> None:
        """Double the width: bins 2k and 2k+1 become bin k."""
        assert self._exponent is not None
        used = np.flatnonzero(self._counts)
        first = self._first >> 1
        target = ((used + self._first) >> 1) - first
        held = np.zeros_like(self._held)
        for new, old in zip(held, self._held, strict=True):
            np.add.at(new, target, old[used])
        self._held, self._first = held, first
        self._exponent += 1

    def occupied(self, zeros: bool = True) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Mean value and count of each bin that is not empty, in rising order; on request without zeros."""
        bins = self.moments() if zeros else self.without_zeros()
        held = bins.counts > 0
        return bins.means[held].astype(np.float32), bins.counts[held].astype(np.float32)

    def moments(self) -> Moments:
        """Count, mean and variance within each bin that is not empty."""
        used = np.flatnonzero(self._counts)
        index = used + self._first
        counts, sums, squares = self._held[:, used]
        means = sums / counts
        # Of values between a and b with mean m, the variance is at most (m - a) (b - m): rounding of large
        # squares cannot exceed it.
        within = (means - index * self.width) * ((index + 1) * self.width - means)
        variances = np.clip(squares / counts - np.square(means), 0.0, np.maximum(within, 0.0))
        return Moments(index, counts, means, variances)

    def without_zeros(self) -> Moments:
        """As `moments`, of the values that are not zero; a bin of nothing but zeros keeps a count of 0."""
        bins = self.moments()
        counts = bins.counts - np.where(bins.index == 0, float(self.zeros_binned), 0.0)
        some = counts > 0
        factor = np.where(some, bins.counts / np.where(some, counts, 1.0), 0.0)
        means = bins.means * factor
        squares = (bins.variances + np.square(bins.means)) * factor
        variances = np.maximum(squares - np.square(means), 0.0)
        return Moments(bins.index, counts, means, variances)

    def snapshot(self) -> Snapshot:
        """All that the histogram knows; `from_snapshot` gives it back without loss."""
        used = np.flatnonzero(self._counts)
        counts, sums, squares = self._held[:, used]
        return Snapshot(
            self.bins,
            self._exponent,
            self.minimum,
            self.maximum,
            self.count,
            self.zeros,
            self.zeros_binned,
            self.not_finite,
            used + self._first,
            counts,
            sums,
            squares,
            self.extremes.snapshot(),
        )

    @classmethod
    def from_snapshot(cls, kept: Snapshot) -> StreamingHistogram:
        """The histogram that `kept` was taken of. ValueError where its bins do not fit."""
        histogram = cls(kept.bins)
        histogram.minimum, histogram.maximum = kept.minimum, kept.maximum
        histogram.count, histogram.not_finite = kept.count, kept.not_finite
        histogram.zeros, histogram.zeros_binned = kept.zeros, kept.zeros_binned
        histogram.extremes = Extremes.from_snapshot(kept.extremes)
        histogram._exponent = kept.exponent
        if kept.index.size:
            histogram._first = int(kept.index[0])
            place = kept.index - histogram._first
            if int(place.min()) < 0 or int(place.max()) >= kept.bins:
                raise ValueError("bins that do not fit the histogram")
            histogram._held[:, place] = kept.counts, kept.sums, kept.squares
        return histogram

    def binned(self, bins: int = 256) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Edges `[n + 1]` and counts `[n]`, n at most `bins`, over the occupied range: for drawing."""
        used = np.flatnonzero(self._counts)
        if not used.size:
            return np.array([0.0, 1.0]), np.zeros(1)
        step = max(1, math.ceil((int(used[-1]) - int(used[0]) + 1) / bins))
        counts = self._counts[used[0] : used[-1] + 1]
        counts = np.pad(counts, (0, -len(counts) % step)).reshape(-1, step).sum(axis=1)
        first = float(self._first + int(used[0]))
        edges = (first + step * np.arange(len(counts) + 1, dtype=np.float64)) * self.width
        return edges, np.asarray(counts, np.float64)
