"""Extremes and moments of each channel of an activation, fed batch by batch."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray


class ChannelStats:
    """Minimum, maximum, mean and deviation of each channel, in memory that grows with the channels alone.
    Values that are not finite are left out.
    """

    def __init__(self) -> None:
        self.count = np.zeros(0, np.int64)
        self.minimum = np.zeros(0)
        self.maximum = np.zeros(0)
        self._sum = np.zeros(0)
        self._squares = np.zeros(0)

    def add(self, values: NDArray[np.floating], axis: int) -> None:
        """Add `values`, whose channels are on `axis`. ValueError where their number differs from before."""
        rows = np.moveaxis(values, axis, 0).reshape(values.shape[axis], -1).astype(np.float64)
        if not self.count.size:
            channels = len(rows)
            self.count, self._sum, self._squares = (np.zeros(channels, t) for t in (np.int64, float, float))
            self.minimum, self.maximum = np.full(channels, np.inf), np.full(channels, -np.inf)
        finite = np.isfinite(rows)
        self.count = self.count + finite.sum(axis=1)
        self.minimum = np.minimum(self.minimum, np.where(finite, rows, np.inf).min(axis=1, initial=np.inf))
        self.maximum = np.maximum(self.maximum, np.where(finite, rows, -np.inf).max(axis=1, initial=-np.inf))
        rows = np.where(finite, rows, 0.0)
        self._sum = self._sum + rows.sum(axis=1)
        self._squares = self._squares + np.square(rows).sum(axis=1)

    def table(self) -> pd.DataFrame:
        """Columns channel, low, high, mean, deviation; channels that held no finite value are left out."""
        count = np.maximum(self.count, 1)
        mean = self._sum / count
        deviation = np.sqrt(np.maximum(self._squares / count - np.square(mean), 0.0))
        columns = {"low": self.minimum, "high": self.maximum, "mean": mean, "deviation": deviation}
        table = pd.DataFrame({"channel": np.arange(len(count)), **columns})
        return table[self.count > 0].reset_index(drop=True)
