"""Measure activation ranges: run the prepared graph and feed histograms batch by batch."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from quant_core.data import Dataset
from quant_core.engine.evaluate import Progress
from quant_core.engine.run import batch_size, fixed_batch, run_whole
from quant_core.engine.session import make_session
from quant_core.graph import Graph, inputs_of
from quant_core.stats import Ranges, StreamingHistogram

BATCH = 8  # all layer inputs of a batch are alive at once
KEEP = 1 << 17  # values of a tensor and batch that enter the bins; minimum and maximum see all


def calibrate(graph: Graph, data: Dataset, progress: Progress | None = None) -> Ranges:
    """The ranges of everything that enters a quantizable layer, on `data`. Memory does not grow with the
    samples.
    """
    tensors = list(dict.fromkeys(layer.input for layer in graph.quantizable if layer.input is not None))
    histograms = {name: StreamingHistogram() for name in tensors}
    inputs = inputs_of(graph.model)
    fed = [name for name in tensors if any(port.name == name for port in inputs)]
    computed = [name for name in tensors if name not in fed]
    session = make_session(with_outputs(graph.model, computed), "float")
    size = fixed_batch(inputs) or min(batch_size(inputs), BATCH)
    done = 0
    for feeds, _ in data.batches(size):
        count = len(next(iter(feeds.values())))
        values = dict(zip(computed, run_whole(session, feeds, computed) if computed else [], strict=True))
        for name in tensors:
            # Taken out, so that no output of this batch lives on while the next one runs.
            rows = by_sample(np.asarray(feeds[name] if name in fed else values.pop(name), np.float32), count)
            histograms[name].add(rows, KEEP, np.arange(done, done + len(rows)))
            del rows
        done += count
        if progress is not None:
            progress(done, len(data))
    return Ranges(histograms)


def by_sample(values: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """`values` of a batch of `count` samples with one row a sample. Where the first axis counts samples times
    something else, as tokens, it is taken apart; where it has nothing to do with samples, all is one row.
    """
    if values.ndim and count and len(values) % count == 0:
        return values if len(values) == count else values.reshape(count, -1)
    return values.reshape(1, -1)


def with_outputs(model: ir.Model, names: Iterable[str]) -> bytes:
    """The file of `model` with the inner tensors `names` as outputs, after those it has."""
    copy = model.clone()
    known = {value.name: value for node in copy.graph for value in node.outputs}
    present = {value.name for value in copy.graph.outputs}
    for name in names:
        if name not in present:
            value = known[name]
            value.type = value.type or ir.TensorType(ir.DataType.FLOAT)
            copy.graph.outputs.append(value)
    return bytes(ir.to_proto(copy).SerializeToString())
