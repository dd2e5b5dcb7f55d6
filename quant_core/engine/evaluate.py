"""Evaluate a graph against the FP32 reference on the same samples, with the same options."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from quant_core.data import Dataset, Outputs, Quality, QualityMeter, Task
from quant_core.engine.run import run_all, run_whole, truths
from quant_core.engine.session import make_session

Progress = Callable[[int, int], None]
REFERENCE_BYTES = 256 << 20


class Reference:
    """Outputs of the user's FP32 model, kept per (data, execution, batch size) up to a limit. `task` is what
    models are measured by.
    """

    def __init__(self, model: Path | bytes, limit: int = REFERENCE_BYTES, task: Task | None = None) -> None:
        self.model = model
        self.limit = limit
        self.task = task or Task()
        self._kept: OrderedDict[tuple[str, str, int], list[Outputs]] = OrderedDict()

    def outputs(self, data: Dataset, execution: str, size: int) -> Iterator[Outputs]:
        """The reference outputs of each batch of `size` samples, in order."""
        key = (data.key, execution, size)
        if key in self._kept:
            self._kept.move_to_end(key)
            yield from self._kept[key]
            return
        session = make_session(self.model, execution)
        batches: list[Outputs] | None = []
        total = 0
        for outputs, _ in run_all(session, data, size):
            total += sum(o.nbytes for o in outputs)
            if batches is not None:
                batches = None if total > self.limit else [*batches, outputs]
            yield outputs
        if batches is not None:
            self._kept[key] = batches
            while sum(o.nbytes for kept in self._kept.values() for b in kept for o in b) > self.limit:
                self._kept.popitem(last=False)

    def quality(self, data: Dataset, execution: str, size: int) -> Quality:
        """The quality of the reference itself."""
        meter = QualityMeter(self.task)
        reference = self.outputs(data, execution, size)
        for (feeds, labels), outputs in zip(data.batches(size), reference, strict=True):
            meter.add(outputs, outputs, labels, feeds)
        return meter.result()


def evaluate_outputs(
    batches: Iterable[Outputs],
    data: Dataset,
    reference: Reference,
    execution: str,
    size: int,
    progress: Progress | None = None,
    early: Callable[[Quality], None] | None = None,
) -> Quality:
    """The quality of a model whose outputs for each batch of `size` samples are `batches`. `early` is told
    what it is after the first batch of several.
    """
    meter, done = QualityMeter(reference.task), 0
    expected = reference.outputs(data, execution, size)
    for outputs, (fed, labels), wanted in zip(
        batches, truths(data, size, reference.task), expected, strict=True
    ):
        meter.add(outputs, wanted, labels, fed)
        done = min(done + size, len(data))
        if progress is not None:
            progress(done, len(data))
        if early is not None and done < len(data):
            early(meter.result())
            early = None
    return meter.result()


def evaluate(
    model: bytes | Path,
    data: Dataset,
    reference: Reference,
    execution: str,
    size: int,
    progress: Progress | None = None,
) -> Quality:
    """The quality of `model` (an ONNX file's bytes or path) on `data`, `size` samples at a time."""
    session = make_session(model, execution)
    batches = (run_whole(session, feeds) for feeds, _ in data.batches(size))
    return evaluate_outputs(batches, data, reference, execution, size, progress)
