"""The adaptive sweep: every cell on a few samples at once, then each on as many as it takes to rank it.

First all cells are measured on the first samples of a random draw, so that the picture is there early; then
each takes strips of samples, in the order of `Strata`, until more would say little. What was measured on few
samples is an estimate, and carries a band."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import onnxruntime as ort

from quant_core.data import (
    Batch,
    Dataset,
    Quality,
    QualityMeter,
    Subset,
    Traces,
    joined,
    margins,
    measure_of,
    trace,
)
from quant_core.engine.bench import Bench, Measured, outputs_of
from quant_core.engine.evaluate import Reference
from quant_core.engine.lanes import ONE_LANE, Lane, Lanes
from quant_core.engine.run import Pulse, batch_size, fixed_batch, truths
from quant_core.engine.strata import LOOK, Strata
from quant_core.engine.sweep import Cell, CellKey, Failed, Sweeper
from quant_core.graph import inputs_of
from quant_core.lower import FindRange, WeightCache

_SMALL, _LARGE = 8, 16  # samples in a batch
_MANY = 1000  # samples from which strips are made of large batches
_BATCHES = 8  # a strip for each stratum and the draws; of fewer batches every cell takes all


def can_adapt(count: int, fixed: int | None) -> bool:
    """Whether `count` samples are enough to choose among; `fixed` as in `fixed_batch`."""
    return count >= _BATCHES * _batch(count, fixed)


def _batch(count: int, fixed: int | None) -> int:
    return fixed or (_LARGE if count >= _MANY else _SMALL)


def adaptive_sweep(
    cache: WeightCache,
    cells: Iterable[CellKey],
    data: Dataset,
    reference: Reference,
    find_range: FindRange,
    pulse: Pulse = lambda: None,
    failed: Failed | None = None,
    looked: Iterable[CellKey] = (),
    lanes: Lanes = ONE_LANE,
) -> Iterator[Cell]:
    """Measure `cells` simulated, each twice: after a first look, which those of `looked` have had, and when
    it has enough; on all samples where the outputs of the FP32 model are too large to be kept. `pulse`,
    `failed` and `lanes` as in `Sweeper`.
    """
    cells, ports = list(cells), inputs_of(cache.graph.model)
    fixed = fixed_batch(ports)
    size = _batch(len(data), fixed)
    strata, baseline, held = _strata(data, reference, size, pulse)
    if held > reference.limit:
        whole = Sweeper(cache, data, reference, find_range, batch_size(ports), pulse=pulse, lanes=lanes)
        yield from whole.measure(cells, failed)
        return
    done, sizes = set(looked), dict[CellKey, int]()
    for look, wanted in ((True, [key for key in cells if key not in done]), (False, cells)):
        order = strata.order[: max(LOOK, fixed or 0)] if look else strata.order
        part = Subset(data, order)
        bench = StrataBench(strata, part, reference, size, fixed, baseline, look)
        sweeper = Sweeper(
            cache, part, reference, find_range, size, pulse=pulse, bench=bench, sizes=sizes, lanes=lanes
        )
        yield from sweeper.measure(wanted, failed if not look else lambda *_: None)


def _strata(data: Dataset, reference: Reference, size: int, pulse: Pulse) -> tuple[Strata, Quality, int]:
    """The order of the samples, from the outputs of the FP32 model on all; its quality there, and the bytes
    of those outputs.
    """
    task, meter, held = reference.task, QualityMeter(reference.task), 0
    signals, distances = [], []
    known = truths(data, size, task)
    for outputs, (fed, labels) in zip(reference.outputs(data, "simulated", size), known, strict=True):
        pulse()
        held += sum(o.nbytes for o in outputs)
        signals.append(trace(outputs, outputs, None, task).signal)
        distances.append(margins(outputs, task))
        meter.add(outputs, outputs, labels, fed)
    apart = [d for d in distances if d is not None]
    whole = np.concatenate(apart) if len(apart) == len(distances) else None
    return Strata(np.concatenate(signals), whole, size), meter.result(), held


class StrataBench(Bench):
    """Measures a cell strip by strip. `data` are the samples in the order of `strata`, or the first of them
    where it is only a `look`; `baseline` is the FP32 model's quality on all samples.
    """

    def __init__(
        self,
        strata: Strata,
        data: Dataset,
        reference: Reference,
        size: int,
        fixed: int | None,
        baseline: Quality,
        look: bool,
    ) -> None:
        self._strata, self._data, self._size, self._fixed = strata, data, size, fixed
        self._task, self._baseline, self._look = reference.task, baseline, look
        self._expected = list(reference.outputs(data, "simulated", size))
        self._known = list(truths(data, size, self._task))

    def measure(
        self,
        session: ort.InferenceSession,
        extra: Batch,
        feeds: list[Batch] | None,
        execution: str,
        lane: Lane,
    ) -> Measured:
        meter, plain = QualityMeter(self._task), QualityMeter(self._task)  # of the draw: the cell, and FP32
        parts: list[Traces] = []
        positions: list[np.ndarray] = []
        strip: int | None = 0
        taken: list[int] = []
        while strip is not None:
            start, end = (0, len(self._data)) if self._look else self._strata.strips[strip]
            places = [np.arange(at, min(at + self._size, end)) for at in range(start, end, self._size)]
            given = (
                (self._data.take(at) if feeds is None else feeds[int(at[0]) // self._size], len(at))
                for at in places
            )
            ran = outputs_of(session, extra, given, self._fixed, len(places), lane)
            for at, outputs in zip(places, ran, strict=True):
                number = int(at[0]) // self._size
                wanted, (fed, labels) = self._expected[number], self._known[number]
                parts.append(trace(outputs, wanted, labels, self._task))
                positions.append(at)
                if strip in (0, self._strata.extra):
                    meter.add(outputs, wanted, labels, fed)
                    plain.add(wanted, wanted, labels, fed)
            taken.append(strip)
            if self._look:
                break
            strip = self._strata.next_strip(taken, joined(parts), np.concatenate(positions))
        return self._result(meter.result(), plain.result(), joined(parts), np.concatenate(positions))

    def _result(self, drawn: Quality, plain: Quality, traces: Traces, at: np.ndarray) -> Measured:
        """What the strata say, and for other metrics what the draw says, moved by what FP32 has on it."""
        found = self._strata.estimate(traces, at, final=not self._look)
        metric, base = drawn.metric, self._baseline.metric
        if metric is not None and base is not None:
            change = found.change
            moved = metric - (plain.metric or 0.0) if change is None else change
            metric = base + moved
            if measure_of(drawn.metric_name).share:
                metric = min(max(metric, 0.0), 1.0)
        quality = Quality(
            metric=metric,
            metric_name=drawn.metric_name,
            agreement=found.agreement,
            sqnr_db=found.sqnr_db,
            kl=found.kl,
            samples=len(at),
            decisions=drawn.decisions,
            more=drawn.more,
        )
        return quality, found.band.moved(base)
