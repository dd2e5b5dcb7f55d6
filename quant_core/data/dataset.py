"""Data sets: samples drawn by index, so that nothing needs to be held in memory at once."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Batch = dict[str, NDArray[np.generic]]
Indices = NDArray[np.int64]
Labels = NDArray[Any]


class Dataset(ABC):
    """Samples for the inputs of a model.

    `key` identifies content, preprocessing and selection. `labels` are `[samples]` (classes), `[samples,
    tokens]`, targets `[samples, ...]` in float, or None. With `has_boxes` they are `[samples, boxes, 5]`: x1
    y1 x2 y2 and the class, which is -1 where an image has fewer boxes. `notes` are sentences on what was
    filled in or chosen for the user. `generated` says that the samples are made up."""

    name: str
    key: str
    labels: Labels | None
    has_boxes: bool = False
    notes: tuple[str, ...] = ()
    generated: bool = False

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def take(self, indices: Indices) -> Batch:
        """The samples at `indices`, one array `[len(indices), ...]` for each input."""

    def batches(self, size: int) -> Iterator[tuple[Batch, Labels | None]]:
        """All samples in order, `size` at a time, with their labels."""
        for start in range(0, len(self), size):
            indices = np.arange(start, min(start + size, len(self)))
            yield self.take(indices), None if self.labels is None else self.labels[indices]


class ArrayDataset(Dataset):
    """Samples held in arrays, `[samples, ...]` for each input."""

    def __init__(self, name: str, key: str, arrays: Batch, labels: Labels | None) -> None:
        self.name, self.key, self.arrays, self.labels = name, key, arrays, labels

    def __len__(self) -> int:
        return len(next(iter(self.arrays.values())))

    def take(self, indices: Indices) -> Batch:
        return {name: array[indices] for name, array in self.arrays.items()}


class Subset(Dataset):
    """Some samples of another data set."""

    def __init__(self, parent: Dataset, indices: Indices) -> None:
        self.parent, self.indices, self.name = parent, indices, parent.name
        digest = hashlib.sha256(np.ascontiguousarray(indices, np.int64).tobytes()).hexdigest()
        self.key = f"{parent.key}/{len(indices)}-{digest[:16]}"
        self.labels = None if parent.labels is None else parent.labels[indices]
        self.has_boxes, self.notes, self.generated = parent.has_boxes, parent.notes, parent.generated

    def __len__(self) -> int:
        return len(self.indices)

    def take(self, indices: Indices) -> Batch:
        return self.parent.take(self.indices[indices])
