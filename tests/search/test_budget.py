"""The best choice under a budget is the one that trying everything finds."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from quant_core.errors import SearchError
from quant_core.search import choose_under_budget, pareto_front

Matrix = NDArray[np.float64]


@st.composite
def problems(draw: st.DrawFn) -> tuple[Matrix, Matrix, float]:
    """Damage, cost, and a budget between the least and the most that can be spent."""
    shape = draw(st.tuples(st.integers(1, 5), st.integers(1, 4)))
    damage = draw(arrays(np.float64, shape, elements=st.sampled_from([0.0, 1e-6, 1e-3, 0.1, 0.25, 1.0, 7.0])))
    cost = draw(arrays(np.float64, shape, elements=st.integers(-50, 1000).map(float)))
    forbidden = draw(arrays(np.bool_, shape))
    forbidden[:, draw(st.integers(0, shape[1] - 1))] = False
    damage = np.where(forbidden, np.inf, damage)
    least = np.where(forbidden, np.inf, cost).min(axis=1).sum()
    most = np.where(forbidden, -np.inf, cost).max(axis=1).sum()
    return damage, cost, float(least + draw(st.floats(0, 1)) * (most - least))


def best_of_all(damage: Matrix, cost: Matrix, budget: float) -> float:
    rows = np.arange(len(damage))
    choices = (np.array(c) for c in itertools.product(range(damage.shape[1]), repeat=len(damage)))
    return min(damage[rows, c].sum() for c in choices if cost[rows, c].sum() <= budget)


@settings(max_examples=150, deadline=None)
@given(problems())
def test_it_is_as_good_as_trying_everything(problem: tuple[Matrix, Matrix, float]) -> None:
    damage, cost, budget = problem
    choice = choose_under_budget(damage, cost, budget)
    rows = np.arange(len(damage))
    worst = damage[np.isfinite(damage)].max()
    assert np.isfinite(damage[rows, choice]).all()
    assert cost[rows, choice].sum() <= budget + 1e-6 * max(1.0, np.abs(cost).max())
    found, best = damage[rows, choice].sum(), best_of_all(damage, cost, budget + 1e-9)
    assert found <= best * (1 + 1e-3) + 1e-6 * worst  # the tolerance of the solver


@pytest.mark.parametrize("worst", [1.0, 1e3, 1e20])
def test_a_ruinous_choice_does_not_blur_the_others(worst: float) -> None:
    """Damages span many decades: noise-to-signal ratios from 60 dB down to outputs that are not finite."""
    rng = np.random.default_rng(3)
    damage = np.array([0.0, 1e-6, 1e-4, 1e-2]) * rng.uniform(0.5, 2, (6, 1))
    damage[0, 3] = worst
    cost = np.array([100.0, 50.0, 25.0, 12.0]) * rng.integers(5, 50, (6, 1))
    rows = np.arange(6)
    for share in (0.3, 0.5, 0.7):
        budget = share * cost[:, 0].sum()
        choice = choose_under_budget(damage, cost, budget)
        assert damage[rows, choice].sum() <= best_of_all(damage, cost, budget) * (1 + 1e-2)


def test_more_room_is_never_worse() -> None:
    rng = np.random.default_rng(0)
    damage, cost = rng.exponential(size=(12, 4)), rng.integers(1, 100, (12, 4)).astype(float)
    rows = np.arange(12)
    found = []
    for budget in np.linspace(cost.min(axis=1).sum(), cost.max(axis=1).sum(), 12):
        choice = choose_under_budget(damage, cost, budget)
        assert cost[rows, choice].sum() <= budget
        found.append(damage[rows, choice].sum())
    assert all(b <= a * (1 + 1e-3) for a, b in itertools.pairwise(found))


def test_many_layers_and_formats_take_a_moment() -> None:
    rng = np.random.default_rng(1)
    cost = np.array([32.0, 8.0, 4.0, 2.0]) * rng.integers(100, 100_000, (150, 1))
    damage = np.array([0.0, 1e-4, 1e-2, 1.0]) * rng.exponential(size=(150, 1))
    choice = choose_under_budget(damage, cost, cost[:, 0].sum() / 6)
    assert cost[np.arange(150), choice].sum() <= cost[:, 0].sum() / 6


def test_what_cannot_be_reached_says_the_least_there_is() -> None:
    damage = np.array([[0.0, np.inf], [0.0, 1.0]])
    cost = np.array([[100.0, 1.0], [60.0, 20.0]])
    with pytest.raises(SearchError, match=r"119 bytes cannot be reached, the smallest plan takes 120"):
        choose_under_budget(damage, cost, 119)
    assert choose_under_budget(damage, cost, 120).tolist() == [0, 1]


points = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), min_size=1, max_size=15)


@settings(max_examples=200, deadline=None)
@given(points)
def test_the_front_is_what_no_other_point_beats(items: list[tuple[int, int]]) -> None:
    size, quality = (np.array(column, float) for column in zip(*items, strict=True))
    front = pareto_front(size, quality).tolist()

    def beats(i: int, j: int) -> bool:
        no_worse = size[i] <= size[j] and quality[i] >= quality[j]
        return bool(no_worse and (size[i] < size[j] or quality[i] > quality[j]))

    everything = range(len(items))
    assert not any(beats(i, j) for i in everything for j in front)
    assert all(any(items[i] == items[j] or beats(i, j) for i in front) for j in everything)
    assert (np.diff(size[front]) > 0).all()
    assert (np.diff(quality[front]) > 0).all()


def test_the_front_leaves_out_what_is_not_known() -> None:
    size, quality = np.array([1.0, 2.0, 3.0]), np.array([0.5, np.nan, 0.9])
    assert pareto_front(size, quality).tolist() == [0, 2]


def test_the_front_of_nothing_is_empty() -> None:
    assert pareto_front(np.zeros(0), np.zeros(0)).tolist() == []
