"""Metrics over outputs, summed batch by batch: quality against labels, damage against the FP32 reference."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from quant_core.formats import sqnr_from_power

Outputs = list[NDArray[np.generic]]
IGNORE = -100  # the label of a token that does not count (the convention of PyTorch's CrossEntropyLoss)


@dataclass(frozen=True)
class Quality:
    """What a run is worth.

    `metric` is a share in 0..1 against labels (None without), `metric_name` says which; `agreement` is the
    share of decisions that equal the reference's; `sqnr_db` is over all elements of all outputs; `kl` is in
    nats per decision. `decisions` counts what the metric is over: samples, or tokens."""

    metric: float | None
    metric_name: str | None
    agreement: float | None
    sqnr_db: float
    kl: float | None
    samples: int
    decisions: int


@dataclass
class QualityMeter:
    """Accumulates a Quality. Feed outputs, the reference's outputs for the same samples, and labels."""

    _correct: int = 0
    _labelled: int = 0
    _agree: int = 0
    _decisions: int = 0
    _samples: int = 0
    _kl: float = 0.0
    _tokens: bool = False
    _signal: list[float] = field(default_factory=list)
    _noise: list[float] = field(default_factory=list)

    def add(self, outputs: Outputs, reference: Outputs, labels: NDArray[np.int64] | None) -> None:
        """Add one batch. Arrays are `[batch, ...]`."""
        self._samples += len(outputs[0]) if outputs[0].ndim else 1
        self._add_power(outputs, reference)
        if not has_classes(reference[0]):
            return
        actual, expected = outputs[0], reference[0]
        choice, wanted = actual.argmax(axis=-1), expected.argmax(axis=-1)
        self._agree += int((choice == wanted).sum())
        self._decisions += int(choice.size)
        self._kl += _kl_sum(expected, actual)
        if labels is not None and labels.shape == choice.shape:
            counted = labels != IGNORE
            self._correct += int(((choice == labels) & counted).sum())
            self._labelled += int(counted.sum())
            self._tokens = labels.ndim > 1

    def _add_power(self, outputs: Outputs, reference: Outputs) -> None:
        pairs = [(a, r) for a, r in zip(outputs, reference, strict=True) if r.dtype.kind == "f"]
        if not self._signal:
            self._signal, self._noise = [0.0] * len(pairs), [0.0] * len(pairs)
        for i, (actual, expected) in enumerate(pairs):
            wide = expected.astype(np.float64)
            self._signal[i] += float(np.square(wide).sum())
            self._noise[i] += float(np.square(np.subtract(actual, wide, dtype=np.float64)).sum())

    def result(self) -> Quality:
        """The sums as a Quality. Of several outputs, the SQNR is that of their mean noise-to-signal ratio."""
        ratios = [
            n / s if s > 0 else (np.inf if n > 0 else 0.0)
            for s, n in zip(self._signal, self._noise, strict=True)
        ]
        mean_ratio = float(np.mean(ratios)) if ratios else 0.0
        return Quality(
            metric=self._correct / self._labelled if self._labelled else None,
            metric_name=("token accuracy" if self._tokens else "top-1") if self._labelled else None,
            agreement=self._agree / self._decisions if self._decisions else None,
            sqnr_db=sqnr_from_power(1.0, mean_ratio),
            kl=self._kl / self._decisions if self._decisions else None,
            samples=self._samples,
            decisions=self._decisions,
        )


def has_classes(output: NDArray[np.generic]) -> bool:
    """Whether the last axis of an output is a choice among classes."""
    return output.ndim >= 2 and output.shape[-1] > 1 and output.dtype.kind == "f"


def _kl_sum(expected: NDArray[np.generic], actual: NDArray[np.generic]) -> float:
    """Sum over decisions of KL(expected || actual) in nats; logits go through softmax first."""
    p, q = _log_probabilities(expected), _log_probabilities(actual)
    return float((np.exp(p) * (p - q)).sum())


def _log_probabilities(x: NDArray[np.generic]) -> NDArray[np.float64]:
    wide = x.astype(np.float64)
    if wide.min() >= 0 and np.allclose(wide.sum(axis=-1), 1.0, atol=1e-3):
        clipped = np.maximum(wide, 1e-12)
        return np.asarray(np.log(clipped / clipped.sum(axis=-1, keepdims=True)), np.float64)
    shifted = wide - wide.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)), np.float64)
