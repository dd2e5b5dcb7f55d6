"""Compare two ONNX files on the same data, as their users run them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from quant_core.data import Dataset, Quality, QualityMeter, Task
from quant_core.engine.run import Pulse, run_whole
from quant_core.engine.session import make_session
from quant_core.errors import DataError

TIMED_RUNS = 30
LEAST_RUNS = 5
WARM_UP = 3
TIMED_WITHIN = 10.0  # seconds for timing two files, where a few pairs do not take longer


@dataclass(frozen=True)
class Comparison:
    """File A, file B against A, and how many times as long B takes (median over interleaved runs)."""

    a: Quality
    b: Quality
    latency_ratio: float


def compare(
    a: Path | bytes, b: Path | bytes, data: Dataset, size: int, task: Task | None = None
) -> Comparison:
    """Run both files with default options. DataError where their outputs cannot be compared."""
    first, second = make_session(a, "shipped"), make_session(b, "shipped")
    meters = QualityMeter(task or Task()), QualityMeter(task or Task())
    for feeds, labels in data.batches(size):
        expected, actual = run_whole(first, feeds), run_whole(second, feeds)
        if [o.shape for o in expected] != [o.shape for o in actual]:
            raise DataError(
                "the two models give outputs of different shapes", "compare two versions of one model"
            )
        meters[0].add(expected, expected, labels, feeds)
        meters[1].add(actual, expected, labels, feeds)
    return Comparison(
        meters[0].result(), meters[1].result(), latency_ratio(a, b, data, size, budget=TIMED_WITHIN)
    )


def latency_ratio(
    a: Path | bytes,
    b: Path | bytes,
    data: Dataset,
    size: int,
    runs: int = TIMED_RUNS,
    budget: float = float("inf"),
) -> float:
    """Time of B over time of A: the median of `latency_ratios`."""
    return float(np.median(latency_ratios(a, b, data, size, runs, budget=budget)))


def latency_ratios(
    a: Path | bytes,
    b: Path | bytes,
    data: Dataset,
    size: int,
    runs: int = TIMED_RUNS,
    pulse: Pulse = lambda: None,
    budget: float = float("inf"),
) -> NDArray[np.float64]:
    """Time of B over time of A, `[runs]`: the ratios of `latency_times`."""
    times = latency_times(a, b, data, size, runs, pulse, budget)
    return np.asarray(times[:, 1] / times[:, 0])


def latency_times(
    a: Path | bytes,
    b: Path | bytes,
    data: Dataset,
    size: int,
    runs: int = TIMED_RUNS,
    pulse: Pulse = lambda: None,
    budget: float = float("inf"),
) -> NDArray[np.float64]:
    """Seconds of A and of B, `[runs, 2]`: paired, interleaved runs on the first batch, after a warm-up.
    `pulse` is called between pairs. After `budget` seconds no further pair begins, but for the first
    `LEAST_RUNS`.
    """
    sessions = make_session(a, "shipped"), make_session(b, "shipped")
    feeds, _ = next(data.batches(size))
    times = np.empty((runs, 2))
    end = time.monotonic() + budget
    for number in range(-WARM_UP, runs):
        if number >= LEAST_RUNS and time.monotonic() > end:
            return times[:number]
        pulse()
        for which, session in enumerate(sessions):
            start = time.perf_counter()
            run_whole(session, feeds)
            if number >= 0:
                times[number, which] = time.perf_counter() - start
    return times
