"""Metrics over outputs, summed batch by batch: quality against labels, damage against the FP32 reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quant_core.data.dataset import Batch, Labels
from quant_core.data.expected import expected_of, has_classes, log_probabilities
from quant_core.data.scores import Score, Seen, cosines, make_score
from quant_core.data.task import CLASSES, Task
from quant_core.formats import sqnr_from_power

Outputs = list[NDArray[np.generic]]


@dataclass(frozen=True)
class Quality:
    """What a run is worth.

    `metric` is against labels (None without; of embeddings against the reference), `metric_name` says which,
    and `measure_of` how it is read; `agreement` is the share of decisions that equal the reference's;
    `sqnr_db` is over all elements of all outputs; `kl` is in nats per decision. `decisions` counts what the
    metric is over: samples, tokens, true boxes, or numbers. `more` are further metrics of the same run by
    their names: top-5, perplexity, the cosine to the reference."""

    metric: float | None
    metric_name: str | None
    agreement: float | None
    sqnr_db: float
    kl: float | None
    samples: int
    decisions: int
    more: dict[str, float] = field(default_factory=dict, hash=False)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Quality:
        """The quality whose fields `record` holds; records of older versions lack some."""
        return cls(**{f.name: record[f.name] for f in fields(cls) if f.name in record})


@dataclass
class QualityMeter:
    """Accumulates the Quality of a task. Feed outputs, the reference's outputs for the same samples, labels,
    and for a reconstruction what was fed."""

    task: Task = field(default_factory=Task)
    _agree: int = 0
    _decisions: int = 0
    _samples: int = 0
    _kl: float = 0.0
    _cosine: float = 0.0
    _cosines: int = 0
    _signal: list[float] = field(default_factory=list)
    _noise: list[float] = field(default_factory=list)
    _score: Score = field(init=False)

    def __post_init__(self) -> None:
        self._score = make_score(self.task)

    def add(
        self, outputs: Outputs, reference: Outputs, labels: Labels | None, feeds: Batch | None = None
    ) -> None:
        """Add one batch. Arrays are `[batch, ...]`. DataError where labels or outputs do not fit the task."""
        self._samples += len(outputs[0]) if outputs[0].ndim else 1
        wides = [a.astype(np.float64) if a.dtype.kind == "f" else a for a in outputs]
        self._add_power(wides, reference)
        actual, known = outputs[self.task.output], expected_of(reference[self.task.output])
        expected, wide = known.output, wides[self.task.output]
        if (
            expected.ndim >= 2
            and expected.dtype.kind == "f"
            and expected.size
            and actual.shape == expected.shape
        ):
            self._cosine += float(cosines(wide, known.wide).sum())
            self._cosines += len(expected)
        log_q = None
        if has_classes(expected) and self.task.kind in (CLASSES, "detection"):
            choice = actual.argmax(axis=-1)
            self._agree += int((choice == known.choice).sum())
            self._decisions += int(choice.size)
            log_q = log_probabilities(wide)
            apart = (known.log_probabilities - log_q).ravel()
            # KL(expected || actual), nats
            self._kl += float(np.einsum("i,i->", known.probabilities.ravel(), apart))
        self._score.add(Seen(outputs, reference, labels, feeds or {}, log_q))

    def _add_power(self, outputs: Sequence[NDArray[np.generic]], reference: Outputs) -> None:
        pairs = [(a, expected_of(r)) for a, r in zip(outputs, reference, strict=True) if r.dtype.kind == "f"]
        if not self._signal:
            self._signal, self._noise = [0.0] * len(pairs), [0.0] * len(pairs)
        for i, (actual, known) in enumerate(pairs):
            self._signal[i] += known.power
            noise = np.subtract(actual, known.wide, dtype=np.float64).ravel()
            self._noise[i] += float(np.einsum("i,i->", noise, noise))

    def result(self) -> Quality:
        """The sums as a Quality. Of several outputs, the SQNR is that of their mean noise-to-signal ratio."""
        ratios = [
            n / s if s > 0 else (np.inf if n > 0 else 0.0)
            for s, n in zip(self._signal, self._noise, strict=True)
        ]
        mean_ratio = float(np.mean(ratios)) if ratios else 0.0
        scored = self._score.result()
        more = dict(scored.more)
        if self._cosines:
            more["cosine"] = self._cosine / self._cosines
        return Quality(
            metric=scored.metric,
            metric_name=scored.name,
            agreement=self._agree / self._decisions if self._decisions else None,
            sqnr_db=sqnr_from_power(1.0, mean_ratio),
            kl=self._kl / self._decisions if self._decisions else None,
            samples=self._samples,
            decisions=self._decisions if scored.decisions is None else scored.decisions,
            more=more,
        )
