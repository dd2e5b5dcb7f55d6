"""Tables of values that fit a tensor: one-dimensional k-means.

In one dimension the best clusters are stretches of the sorted values, so the best table can be found
exactly: D[m][j] = min over i of D[m - 1][i] + cost(i, j), where cost(i, j) is the squared deviation of the
values i..j-1 from their mean, with prefix sums in constant time. The best i never falls as j grows, which
divide and conquer uses: O(k n log n). Source: Wang and Song 2011, "Ckmeans.1d.dp"; Gronlund et al. 2017,
"Fast Exact k-Means, k-Medians and Bregman Divergence Clustering in 1D", section 2.

Large tensors are first gathered in at most `BINS` stretches that keep their counts and sums; the table is
then polished by Lloyd steps over the values themselves, which never raise the error."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BINS = 4096
_POLISH = 20  # Lloyd steps at most
_Sums = NDArray[np.float64]


def learn_table(values: NDArray[np.float32], size: int, method: str = "kmeans") -> NDArray[np.float32]:
    """The `size` values that replace `values` (finite, any shape) with least mean-square error, rising,
    float32 `[size]`; with fewer different values than `size` the last one is repeated. `method` is `kmeans`
    (the best table) or `lloyd` (k-means++ and Lloyd steps by scikit-learn, as most tools do it, seeded).

    """
    ordered = np.sort(values.reshape(-1).astype(np.float64))
    if ordered.size == 0:
        return np.zeros(size, np.float32)
    different = np.unique(ordered)
    if different.size <= size:
        return np.pad(different, (0, size - different.size), mode="edge").astype(np.float32)
    if method == "lloyd":
        return _by_scikit_learn(ordered, size)
    edges = _stretches(ordered, different)
    sums = np.concatenate([[0.0], np.cumsum(ordered)])
    cuts = edges[_best_cuts(edges.astype(np.float64), sums[edges], size)]
    return _polished(ordered, sums, cuts).astype(np.float32)


def look_up(values: NDArray[np.float32], table: NDArray[np.float32]) -> NDArray[np.int32]:
    """The index of the entry of a rising `table` that is nearest to each of `values`."""
    middles = (table[1:].astype(np.float64) + table[:-1]) / 2
    return np.searchsorted(middles, values, side="right").astype(np.int32)


def _stretches(ordered: _Sums, different: _Sums) -> NDArray[np.int64]:
    """Positions in `ordered` between which values stay together, first and last included: all different
    values where they are few, else half by equal width and half by equal count, so that neither the bulk
    nor the tails are coarse.
    """
    if different.size <= BINS:
        starts = np.searchsorted(ordered, different)
    else:
        by_width = np.searchsorted(ordered, np.linspace(ordered[0], ordered[-1], BINS // 2, endpoint=False))
        by_count = np.linspace(0, ordered.size, BINS // 2, endpoint=False).astype(np.int64)
        starts = np.union1d(by_width, by_count)
    return np.unique(np.append(starts, [0, ordered.size])).astype(np.int64)


def _best_cuts(counts: _Sums, sums: _Sums, size: int) -> NDArray[np.int64]:
    """Where the best clusters begin and end, `[size + 1]` indices into the prefix `counts` and `sums`."""
    last = len(counts) - 1
    # -S^2 / W of a cluster is its squared deviation less a constant that no choice changes.
    best = np.full(last + 1, np.inf)
    best[1:] = -np.square(sums[1:] - sums[0]) / (counts[1:] - counts[0])
    best[0] = 0.0
    came = np.zeros((size, last + 1), np.int64)
    for cluster in range(1, size):
        best, came[cluster] = _next_row(best, counts, sums)
    cuts = [last]
    for cluster in range(size - 1, 0, -1):
        cuts.append(int(came[cluster, cuts[-1]]))
    return np.array([0, *reversed(cuts)])


def _next_row(before: _Sums, counts: _Sums, sums: _Sums) -> tuple[_Sums, NDArray[np.int64]]:
    """D[m] of D[m - 1] with the best i of each j: first every far-apart j, then those between, whose best i
    lies between their neighbours'.
    """
    n = len(before)
    best, came = np.full(n, np.inf), np.zeros(n, np.int64)
    best[0] = 0.0
    step = 1 << (n - 1).bit_length()
    while step >= 1:
        j = np.arange(step, n, 2 * step)
        if j.size:
            low = came[j - step]
            after = np.minimum(j + step, n)
            high = np.where(after < n, came[np.minimum(after, n - 1)], n - 1)
            high = np.minimum(high, j - 1)
            low = np.minimum(low, high)
            lengths = high - low + 1
            starts = np.cumsum(lengths) - lengths
            i = np.arange(lengths.sum()) - np.repeat(starts - low, lengths)
            ends = np.repeat(j, lengths)
            cost = before[i] - np.square(sums[ends] - sums[i]) / (counts[ends] - counts[i])
            best[j] = np.minimum.reduceat(cost, starts)
            first = np.flatnonzero(cost == np.repeat(best[j], lengths))
            came[j] = i[first[np.searchsorted(first, starts)]]
        step //= 2
    return best, came


def _polished(ordered: _Sums, sums: _Sums, cuts: NDArray[np.int64]) -> _Sums:
    """The means of the clusters after Lloyd steps over the values themselves."""
    for _ in range(_POLISH):
        means = (sums[cuts[1:]] - sums[cuts[:-1]]) / np.maximum(cuts[1:] - cuts[:-1], 1)
        inner = np.searchsorted(ordered, (means[1:] + means[:-1]) / 2)
        moved = np.concatenate([[0], inner, [ordered.size]])
        if (moved == cuts).all() or (np.diff(moved) == 0).any():
            break
        cuts = moved
    return np.asarray((sums[cuts[1:]] - sums[cuts[:-1]]) / np.maximum(cuts[1:] - cuts[:-1], 1))


def _by_scikit_learn(ordered: _Sums, size: int) -> NDArray[np.float32]:
    from sklearn.cluster import KMeans  # takes a second to load

    found = KMeans(size, n_init=1, random_state=0, algorithm="lloyd").fit(ordered[:, None])
    return np.sort(found.cluster_centers_[:, 0]).astype(np.float32)
