"""Draw samples: seeded, stratified by label, and nested (a smaller draw is part of a larger one)."""

from __future__ import annotations

import numpy as np

from quant_core.data.dataset import Dataset, Indices, Subset
from quant_core.errors import DataError

SEED = 0
CALIBRATION_SHARE = 0.2
CALIBRATION_LIMIT = 256


def draw_order(dataset: Dataset, seed: int = SEED) -> Indices:
    """All indices in the order of drawing: any prefix holds each class in its share, as nearly as counts
    allow.
    """
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(len(dataset))
    if dataset.labels is None or dataset.labels.ndim != 1 or dataset.labels.dtype.kind not in "iu":
        return shuffled
    labels = dataset.labels[shuffled]
    position = np.empty(len(shuffled))
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        position[members] = (np.arange(len(members)) + rng.random()) / len(members)
    return shuffled[np.argsort(position, kind="stable")]


def draw(dataset: Dataset, count: int, seed: int = SEED) -> Dataset:
    """`count` samples in their original order; the data set itself where it holds no more."""
    if count < 1:
        raise DataError(f"{count} samples were asked for", "ask for at least 1")
    if count >= len(dataset):
        return dataset
    return Subset(dataset, np.sort(draw_order(dataset, seed)[:count]))


def set_aside(dataset: Dataset, count: int | None = None) -> tuple[Dataset, Dataset]:
    """Evaluation and calibration samples, without overlap. Without `count`, a fifth and at most 256
    calibrate.
    """
    total = len(dataset)
    if count is None:
        count = min(CALIBRATION_LIMIT, max(1, round(total * CALIBRATION_SHARE)))
    if count < 1:
        raise DataError(f"{count} calibration samples were asked for", "ask for at least 1, or for none")
    if count >= total:
        raise DataError(
            f"{count} of {total} samples were to be set aside for calibration, which leaves none to evaluate",
            f"set aside fewer than {total}",
        )
    order = draw_order(dataset)
    return Subset(dataset, np.sort(order[count:])), Subset(dataset, np.sort(order[:count]))
