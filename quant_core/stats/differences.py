"""How far two runs of the same samples lie apart, summed batch by batch: floats by size, codes by steps."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

_LOW, _HIGH, _FINE = -64, 64, 8  # bins from 2^-64 to 2^64, eight in each octave
_BINS = (_HIGH - _LOW) * _FINE


@dataclass
class FloatDifferences:
    """Differences |b - a| of floats: how many there are, and how large, in bins of an eighth of an octave, so
    that a quantile is right to 4.4 %. Memory is the same for any number of values.
    """

    elements: int = 0
    differ: int = 0
    largest: float = 0.0
    signal: float = 0.0
    noise: float = 0.0
    _bins: NDArray[np.int64] = field(default_factory=lambda: np.zeros(_BINS, np.int64), repr=False)

    def add(self, a: NDArray[np.generic], b: NDArray[np.generic]) -> None:
        """Count two arrays of one shape; `a` is the signal."""
        wide, other = a.astype(np.float64).ravel(), b.astype(np.float64).ravel()
        same = (wide == other) | (np.isnan(wide) & np.isnan(other))
        with np.errstate(invalid="ignore"):
            apart = np.where(same, 0.0, np.nan_to_num(np.abs(other - wide), nan=np.inf, posinf=np.inf))
        some = apart[apart > 0]
        self.elements += apart.size
        self.differ += some.size
        self.largest = max(self.largest, float(some.max(initial=0.0)))
        self.signal += float(np.square(wide).sum())
        self.noise += float(np.square(apart).sum())
        with np.errstate(over="ignore"):
            place = np.floor(np.log2(np.minimum(some, 2.0**_HIGH)) * _FINE).astype(np.int64) - _LOW * _FINE
        self._bins += np.bincount(np.clip(place, 0, _BINS - 1), minlength=_BINS)

    @property
    def rms(self) -> float:
        """Root mean square of the signal."""
        return float(np.sqrt(self.signal / self.elements)) if self.elements else 0.0

    def quantile(self, share: float) -> float:
        """The difference that `share` (0..1) of all elements do not exceed, equal ones included; 0 where
        there are none.
        """
        wanted = share * self.elements - (self.elements - self.differ)
        if wanted <= 0 or not self.differ:
            return 0.0
        place = int(np.searchsorted(self._bins.cumsum(), np.ceil(wanted)))
        return float(min(2.0 ** ((place + 0.5) / _FINE + _LOW), self.largest))


@dataclass
class CodeDifferences:
    """Differences of codes, in steps: how many elements differ, how many by more than one step, and the
    largest.
    """

    elements: int = 0
    differ: int = 0
    beyond_one: int = 0
    largest: int = 0

    def add(self, a: NDArray[np.generic], b: NDArray[np.generic]) -> None:
        """Count two arrays of codes of one shape."""
        apart = np.abs(a.astype(np.int64) - b.astype(np.int64))
        self.elements += apart.size
        self.differ += int(np.count_nonzero(apart))
        self.beyond_one += int(np.count_nonzero(apart > 1))
        self.largest = max(self.largest, int(apart.max(initial=0)))
