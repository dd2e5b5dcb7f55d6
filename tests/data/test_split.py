"""Draws: seeded, stratified, nested, and apart from the samples that calibrate."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quant_core.data import Subset, draw, draw_order, set_aside
from quant_core.errors import DataError
from tests.models import dataset

counts = st.lists(st.integers(1, 40), min_size=1, max_size=6)


def labelled(counts: list[int]) -> np.ndarray:
    """Labels with `counts[c]` samples of class c, in mixed order."""
    labels = np.repeat(np.arange(len(counts)), counts)
    return np.random.default_rng(1).permutation(labels)


def indices_of(data: object) -> set[int]:
    assert isinstance(data, Subset)
    return set(data.indices.tolist())


@settings(max_examples=60, deadline=None)
@given(counts, st.data())
def test_any_draw_holds_each_class_in_its_share(counts: list[int], data: st.DataObject) -> None:
    """Within one sample of each class of what the share says."""
    labels = labelled(counts)
    total = len(labels)
    count = data.draw(st.integers(1, total))
    drawn = labels[draw_order(dataset({"x": labels}, labels))[:count]]
    for label, members in enumerate(counts):
        assert abs((drawn == label).sum() - count * members / total) <= 1.5 + 0.5 * len(counts) ** 0.5


@settings(max_examples=40, deadline=None)
@given(counts)
def test_smaller_draws_are_part_of_larger_ones(counts: list[int]) -> None:
    labels = labelled(counts)
    whole = dataset({"x": np.arange(len(labels))}, labels)
    kept: set[int] = set()
    for count in range(1, len(labels)):
        drawn = indices_of(draw(whole, count))
        assert len(drawn) == count
        assert kept <= drawn
        kept = drawn


def test_a_draw_is_the_same_each_time_and_keeps_the_order() -> None:
    labels = labelled([20, 30])
    whole = dataset({"x": np.arange(50)}, labels)
    first, second = draw(whole, 17), draw(whole, 17)
    x = first.take(np.arange(17))["x"]
    np.testing.assert_array_equal(x, second.take(np.arange(17))["x"])
    assert (np.diff(x) > 0).all()
    assert first.labels is not None
    np.testing.assert_array_equal(first.labels, labels[x])
    assert not np.array_equal(draw_order(whole, 0), draw_order(whole, 1))


def test_a_draw_of_everything_is_the_data_itself() -> None:
    whole = dataset({"x": np.arange(5)})
    assert draw(whole, 5) is whole
    assert draw(whole, 500) is whole


@pytest.mark.parametrize("count", [0, -3])
def test_a_draw_of_nothing_is_refused(count: int) -> None:
    with pytest.raises(DataError, match="at least 1"):
        draw(dataset({"x": np.arange(5)}), count)


@pytest.mark.parametrize(("total", "calibrate"), [(10, 2), (800, 160), (5000, 256), (2, 1), (3, 1)])
def test_a_fifth_and_at_most_256_are_set_aside(total: int, calibrate: int) -> None:
    evaluation, calibration = set_aside(dataset({"x": np.arange(total)}))
    assert len(calibration) == calibrate
    assert indices_of(evaluation) | indices_of(calibration) == set(range(total))
    assert not indices_of(evaluation) & indices_of(calibration)


def test_what_is_set_aside_is_stratified() -> None:
    labels = labelled([50, 50, 100])
    _, calibration = set_aside(dataset({"x": np.arange(200)}, labels))
    assert calibration.labels is not None
    assert np.abs(np.bincount(calibration.labels) - [10, 10, 20]).max() <= 1


@pytest.mark.parametrize("count", [0, 10, 11])
def test_a_number_that_leaves_nothing_is_refused(count: int) -> None:
    with pytest.raises(DataError):
        set_aside(dataset({"x": np.arange(10)}), count)


def test_labels_per_token_are_drawn_without_strata() -> None:
    whole = dataset({"x": np.arange(6)}, np.zeros((6, 4)))
    assert sorted(draw_order(whole).tolist()) == list(range(6))


def test_each_selection_has_a_key_of_its_own() -> None:
    whole = dataset({"x": np.arange(30)})
    evaluation, calibration = set_aside(whole)
    keys = {whole.key, evaluation.key, calibration.key, draw(evaluation, 5).key, draw(evaluation, 6).key}
    assert len(keys) == 5
    assert draw(evaluation, 5).key == draw(set_aside(whole)[0], 5).key
