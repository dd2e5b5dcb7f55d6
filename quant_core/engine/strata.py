"""Which samples a cell of the sweep is measured on when not on all, and what they say of all.

A decision flips where the noise of quantization is larger than its margin: the distance of the first choice
from the second. So the samples stand in strata of growing FP32 margin, which is known before any cell is
run, and beside them a simple random draw of all. A cell takes the draw first, then the strata from the
smallest margin on, until no more decisions flip. What lies below that margin is counted in full; for the
rest the draw speaks: a stratified estimate with one stratum that is taken whole (Cochran 1977, "Sampling
Techniques", 3rd ed., section 5.3). A cell whose draw shows many flips is ruined: margins say little there,
and the draw alone is made larger.

Measured against all samples, within each format (weights; weights and activations of ResNet-20 on 2,000,
of keywords on 800, MobileNet v1 weights on 250): see `benchmarks/RESULTS.md`. A random draw alone ranks
agreement badly (Spearman 0.6 to 0.9 on 30 % of the samples), because the few decisions that a good format
flips are rarely among those drawn."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from quant_core.data import Traces
from quant_core.formats import sqnr_from_power
from quant_core.stats import Z, wilson

STRATA = 2  # version of what follows; part of the key of what was measured by it
LOOK = 8  # samples of the first look at every cell
DRAW, MORE = 0.08, 0.10  # shares of the samples: the random draw, and what is added where it must say more
BANDS = (0.04, 0.06, 0.08, 0.10)  # shares of the samples in the strata of growing margin
LEAST, MOST = 16, 128  # samples of either: it is their number that counts, not the share
PLENTY = 24  # flipped decisions in the draw that say enough without strata
CEASED = 0.01  # share of flipped decisions in a stratum beyond which the next is not taken
SETTLED_DB = 1.5  # width of the interval of the SQNR at which samples without decisions suffice

Floats = NDArray[np.float64]
Interval = tuple[float, float]


@dataclass(frozen=True)
class Band:
    """The 95 % intervals of what was measured on few samples; None where there is no such measure. `final`:
    measuring ended because more would say little, not after the first look.
    """

    sqnr_db: Interval
    agreement: Interval | None
    metric: Interval | None
    final: bool = True

    def moved(self, metric: float | None) -> Band:
        """The same with `metric` for the change of the metric: what FP32 has on all samples."""
        if self.metric is None or metric is None:
            return replace(self, metric=None)
        low, high = self.metric
        return replace(self, metric=(max(0.0, metric + low), min(1.0, metric + high)))


@dataclass(frozen=True)
class Estimate:
    """What few samples say of all: shares 0..1, dB, nats per decision; `change` is that of the metric."""

    sqnr_db: float
    agreement: float | None
    kl: float | None
    change: float | None
    band: Band


class Strata:
    """The samples in the order in which cells take them, in strips: positions `order[start:end]` for each of
    `strips`. Strip 0 is the draw, then come the strata, and last what is added to the draw.

    `signal` `[samples, outputs]` and `margins` `[samples]` are of the FP32 model on all samples; without
    margins there is only the draw. Strips hold full batches of `size`, but for the last of the samples; a
    sample may stand in a stratum and in what is added to the draw."""

    def __init__(self, signal: Floats, margins: Floats | None, size: int, seed: int = 0) -> None:
        count = len(signal)
        self.count, self.size, self._signal = count, size, signal
        drawn = np.random.default_rng(seed).permutation(count)
        first = min(self._whole(min(max(LEAST, DRAW * count), MOST)), count)
        last = min(first + self._whole(min(MORE * count, MOST)), count)
        strips = [drawn[:first]]
        self._rank = np.zeros(count, np.int64)
        if margins is not None:
            by_margin = np.argsort(margins, kind="stable")
            self._rank[by_margin] = np.arange(count)
            rest = by_margin[~np.isin(by_margin, strips[0])]
            at = 0
            for share in BANDS:
                strips.append(rest[at : at + self._whole(share * count)])
                at += len(strips[-1])
        strips = [*(s for s in strips if len(s)), drawn[first:last]]
        ends = np.cumsum([len(s) for s in strips])
        self.order: NDArray[np.int64] = np.concatenate(strips).astype(np.int64)
        self.strips = tuple((int(e - len(s)), int(e)) for s, e in zip(strips, ends, strict=True))

    def _whole(self, samples: float) -> int:
        """Full batches of at least so many samples."""
        return int(-(-samples // self.size)) * self.size

    @property
    def extra(self) -> int:
        """The number of the strip that is added to the draw."""
        return len(self.strips) - 1

    def next_strip(self, taken: list[int], traces: Traces, at: NDArray[np.int64]) -> int | None:
        """The strip that a cell takes after those of `taken`, None where it has enough. `traces` are of the
        samples at the positions `at` of `order`.
        """
        start, end = self.strips[taken[-1]]
        extra = self.extra if self.strips[self.extra][0] < self.strips[self.extra][1] else None
        if taken[-1] == self.extra:
            return None
        flipped = traces.flipped
        if flipped is None or self.extra == 1:
            low, high = self.estimate(traces, at).band.sqnr_db
            return extra if flipped is not None or high - low > SETTLED_DB else None
        latest = flipped[(at >= start) & (at < end)]
        if len(taken) == 1:
            return extra if latest.sum() >= PLENTY else 1
        beyond = flipped[self._drawn(at) & ~self._below(at)]
        if latest.mean() <= CEASED and not beyond.any():
            return None
        return taken[-1] + 1 if taken[-1] + 1 < self.extra else extra

    def estimate(self, traces: Traces, at: NDArray[np.int64], final: bool = True) -> Estimate:
        """What the samples at the positions `at` say of all."""
        below = self._below(at)
        inside, rest = below & _once(self.order[at]), self._drawn(at) & ~below
        left = self.count - int(inside.sum())  # samples that the rest of the draw speaks for

        def mean(values: Floats) -> float:
            spoken = left * float(values[rest].mean()) if rest.any() else 0.0
            return (float(values[inside].sum()) + spoken) / self.count

        noise = traces.noise / np.maximum(self._signal.sum(axis=0), 1e-300)
        per_sample = noise.mean(axis=1) if noise.shape[1] else np.zeros(len(noise))
        ratio = self.count * mean(per_sample)
        counted, reach = float(per_sample[inside].sum()), _reach(per_sample[rest], left)
        spoken = max(ratio - counted, 0.0)
        sqnr = (
            sqnr_from_power(1.0, counted + spoken * reach),
            sqnr_from_power(1.0, counted + spoken / reach),
        )
        if traces.flipped is None:
            return Estimate(sqnr_from_power(1.0, ratio), None, None, None, Band(sqnr, None, None, final))
        flips = mean(traces.flipped)
        decided, hits = int(rest.sum()), float(traces.flipped[rest].sum())
        low, high = wilson(round(hits), decided) if left and decided else (0.0, 0.0)
        base = float(traces.flipped[inside].sum()) / self.count
        share = left / self.count
        agreement = (1.0 - min(base + share * high, 1.0), 1.0 - base - share * low)
        change = metric = None
        if traces.gained is not None:
            change = mean(traces.gained)
            reach = max(agreement[1] - (1.0 - flips), (1.0 - flips) - agreement[0])
            metric = (change - reach, change + reach)  # what does not flip does not change the metric
        kl = None if traces.kl is None else mean(traces.kl)
        band = Band(sqnr, agreement, metric, final)
        return Estimate(sqnr_from_power(1.0, ratio), 1.0 - flips, kl, change, band)

    def _drawn(self, at: NDArray[np.int64]) -> NDArray[np.bool_]:
        (_, first), (more, _) = self.strips[0], self.strips[self.extra]
        return (at < first) | (at >= more)

    def _below(self, at: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of the samples lie below the margin up to which all were taken."""
        start, end = self.strips[0][1], self.strips[self.extra][0]
        strata = (at >= start) & (at < end)
        if not strata.any():
            return np.full(len(at), len(at) == self.count)
        rank = self._rank[self.order[at]]
        return np.asarray(rank <= rank[strata].max(), bool)


def _reach(noise: Floats, left: int) -> float:
    """The factor by which the mean of `noise` may be off for the `left` samples it speaks for.

    Few samples carry much of the noise: its logarithm is closer to normal than it is itself. Cox's
    interval for the mean of a lognormal variable (Land 1972; Olsson 2005, "Confidence intervals for the
    mean of a log-normal distribution", with t for z): exp(+- t sqrt(s^2 / n + s^4 / 2(n - 1))), here with
    the correction for a finite population."""
    positive = noise[noise > 0]
    n = len(positive)
    if n < 2 or left <= n:
        return 1.0
    variance = float(np.log(positive).var(ddof=1))
    t = Z * (1.0 + (Z * Z + 1.0) / (4.0 * (n - 1)))  # Student's t to first order
    finite = 1.0 - n / left
    return float(np.exp(t * np.sqrt(finite * (variance / n + variance**2 / (2 * (n - 1))))))


def _once(samples: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Where a sample stands for the first time."""
    first = np.zeros(len(samples), bool)
    first[np.unique(samples, return_index=True)[1]] = True
    return first
