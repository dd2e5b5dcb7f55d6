"""Mean average precision of a detector, as COCO counts it at one overlap."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from quant_core.data.dataset import Labels
from quant_core.data.scores import Score, Scored, Seen
from quant_core.data.task import Task
from quant_core.errors import DataError

OVERLAP = 0.5  # intersection over union from which a box counts as found
SUPPRESS = 0.5  # overlap from which the weaker of two boxes of a class is dropped
CANDIDATES = 400  # boxes of an image and class that enter suppression (SSD, Liu et al. 2016: 400)
DETECTIONS = 100  # boxes of an image and class that are kept (COCO: maxDets)
RECALLS = np.linspace(0.0, 1.0, 101)  # where precision is read (COCO: recThrs)


class Detection(Score):
    """mAP at an overlap of 0.5: the mean over the classes that the labels hold.

    Scores are `[batch, boxes, classes]`, boxes `[batch, boxes, 4]`, labels `[batch, boxes, 5]` with x1 y1 x2
    y2 in the same units and a class that numbers the columns of the scores, below 0 for no box. Keeps 9 bytes
    a detection, at most `DETECTIONS` an image and class."""

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self._found: dict[int, list[tuple[NDArray[np.float64], NDArray[np.bool_]]]] = {}
        self._truths: dict[int, int] = {}

    def add(self, seen: Seen) -> None:
        labels = seen.labels
        if labels is None:
            return
        assert self.task.boxes is not None
        scores = np.asarray(seen.outputs[self.task.output], np.float64)
        boxes = np.asarray(seen.outputs[self.task.boxes], np.float64)
        if scores.ndim != 3 or boxes.ndim != 3 or boxes.shape[2] != 4 or scores.shape[:2] != boxes.shape[:2]:
            raise DataError(
                f"the scores are {list(scores.shape)} and the boxes {list(boxes.shape)}",
                "name outputs of [samples, boxes, classes] and [samples, boxes, 4]",
            )
        if labels.ndim != 3 or labels.shape[2] != 5:
            raise DataError("a detector is measured on boxes", "give boxes and classes, or XML files")
        scores = np.nan_to_num(scores, nan=-np.inf)
        if self.task.centred:
            boxes = corners(boxes)
        for number in range(len(labels)):
            self._image(scores[number], boxes[number], labels[number])

    def _image(self, scores: NDArray[np.float64], boxes: NDArray[np.float64], truth: Labels) -> None:
        for column in range(scores.shape[1]):
            wanted = truth[truth[:, 4] == column][:, :4].astype(np.float64)
            self._truths[column] = self._truths.get(column, 0) + len(wanted)
            kept = suppress(scores[:, column], boxes)
            right = match(boxes[kept], wanted)
            self._found.setdefault(column, []).append((scores[kept, column], right))

    def result(self) -> Scored:
        means = []
        for column, count in self._truths.items():
            if count:
                scores, right = (np.concatenate(p) for p in zip(*self._found[column], strict=True))
                means.append(average_precision(scores, right, count))
        if not means:
            return Scored()
        return Scored(float(np.mean(means)), "mAP@0.5", (), sum(self._truths.values()))


def corners(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Centre and size `[..., 4]` as corners x1 y1 x2 y2."""
    middle, half = boxes[..., :2], boxes[..., 2:] / 2
    return np.concatenate([middle - half, middle + half], axis=-1)


def overlaps(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Intersection over union `[len(a), len(b)]` of boxes given by their corners."""
    low, high = np.maximum(a[:, None, :2], b[None, :, :2]), np.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = np.clip(high - low, 0.0, None).prod(axis=-1)
    areas = [np.clip(x[:, 2:] - x[:, :2], 0.0, None).prod(axis=-1) for x in (a, b)]
    union = areas[0][:, None] + areas[1][None] - shared
    with np.errstate(all="ignore"):
        return np.asarray(np.nan_to_num(shared / union, nan=0.0, posinf=0.0), np.float64)


def suppress(scores: NDArray[np.float64], boxes: NDArray[np.float64]) -> NDArray[np.int64]:
    """The boxes that are kept, the best first: of two that overlap by more than `SUPPRESS`, the better."""
    order = np.argsort(-scores, kind="stable")[:CANDIDATES]
    shared = overlaps(boxes[order], boxes[order])
    free = np.isfinite(scores[order])
    kept = []
    for place in range(len(order)):
        if free[place]:
            kept.append(order[place])
            free &= shared[place] <= SUPPRESS
        if len(kept) == DETECTIONS:
            break
    return np.asarray(kept, np.int64)


def match(found: NDArray[np.float64], wanted: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which boxes, the best first, are right: each takes the free true box that it overlaps most, by at least
    `OVERLAP` (Lin et al. 2014, pycocotools `evaluateImg`)."""
    right = np.zeros(len(found), bool)
    if not len(wanted):
        return right
    shared = overlaps(found, wanted)
    for place in range(len(found)):
        best = int(shared[place].argmax())
        if shared[place, best] >= OVERLAP:
            right[place] = True
            shared[:, best] = -1.0
    return right


def average_precision(scores: NDArray[np.float64], right: NDArray[np.bool_], count: int) -> float:
    """Precision at 101 recalls, averaged, each the best at that recall or above (pycocotools `accumulate`).

    `right` says which detections are true boxes, of which there are `count`."""
    hits = right[np.argsort(-scores, kind="stable")]
    if not len(hits):
        return 0.0
    true = np.cumsum(hits)
    precision = true / np.arange(1, len(hits) + 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    at = np.searchsorted(true / count, RECALLS, side="left")
    return float(np.where(at < len(best), best[np.minimum(at, len(best) - 1)], 0.0).mean())
