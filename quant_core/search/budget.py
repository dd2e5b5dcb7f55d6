"""The best choice under a budget, as an integer linear program. Arrays in, choices out: nothing here knows a
graph.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from quant_core.errors import SearchError

Matrix = NDArray[np.float64]


def choose_under_budget(damage: Matrix, cost: Matrix, budget: float) -> NDArray[np.int64]:
    """For each row the column to choose, so that the summed damage is least and the summed cost at most
    `budget`.

    `damage` and `cost` are `[rows, columns]`; a choice that is not allowed has damage infinity, and each row
    has one that is. SearchError says the least cost that can be had where the budget is below it. Source: the
    multiple-choice knapsack problem; Chen et al. 2021, "Towards Mixed-Precision Quantization of Neural
    Networks via Constrained Optimization", equation 5."""
    from scipy.optimize import Bounds, LinearConstraint, milp  # slow to import, and only searches need it

    rows, columns = damage.shape
    allowed = np.isfinite(damage)
    least = float(np.where(allowed, cost, np.inf).min(axis=1).sum())
    if least > budget:
        raise SearchError(
            f"{budget:.0f} bytes cannot be reached, the smallest plan takes {least:.0f}",
            "allow more bytes, or lower formats",
        )
    # Damages span many decades, more than the solver's tolerances. A choice that alone does more damage than
    # a whole plan that fits is never part of the best one; without these, the largest left sets the unit.
    allowed &= damage <= _greedy_damage(damage, cost, budget)
    worst = max(float(damage[allowed].max()), 1e-300)
    objective = np.where(allowed, damage / worst, 0.0).ravel()
    one_per_row = np.kron(np.eye(rows), np.ones(columns))
    scale = max(float(np.abs(cost).max()), 1.0)
    solution = milp(
        c=objective,
        constraints=[
            LinearConstraint(one_per_row, 1, 1),
            LinearConstraint(cost.ravel()[None] / scale, -np.inf, budget / scale),
        ],
        bounds=Bounds(0, allowed.ravel().astype(float)),
        integrality=np.ones(rows * columns),
        options={"mip_rel_gap": 1e-4, "time_limit": 20.0},
    )
    if solution.x is None:
        raise SearchError("no plan was found under this budget", "allow a few more bytes")
    return np.asarray(solution.x.reshape(rows, columns).argmax(axis=1), np.int64)


def _greedy_damage(damage: Matrix, cost: Matrix, budget: float) -> float:
    """Summed damage of a plan that fits: from the cheapest choices, the best swaps per cost as they fit."""
    rows = np.arange(len(damage))
    reachable = np.where(np.isfinite(damage), cost, np.inf)
    # Of equally cheap choices the least damaging.
    chosen = np.lexsort((damage, reachable), axis=1)[:, 0]
    room = budget - float(cost[rows, chosen].sum())
    while True:
        gain = damage[rows, chosen][:, None] - damage
        extra = cost - cost[rows, chosen][:, None]
        fits = np.isfinite(damage) & (gain > 0) & (extra <= room)
        if not fits.any():
            return float(damage[rows, chosen].sum())
        worth = np.where(fits, gain / np.maximum(extra, 1e-9), -np.inf)
        row, column = divmod(int(worth.argmax()), damage.shape[1])
        room -= float(extra[row, column])
        chosen[row] = column


def pareto_front(size: Matrix, quality: Matrix) -> NDArray[np.int64]:
    """Indices of the points that no other beats in both, smaller size and higher quality, by rising size."""
    order = np.lexsort((-quality, size))
    best = -np.inf
    front = []
    for index in order:
        if quality[index] > best:
            best = float(quality[index])
            front.append(int(index))
    return np.asarray(front, np.int64)
