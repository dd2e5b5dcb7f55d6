"""A folder of images as a data set, decoded on demand."""

from __future__ import annotations

import csv
import hashlib
from collections import OrderedDict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from quant_core.data.dataset import Batch, Dataset, Indices
from quant_core.data.preprocess import ImageInput, Preprocess, load_image
from quant_core.errors import DataError

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp"}
CACHE_BYTES = 256 << 20


class ImageDataset(Dataset):
    """Images decoded when they are asked for; decoded ones are kept up to 256 MiB, least recently used out
    first.
    """

    def __init__(
        self,
        folder: Path,
        files: list[Path],
        labels: NDArray[np.int64] | None,
        wanted: ImageInput,
        preprocess: Preprocess,
    ) -> None:
        self.name, self.files, self.labels = folder.name, files, labels
        self.wanted, self.preprocess = wanted, preprocess
        self._kept: OrderedDict[int, NDArray[np.float32]] = OrderedDict()
        self._kept_bytes = 0
        digest = hashlib.sha256(f"{preprocess.name} {wanted}".encode())
        for file in files:
            digest.update(file.relative_to(folder).as_posix().encode())
            digest.update(hashlib.sha256(file.read_bytes()).digest())
        if labels is not None:
            digest.update(labels.tobytes())
        self.key = digest.hexdigest()

    def __len__(self) -> int:
        return len(self.files)

    def take(self, indices: Indices) -> Batch:
        return {self.wanted.port.name: np.stack([self._image(int(i)) for i in indices])}

    def _image(self, index: int) -> NDArray[np.float32]:
        if index in self._kept:
            self._kept.move_to_end(index)
            return self._kept[index]
        image = load_image(self.files[index], self.wanted, self.preprocess)
        self._kept[index] = image
        self._kept_bytes += image.nbytes
        while self._kept_bytes > CACHE_BYTES and len(self._kept) > 1:
            self._kept_bytes -= self._kept.popitem(last=False)[1].nbytes
        return image


def open_images(folder: Path, wanted: ImageInput, preprocess: Preprocess) -> ImageDataset:
    """The images of `folder`: with `labels.csv` (columns file,label), or one sub-folder per class in sorted
    order, or unlabelled. DataError where it holds none, or where labels.csv does not fit."""
    for values in (preprocess.mean, preprocess.std):
        if len(values) not in (1, wanted.channels):
            raise DataError(
                f"the preprocessing has {len(values)} values for {wanted.channels} colour channel(s)",
                "give one value, or one for each channel",
            )
    table = folder / "labels.csv"
    if table.is_file():
        files, labels = _read_table(folder, table)
        return ImageDataset(folder, files, np.asarray(labels, np.int64), wanted, preprocess)
    files = _images_in(folder)
    if files:
        return ImageDataset(folder, files, None, wanted, preprocess)
    classes = [c for c in sorted(p for p in folder.iterdir() if p.is_dir()) if _images_in(c)]
    if not classes:
        raise DataError(
            f"the folder '{folder.name}' holds no images",
            f"use files ending in {', '.join(sorted(SUFFIXES))}",
        )
    pairs = [(file, number) for number, c in enumerate(classes) for file in _images_in(c)]
    return ImageDataset(
        folder, [f for f, _ in pairs], np.asarray([n for _, n in pairs], np.int64), wanted, preprocess
    )


def _images_in(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file())


def _read_table(folder: Path, table: Path) -> tuple[list[Path], list[int]]:
    remedy = "write the columns file,label with a file name and a whole number in each row"
    files: list[Path] = []
    labels: list[int] = []
    try:
        with table.open(newline="", encoding="utf-8") as stream:
            for number, row in enumerate(csv.DictReader(stream), start=2):
                file = (folder / row["file"]).resolve()
                if not file.is_relative_to(folder.resolve()) or not file.is_file():
                    raise DataError(
                        f"labels.csv names '{row['file']}' in line {number}, which is not in the folder",
                        remedy,
                    )
                files.append(folder / row["file"])
                labels.append(int(row["label"]))
    except (KeyError, TypeError, ValueError, csv.Error, UnicodeDecodeError) as error:
        raise DataError("labels.csv cannot be read", remedy) from error
    if not files:
        raise DataError("labels.csv names no file", remedy)
    return files, labels
