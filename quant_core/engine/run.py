"""Run a session over a data set, batch by batch."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from quant_core.data import Batch, Dataset, Outputs
from quant_core.engine.session import reason_of
from quant_core.errors import ModelError
from quant_core.graph import Port

BATCH = 32


def batch_size(inputs: tuple[Port, ...], dynamic: bool = False) -> int:
    """Samples fed at a time: what the model fixes, else 1 where ranges are found per batch, else 32."""
    fixed = [port.batch for port in inputs if port.batch is not None]
    return fixed[0] if fixed else 1 if dynamic else BATCH


def run(
    session: ort.InferenceSession, feeds: Batch, names: list[str] | None = None, fixed: int | None = None
) -> Outputs:
    """Outputs for one batch. With `fixed`, a smaller batch is filled up by its last sample and the rest cut
    off.
    """
    count = len(next(iter(feeds.values()))) if feeds else 0
    short = fixed is not None and 0 < count < fixed
    if short and fixed is not None:
        feeds = {k: np.concatenate([a, np.repeat(a[-1:], fixed - count, axis=0)]) for k, a in feeds.items()}
    try:
        outputs = session.run(names, feeds)
    except Exception as error:  # pybind raises a dozen unrelated kinds
        raise ModelError(
            f"ONNX Runtime failed while running the model ({reason_of(error)})", "check the data's shapes"
        ) from error
    if short:
        outputs = [o[:count] if getattr(o, "ndim", 0) and len(o) == fixed else o for o in outputs]
    if not outputs or not all(isinstance(o, np.ndarray) for o in outputs):
        raise ModelError(
            "the model's outputs are not plain tensors",
            "cut it before the operator that makes sequences or maps",
        )
    return list(outputs)


def run_all(
    session: ort.InferenceSession, data: Dataset, size: int, names: list[str] | None = None
) -> Iterator[tuple[Outputs, NDArray[np.int64] | None]]:
    """Outputs and labels of every batch of `size` samples."""
    for feeds, labels in data.batches(size):
        yield run(session, feeds, names, size), labels
