"""What the cells of a sweep are measured on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice

import numpy as np
import onnxruntime as ort

from quant_core.data import Batch, Dataset, Outputs, Quality, QualityMeter
from quant_core.engine.evaluate import Reference
from quant_core.engine.lanes import Lane
from quant_core.engine.run import cut_off, fill_up, truths
from quant_core.engine.strata import Band

_LOT = 1 << 15  # elements of outputs that are metered together
_FED = 16 << 20  # bytes of batches that are run in one turn
_JOINED = 1 << 22  # elements of the reference's outputs, of which lots are copies
Measured = tuple[Quality, Band | None]


class Bench(ABC):
    """What a cell is measured on."""

    @abstractmethod
    def measure(
        self,
        session: ort.InferenceSession,
        extra: Batch,
        feeds: list[Batch] | None,
        execution: str,
        lane: Lane,
    ) -> Measured:
        """The quality of what `session` makes of `feeds`, None for the data itself, and of `extra` beside
        them; run in `lane`.
        """


class AllSamples(Bench):
    """Measures every cell on all samples. Outputs of small batches are metered together: the meter's own
    cost is that of a call.
    """

    def __init__(self, data: Dataset, reference: Reference, size: int, fixed: int | None) -> None:
        self._data, self._reference, self._size, self._fixed = data, reference, size, fixed
        self._together = 1
        self._lots: dict[str, list[Outputs]] = {}

    def measure(
        self,
        session: ort.InferenceSession,
        extra: Batch,
        feeds: list[Batch] | None,
        execution: str,
        lane: Lane,
    ) -> Measured:
        task = self._reference.task
        expected = self._expected(execution)
        known = truths(self._data, self._size * self._together, task)
        given = batches_of(self._data if feeds is None else feeds, self._size)
        counts = [min(self._size, len(self._data) - at) for at in range(0, len(self._data), self._size)]
        fed = zip(given, counts, strict=True)
        outputs = outputs_of(session, extra, fed, self._fixed, self._together, lane)
        meter = QualityMeter(task)
        for wanted, (whole, labels) in zip(expected, known, strict=True):
            meter.add(_join(list(islice(outputs, self._together))), wanted, labels, whole)
        return meter.result(), None

    def _expected(self, execution: str) -> Iterable[Outputs]:
        """The reference's outputs for each lot of batches that is metered together."""
        if execution not in self._lots:
            batches = self._reference.outputs(self._data, execution, self._size)
            first = next(batches)
            self._together = self._as_many(first)
            rest = chain([first], batches)
            lots: list[Outputs] = []
            while self._together > 1 and (lot := list(islice(rest, self._together))):
                lots.append(_join(lot))
            self._lots[execution] = lots
        return self._lots[execution] or self._reference.outputs(self._data, execution, self._size)

    def _as_many(self, first: Outputs) -> int:
        """How many batches like the `first` make a lot."""
        held, batches = min(self._size, len(self._data)), -(-len(self._data) // self._size)
        elements = sum(o.size for o in first)
        apart = any(o.ndim == 0 or len(o) != held for o in first)
        if apart or elements * batches > _JOINED or self._reference.task.input is not None:
            return 1
        return max(1, _LOT // max(1, elements))


def _join(found: Sequence[Outputs]) -> Outputs:
    return found[0] if len(found) == 1 else [np.concatenate(parts) for parts in zip(*found, strict=True)]


def outputs_of(
    session: ort.InferenceSession,
    extra: Batch,
    batches: Iterable[tuple[Batch, int]],
    fixed: int | None,
    most: int,
    lane: Lane,
) -> Iterator[Outputs]:
    """What `session` makes of each batch, which comes with its number of samples, and of `extra` beside it.
    Up to `most` small ones are run in one turn.
    """
    source = iter(batches)
    for first in source:
        more = min(most, max(1, _FED // _bytes(first[0]))) - 1
        portion = [first, *islice(source, more)]
        ran = lane.run_each(session, [fill_up(batch, fixed) | extra for batch, _ in portion])
        for outputs, (_, count) in zip(ran, portion, strict=True):
            yield cut_off(outputs, count, fixed)


def _bytes(batch: Batch) -> int:
    return max(1, sum(array.nbytes for array in batch.values()))


def batches_of(source: Dataset | list[Batch], size: int) -> Iterator[Batch]:
    """The batches of a data set, or those given."""
    if isinstance(source, Dataset):
        for feeds, _ in source.batches(size):
            yield feeds
    else:
        yield from source
