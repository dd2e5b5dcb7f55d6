"""Ranges that lose least: min-max, percentile and minimum mean-square error, for rows of values.

A row is what shares one scale: the weights of a channel, or the bins of an activation histogram with their
counts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from quant_core.formats.affine import affine_parameters, fake_quantize
from quant_core.formats.number import Format

Rows = NDArray[np.float32]
Ends = tuple[NDArray[np.float64], NDArray[np.float64]]

_COARSE = np.linspace(0.2, 1.0, 33)
_FINE = np.linspace(0.75, 1.15, 9)
_CHUNK = 1 << 22  # elements quantized at a time


def find_range(rows: Rows, method: str, number: Format, symmetric: bool, counts: Rows | None = None) -> Ends:
    """Low and high end per row, `[rows]`, by the range method. `rows` is `[rows, values]`; `counts` weighs
    values.
    """
    if method == "mse":
        return mse_range(rows, number, symmetric, counts)
    if method.startswith("percentile:"):
        return percentile_range(rows, float(method.split(":")[1]), counts)
    return rows.min(axis=1).astype(np.float64), rows.max(axis=1).astype(np.float64)


def percentile_range(rows: Rows, percentile: float, counts: Rows | None = None) -> Ends:
    """The range that holds `percentile` % of the values, the same share cut off at either end."""
    tail = (100.0 - percentile) / 200.0
    if counts is None:
        ends = np.quantile(rows.astype(np.float64), [tail, 1.0 - tail], axis=1)
        return ends[0], ends[1]
    low = np.empty(len(rows))
    high = np.empty(len(rows))
    for i, (values, weight) in enumerate(zip(rows, counts, strict=True)):
        cumulative = np.cumsum(weight, dtype=np.float64)
        total = cumulative[-1]
        low[i] = values[min(int(np.searchsorted(cumulative, tail * total, "right")), values.size - 1)]
        high[i] = values[min(int(np.searchsorted(cumulative, (1.0 - tail) * total, "left")), values.size - 1)]
    return low, high


def mse_range(rows: Rows, number: Format, symmetric: bool, counts: Rows | None = None) -> Ends:
    """The range with the least mean-square quantization error, by grid search.

    Both ends shrink together first; then each end is refined alone, twice. At 2 and 4 bits clipping a few
    large values pays for a finer step. Source: Banner et al. 2019, "Post training 4-bit quantization of
    convolutional networks", section 2, which minimises the same sum in closed form for assumed distributions;
    here the data are summed."""
    # Squares of very large or small numbers leave float32. A power of two as the unit changes no rounding.
    peak = np.ldexp(1.0, np.frexp(np.abs(rows).max(axis=1, initial=0.0).astype(np.float64))[1])
    rows = (rows / peak[:, None]).astype(np.float32)
    low = np.minimum(rows.min(axis=1), 0).astype(np.float64)
    high = np.maximum(rows.max(axis=1), 0).astype(np.float64)
    best_low, best_high = low.copy(), high.copy()
    step = max(1, _CHUNK // max(1, rows.shape[1]))
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        weights = None if counts is None else counts[part]
        best_low[part], best_high[part] = _search(
            rows[part], low[part], high[part], number, symmetric, weights
        )
    return best_low * peak, best_high * peak


def _search(
    rows: Rows,
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    number: Format,
    symmetric: bool,
    counts: Rows | None,
) -> Ends:
    best_low, best_high = low.copy(), high.copy()
    best = _error(rows, best_low, best_high, number, symmetric, counts)

    def attempt(new_low: NDArray[np.float64], new_high: NDArray[np.float64]) -> None:
        nonlocal best, best_low, best_high
        error = _error(rows, new_low, new_high, number, symmetric, counts)
        better = error < best
        best = np.where(better, error, best)
        best_low = np.where(better, new_low, best_low)
        best_high = np.where(better, new_high, best_high)

    for ratio in _COARSE[-2::-1]:
        attempt(low * ratio, high * ratio)
    rounds = 1 if symmetric or number.bits > 8 else 2
    for _ in range(rounds):
        base_low, base_high = best_low, best_high
        for ratio in _FINE:
            attempt(base_low * ratio, base_high * ratio if symmetric else base_high)
        if not symmetric:
            base_low, base_high = best_low, best_high
            for ratio in _FINE:
                attempt(base_low, base_high * ratio)
    return best_low, best_high


def _error(
    rows: Rows,
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    number: Format,
    symmetric: bool,
    counts: Rows | None,
) -> NDArray[np.float64]:
    scale, zero = affine_parameters(low[:, None], high[:, None], number, symmetric)
    difference = fake_quantize(rows, scale, zero, number) - rows
    squared = np.square(difference, out=difference)
    if counts is not None:
        squared = squared * counts
    return np.asarray(squared.sum(axis=1, dtype=np.float64), np.float64)
