"""Intervals of shares: equal to SciPy's, and never beside the estimate."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from quant_core.stats import paired_change, wilson

counts = st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(counts)
def test_wilson_is_that_of_scipy_and_holds_the_estimate(counted: tuple[int, int]) -> None:
    hits, trials = counted
    low, high = wilson(hits, trials)
    theirs = binomtest(hits, trials).proportion_ci(0.95, "wilson")
    assert low == pytest.approx(theirs.low, abs=1e-6)
    assert high == pytest.approx(theirs.high, abs=1e-6)
    assert 0.0 <= low <= hits / trials <= high <= 1.0


@given(st.integers(0, 200), st.integers(0, 200), st.integers(0, 2000))
def test_the_change_of_pairs_lies_in_its_interval(gained: int, lost: int, same: int) -> None:
    trials = gained + lost + same
    low, high = paired_change(gained, lost, trials)
    assert -1.0 <= low <= high <= 1.0
    if trials:
        assert low <= (gained - lost) / trials <= high
        again = paired_change(lost, gained, trials)
        assert again == (pytest.approx(-high), pytest.approx(-low))


def test_more_samples_make_it_narrower() -> None:
    widths = [wilson(9 * n, 10 * n)[1] - wilson(9 * n, 10 * n)[0] for n in (1, 10, 100)]
    assert widths[0] > widths[1] > widths[2]


def test_without_samples_nothing_is_known() -> None:
    assert wilson(0, 0) == (0.0, 1.0)
    assert paired_change(0, 0, 0) == (-1.0, 1.0)
