"""What the network will see: a few samples after preprocessing, drawn as they enter."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quant_core.data import decode_tokens, token_input
from quant_core.errors import DataError
from quant_core.graph import inputs_of
from quant_core.study.study import Study

_VALUES = 24  # of a sample that is not drawn
_LETTERS = 200  # of one that was text


@dataclass(frozen=True)
class Preview:
    """One sample, by its number, as one input takes it.

    `image` is `[height, width]` or `[height, width, 3]` uint8 where it can be drawn (scaled from
    `low`..`high`), else `values` are its first ones as text, or the text itself where tokens stand for one.
    `label` is its label."""

    input: str
    sample: int
    shape: tuple[int, ...]
    low: float
    high: float
    mean: float
    image: NDArray[np.uint8] | None
    values: str
    label: str


def preview(study: Study, which: int | Sequence[int] = 6) -> list[Preview]:
    """The first samples, as many as said, or those with the numbers in `which`; for each input."""
    data = study.data
    chosen = np.arange(min(which, len(data))) if isinstance(which, int) else np.array(which, np.int64)
    batch = data.take(chosen)
    found = []
    for port in inputs_of(study.graph.file.model):
        array = np.asarray(batch[port.name])
        if not array.ndim or len(array) != len(chosen):
            continue  # state that starts at zero, and single numbers, are no samples
        drawable = array.dtype.kind == "f" and array.size
        low, high = (
            (float(array.min()), float(array.max())) if array.dtype.kind in "fiu" and array.size else (0, 0)
        )
        texts = _texts(study, port.name, array)
        for row, index in enumerate(chosen):
            sample = np.asarray(array[row])
            found.append(
                Preview(
                    port.name,
                    int(index),
                    tuple(int(n) for n in sample.shape),
                    low,
                    high,
                    float(np.mean(sample)) if drawable else 0.0,
                    _image(sample, low, high) if drawable else None,
                    texts[row] if texts else ", ".join(_said(v) for v in sample.ravel()[:_VALUES]) + " …",
                    "" if data.labels is None else " ".join(str(v) for v in np.ravel(data.labels[index])[:8]),
                )
            )
    return found


def _texts(study: Study, name: str, array: NDArray[np.generic]) -> list[str]:
    """What the samples were before they were tokens, empty where that cannot be told."""
    if study.tokenizer is None or array.ndim != 2 or array.dtype.kind not in "iu":
        return []
    if token_input(inputs_of(study.graph.file.model)) != name:
        return []
    with suppress(DataError):
        found = decode_tokens(array.astype(np.int64), study.tokenizer)
        return [text if len(text) <= _LETTERS else text[: _LETTERS - 1] + "…" for text in found]
    return []


def _said(value: np.generic) -> str:
    return f"{value:.4g}" if isinstance(value, np.floating) else str(value)


def _image(sample: NDArray[np.generic], low: float, high: float) -> NDArray[np.uint8] | None:
    """`sample` as pixels: `[C, H, W]`, `[H, W, C]` or `[H, W]` with 1 or 3 channels."""
    x = np.asarray(sample, np.float64)
    if x.ndim == 3 and x.shape[0] in (1, 3):
        x = x.transpose(1, 2, 0)
    elif not (x.ndim == 2 or (x.ndim == 3 and x.shape[2] in (1, 3))):
        return None
    if min(x.shape[:2]) < 4:
        return None
    x = x[..., 0] if x.ndim == 3 and x.shape[2] == 1 else x
    scaled = 255.0 * (x - low) / max(high - low, 1e-12)
    return np.clip(np.rint(scaled), 0, 255).astype(np.uint8)
