"""Extremes by sample: their means, and the samples with the largest values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

TOP = 8  # samples remembered by number


@dataclass(frozen=True)
class ExtremesSnapshot:
    """All that `Extremes` knows, for a file. `top_values` and `top_samples` are `[at most 8]`."""

    samples: int
    measured: int
    minima: float
    maxima: float
    top_values: NDArray[np.float64]
    top_samples: NDArray[np.int64]


class Extremes:
    """The minimum and maximum of each sample, summed up in constant memory.

    `samples` were added; `measured` of them held a finite value, and only those count. `minima` and `maxima`
    are the sums of their extremes. Order does not matter, up to the rounding of those sums in float64."""

    def __init__(self) -> None:
        self.samples = 0
        self.measured = 0
        self.minima = 0.0
        self.maxima = 0.0
        self._top_values = np.zeros(0, np.float64)
        self._top_samples = np.zeros(0, np.int64)

    @property
    def average(self) -> tuple[float, float]:
        """The mean over samples of the minimum and of the maximum; 0 and 0 where nothing was measured."""
        count = max(1, self.measured)
        return self.minima / count, self.maxima / count

    @property
    def top(self) -> list[tuple[float, int]]:
        """The samples with the largest magnitudes, largest first: that magnitude, and the sample's number."""
        return list(zip(self._top_values.tolist(), self._top_samples.tolist(), strict=True))

    def add(
        self, low: NDArray[np.floating], high: NDArray[np.floating], numbers: NDArray[np.int64] | None = None
    ) -> None:
        """Add whole samples by their extremes `[samples]`; `low` above `high` says that a sample held no
        finite value. Without `numbers`, samples are numbered in the order they come.
        """
        if numbers is None:
            numbers = np.arange(self.samples, self.samples + len(low))
        self.samples += len(low)
        held = low <= high
        low, high = low[held].astype(np.float64), high[held].astype(np.float64)
        self.measured += low.size
        self.minima += float(low.sum())
        self.maxima += float(high.sum())
        self._keep_largest(np.maximum(-low, high), np.asarray(numbers, np.int64)[held])

    def _keep_largest(self, values: NDArray[np.float64], numbers: NDArray[np.int64]) -> None:
        """Of equal magnitudes, the smaller number stays, so that order does not matter."""
        if len(values) > TOP:
            enough = values >= np.partition(values, -TOP)[-TOP]
            values, numbers = values[enough], numbers[enough]
        values = np.concatenate([self._top_values, values])
        numbers = np.concatenate([self._top_samples, numbers])
        order = np.lexsort((numbers, -values))[:TOP]
        self._top_values, self._top_samples = values[order], numbers[order]

    def snapshot(self) -> ExtremesSnapshot:
        """All that is known; `from_snapshot` gives it back without loss."""
        return ExtremesSnapshot(
            self.samples, self.measured, self.minima, self.maxima, self._top_values, self._top_samples
        )

    @classmethod
    def from_snapshot(cls, kept: ExtremesSnapshot) -> Extremes:
        """The extremes that `kept` was taken of."""
        extremes = cls()
        extremes.samples, extremes.measured = kept.samples, kept.measured
        extremes.minima, extremes.maxima = kept.minima, kept.maxima
        extremes._top_values, extremes._top_samples = kept.top_values, kept.top_samples
        return extremes


def sample_extremes(rows: NDArray[np.floating]) -> tuple[NDArray[np.floating], NDArray[np.floating], bool]:
    """Minimum and maximum of each row of `[samples, values]`, of its finite values, and whether all are
    finite. Without a finite value, they are infinity and minus infinity.
    """
    if rows.shape[1] == 0:
        nothing = np.full(len(rows), np.inf)
        return nothing, -nothing, True
    low, high = (rows[:, 0], rows[:, 0]) if rows.shape[1] == 1 else (rows.min(axis=1), rows.max(axis=1))
    if np.isfinite(low).all() and np.isfinite(high).all():
        return low, high, True
    finite = np.isfinite(rows)
    low = np.min(rows, axis=1, where=finite, initial=np.inf)
    return low, np.max(rows, axis=1, where=finite, initial=-np.inf), False
