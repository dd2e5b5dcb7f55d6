"""How far what enters a model's BatchNormalizations is from what entered them in training.

A trained BatchNormalization remembers mean and variance of each channel of its training data. Data that is
prepared as in training has nearly the same; another scale or order of colours does not. Needs no labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from quant_core.data import Batch
from quant_core.engine.calibrate import with_outputs
from quant_core.engine.run import fixed_batch, run_whole
from quant_core.engine.session import make_session
from quant_core.graph import inputs_of

TINY = 1e-6  # variance below which a channel says nothing: it is constant


@dataclass(frozen=True)
class TrainedStats:
    """Mean and variance `[channels]` that a BatchNormalization remembers of the tensor that enters it."""

    tensor: str
    mean: NDArray[np.float64]
    variance: NDArray[np.float64]


def trained_stats(model: ir.Model) -> tuple[TrainedStats, ...]:
    """Those of every BatchNormalization whose statistics are stored."""
    found = []
    for node in model.graph:
        if node.op_type != "BatchNormalization" or len(node.inputs) < 5 or node.inputs[0] is None:
            continue
        stored = [v.const_value for v in node.inputs[3:5] if v is not None and v.const_value is not None]
        if len(stored) == 2 and node.inputs[0].name:
            mean, variance = (np.asarray(t.numpy(), np.float64).ravel() for t in stored)
            found.append(TrainedStats(node.inputs[0].name, mean, variance))
    return tuple(found)


def batch_norm_distance(model: ir.Model, feeds: Batch, size: int) -> float | None:
    """The distance of the data `feeds` to the data of training, 0 for the same; None without a
    BatchNormalization.

    For each channel the Kullback-Leibler divergence of two normal distributions, in nats:
    (ln(V / v) + (v + (m - M)^2) / V - 1) / 2 with mean m and variance v of what enters and M, V as
    remembered. The median over the channels of a layer, averaged over the layers; the median, since a few
    channels of most networks hardly vary. `size` samples run at a time."""
    layers = trained_stats(model)
    inputs = {p.name for p in inputs_of(model)}
    layers = tuple(x for x in layers if x.tensor not in inputs)
    if not layers:
        return None
    names = [x.tensor for x in layers]
    session = make_session(with_outputs(model, dict.fromkeys(names)), "float")
    size = fixed_batch(inputs_of(model)) or size
    count = len(next(iter(feeds.values())))
    sums = {n: np.zeros((3, len(x.mean))) for n, x in zip(names, layers, strict=True)}
    for start in range(0, count, size):
        part = {k: a[start : start + size] for k, a in feeds.items()}
        for name, values in zip(names, run_whole(session, part, names), strict=True):
            flat = np.moveaxis(np.asarray(values, np.float64), 1, 0).reshape(values.shape[1], -1)
            sums[name] += [flat.sum(axis=1), np.square(flat).sum(axis=1), np.full(len(flat), flat.shape[1])]
    return float(np.mean([_divergence(x, *sums[x.tensor]) for x in layers]))


def _divergence(
    trained: TrainedStats, total: NDArray[np.float64], squares: NDArray[np.float64], n: NDArray[np.float64]
) -> float:
    mean = total / n
    variance = np.maximum(squares / n - mean**2, TINY)
    wanted = np.maximum(trained.variance, TINY)
    nats = (np.log(wanted / variance) + (variance + (mean - trained.mean) ** 2) / wanted - 1) / 2
    return float(np.median(nats))
