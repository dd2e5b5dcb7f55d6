"""Differences of two runs, summed batch by batch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quant_core.stats import CodeDifferences, FloatDifferences


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(1, 400), st.floats(0.01, 1.0), st.floats(1e-9, 1e9))
def test_quantiles_are_right_to_a_bin(seed: int, count: int, share: float, size: float) -> None:
    rng = np.random.default_rng(seed)
    a = rng.normal(size=count).astype(np.float64) * size
    b = a + rng.normal(size=count) * size * (rng.random(count) < 0.7)
    found = FloatDifferences()
    for part in np.array_split(np.arange(count), 3):
        found.add(a[part], b[part])
    apart = np.sort(np.abs(b - a))
    wanted = apart[max(0, int(np.ceil(round(share * count, 9))) - 1)]
    assert (found.elements, found.differ) == (count, np.count_nonzero(apart))
    assert found.largest == apart[-1]
    assert found.quantile(share) == pytest.approx(wanted, rel=0.05, abs=0)
    assert found.rms == pytest.approx(np.sqrt(np.mean(a**2)))


def test_what_is_equal_does_not_differ_even_if_it_is_no_number() -> None:
    odd = np.array([np.nan, np.inf, -np.inf, 0.0, 1.0], np.float32)
    found = FloatDifferences()
    found.add(odd, odd.copy())
    assert (found.differ, found.largest, found.quantile(1.0)) == (0, 0.0, 0.0)
    found.add(np.array([1.0, np.inf]), np.array([np.nan, 2.0]))
    assert (found.differ, found.largest) == (2, np.inf)


def test_codes_are_counted_in_steps() -> None:
    found = CodeDifferences()
    found.add(np.array([0, 255, 7, 7], np.uint8), np.array([255, 255, 8, 5], np.uint8))
    found.add(np.array([-128], np.int8), np.array([-128], np.int8))
    assert found == CodeDifferences(elements=5, differ=3, beyond_one=2, largest=255)
