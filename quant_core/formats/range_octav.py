"""The range with the least mean-square quantization error, by the fixed point of OCTAV.

Of a quantizer with step d that clips to a <= 0 <= b, the error is about

    J(a, b) = d^2 / 12 P(a <= x <= b) + E[(x - b)^2; x > b] + E[(x - a)^2; x < a]

rounding noise inside, clipping noise outside. Sakr et al. 2022, "Optimal Clipping and Magnitude-aware
Differentiation for Improved Quantization-aware Training", equation 6, is the Newton step to its minimum over
b = -a = s, for B bits and d = 2 s / 2^B:

    s' = E[|x|; |x| > s] / (4^-B / 3 P(|x| <= s) + P(|x| > s))

Three things differ here. The step is that of the grid in use: d = s / m with m = 127 for int8, where the
paper has 128, so that 4^-B / 3 becomes 1 / (12 m^2). An asymmetric range has two ends and d = (b - a) /
(levels - 1); each takes its own Newton step of J, in turn, with k = 1 / (12 (levels - 1)^2):

    b' = (E[x; x > b] + k a P(a <= x <= b)) / (k P(a <= x <= b) + P(x > b))        and a' alike

which after a ReLU, where a = 0, is the paper's step for unsigned numbers. And values that are exactly zero
have a code, so they make no rounding noise and are left out: a spike at zero would otherwise look like data.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from quant_core.formats.number import Format
from quant_core.formats.range_mse import in_units, mse_range

Rows = NDArray[np.float32]
Ends = tuple[NDArray[np.float64], NDArray[np.float64]]
Vector = NDArray[np.float64]

_STEPS = 40  # Newton steps; 5 to 15 are enough for bell shapes
_STILL = 1e-5  # of the range: smaller moves end the iteration
_CHUNK = 1 << 20  # elements at a time


def octav_range(rows: Rows, number: Format, symmetric: bool, counts: Rows | None = None) -> Ends:
    """The range of each row, `[rows]`, by the fixed point above. `rows` and `counts` are `[rows, values]`.

    Formats whose codes are not evenly spaced have no constant step; their range is found by `mse`, which has
    the same aim."""
    if number.kind != "integer":
        return mse_range(rows, number, symmetric, counts)
    low, high = np.zeros(len(rows)), np.zeros(len(rows))
    step = max(1, _CHUNK // rows.shape[1])
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        scaled, unit = in_units(rows[part])
        weights = None if counts is None else counts[part]
        found = (_symmetric if symmetric else _asymmetric)(scaled, number, _weights(scaled, weights))
        low[part], high[part] = found[0] * unit, found[1] * unit
    return low, high


def _weights(rows: Rows, counts: Rows | None) -> NDArray[np.float64]:
    """The share of each value among those of its row that are not zero, `[rows, values]`."""
    kept = (rows != 0).astype(np.float64)
    if counts is not None:
        kept *= counts
    total = kept.sum(axis=1, keepdims=True)
    return np.asarray(kept / np.where(total > 0, total, 1.0), np.float64)


def _symmetric(rows: Rows, number: Format, shares: NDArray[np.float64]) -> Ends:
    noise = 1.0 / (12.0 * ((number.levels - 1) // 2) ** 2)
    size = np.abs(rows).astype(np.float64)
    mass = size * shares
    clip = mass.sum(axis=1)  # the step from s = 0: the mean magnitude
    best = largest = size.max(axis=1)
    least = noise * largest**2  # nothing clipped
    for _ in range(_STEPS):
        outside = size > clip[:, None]
        beyond = np.sum(shares, axis=1, where=outside)
        excess = np.sum(mass, axis=1, where=outside)
        squares = np.sum(mass * size, axis=1, where=outside)
        inside = 1.0 - beyond
        error = noise * clip**2 * inside + squares - 2 * clip * excess + clip**2 * beyond
        best, least = np.where(error < least, clip, best), np.minimum(error, least)
        moved = _newton(excess, noise * inside + beyond, beyond, clip)
        still = np.abs(moved - clip) <= _STILL * largest
        clip = np.minimum(moved, largest)
        if still.all():
            break
    return np.maximum(-best, np.minimum(rows.min(axis=1), 0)), np.minimum(
        best, np.maximum(rows.max(axis=1), 0)
    )


def _asymmetric(rows: Rows, number: Format, shares: NDArray[np.float64]) -> Ends:
    noise = 1.0 / (12.0 * (number.levels - 1) ** 2)
    values = rows.astype(np.float64)
    mass = values * shares
    lowest, highest = np.minimum(values.min(axis=1), 0), np.maximum(values.max(axis=1), 0)
    low, high = _mean(mass, shares, values < 0), _mean(mass, shares, values > 0)
    best, least = (lowest, highest), noise * (highest - lowest) ** 2  # nothing clipped
    for _ in range(_STEPS):
        above, below = values > high[:, None], values < low[:, None]
        over, under = np.sum(shares, axis=1, where=above), np.sum(shares, axis=1, where=below)
        top, bottom = np.sum(mass, axis=1, where=above), np.sum(mass, axis=1, where=below)
        inside = np.maximum(1.0 - over - under, 0.0)
        error = noise * (high - low) ** 2 * inside
        error += np.sum(mass * values, axis=1, where=above) - 2 * high * top + high**2 * over
        error += np.sum(mass * values, axis=1, where=below) - 2 * low * bottom + low**2 * under
        better = error < least
        best, least = (
            (np.where(better, low, best[0]), np.where(better, high, best[1])),
            np.minimum(error, least),
        )
        new_high = _newton(top + noise * low * inside, noise * inside + over, over, high)
        new_low = _newton(bottom + noise * high * inside, noise * inside + under, under, low)
        new_high, new_low = np.clip(new_high, 0, highest), np.clip(new_low, lowest, 0)
        still = np.abs(new_high - high) + np.abs(new_low - low) <= _STILL * (highest - lowest)
        low, high = new_low, new_high
        if still.all():
            break
    return best


def _newton(above: Vector, below: Vector, outside: Vector, now: Vector) -> Vector:
    """`above / below`; `now` where nothing lies outside, since nothing there says how far to move."""
    some = outside > 0
    return np.where(some, above / np.where(some, below, 1.0), now)


def _mean(mass: NDArray[np.float64], shares: NDArray[np.float64], where: NDArray[np.bool_]) -> Vector:
    total = np.sum(shares, axis=1, where=where)
    return np.asarray(np.sum(mass, axis=1, where=where) / np.where(total > 0, total, 1.0), np.float64)
