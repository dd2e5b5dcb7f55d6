"""The memo keeps what was used last, and never more than its limit."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from quant_core.engine import Memo


def batches(size: int) -> list[dict[str, np.ndarray]]:
    return [{"x": np.zeros(size, np.uint8)}]


@given(
    st.integers(0, 100),
    st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 60), st.booleans()), max_size=40),
)
def test_it_is_never_above_its_limit(limit: int, steps: list[tuple[str, int, bool]]) -> None:
    memo, sizes = Memo(limit), dict[str, int]()
    for key, size, reads in steps:
        if reads:
            found = memo.get(key)
            assert found is None or len(found[0]["x"]) == sizes[key]
        else:
            if memo.get(key) is None:
                sizes[key] = size
            memo.put(key, batches(size))
        kept = [k for k in "abcdef" if memo.get(k) is not None]
        assert memo.held == sum(sizes[k] for k in kept) <= limit


def test_what_was_not_used_for_longest_goes_first() -> None:
    memo = Memo(30)
    for key in "abc":
        memo.put(key, batches(10))
    assert memo.get("a") is not None
    memo.put("d", batches(10))
    assert [key for key in "abcd" if memo.get(key) is not None] == ["a", "c", "d"]


def test_what_is_larger_than_the_limit_pushes_nothing_out() -> None:
    memo = Memo(30)
    memo.put("a", batches(10))
    memo.put("b", batches(31))
    assert memo.get("a") is not None and memo.get("b") is None
    memo.clear()
    assert memo.get("a") is None and memo.held == 0
