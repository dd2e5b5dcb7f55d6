"""Sums in integers: exact, requantized as the operators say, and as narrower machines do."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from quant_core.formats import (
    FixedPoint,
    get_format,
    integer_sums,
    requantize,
    requantize_fixed,
    saturate_pairs,
)

UINT8 = get_format("uint8")
X = arrays(np.int64, (5, 7), elements=st.integers(0, 255))
W = arrays(np.int64, (3, 7), elements=st.integers(-128, 127))
BIAS = arrays(np.int64, 3, elements=st.integers(-(2**20), 2**20))
ZEROS = arrays(np.int64, 3, elements=st.integers(-128, 127))


@given(X, W, st.integers(0, 255), ZEROS, BIAS)
def test_the_terms_add_up_to_the_sum_of_shifted_codes(
    x: np.ndarray, w: np.ndarray, x_zero: int, w_zero: np.ndarray, bias: np.ndarray
) -> None:
    expected = (x - x_zero) @ (w - w_zero[:, None]).T + bias
    assert np.array_equal(integer_sums(x, w, x_zero, w_zero, bias).total, expected)


@given(X, W)
def test_pairs_saturate_one_by_one(x: np.ndarray, w: np.ndarray) -> None:
    found = saturate_pairs(x, w)
    lost, saturated = np.zeros((5, 3), np.int64), 0
    for row in range(5):
        for channel in range(3):
            for k in range(0, 7, 2):
                pair = int((x[row, k : k + 2] * w[channel, k : k + 2]).sum())
                beyond = pair - max(-32768, min(32767, pair))
                lost[row, channel] += beyond
                saturated += beyond != 0
    assert np.array_equal(found.lost, lost)
    assert (found.saturated, found.pairs) == (saturated, 5 * 3 * 4)


def test_the_worst_pair_loses_what_16_bits_cannot_hold() -> None:
    found = saturate_pairs(np.array([[255, 255]]), np.array([[127, 127], [-128, -128], [64, 64]]))
    assert found.lost.tolist() == [[2 * 255 * 127 - 32767, -2 * 255 * 128 + 32768, 0]]
    assert found.saturated == 2


def test_requantizing_rounds_half_to_even_and_clips() -> None:
    sums = np.array([[1], [3], [5], [-3], [1000], [-1000]])
    codes = requantize(sums, np.array([0.5], np.float32), 10, UINT8)
    assert codes[:, 0].tolist() == [10, 12, 12, 8, 255, 0]


@given(st.floats(1e-9, 8.0), st.integers(-(2**28), 2**28))
def test_a_fixed_point_multiplier_is_the_nearest_and_rounds_to_the_nearest(m: float, value: int) -> None:
    fixed = FixedPoint.of(m)
    assert 1 << 30 <= fixed.mantissa < 1 << 31
    assert abs(Fraction(fixed.value) - Fraction(m)) <= Fraction(m) / 2**31
    exact = value * Fraction(fixed.value)
    if abs(exact) < 2**30:
        # Rounding twice is off by no more than the half of each.
        assert abs(int(fixed.times(np.array([value]))[0]) - exact) <= Fraction(3, 4) + Fraction(1, 2**20)


@pytest.mark.parametrize(
    ("value", "shift", "expected"),
    [(3, 0, 2), (-3, 0, -1), (6, 1, 2), (-6, 1, -2), (10, 2, 1), (-10, 2, -1), (12, 2, 2), (-12, 2, -2)],
)
def test_ties_go_where_gemmlowp_sends_them(value: int, shift: int, expected: int) -> None:
    """Halves: 2^30 2^-31 is one half. Worked by hand from fixedpoint.h."""
    assert FixedPoint(1 << 30, shift).times(np.array([value]))[0] == expected


def test_fixed_point_differs_from_float_only_near_ties() -> None:
    rng = np.random.default_rng(0)
    sums = rng.integers(-200_000, 200_000, (4000, 3))
    multipliers = np.array([0.0003, 0.00071, 0.0012], np.float32)
    codes = requantize(sums, multipliers, 128, UINT8)
    fixed = requantize_fixed(sums, [FixedPoint.of(float(m)) for m in multipliers], 128, UINT8)
    off = codes != fixed
    assert np.abs(codes - fixed).max() <= 1
    distance = np.abs(np.abs(sums * multipliers.astype(np.float64)) % 1.0 - 0.5)
    assert off.mean() < 0.01
    assert (distance[off] < 0.01).all()
