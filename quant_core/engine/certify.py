"""Certify: the exported file, run as its user will, against FP32 and against the simulation, on all samples.

Three runs of each batch: `float`, the user's FP32 file with default options; `simulated`, the exported file
with every Q and DQ in float; `shipped`, the exported file with default options in a session of its own. All
that is kept are sums, bins and a few dozen changed decisions."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

import numpy as np

from quant_core.data import (
    Batch,
    Dataset,
    Labels,
    Outputs,
    Quality,
    QualityMeter,
    Task,
    has_classes,
    log_probabilities,
)
from quant_core.engine.evaluate import Progress
from quant_core.engine.run import run_whole
from quant_core.engine.session import make_session
from quant_core.stats import FloatDifferences

KEPT_FLIPS = 36
RUNS = ("float", "simulated", "shipped")
_PAIRS = tuple(combinations(RUNS, 2))


@dataclass(frozen=True, order=True)
class Flip:
    """A decision that the exported file makes in another way than FP32.

    `sure` is the probability, 0..1, that FP32 gave its own decision `fp32`, `sure_shipped` the one that the
    file gave `shipped`. `place` counts the decisions of one sample, as tokens. `label` None: not known."""

    sure: float
    sample: int
    place: int
    fp32: int
    shipped: int
    sure_shipped: float
    label: int | None = field(compare=False, default=None)


@dataclass(frozen=True)
class Apart:
    """How far one output of the run `b` is from that of the run `a`, over all samples."""

    a: str
    b: str
    output: str
    differences: FloatDifferences


@dataclass(frozen=True)
class Certified:
    """What certifying found. `decisions` were compared; `changed` counts those that differ, by pair of runs;
    `gained` and `lost` are decisions that only the exported file or only FP32 gets right (None without
    labels). `flips` are those of which FP32 was most sure, at most `KEPT_FLIPS`."""

    quality: dict[str, Quality]
    outputs: tuple[Apart, ...]
    decisions: int
    changed: dict[tuple[str, str], int]
    gained: int | None
    lost: int | None
    flips: tuple[Flip, ...]


@dataclass
class _Decisions:
    """Counts the decisions of three runs, and keeps the most surprising changes."""

    task: Task
    seen: int = 0
    labelled: int = 0
    gained: int = 0
    lost: int = 0
    changed: dict[tuple[str, str], int] = field(default_factory=lambda: dict.fromkeys(_PAIRS, 0))
    flips: list[Flip] = field(default_factory=list)

    def add(self, runs: dict[str, Outputs], labels: Labels | None, first: int) -> None:
        scores = {name: outputs[self.task.output] for name, outputs in runs.items()}
        if not has_classes(scores["float"]) or self.task.kind not in ("classification", "detection"):
            return
        chosen = {name: s.argmax(axis=-1) for name, s in scores.items()}
        a, b = chosen["float"], chosen["shipped"]
        self.seen += a.size
        for one, other in self.changed:
            self.changed[one, other] += int((chosen[one] != chosen[other]).sum())
        known = (
            labels if labels is not None and labels.shape == a.shape and labels.dtype.kind in "iu" else None
        )
        if known is not None:
            self.labelled += known.size
            self.gained += int(((a != known) & (b == known)).sum())
            self.lost += int(((a == known) & (b != known)).sum())
        if (a != b).any():
            sure = {n: np.exp(log_probabilities(scores[n])).max(axis=-1) for n in ("float", "shipped")}
            for at in zip(*np.nonzero(a != b), strict=True):
                place = int(np.ravel_multi_index(at[1:], a.shape[1:])) if a.ndim > 1 else 0
                label = None if known is None else int(known[at])
                self._keep(
                    Flip(
                        float(sure["float"][at]),
                        first + int(at[0]),
                        place,
                        int(a[at]),
                        int(b[at]),
                        float(sure["shipped"][at]),
                        label,
                    )
                )

    def _keep(self, flip: Flip) -> None:
        if len(self.flips) < KEPT_FLIPS:
            heapq.heappush(self.flips, flip)
        else:
            heapq.heappushpop(self.flips, flip)


def certify(
    reference: Path | bytes,
    exported: bytes,
    data: Dataset,
    size: int,
    task: Task | None = None,
    progress: Progress | None = None,
) -> Certified:
    """Run the FP32 file `reference` and the file `exported` on all of `data`, `size` samples at a time."""
    task = task or Task()
    sessions = {
        "float": make_session(reference, "shipped"),
        "simulated": make_session(exported, "simulated"),
        "shipped": make_session(exported, "shipped"),
    }
    names = [port.name for port in sessions["float"].get_outputs()]
    meters = {name: QualityMeter(task) for name in RUNS}
    decisions = _Decisions(task)
    apart: dict[tuple[str, str, int], FloatDifferences] = {}
    done = 0
    for feeds, labels in data.batches(size):
        runs = {name: run_whole(session, feeds) for name, session in sessions.items()}
        for name, meter in meters.items():
            meter.add(runs[name], runs["float"], labels, feeds)
        decisions.add(runs, labels, done)
        _compare(runs, apart)
        done += _count(feeds)
        if progress is not None:
            progress(done, len(data))
    return Certified(
        {name: meter.result() for name, meter in meters.items()},
        tuple(Apart(a, b, names[number], found) for (a, b, number), found in apart.items()),
        decisions.seen,
        decisions.changed if decisions.seen else {},
        decisions.gained if decisions.labelled else None,
        decisions.lost if decisions.labelled else None,
        tuple(sorted(decisions.flips, reverse=True)),
    )


def _compare(runs: dict[str, Outputs], apart: dict[tuple[str, str, int], FloatDifferences]) -> None:
    for a, b in _PAIRS:
        for number, (one, other) in enumerate(zip(runs[a], runs[b], strict=True)):
            if one.dtype.kind == "f" and one.shape == other.shape:
                apart.setdefault((a, b, number), FloatDifferences()).add(one, other)


def _count(feeds: Batch) -> int:
    return len(next(iter(feeds.values())))
