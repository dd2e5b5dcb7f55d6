"""Fit arrays to the inputs of a model: names, shapes and types, and the labels beside them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from quant_core.data.boxes import boxes_from_arrays
from quant_core.data.dataset import Batch, Labels
from quant_core.errors import DataError
from quant_core.graph import Port

LABELS = "labels"
# Pairs of kinds (NumPy's letters) that are cast where no value changes.
_CASTS = (
    "ff", "ii", "uu", "ui", "iu", "uf", "if", "ib", "ub", "bi", "bu", "UO", "SO", "OO",
)  # fmt: skip


def fit(
    name: str, arrays: Mapping[str, NDArray[np.generic]], inputs: tuple[Port, ...]
) -> tuple[Batch, Labels | None]:
    """The arrays for `inputs`, cast where nothing is lost, and the labels: classes, targets in float, or
    boxes `[samples, boxes, 5]` where the arrays `boxes` and `classes` are there. DataError says what
    misfits."""
    fitted: Batch = {}
    for port in inputs:
        if port.name not in arrays:
            if not port.shape:
                raise DataError(
                    f"'{name}' has no value for the single number '{port.name}'",
                    f"name it with --size {port.name}=number",
                )
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
        labels = None if "boxes" in fitted else boxes_from_arrays(name, arrays)
    if labels is None:
        return fitted, None
    if labels.ndim == 0 or len(labels) != count or labels.dtype.kind not in "iufb":
        raise DataError(
            f"the labels of '{name}' are {labels.dtype} of shape {list(labels.shape)}",
            f"give {count} whole numbers, or as many for each token, or the numbers wanted of each output",
        )
    if labels.dtype.kind == "f":
        if not np.isfinite(labels).all():
            raise DataError(f"the labels of '{name}' are not all finite", "leave such samples out")
        return fitted, labels.astype(np.float32)
    return fitted, labels.astype(np.int64)


def _fit_one(name: str, array: NDArray[np.generic], port: Port) -> NDArray[np.generic]:
    if not port.shape:
        raise DataError(
            f"the input '{port.name}' is a single number, not one for each sample",
            f"give it with --size {port.name}=number, or make it a constant",
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
        return array.astype(array.dtype.newbyteorder("="), copy=False)  # as this machine orders bytes
    target = np.dtype(object) if port.dtype == "str" else np.dtype(port.dtype)
    kinds = array.dtype.kind + target.kind
    if kinds in _CASTS:
        if array.dtype.kind == "S":
            array = np.char.decode(np.asarray(array, np.bytes_), "utf-8", "replace")
        cast = array.astype(target)
        if kinds in ("ff", "UO", "SO", "OO") or np.array_equal(cast.astype(array.dtype), array):
            return cast
    raise DataError(
        f"the array '{port.name}' of '{name}' holds {array.dtype}, the model takes {port.dtype}", "convert it"
    )
