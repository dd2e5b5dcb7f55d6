"""Streaming histograms: what they keep does not depend on how the values arrive."""

from __future__ import annotations

import pickle
from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from quant_core.stats import StreamingHistogram

values = st.lists(
    st.one_of(
        st.floats(-100, 100, width=32),
        st.floats(-1e6, 1e6, width=32),
        st.floats(-(2.0**-20), 2.0**-20, width=32),
        st.just(0.0),
    ),
    min_size=1,
    max_size=60,
)


def filled(*batches: NDArray[np.float32], bins: int = 64) -> StreamingHistogram:
    histogram = StreamingHistogram(bins)
    for batch in batches:
        histogram.add(batch)
    return histogram


def same(a: StreamingHistogram, b: StreamingHistogram) -> None:
    assert (a.count, a.minimum, a.maximum, a.width) == (b.count, b.minimum, b.maximum, b.width)
    np.testing.assert_array_equal(a.occupied()[1], b.occupied()[1])
    np.testing.assert_allclose(a.occupied()[0], b.occupied()[0], rtol=1e-5, atol=1e-12)


@settings(max_examples=200, deadline=None)
@given(values, st.randoms(use_true_random=False), st.data())
def test_order_and_splitting_do_not_matter(items: list[float], random: object, data: st.DataObject) -> None:
    whole = np.array(items, np.float32)
    shuffled = items[:]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    cuts = sorted(data.draw(st.lists(st.integers(0, len(items)), max_size=5)))
    same(filled(whole), filled(*np.split(np.array(shuffled, np.float32), cuts)))


@pytest.mark.parametrize("seed", range(5))
def test_order_and_splitting_of_many_values_do_not_matter(seed: int) -> None:
    rng = np.random.default_rng(seed)
    whole = (rng.normal(size=5000) * 10.0 ** rng.integers(-2, 3)).astype(np.float32)
    pieces = np.split(rng.permutation(whole), np.sort(rng.integers(0, 5000, 30)))
    same(filled(whole, bins=512), filled(*pieces, bins=512))


@settings(max_examples=200, deadline=None)
@given(st.lists(values, min_size=1, max_size=6))
def test_no_value_is_lost_and_the_ends_are_exact(batches: list[list[float]]) -> None:
    histogram = filled(*(np.array(b, np.float32) for b in batches))
    everything = np.concatenate([np.array(b, np.float32) for b in batches])
    centres, counts = histogram.occupied()
    assert histogram.count == counts.sum() == everything.size
    assert histogram.minimum == everything.min()
    assert histogram.maximum == everything.max()
    assert (np.diff(centres) > 0).all()
    assert histogram.binned(16)[1].sum() == everything.size


@settings(max_examples=100, deadline=None)
@given(st.lists(values, min_size=1, max_size=4))
def test_every_value_lies_in_the_bin_that_counts_it(batches: list[list[float]]) -> None:
    histogram = filled(*(np.array(b, np.float32) for b in batches))
    everything = np.sort(np.concatenate([np.array(b, np.float64) for b in batches]))
    width = histogram.width
    bins, expected = np.unique(np.floor(everything / width), return_counts=True)
    np.testing.assert_array_equal(histogram.occupied()[1], expected)
    middle = histogram.occupied()[0].astype(np.float64)
    assert (np.abs(middle / width - (bins + 0.5)) <= 0.5 + 1e-3).all()


def test_a_spike_at_zero_stays_at_zero() -> None:
    """As after a ReLU: half the values are exactly zero."""
    rng = np.random.default_rng(1)
    histogram = filled(
        *(np.maximum(rng.normal(size=2000), 0).astype(np.float32) for _ in range(4)), bins=4096
    )
    centres, counts = histogram.occupied()
    assert abs(float(centres[0])) < histogram.width
    assert counts[0] > 3500


def test_the_bins_use_at_least_half_of_their_number() -> None:
    histogram = filled(np.linspace(-3, 5, 100_000, dtype=np.float32), bins=1024)
    assert 512 <= histogram.occupied()[1].size <= 1024


@settings(max_examples=100, deadline=None)
@given(st.lists(values, min_size=1, max_size=4))
def test_zeros_and_moments_are_those_of_the_values(batches: list[list[float]]) -> None:
    histogram = filled(*(np.array(b, np.float32) for b in batches))
    everything = np.concatenate([np.array(b, np.float32) for b in batches]).astype(np.float64)
    bins = histogram.moments()
    assert histogram.zeros == np.count_nonzero(everything == 0)
    place = np.floor(everything / histogram.width).astype(np.int64)
    np.testing.assert_array_equal(bins.index, np.unique(place))
    for index, mean, variance in zip(bins.index, bins.means, bins.variances, strict=True):
        inside = everything[place == index]
        scale = float(np.square(inside).max())
        np.testing.assert_allclose(mean, inside.mean(), rtol=1e-9, atol=1e-300)
        np.testing.assert_allclose(variance, inside.var(), rtol=1e-6, atol=1e-12 * scale + 1e-300)


