"""Open the data that a user names, and check that it fits the model's inputs."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from quant_core.data.arrays import NpzArrays, digest_of, read_npy, read_npy_folder
from quant_core.data.audio import SUFFIXES as SOUNDS
from quant_core.data.audio import open_audio
from quant_core.data.boxes import open_boxes, read_boxes
from quant_core.data.carried import Filled, Sizes, sized, split_inputs
from quant_core.data.dataset import ArrayDataset, Dataset, Labels
from quant_core.data.files import Archive, Files, Folder
from quant_core.data.fit import fit
from quant_core.data.images import open_images
from quant_core.data.preprocess import Preprocess, get_preprocess, image_input
from quant_core.data.table import read_table
from quant_core.data.text import read_text
from quant_core.errors import DataError
from quant_core.graph import Port

ENDINGS = (".npz", ".npy", ".csv", ".txt", ".zip")
KINDS = ".npz, .npy, .csv, .txt, .zip, or a folder of images, .wav or .npy files"


@dataclass(frozen=True)
class Reading:
    """How data is read where its files do not say: `tokenizer` (a tokenizer.json, for text), `rate` (Hz, for
    sound), `boxes` (XML files, for detectors), `sizes` of the inputs' free dimensions, the `outputs` of the
    model, which decide whether lines of text are labelled with their next tokens, and the `folder` of the
    model, where a tokenizer.json is looked for that is neither named nor beside the text."""

    tokenizer: str | None = None
    rate: int | None = None
    boxes: str | None = None
    sizes: Sizes = field(default_factory=dict)
    outputs: tuple[Port, ...] = ()
    folder: Path | None = None


def open_data(
    path: str | Path,
    inputs: tuple[Port, ...],
    preprocess: str | Preprocess | None = None,
    reading: Reading | None = None,
) -> Dataset:
    """The file or folder at `path` as a data set for `inputs`: `.npz`, `.npy`, CSV, lines of text, and
    folders or zip archives of images or WAV files. Inputs that look like carried state and are not in the
    data start at zero.

    DataError where it is missing, unreadable, or its names or shapes do not fit."""
    path, reading = Path(path), reading or Reading()
    ports = sized(inputs, reading.sizes)
    data, filled = _open(path, ports, preprocess, reading)
    if reading.sizes:
        # The sizes may decide where samples are cut, and what the inputs filled in are.
        listed = " ".join(f"{k}={v}" for k, v in sorted(reading.sizes.items()))
        data.key = hashlib.sha256(f"{data.key} {listed}".encode()).hexdigest()
    if not filled:
        return data
    main = next(p for p in ports if p not in filled)
    return Filled(data, main, filled, reading.sizes)


def _open(
    path: Path, ports: tuple[Port, ...], preprocess: str | Preprocess | None, reading: Reading
) -> tuple[Dataset, tuple[Port, ...]]:
    """The data set, and the inputs that are left to fill in."""
    ending = path.suffix.lower()
    if path.is_dir():
        folder = Folder(path)
        if folder.ending({".npy"}):
            arrays = read_npy_folder(folder)
            key = digest_of(*(path / n for n in folder.ending({".npy"})))
            names = hashlib.sha256(" ".join(arrays).encode()).hexdigest()
            return _of_arrays(path.name, f"{names[:16]}{key}", arrays, ports, reading)
        return _of_files(folder, ports, preprocess, reading)
    if not path.is_file():
        raise DataError(f"there is no data file or folder '{path}'", "check the path")
    if ending == ".npz":
        return _of_arrays(path.name, digest_of(path), NpzArrays(path), ports, reading)
    if ending == ".npy":
        wanted, _ = split_inputs(ports, {}, reading.sizes)
        if len(wanted) != 1:
            raise DataError(
                f"'{path.name}' holds one array, the model has {len(wanted)} inputs",
                "give a folder of .npy files named after the inputs",
            )
        arrays = {wanted[0].name: read_npy(path)}
        return _of_arrays(path.name, digest_of(path), arrays, ports, reading)
    if ending == ".zip":
        return _of_files(Archive(path), ports, preprocess, reading)
    if ending == ".csv":
        wanted, filled = split_inputs(ports, {}, reading.sizes)
        numbers, labels = read_table(path, wanted)
        return _with_labels(path.name, f"csv {digest_of(path)}", numbers, labels, wanted), filled
    if ending == ".txt":
        wanted, filled = split_inputs(ports, {}, reading.sizes)
        tokenizer = _tokenizer_of(path, reading)
        tokens, labels, notes = read_text(path, wanted, reading.outputs, tokenizer)
        key = f"txt {digest_of(path, tokenizer)} {labels is not None}"
        data = _with_labels(path.name, key, tokens, labels, wanted)
        data.notes = notes
        return data, filled
    raise DataError(f"'{path.name}' is no kind of data that is read", f"give {KINDS}")


def _tokenizer_of(path: Path, reading: Reading) -> Path:
    """The tokenizer.json that is named, beside the text, or beside the model."""
    if reading.tokenizer:
        return Path(reading.tokenizer)
    beside = path.parent / "tokenizer.json"
    if reading.folder is not None and not beside.is_file():
        return reading.folder / beside.name
    return beside


def _of_arrays(
    name: str,
    key: str,
    arrays: Mapping[str, NDArray[np.generic]],
    ports: tuple[Port, ...],
    reading: Reading,
) -> tuple[Dataset, tuple[Port, ...]]:
    wanted, filled = split_inputs(ports, arrays, reading.sizes)
    fitted, labels = fit(name, arrays, wanted)
    data = ArrayDataset(name, key, fitted, labels)
    data.has_boxes = labels is not None and "labels" not in arrays
    return data, filled


def _with_labels(
    name: str, key: str, arrays: dict[str, np.ndarray], labels: Labels | None, wanted: tuple[Port, ...]
) -> ArrayDataset:
    fitted, _ = fit(name, {k: v for k, v in arrays.items() if k in {p.name for p in wanted}}, wanted)
    return ArrayDataset(name, key, fitted, labels)


def _of_files(
    files: Files, ports: tuple[Port, ...], preprocess: str | Preprocess | None, reading: Reading
) -> tuple[Dataset, tuple[Port, ...]]:
    wanted, filled = split_inputs(ports, {}, reading.sizes)
    if any(n.lower().endswith(tuple(SOUNDS)) for n in files.names):
        return open_audio(files, wanted, reading.rate), filled
    if preprocess is None:
        raise DataError(
            f"'{files.name}' is a folder of images and no preprocessing is named",
            "choose torchvision, tensorflow, unit, raw, centred or caffe",
        )
    chosen = get_preprocess(preprocess) if isinstance(preprocess, str) else preprocess
    boxes = None
    if reading.boxes is not None:
        boxes = open_boxes(reading.boxes)
    elif files.ending({".xml"}):
        boxes = read_boxes(files)
    return open_images(files, image_input(wanted, chosen.layout), chosen, boxes), filled
