"""What each sample says of a run, so that a few samples can speak for the others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quant_core.data.dataset import Labels
from quant_core.data.expected import has_classes, log_probabilities
from quant_core.data.metrics import Outputs
from quant_core.data.scores import IGNORE
from quant_core.data.task import CLASSES, Task

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Traces:
    """Of each sample: `signal` and `noise` are powers `[samples, outputs]`; the others are `[samples]` and
    None where outputs are no decisions. `flipped`: the share of its decisions that differ from the
    reference's. `kl`: nats per decision. `gained`: the share of its labelled decisions that are right, less
    that of the reference; None without labels of classes."""

    signal: Floats
    noise: Floats
    flipped: Floats | None
    kl: Floats | None
    gained: Floats | None


def trace(outputs: Outputs, reference: Outputs, labels: Labels | None, task: Task) -> Traces:
    """The traces of one batch; arrays are `[samples, ...]`, `labels` `[samples]` or `[samples, tokens]`."""
    pairs = [(a, r) for a, r in zip(outputs, reference, strict=True) if r.dtype.kind == "f"]
    signal = [_power(r) for _, r in pairs]
    noise = [_power(np.subtract(a, r, dtype=np.float64)) for a, r in pairs]
    powers = np.stack(signal, axis=1), np.stack(noise, axis=1)
    actual, expected = outputs[task.output], reference[task.output]
    if task.kind != CLASSES or not has_classes(expected):
        return Traces(*powers, None, None, None)
    choice, wanted = actual.argmax(axis=-1), expected.argmax(axis=-1)
    log_p = log_probabilities(expected)
    kl = (np.exp(log_p) * (log_p - log_probabilities(actual))).sum(axis=-1)
    gained = None
    if labels is not None and labels.shape == wanted.shape:
        counted = labels != IGNORE
        change = ((choice == labels).astype(np.float64) - (wanted == labels)) * counted
        gained = _per_sample(change) / np.maximum(_per_sample(counted.astype(np.float64)), 1e-12)
    return Traces(*powers, _per_sample((choice != wanted).astype(np.float64)), _per_sample(kl), gained)


def margins(reference: Outputs, task: Task) -> Floats | None:
    """How far the first choice of each sample lies before the second, `[samples]`; None where a sample makes
    no decision, or more than one.
    """
    scores = reference[task.output]
    if task.kind != CLASSES or not has_classes(scores) or scores.ndim != 2:
        return None
    top = np.partition(scores.astype(np.float64), -2, axis=-1)
    return np.asarray(top[:, -1] - top[:, -2], np.float64)


def joined(parts: list[Traces]) -> Traces:
    """The traces of several batches as one."""

    def whole(name: str) -> Floats | None:
        arrays = [getattr(part, name) for part in parts]
        return None if any(array is None for array in arrays) else np.concatenate(arrays)

    signal, noise = (np.concatenate([getattr(p, name) for p in parts]) for name in ("signal", "noise"))
    return Traces(signal, noise, whole("flipped"), whole("kl"), whole("gained"))


def _power(x: NDArray[np.generic]) -> Floats:
    return np.asarray(np.square(x.astype(np.float64)).reshape(len(x), -1).sum(axis=1), np.float64)


def _per_sample(x: NDArray[np.generic]) -> Floats:
    return np.asarray(x.astype(np.float64).reshape(len(x), -1).mean(axis=1), np.float64)