def test_nan_and_infinities_are_counted_apart() -> None:
    histogram = filled(np.array([1.0, np.nan, 2.0, np.inf, -np.inf, 3.0], np.float32))
    assert (histogram.count, histogram.not_finite) == (3, 3)
    assert (histogram.minimum, histogram.maximum) == (1.0, 3.0)
    histogram.add(np.full(5, np.nan, np.float32))
    assert (histogram.count, histogram.not_finite) == (3, 8)


def test_an_empty_histogram_has_nothing_to_show() -> None:
    histogram = filled(np.zeros(0, np.float32), np.full(3, np.nan, np.float32))
    assert histogram.count == 0
    assert histogram.occupied()[0].size == 0
    assert histogram.binned()[1].sum() == 0


@pytest.mark.parametrize("constant", [0.0, 1.0, -7.5, 1e-20, 3e38, -3e38, 1e-45])
def test_a_constant_is_one_bin(constant: float) -> None:
    histogram = filled(np.full(100, constant, np.float32), np.full(50, constant, np.float32))
    centres, counts = histogram.occupied()
    assert counts.tolist() == [150]
    np.testing.assert_allclose(centres, np.float32(constant), rtol=1e-6)


def test_the_widest_range_there_is() -> None:
    largest = float(np.finfo(np.float32).max)
    histogram = filled(np.array([0.0, 1e-30], np.float32), np.array([-largest, largest], np.float32))
    assert histogram.count == histogram.occupied()[1].sum() == 4
    assert (histogram.minimum, histogram.maximum) == (-largest, largest)


def test_memory_does_not_grow_with_the_samples() -> None:
    histogram = StreamingHistogram(256)
    rng = np.random.default_rng(2)
    sizes = []
    for step in range(30):
        histogram.add((rng.normal(size=2000) * 1.5**step).astype(np.float32))
        sizes.append(len(pickle.dumps(histogram.__dict__)))
    assert max(sizes) < 1.1 * min(sizes)


def test_a_stride_keeps_the_range_exact() -> None:
    rng = np.random.default_rng(3)
    batch = rng.normal(size=10_000).astype(np.float32)
    batch[1] = 50.0
    histogram = StreamingHistogram()
    histogram.add(batch, keep=1000)
    assert histogram.maximum == 50.0
    assert histogram.count == 10_000
    assert 900 < histogram.occupied()[1].sum() < 1100


@pytest.mark.parametrize("bins", [4, 50, 256])
def test_what_is_drawn_has_at_most_the_bins_asked_for(bins: int) -> None:
    rng = np.random.default_rng(4)
    sample = rng.normal(size=3000).astype(np.float32)
    edges, counts = filled(sample, bins=4096).binned(bins)
    assert len(counts) <= bins
    assert len(edges) == len(counts) + 1
    assert edges[0] <= sample.min() and sample.max() <= edges[-1]
    np.testing.assert_array_equal(counts, np.histogram(sample, edges)[0])


@settings(max_examples=100, deadline=None)
@given(st.lists(values, min_size=0, max_size=4))
def test_a_snapshot_gives_the_histogram_back(batches: list[list[float]]) -> None:
    """Without loss, so that what is added afterwards falls into the same bins."""
    histogram = filled(*(np.array(b, np.float32) for b in batches))
    again = StreamingHistogram.from_snapshot(histogram.snapshot())
    exactly_same(again, histogram)
    more = np.linspace(-7, 300, 50, dtype=np.float32)
    histogram.add(more)
    again.add(more)
    exactly_same(again, histogram)


def exactly_same(a: StreamingHistogram, b: StreamingHistogram) -> None:
    mine, other = asdict(a.snapshot()), asdict(b.snapshot())
    mine |= mine.pop("extremes")
    other |= other.pop("extremes")
    for key, value in mine.items():
        np.testing.assert_array_equal(value, other[key], err_msg=key)


def test_a_snapshot_whose_bins_do_not_fit_is_refused() -> None:
    kept = filled(np.linspace(-3, 5, 1000, dtype=np.float32)).snapshot()
    with pytest.raises(ValueError, match="do not fit"):
        StreamingHistogram.from_snapshot(replace(kept, bins=8))
