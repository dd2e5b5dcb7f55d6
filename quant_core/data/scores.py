"""What each task is scored by: accumulators fed batch by batch with outputs and labels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quant_core.data.dataset import Batch, Labels
from quant_core.data.task import CLASSES, Task
from quant_core.errors import DataError

IGNORE = -100  # the label of a token that does not count (the convention of PyTorch's CrossEntropyLoss)
WORST = 1e30  # an error that is not finite: the worst there is, and still a number for JSON
_TOP = 5


@dataclass(frozen=True)
class Measure:
    """How a metric is read. A `share` lies in 0..1, `percent` says that the field writes it in percent;
    `counted` is a share of decisions, right or wrong, whose standard error is that of a binomial share."""

    name: str
    more_is_better: bool = True
    share: bool = True
    percent: bool = True
    counted: bool = False


METRICS = {
    m.name: m
    for m in (
        Measure("top-1", counted=True),
        Measure("top-5", counted=True),
        Measure("token accuracy", counted=True),
        Measure("perplexity", more_is_better=False, share=False, percent=False),
        Measure("mean squared error", more_is_better=False, share=False, percent=False),
        Measure("mean absolute error", more_is_better=False, share=False, percent=False),
        Measure("ROC AUC", percent=False),
        Measure("mAP@0.5"),
        Measure("cosine", percent=False),
    )
}


def measure_of(name: str | None) -> Measure:
    """How the metric called `name` is read; as top-1 where the name is not known."""
    return METRICS.get(name or "", METRICS["top-1"])


@dataclass(frozen=True)
class Scored:
    """A metric (None where nothing was labelled), its name, and further metrics by name."""

    metric: float | None = None
    name: str | None = None
    more: tuple[tuple[str, float], ...] = ()
    decisions: int | None = None


@dataclass(frozen=True)
class Seen:
    """A batch: outputs, those of the FP32 model, labels and what was fed, `[batch, ...]` each;
    `log_probabilities` are of the deciding output, None where it has no classes.
    """

    outputs: list[NDArray[np.generic]]
    reference: list[NDArray[np.generic]]
    labels: Labels | None
    feeds: Batch
    log_probabilities: NDArray[np.float64] | None


class Score(ABC):
    """Accumulates the metric of a task."""

    def __init__(self, task: Task) -> None:
        self.task = task

    @abstractmethod
    def add(self, seen: Seen) -> None:
        """Add a batch."""

    @abstractmethod
    def result(self) -> Scored:
        """The metric of all that was added."""


class Classes(Score):
    """Top-1 and top-5 of samples, or accuracy and perplexity of tokens (labels `[batch, tokens]`)."""

    correct = labelled = top = 0
    nats = 0.0
    tokens = many = False

    def add(self, seen: Seen) -> None:
        labels, log_probabilities = seen.labels, seen.log_probabilities
        actual = seen.outputs[self.task.output]
        choice = actual.argmax(axis=-1) if log_probabilities is not None else None
        if labels is None or choice is None or log_probabilities is None or labels.shape != choice.shape:
            return
        counted = labels != IGNORE
        self.correct += int(((choice == labels) & counted).sum())
        self.labelled += int(counted.sum())
        self.tokens = labels.ndim > 1
        known = counted & (labels >= 0) & (labels < actual.shape[-1])
        if self.tokens:
            rows, at = log_probabilities[known], labels[known].astype(np.int64)
            nats = -np.nan_to_num(rows[np.arange(len(at)), at], nan=-WORST, neginf=-WORST)
            self.nats += float(nats.sum()) + (WORST if (counted & ~known).any() else 0.0)
        elif actual.shape[-1] > _TOP:
            self.many = True
            self.top += int((_rank(actual[known], labels[known].astype(np.int64)) < _TOP).sum())

    def result(self) -> Scored:
        if not self.labelled:
            return Scored()
        metric = self.correct / self.labelled
        if self.tokens:
            # exp of the mean negative log-likelihood of a token (Jelinek et al. 1977).
            perplexity = min(float(np.exp(min(self.nats / self.labelled, 69.0))), WORST)
            return Scored(metric, "token accuracy", (("perplexity", perplexity),))
        return Scored(metric, "top-1", (("top-5", self.top / self.labelled),) if self.many else ())


class Regression(Score):
    """Mean squared and mean absolute error, over all elements of the targets."""

    squared = absolute = 0.0
    count = 0

    def add(self, seen: Seen) -> None:
        labels = seen.labels
        if labels is None:
            return
        actual = seen.outputs[self.task.output]
        if actual.size != labels.size:
            raise DataError(
                f"the labels hold {labels.size // max(len(labels), 1)} numbers for each sample, the output"
                f" {actual.size // max(len(labels), 1)}",
                "give a target for each number of the output, or name another output",
            )
        error = actual.astype(np.float64).ravel() - labels.astype(np.float64).ravel()
        error = np.nan_to_num(error, nan=1e15, posinf=1e15, neginf=-1e15)
        self.squared += float(np.square(error).sum())
        self.absolute += float(np.abs(error).sum())
        self.count += error.size

    def result(self) -> Scored:
        if not self.count:
            return Scored()
        mean = min(self.squared / self.count, WORST)
        absolute = (("mean absolute error", min(self.absolute / self.count, WORST)),)
        return Scored(mean, "mean squared error", absolute, self.count)


class Anomaly(Score):
    """ROC AUC of an anomaly score against labels 0 (normal) and 1: of the mean squared error of a
    reconstruction, or of an output with one number a sample. Keeps 9 bytes a sample."""

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self._scores: list[NDArray[np.float64]] = []
        self._labels: list[NDArray[np.bool_]] = []

    def add(self, seen: Seen) -> None:
        labels = seen.labels
        if labels is None:
            return
        actual = seen.outputs[self.task.output].astype(np.float64).reshape(len(labels), -1)
        if self.task.input is not None:
            given = np.asarray(seen.feeds[self.task.input], np.float64).reshape(len(labels), -1)
            score = np.square(actual - given).mean(axis=1)
        elif actual.shape[1] == 1:
            score = actual[:, 0]
        else:
            raise DataError(
                f"an anomaly score is one number a sample, the output has {actual.shape[1]}",
                "name another output",
            )
        if labels.ndim != 1 or not set(np.unique(labels).tolist()) <= {0, 1}:
            raise DataError(
                "anomalies need labels of 0 (normal) and 1", "give one of the two for each sample"
            )
        self._scores.append(np.nan_to_num(score, nan=np.inf, posinf=np.inf))
        self._labels.append(labels == 1)

    def result(self) -> Scored:
        if not self._scores:
            return Scored()
        area = roc_auc(np.concatenate(self._scores), np.concatenate(self._labels))
        return Scored() if area is None else Scored(area, "ROC AUC", (), sum(map(len, self._labels)))


class Embedding(Score):
    """The mean cosine between the embeddings and those of the FP32 model; needs no labels."""

    total = 0.0
    count = 0

    def add(self, seen: Seen) -> None:
        found = cosines(seen.outputs[self.task.output], seen.reference[self.task.output])
        self.total += float(found.sum())
        self.count += len(found)

    def result(self) -> Scored:
        return Scored(self.total / self.count, "cosine", (), self.count) if self.count else Scored()


def roc_auc(scores: NDArray[np.float64], positive: NDArray[np.bool_]) -> float | None:
    """Area under the ROC curve, 0..1: the share of pairs (positive, negative) in order, ties half (Hanley and
    McNeil 1982, by the ranks of Mann and Whitney). None where one of the two kinds is missing."""
    from scipy.stats import rankdata

    many, few = int(positive.sum()), int((~positive).sum())
    if not many or not few:
        return None
    ranks = float(rankdata(scores)[positive].sum())
    return (ranks - many * (many + 1) / 2) / (many * few)


def cosines(actual: NDArray[np.generic], expected: NDArray[np.generic]) -> NDArray[np.float64]:
    """The cosine of each sample of two arrays `[batch, ...]`, 0 where one is zero or not finite."""
    a, b = (np.asarray(x, np.float64).reshape(len(x), -1) for x in (actual, expected))
    with np.errstate(all="ignore"):
        norms = np.sqrt(np.einsum("ij,ij->i", a, a)) * np.sqrt(np.einsum("ij,ij->i", b, b))
        found = np.einsum("ij,ij->i", a, b) / norms
    return np.asarray(np.clip(np.nan_to_num(found, nan=0.0, posinf=0.0, neginf=0.0), -1.0, 1.0), np.float64)


def make_score(task: Task) -> Score:
    """The accumulator of a task."""
    from quant_core.data.detection import Detection

    kinds: dict[str, type[Score]] = {
        CLASSES: Classes, "regression": Regression, "anomaly": Anomaly, "embedding": Embedding,
        "detection": Detection,
    }  # fmt: skip
    return kinds[task.kind](task)


def _rank(scores: NDArray[np.generic], labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many classes come before the label; of equal scores the first comes first, as in top-1."""
    wide = np.nan_to_num(np.asarray(scores, np.float64), nan=np.inf, posinf=np.inf, neginf=-np.inf)
    own = wide[np.arange(len(labels)), labels][:, None]
    before = (wide > own) | ((wide == own) & (np.arange(wide.shape[1]) < labels[:, None]))
    return np.asarray(before.sum(axis=1), np.int64)
