"""Open the data that a user names, and check that it fits the model's inputs."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from quant_core.data.dataset import ArrayDataset, Batch, Dataset
from quant_core.data.images import open_images
from quant_core.data.preprocess import Preprocess, get_preprocess, image_input
from quant_core.errors import DataError
from quant_core.graph import Port

LABELS = "labels"


def open_data(
    path: str | Path, inputs: tuple[Port, ...], preprocess: str | Preprocess | None = None
) -> Dataset:
    """The `.npz` file or image folder at `path` as a data set for `inputs`.

    DataError where it is missing, unreadable, or its names or shapes do not fit.
    """
    path = Path(path)
    if path.is_dir():
        if preprocess is None:
            raise DataError(
                f"'{path.name}' is a folder of images and no preprocessing is named",
                "choose torchvision, tensorflow, unit or raw",
            )
        chosen = get_preprocess(preprocess) if isinstance(preprocess, str) else preprocess
        return open_images(path, image_input(inputs), chosen)
    if not path.is_file():
        raise DataError(f"there is no data file or folder '{path}'", "check the path")
    if path.suffix.lower() != ".npz":
        raise DataError(f"'{path.name}' is neither .npz nor a folder of images", "give one of the two")
    arrays, labels = fit(path.name, _read_npz(path), inputs)
    return ArrayDataset(path.name, hashlib.sha256(path.read_bytes()).hexdigest(), arrays, labels)


def _read_npz(path: Path) -> Batch:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, zipfile.BadZipFile, EOFError, KeyError) as error:
        raise DataError(
            f"'{path.name}' is not a readable .npz file", "save it with numpy.savez, without objects"
        ) from error


def fit(name: str, arrays: Batch, inputs: tuple[Port, ...]) -> tuple[Batch, NDArray[np.int64] | None]:
    """The arrays for `inputs`, cast where nothing is lost, and the labels. DataError says what misfits."""
    fitted: Batch = {}
    for port in inputs:
        if port.name not in arrays:
            held = ", ".join(f"'{k}'" for k in arrays) or "nothing"
            raise DataError(
                f"'{name}' has no array '{port.name}', it holds {held}",
                "name the arrays after the model's inputs",
            )
        fitted[port.name] = _fit_one(name, arrays[port.name], port)
    counts = {len(a) for a in fitted.values()}
    if len(counts) > 1:
        raise DataError(
            f"the arrays of '{name}' hold different numbers of samples",
            "give the same number for every input",
        )
    count = counts.pop() if counts else 0
    if count == 0:
        raise DataError(f"'{name}' holds no samples", "give at least one")
    labels = arrays.get(LABELS) if LABELS not in fitted else None
    if labels is None:
        return fitted, None
    if labels.ndim == 0 or len(labels) != count or labels.dtype.kind not in "iu":
        raise DataError(
            f"the labels of '{name}' are {labels.dtype} of shape {list(labels.shape)}",
            f"give {count} whole numbers, or as many for each token",
        )
    return fitted, labels.astype(np.int64)


def _fit_one(name: str, array: NDArray[np.generic], port: Port) -> NDArray[np.generic]:
    if not port.shape:
        raise DataError(
            f"the input '{port.name}' is a single number, not one for each sample", "make it a constant"
        )
    wanted = [d if isinstance(d, int) else "any" for d in port.shape]
    fixed = list(zip(array.shape, wanted, strict=False))
    # The first dimension counts samples, also where the model takes a fixed number at a time.
    if array.ndim != len(wanted) or any(w not in ("any", n) for n, w in fixed[1:]):
        shape = ["any", *wanted[1:]]
        has, takes = (f"[{', '.join(map(str, dims))}]" for dims in (array.shape, shape))
        raise DataError(
            f"the array '{port.name}' of '{name}' has the shape {has}, the model takes {takes}",
            "give samples of that shape",
        )
    if array.dtype.name == port.dtype or port.dtype == "unknown":
        return array
    kinds = (array.dtype.kind, np.dtype(port.dtype).kind)
    if kinds in (("f", "f"), ("i", "i"), ("u", "u"), ("u", "i"), ("i", "u"), ("u", "f"), ("i", "f")):
        cast = array.astype(port.dtype)
        if kinds == ("f", "f") or np.array_equal(cast.astype(array.dtype), array):
            return cast
    raise DataError(
        f"the array '{port.name}' of '{name}' holds {array.dtype}, the model takes {port.dtype}", "convert it"
    )
