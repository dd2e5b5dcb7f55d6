"""Repeated blocks of a network: stretches of equal structure one after the other, to be shown as one box
each.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from quant_core.graph.nodes import INPUT, OUTPUT, Node, Part, alive_between, edges_between

LONGEST = 512  # parts in one block at most, which keeps the search near linear


def repeated_blocks(nodes: Sequence[Node], parts: Sequence[Part]) -> tuple[tuple[int, int], ...]:
    """Blocks as stretches [start, end) of `parts`, in order.

    Equal means: the same operators (and the same kind, as `Conv 3x3`) in the same order, at least two
    different parts, at least one a layer, at least twice in a row. Where repetitions overlap, those that cut
    the fewest tensors are taken first, so that cuts lie between the blocks of a residual network and not
    through them, and of equal ones those of the shortest block.
    """
    signs = _signatures(nodes, parts)
    has_layer = np.array([any(nodes[i].layer for i in part.nodes) for part in parts], bool)
    edges = edges_between(nodes, parts)
    alive: dict[int, NDArray[np.int64]] = {}

    def placed(start: int, length: int, period: int) -> tuple[int, int, int, int]:
        if period not in alive:
            alive[period] = alive_between(edges, len(parts), longest=period + 1)
        return _placed(start, length, period, alive[period])

    queue = [placed(*run) for run in _runs(signs)]
    heapq.heapify(queue)
    free = np.ones(len(parts), bool)
    taken: list[tuple[int, int]] = []
    while queue:
        _, period, start, length = heapq.heappop(queue)
        clear = free[start : start + length]
        if not clear.all():
            for a, b in _stretches(clear):
                if b - a >= 2 * period:
                    heapq.heappush(queue, placed(start + a, b - a, period))
            continue
        if has_layer[start : start + period].any():
            taken += [(i, i + period) for i in range(start, start + length, period)]
            free[start : start + length] = False
    return tuple(sorted(taken))


def _placed(start: int, length: int, period: int, alive: NDArray[np.int64]) -> tuple[int, int, int, int]:
    """A run cut where the fewest tensors pass: (most tensors at a cut, period, start, length)."""
    best: tuple[int, int, int] | None = None
    for shift in range(min(period, length - 2 * period + 1)):
        copies = (length - shift) // period
        # The first cut is left out: what only the first block reads passes there.
        cost = int(alive[start + shift + period : start + shift + copies * period + 1 : period].max())
        if best is None or (cost, -copies) < best[:2]:
            best = (cost, -copies, shift)
    assert best is not None
    return best[0], period, start + best[2], -best[1] * period


def fold(
    parts: Sequence[Part], blocks: Sequence[tuple[int, int]], unfolded: Collection[int] = ()
) -> tuple[Part, ...]:
    """`parts` with each block as one part, numbered from 1, except those numbers in `unfolded`.

    A stretch of an order of execution is convex, so the result has no cycle."""
    found: list[Part] = []
    position = 0
    for number, (start, end) in enumerate(blocks, start=1):
        if number in unfolded:
            continue
        found += parts[position:start]
        found.append(Part(tuple(i for part in parts[start:end] for i in part.nodes), number))
        position = end
    return (*found, *parts[position:])


def _signatures(nodes: Sequence[Node], parts: Sequence[Part]) -> NDArray[np.int64]:
    """A number for each part, equal for equal structure; inputs and outputs of the graph equal nothing."""
    known: dict[object, int] = {}
    signs = []
    for position, part in enumerate(parts):
        kinds: object = tuple(nodes[i].kind for i in part.nodes)
        if nodes[part.nodes[0]].op in (INPUT, OUTPUT):
            kinds = position
        signs.append(known.setdefault(kinds, len(known)))
    return np.array(signs, np.int64)


def _runs(signs: NDArray[np.int64]) -> list[tuple[int, int, int]]:
    """Each maximal stretch that repeats with a period of 2 parts or more, as (start, length, period)."""
    found = []
    for period in range(2, min(LONGEST, len(signs) // 2) + 1):
        for start, end in _stretches(signs[:-period] == signs[period:]):
            if end - start >= period and (signs[start : start + period] != signs[start]).any():
                found.append((start, end - start + period, period))
    return found


def _stretches(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """The maximal stretches [start, end) where `flags` are set."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]
