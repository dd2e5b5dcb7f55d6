"""Extremes and moments by channel, whatever the batches."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quant_core.stats import ChannelStats
from tests.models import normal


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 5), min_size=1, max_size=4), st.sampled_from([1, -1]), st.integers(0, 99))
def test_batches_add_up_to_the_whole(batches: list[int], axis: int, seed: int) -> None:
    whole = normal(seed, sum(batches), 3, 4)
    stats = ChannelStats()
    for part in np.split(whole, np.cumsum(batches)[:-1]):
        stats.add(part, axis)
    table = stats.table()
    channels = np.moveaxis(whole, axis, 0).reshape(whole.shape[axis], -1)
    np.testing.assert_allclose(table["low"], channels.min(axis=1))
    np.testing.assert_allclose(table["high"], channels.max(axis=1))
    np.testing.assert_allclose(table["mean"], channels.mean(axis=1), atol=1e-6)
    np.testing.assert_allclose(table["deviation"], channels.std(axis=1), atol=1e-6)


def test_what_is_not_finite_is_left_out() -> None:
    values = np.array([[[1.0, np.nan], [np.inf, -np.inf]]], np.float32)
    stats = ChannelStats()
    stats.add(values, 1)
    table = stats.table()
    assert table["channel"].tolist() == [0]
    assert (table["low"][0], table["high"][0], table["deviation"][0]) == (1.0, 1.0, 0.0)


def test_channels_that_change_in_number_are_refused() -> None:
    stats = ChannelStats()
    stats.add(normal(0, 2, 3), 1)
    with pytest.raises(ValueError, match="broadcast"):
        stats.add(normal(0, 2, 4), 1)
