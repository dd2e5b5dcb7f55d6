"""Run a session over a data set, batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from quant_core.data import Batch, Dataset, Labels, Outputs, Task, looks_carried
from quant_core.engine.session import reason_of
from quant_core.errors import ModelError
from quant_core.graph import Port

BATCH = 16

Pulse = Callable[[], None]  # called often, so that long work can be stopped in the middle


def batch_size(inputs: tuple[Port, ...], dynamic: bool = False) -> int:
    """Samples fed at a time: what the model fixes, else 1 where ranges are found per batch, else 16."""
    return fixed_batch(inputs) or (1 if dynamic else BATCH)


def fixed_batch(inputs: tuple[Port, ...]) -> int | None:
    """The number of samples that the model takes at a time, None where it takes any. Carried state, whose
    first dimension is often something else, does not decide unless there is nothing else."""
    return _fixed([(port.name, port.shape) for port in inputs])


def _fixed(inputs: Sequence[tuple[str, Sequence[object]]]) -> int | None:
    shapes = [shape for name, shape in inputs if not looks_carried(name)] or [shape for _, shape in inputs]
    return next((s[0] for s in shapes if s and isinstance(s[0], int)), None)


def fill_up(feeds: Batch, fixed: int | None) -> Batch:
    """`feeds` with its last sample repeated until there are `fixed`, for a model that takes no fewer. State
    that was filled with zeros has its size already."""
    count = len(next(iter(feeds.values())))
    missing = 0 if fixed is None else fixed - count
    if missing <= 0:
        return feeds
    return {
        k: np.concatenate([a, np.repeat(a[-1:], missing, axis=0)]) if _has_samples(k, a, count) else a
        for k, a in feeds.items()
    }


def _has_samples(name: str, array: NDArray[np.generic], count: int) -> bool:
    return array.ndim > 0 and len(array) == count and not (looks_carried(name) and not array.any())


def cut_off(outputs: Outputs, count: int, fixed: int | None) -> Outputs:
    """The outputs for the first `count` samples of a batch that was filled up to `fixed`."""
    if fixed is None or count >= fixed:
        return outputs
    return [o[:count] if o.ndim and len(o) == fixed else o for o in outputs]


def run(session: ort.InferenceSession, feeds: Batch, names: list[str] | None = None) -> Outputs:
    """Outputs for one batch. ModelError with ONNX Runtime's reason where the run fails."""
    try:
        outputs = session.run(names, feeds)
    except Exception as error:  # pybind raises a dozen unrelated kinds
        raise ModelError(
            f"ONNX Runtime failed while running the model ({reason_of(error)})", "check the data's shapes"
        ) from error
    if not outputs or not all(isinstance(o, np.ndarray) for o in outputs):
        raise ModelError(
            "the model's outputs are not plain tensors",
            "cut it before the operator that makes sequences or maps",
        )
    return list(outputs)


def run_whole(session: ort.InferenceSession, feeds: Batch, names: list[str] | None = None) -> Outputs:
    """Outputs of a whole model for one batch, which is filled up where the model fixes the batch."""
    fixed = _fixed([(i.name, i.shape) for i in session.get_inputs()])
    first = next(iter(feeds.values()), np.zeros(0))
    count = len(first) if first.ndim else 0
    return cut_off(run(session, fill_up(feeds, fixed) if count else feeds, names), count, fixed)


def truths(data: Dataset, size: int, task: Task) -> Iterator[tuple[Batch, Labels | None]]:
    """What is known of each batch of `size` samples: its labels, and what was fed where a reconstruction is
    compared to it. Else no sample is read.
    """
    if task.input is not None:
        yield from data.batches(size)
        return
    for start in range(0, len(data), size):
        yield {}, None if data.labels is None else data.labels[start : start + size]


def run_all(
    session: ort.InferenceSession, data: Dataset, size: int, names: list[str] | None = None
) -> Iterator[tuple[Outputs, Labels | None]]:
    """Outputs and labels of every batch of `size` samples."""
    for feeds, labels in data.batches(size):
        yield run_whole(session, feeds, names), labels
