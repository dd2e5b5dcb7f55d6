"""How many samples a range needs, and whether it holds on others.

A range found on the first n samples is judged by the SQNR it gives on all of them, for n = 1, 2, 4, 8 and so
on. Nothing is run and no sample is kept: a histogram is copied each time the number doubles."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from quant_core.formats import Scheme
from quant_core.stats.histogram import Snapshot, StreamingHistogram
from quant_core.stats.noise import noise_of
from quant_core.stats.ranges import range_of

COLUMNS = ["samples", "method", "low", "high", "sqnr_db"]
SETTLED_DB = 0.5  # from the final SQNR: closer is as good as final
OUTSIDE = 0.01  # share of values that a range which clips nothing may miss
LOSS_DB = 3.0  # half the signal-to-noise ratio


class Checkpoints:
    """Fills a histogram sample by sample and copies it at 1, 2, 4, 8, ... samples.

    Memory grows with the logarithm of the number of samples: one snapshot (at most 128 KiB) for each
    doubling."""

    def __init__(self) -> None:
        self.histogram = StreamingHistogram()
        self._kept: list[Snapshot] = []

    def add(self, values: NDArray[np.floating], keep: int | None = None) -> None:
        """Add the samples `[samples, ...]`. `keep` values of them enter the bins, about the same share of
        each.
        """
        start = 0
        while start < len(values):
            seen = self.histogram.extremes.samples
            stop = min(len(values), start + _next_power(seen) - seen)
            part = values[start:stop]
            self.histogram.add(part, None if keep is None else max(1, keep * len(part) // len(values)))
            if self.histogram.extremes.samples == _next_power(seen):
                self._kept.append(self.histogram.snapshot())
            start = stop

    def snapshots(self) -> tuple[Snapshot, ...]:
        """The checkpoints so far, in rising order; the last one holds all samples."""
        last = self.histogram.extremes.samples
        if last == 0 or (self._kept and self._kept[-1].extremes.samples == last):
            return tuple(self._kept)
        return (*self._kept, self.histogram.snapshot())


def settling(checkpoints: Sequence[Snapshot], scheme: Scheme, methods: Iterable[str]) -> pd.DataFrame:
    """The range at each checkpoint by each of `methods`, and what it does to the data of the last one.

    Columns: samples (of the checkpoint), method, low, high (ends of the range), sqnr_db (of the final data
    quantized to the format and symmetry of `scheme` with that range). Checkpoints at which nothing finite had
    been seen are left out."""
    rows = []
    kept = [k for k in checkpoints if k.count]
    final = StreamingHistogram.from_snapshot(kept[-1]) if kept else StreamingHistogram()
    for snapshot in kept:
        histogram = StreamingHistogram.from_snapshot(snapshot)
        for method in methods:
            low, high = range_of(histogram, replace(scheme, range=method))
            sqnr = noise_of(final, scheme, low, high).sqnr_db
            rows.append((snapshot.extremes.samples, method, low, high, sqnr))
    return pd.DataFrame(rows, columns=COLUMNS)


def enough(table: pd.DataFrame, within_db: float = SETTLED_DB) -> dict[str, int]:
    """For each method of a `settling` table, the smallest number of samples from which on the SQNR stays
    within `within_db` of the final one.
    """
    found = {}
    for method, part in table.groupby("method", sort=False):
        part = part.sort_values("samples")
        away = (part["sqnr_db"] - part["sqnr_db"].iloc[-1]).abs().to_numpy() > within_db
        first = int(np.flatnonzero(away)[-1]) + 1 if away.any() else 0
        found[str(method)] = int(part["samples"].iloc[first])
    return found


@dataclass(frozen=True)
class Drift:
    """What a calibrated range does to samples that it was not found on.

    `outside` is the share of their values beyond the first and last code. `sqnr_db` is theirs with the
    calibrated range, `own_sqnr_db` with the range that the same method finds on themselves."""

    low: float
    high: float
    outside: float
    sqnr_db: float
    own_sqnr_db: float
    alarm: bool

    @property
    def loss_db(self) -> float:
        """SQNR lost to calibrating on other samples, dB; below 0 where their range is even better."""
        return self.own_sqnr_db - self.sqnr_db


def drift(calibration: StreamingHistogram, held_out: StreamingHistogram, scheme: Scheme) -> Drift:
    """Whether the range of `scheme` found on `calibration` holds for `held_out`. PlanError where either is
    empty.

    The alarm goes off where a method that clips nothing (minmax, dynamic, percentile:100) leaves more than 1
    % of the held-out values outside, and for any method where more than 3 dB are lost: the samples that
    calibrated are then no sample of the others."""
    low, high = range_of(calibration, scheme)
    mine = noise_of(held_out, scheme, low, high)
    own = noise_of(held_out, scheme, *range_of(held_out, scheme)).sqnr_db
    lost = own - mine.sqnr_db > LOSS_DB
    alarm = lost or (_keeps_everything(scheme.range) and mine.clipped > OUTSIDE)
    return Drift(low, high, mine.clipped, mine.sqnr_db, own, alarm)


def _keeps_everything(method: str) -> bool:
    name, _, share = method.partition(":")
    return name in ("minmax", "dynamic") or (name == "percentile" and float(share) == 100)


def _next_power(samples: int) -> int:
    """The smallest power of two above `samples`."""
    return 1 << samples.bit_length()
