"""Layered layout of a graph (Sugiyama), set in columns like a newspaper so that a long chain fills a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import igraph
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

WIDE, TALL = 152.0, 38.0  # pixels of the box of a layer at zoom 1
SMALL_WIDE, SMALL_TALL = 118.0, 22.0  # of a helper operator
_BESIDE, _BELOW, _LANE, _GUTTER = 20.0, 24.0, 14.0, 44.0
_MOST_COLUMNS = 64
_FIRM = 1e4  # a box gives way to a line this much less than a line to a box

Point = tuple[float, float]
_Standing = tuple[float, int, int]  # in a row: x, the edge that passes or -1, the box or -1


@dataclass(frozen=True)
class Layout:
    """`centres` of the boxes and, for each edge, the corners of its line from the lower rim of one box to the
    upper rim of the other; in pixels at zoom 1, y downwards. `width` and `height` hold everything; (0, 0) is
    the upper left.
    """

    centres: tuple[Point, ...]
    lines: tuple[tuple[Point, ...], ...]
    width: float
    height: float


def layered(small: Sequence[bool], edges: Sequence[tuple[int, int]], aspect: float = 1.3) -> Layout:
    """The layout of boxes, `small` or not, in an order of execution, edges (from, to) leading forwards.

    Rows are set in as many columns as make the whole largest on a page whose width is `aspect` times its
    height.
    """
    if not small:
        return Layout((), (), 1.0, 1.0)
    ranks = [0] * len(small)
    rows: list[list[_Standing]] = []
    # Parts that nothing connects, one below the other: igraph 1.0.0 crashes on some laid out together.
    for part in igraph.Graph(len(small), list(edges)).connected_components():
        rows += _rows(sorted(part), edges, ranks, len(rows))
    placed = [_spread(sorted(row), small) for row in rows]
    heights = [max(_size(small[box])[1] for _, edge, box in row if edge < 0) for row in placed]
    extents = [
        (min(x - _half(e, b, small) for x, e, b in row), max(x + _half(e, b, small) for x, e, b in row))
        for row in placed
    ]
    passing = np.zeros(len(rows) + 1, np.int64)
    for source, target in edges:
        passing[ranks[source] + 1] += 1
        passing[ranks[target] + 1] -= 1
    starts = _columns(np.array(heights) + _BELOW, np.array(extents), passing.cumsum(), aspect)
    return _place(starts, placed, heights, extents, small, edges, ranks)


def _rows(
    boxes: list[int], edges: Sequence[tuple[int, int]], ranks: list[int], first: int
) -> list[list[_Standing]]:
    """What stands in the rows of connected `boxes`, ordered so that few lines cross.

    Sets their `ranks`, of which `first` is the lowest."""
    place = {box: i for i, box in enumerate(boxes)}
    inner = [(number, place[a], place[b]) for number, (a, b) in enumerate(edges) if a in place]
    pairs = [(a, b) for _, a, b in inner]
    local = _ranks(len(boxes), pairs)
    graph = igraph.Graph(len(boxes), pairs, directed=True)
    across = graph.layout_sugiyama(layers=local, hgap=2 * _LANE)
    rows: list[list[_Standing]] = [[] for _ in range(max(local) + 1)]
    for box, rank, (x, _) in zip(boxes, local, across, strict=True):
        ranks[box] = first + rank
        rows[rank].append((x, -1, box))
    for (number, source, _), bends in zip(inner, across.edge_routing, strict=True):
        for row, (x, _) in enumerate(bends, start=local[source] + 1):
            rows[row].append((x, number, -1))
    return rows


def _size(small: bool) -> tuple[float, float]:
    return (SMALL_WIDE, SMALL_TALL) if small else (WIDE, TALL)


def _half(edge: int, box: int, small: Sequence[bool]) -> float:
    """Half the width of what stands in a row."""
    return _LANE / 2 if edge >= 0 else (_size(small[box])[0] + _BESIDE) / 2


def _ranks(count: int, edges: Sequence[tuple[int, int]]) -> list[int]:
    """The row of each box: as early as possible, but what feeds more than it reads late."""
    feeds: list[list[int]] = [[] for _ in range(count)]
    reads = [0] * count
    ranks = [0] * count
    for source, target in sorted(edges):
        feeds[source].append(target)
        reads[target] += 1
    for box in range(count):
        for target in feeds[box]:
            ranks[target] = max(ranks[target], ranks[box] + 1)
    for box in range(count - 1, -1, -1):
        if reads[box] < len(feeds[box]):
            ranks[box] = min(ranks[target] for target in feeds[box]) - 1
    kept = {rank: row for row, rank in enumerate(sorted(set(ranks)))}
    return [kept[rank] for rank in ranks]


def _spread(row: list[_Standing], small: Sequence[bool]) -> list[_Standing]:
    """`row` moved as little as leaves each its width (least squares, lines giving way to boxes)."""
    half = np.array([_half(edge, box, small) for _, edge, box in row])
    offset = np.concatenate([[0.0], np.cumsum(half[:-1] + half[1:])])
    firm = np.array([1.0 if edge >= 0 else _FIRM for _, edge, _ in row])
    moved = isotonic_regression(np.array([x for x, _, _ in row]) - offset, weights=firm).x + offset
    return [(float(x), edge, box) for x, (_, edge, box) in zip(moved, row, strict=True)]


def _columns(
    heights: NDArray[np.float64], extents: NDArray[np.float64], passing: NDArray[np.int64], aspect: float
) -> list[int]:
    """The first row of each column. A column ends where the fewest lines pass, in its last quarter."""
    below = np.concatenate([[0.0], heights.cumsum()])
    best: tuple[float, list[int]] | None = None
    for count in range(1, min(len(heights), _MOST_COLUMNS) + 1):
        limit = max(below[-1] / count * 1.1, heights.max())
        starts, widths, tallest = [0], [], 0.0
        while starts[-1] < len(heights):
            start = starts[-1]
            stop = int(np.searchsorted(below, below[start] + limit, side="right")) - 1
            if stop < len(heights):
                first = int(np.searchsorted(below, below[start] + 0.75 * limit))
                window = passing[min(first, stop) : stop + 1]
                stop -= int(window[::-1].argmin())
            widths.append(extents[start:stop, 1].max() - extents[start:stop, 0].min())
            tallest = max(tallest, below[stop] - below[start])
            starts.append(stop)
        scale = min(aspect / (sum(widths) + _GUTTER * len(widths)), 1.0 / tallest)
        if best is None or scale > best[0] * 1.02:
            best = (scale, starts[:-1])
    assert best is not None
    return best[1]


def _place(
    starts: list[int],
    rows: list[list[_Standing]],
    heights: list[float],
    extents: list[tuple[float, float]],
    small: Sequence[bool],
    edges: Sequence[tuple[int, int]],
    ranks: list[int],
) -> Layout:
    """Rows below each other, columns beside each other, lines from foot to head."""
    centres: list[Point] = [(0.0, 0.0)] * len(small)
    corners: list[list[Point]] = [[] for _ in edges]
    ends = [*starts[1:], len(rows)]
    left, deepest, lane = 0.0, 0.0, [0] * len(starts)
    frames: list[tuple[float, float]] = []  # of each column: left and lower end
    column_of = [column for column, (a, b) in enumerate(zip(starts, ends, strict=True)) for _ in range(b - a)]
    tops: list[float] = []
    for start, end in zip(starts, ends, strict=True):
        low = min(extents[r][0] for r in range(start, end))
        high = max(extents[r][1] for r in range(start, end))
        top = _BELOW
        for r in range(start, end):
            tops.append(top)
            for x, edge, box in rows[r]:
                at = x - low + left
                if edge < 0:
                    centres[box] = (at, top + heights[r] / 2)
                else:
                    corners[edge] += [(at, top), (at, top + heights[r])]
            top += heights[r] + _BELOW
        frames.append((left, top))
        deepest = max(deepest, top)
        left += high - low + _GUTTER
    lines = []
    for (source, target), middle in zip(edges, corners, strict=True):
        (x, y), (u, v) = centres[source], centres[target]
        path = [(x, y + _size(small[source])[1] / 2), *middle, (u, v - _size(small[target])[1] / 2)]
        line, row = path[:1], ranks[source]
        for step in range(1, len(path), 2):
            column = column_of[row + 1]
            if column != column_of[row]:
                edge_left, foot = frames[column][0], frames[column - 1][1]
                shift = 5.0 * (lane[column] % 5 - 2)
                lane[column] += 1
                gap, head = edge_left - _GUTTER / 2 + shift, _BELOW / 2 + shift / 2
                line += [(line[-1][0], foot - _BELOW / 2 + shift / 2), (gap, foot - _BELOW / 2 + shift / 2)]
                line += [(gap, head), (path[step][0], head)]
            line += path[step : step + 2]
            row += 1
        lines.append(_straightened(line))
    return Layout(tuple(centres), tuple(lines), left - _GUTTER, deepest)


def _straightened(line: list[Point]) -> tuple[Point, ...]:
    """`line` without the corners that turn nothing."""
    kept = line[:1]
    for (a, b), here in zip(pairwise(line[1:]), line[1:-1], strict=True):
        (x, y), (u, v), (p, q) = kept[-1], a, b
        if abs((u - x) * (q - y) - (p - x) * (v - y)) > 1.0:
            kept.append(here)
    return (*kept, line[-1])
