"""A folder or a zip archive of images as a data set, decoded on demand."""

from __future__ import annotations

import copy
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from quant_core.data.boxes import Boxes
from quant_core.data.dataset import Batch, Indices, Labels
from quant_core.data.decoded import DecodedDataset
from quant_core.data.files import Files
from quant_core.data.labels import labelled_files
from quant_core.data.preprocess import ImageInput, Preprocess, decode_image, image_size, place
from quant_core.errors import DataError

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp"}


class ImageDataset(DecodedDataset):
    """Images prepared for an input."""

    def __init__(
        self,
        files: Files,
        names: list[str],
        labels: Labels | None,
        wanted: ImageInput,
        preprocess: Preprocess,
    ) -> None:
        super().__init__(files, names, labels, f"{preprocess.name} {wanted}")
        self.wanted, self.preprocess = wanted, preprocess

    def prepared_as(self, preprocess: Preprocess) -> ImageDataset:
        """The same images and labels prepared in another way, for the same input."""
        other = copy.copy(self)
        other.preprocess, other.key = preprocess, f"{self.key} {preprocess.name}"
        other.forget()
        return other

    def take(self, indices: Indices) -> Batch:
        return {self.wanted.port.name: np.stack([self.sample(int(i)) for i in indices])}

    def decode(self, name: str, content: bytes) -> NDArray[np.float32]:
        """The prepared image, as the input wants it."""
        return decode_image(PurePosixPath(name).name, content, self.wanted, self.preprocess)


def open_images(
    files: Files, wanted: ImageInput, preprocess: Preprocess, boxes: Boxes | None = None
) -> ImageDataset:
    """The images of `files`: with `labels.csv` (columns file,label), or one sub-folder per class in sorted
    order, or unlabelled; with `boxes` the images that have some. DataError where there are none, or where
    labels or preprocessing do not fit."""
    for values in (preprocess.mean, preprocess.std):
        if len(values) not in (1, wanted.channels):
            raise DataError(
                f"the preprocessing has {len(values)} values for {wanted.channels} colour channel(s)",
                "give one value, or one for each channel",
            )
    if boxes is None:
        names, labels = labelled_files(files, SUFFIXES, "images")
        return ImageDataset(files, names, labels, wanted, preprocess)
    names = _named(files, boxes)
    data = ImageDataset(
        files, names, _box_labels(files, names, boxes, wanted, preprocess), wanted, preprocess
    )
    data.has_boxes = True
    return data


def _named(files: Files, boxes: Boxes) -> list[str]:
    """The files that boxes are given for, by their whole names or their last part."""
    pictures = [n for n in files.names if PurePosixPath(n).suffix.lower() in SUFFIXES]
    by_end = {PurePosixPath(n).name: n for n in pictures}
    found = []
    for name in sorted(boxes):
        match = name if name in pictures else by_end.get(PurePosixPath(name).name)
        if match is None:
            raise DataError(f"boxes are given for '{name}', which is not in '{files.name}'", "add the image")
        found.append(match)
    return found


def _box_labels(
    files: Files, names: list[str], boxes: Boxes, wanted: ImageInput, preprocess: Preprocess
) -> NDArray[np.float32]:
    """`[images, boxes, 5]`: corners as shares of the input, and the class, -1 for no box."""
    given = {PurePosixPath(n).name: b for n, b in boxes.items()}
    labels = np.full((len(names), max(1, *(len(b) for b in boxes.values())), 5), -1, np.float32)
    for row, name in enumerate(names):
        truth = given[PurePosixPath(name).name]
        if not len(truth):
            continue
        size = image_size(name, files.read(name))
        corners = place(size, wanted, preprocess).boxes(truth[:, :4], size, wanted)
        seen = (corners[:, 2] > corners[:, 0]) & (corners[:, 3] > corners[:, 1])
        kept = np.concatenate([corners, truth[:, 4:]], axis=1)[seen]
        labels[row, : len(kept)] = kept
    return labels
