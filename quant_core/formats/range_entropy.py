"""The range whose quantized distribution is closest to the original by KL divergence.

Source: Migacz 2017, "8-bit Inference with TensorRT" (GPU Technology Conference, session S7310). For each
candidate range, the reference P is the histogram with what lies outside added to the outermost bins inside; Q
is the histogram inside after quantizing: bins that share a code share their total evenly, empty ones left
out. The range with the least KL(P || Q) wins.

Three things differ here. Codes come from the format's own quantizer, so that any number of levels, asymmetric
ranges and formats with uneven steps work; Migacz merges a whole number of bins for each of 128 levels.
Candidates are 96 shares of the range in a geometric row, not every bin; asymmetric ranges then try each end
alone. And the zeros, which every grid here represents exactly, are left out: behind a ReLU their spike would
drag the range towards itself."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from quant_core.formats.affine import affine_parameters, fake_quantize
from quant_core.formats.number import Format
from quant_core.formats.range_mse import in_units

Rows = NDArray[np.float32]
Ends = tuple[NDArray[np.float64], NDArray[np.float64]]
Vector = NDArray[np.float64]

_CANDIDATES, _CANDIDATES_OF_AN_END = 96, 32
_MOST_BINS = 2048  # of a row that comes without counts, as in the source
_VALUES_A_BIN = 8  # at least this many in the mean, or the histogram is mostly chance
_FAR = 1e9  # beyond the last code of every candidate, in units of the largest value
_FEWEST_BINS = 64  # with fewer, there is no distribution to speak of


def entropy_range(rows: Rows, number: Format, symmetric: bool, counts: Rows | None = None) -> Ends:
    """The range of each row, `[rows]`, with the least KL divergence. `rows` and `counts` are `[rows,
    values]`.

    A row keeps its whole range where the divergence says nothing: with fewer than 64 filled bins, and where
    the whole range leaves more than half of them a code of their own, as 16 bits do."""
    low, high = rows.min(axis=1).astype(np.float64), rows.max(axis=1).astype(np.float64)
    scaled, unit = in_units(rows)
    for i, row in enumerate(scaled):
        values, weight = _binned(row) if counts is None else (row, np.asarray(counts[i], np.float64))
        kept = (values != 0) & (weight > 0)
        if np.count_nonzero(kept) >= _FEWEST_BINS and _merges(values[kept], number, symmetric):
            found = _search(values[kept], weight[kept], number, symmetric)
            low[i], high[i] = found[0] * unit[i], found[1] * unit[i]
    return low, high


def _binned(row: Rows) -> tuple[Rows, Vector]:
    """Centres and counts of the bins of a row, without its zeros; the outermost stand for the ends."""
    row = row[row != 0]
    bins = min(_MOST_BINS, row.size // _VALUES_A_BIN)
    if bins < 1:
        return row[:0], np.zeros(0)
    counts, edges = np.histogram(row, bins)
    centres = ((edges[:-1] + edges[1:]) / 2).astype(np.float32)
    centres[0], centres[-1] = row.min(), row.max()
    return centres, counts.astype(np.float64)


def _merges(values: Rows, number: Format, symmetric: bool) -> bool:
    """Whether quantizing with the whole range leaves at most half of `values`, which rise, distinct."""
    scale, zero = affine_parameters(float(values[0]), float(values[-1]), number, symmetric)
    return np.unique(fake_quantize(values, scale, zero, number)).size <= values.size // 2


def _search(values: Rows, weight: Vector, number: Format, symmetric: bool) -> tuple[float, float]:
    low, high = min(float(values[0]), 0.0), max(float(values[-1]), 0.0)
    # The narrowest has one bin for each level, as in the source.
    narrowest = number.levels * float(np.median(np.diff(values))) / (high - low)
    shares = np.geomspace(min(max(narrowest, 1e-3), 0.5), 1.0, _CANDIDATES)
    low, high = _least(values, weight, number, symmetric, low * shares, high * shares)
    if not symmetric and low < 0 < high:
        few = np.linspace(0.25, 2.0, _CANDIDATES_OF_AN_END)
        lows = np.maximum(low * few, float(values[0]))
        low, high = _least(values, weight, number, symmetric, lows, np.full(few.shape, high))
        highs = np.minimum(high * few, float(values[-1]))
        low, high = _least(values, weight, number, symmetric, np.full(few.shape, low), highs)
    return low, high


def _least(
    values: Rows, weight: Vector, number: Format, symmetric: bool, lows: Vector, highs: Vector
) -> tuple[float, float]:
    """Of the ranges `lows` to `highs`, `[candidates]`, the one with the least divergence; the widest of
    equals.
    """
    scale, zero = affine_parameters(lows[:, None], highs[:, None], number, symmetric)
    decoded = fake_quantize(values[None, :], scale, zero, number)
    reach = fake_quantize(np.array([[-_FAR, _FAR]], np.float32), scale, zero, number)  # first and last code
    inside = values >= np.minimum(lows, reach[:, 0])[:, None]
    inside &= values <= np.maximum(highs, reach[:, 1])[:, None]
    divergence = _divergence(decoded, inside, weight)
    best = len(lows) - 1 - int(np.argmin(divergence[::-1]))
    return float(lows[best]), float(highs[best])


def _divergence(decoded: Rows, inside: NDArray[np.bool_], weight: Vector) -> Vector:
    """KL(P || Q), nats, of each candidate. `decoded` and `inside` are `[candidates, bins]`, `weight`
    `[bins]`, above zero. Infinite where no bin is inside.

    With p for the bins and P, Q for the groups of bins that share a code, it is sum p log p - sum P log(Q /
    bins): sums over stretches of bins, which are differences of cumulative ones."""
    some, candidates, bins = inside.any(axis=1), np.arange(len(decoded)), decoded.shape[1]
    first, last = inside.argmax(axis=1), bins - 1 - inside[:, ::-1].argmax(axis=1)
    share = weight / weight.sum()
    upto = np.concatenate([[0.0], np.cumsum(share)])
    before, behind = upto[first], upto[-1] - upto[last + 1]  # outside; counts for the outermost bins inside

    # Values rise, so bins that share a code lie side by side: a group starts where the decoded value changes.
    starts = np.zeros(decoded.shape, np.bool_)
    starts[:, 1:] = decoded[:, 1:] != decoded[:, :-1]
    starts &= inside
    starts[candidates, first] = True
    row, start = np.nonzero(starts)
    is_first, is_last = np.diff(row, prepend=-1) > 0, np.diff(row, append=len(decoded)) > 0
    end = np.where(is_last, last[row] + 1, np.append(start[1:], 0))
    held = upto[end] - upto[start]
    quantized = held / (end - start) / (upto[last + 1] - before)[row]
    reference = held + np.where(is_first, before[row], 0.0) + np.where(is_last, behind[row], 0.0)
    crossed = np.bincount(row, reference * np.log(quantized), len(decoded))

    own = _plogp(share)
    owns = np.concatenate([[0.0], np.cumsum(own)])
    entropy = owns[last + 1] - owns[first] - own[first] + _plogp(share[first] + before)
    # With a single bin inside, both ends lie in it.
    both = share[last] + behind + np.where(first == last, before, 0.0)
    entropy += _plogp(both) - _plogp(share[last] + np.where(first == last, before, 0.0))
    return np.asarray(np.where(some, entropy - crossed, np.inf), np.float64)


def _plogp(share: Vector) -> Vector:
    return np.asarray(share * np.log(share), np.float64)
