"""Extremes by sample: exact, in constant memory, and independent of the order."""

from __future__ import annotations

import io
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from quant_core.formats import Scheme
from quant_core.stats import Ranges, StreamingHistogram

AVERAGE = Scheme("uint8", "tensor", False, "average")


def samples(seed: int, count: int = 40) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(count, 3, 5)) * rng.exponential(size=(count, 1, 1))).astype(np.float32)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1000), st.lists(st.integers(0, 40), max_size=5), st.randoms(use_true_random=False))
def test_means_and_largest_are_those_of_the_samples_in_any_order(
    seed: int, cuts: list[int], random: object
) -> None:
    values = samples(seed)
    order = list(range(len(values)))
    random.shuffle(order)  # type: ignore[attr-defined]
    histogram = StreamingHistogram()
    for numbers in np.split(np.array(order), sorted(cuts)):
        histogram.add(values[numbers], samples=numbers)
    flat = values.reshape(len(values), -1).astype(np.float64)
    np.testing.assert_allclose(
        histogram.extremes.average, (flat.min(axis=1).mean(), flat.max(axis=1).mean()), rtol=1e-12
    )
    largest = np.abs(flat).max(axis=1)
    expected = sorted(zip(-largest, range(len(values)), strict=True))[:8]
    assert histogram.extremes.top == [(-value, number) for value, number in expected]
    assert histogram.extremes.samples == histogram.extremes.measured == len(values)


def test_samples_are_numbered_as_they_come() -> None:
    values, histogram = samples(1), StreamingHistogram()
    for part in np.array_split(values, 7):
        histogram.add(part)
    largest = int(np.abs(values).reshape(len(values), -1).max(axis=1).argmax())
    assert histogram.extremes.top[0] == (float(np.abs(values).max()), largest)


def test_of_equal_samples_the_first_are_remembered() -> None:
    histogram = StreamingHistogram()
    for start in (50, 0, 30):
        histogram.add(np.full((20, 2), 6.0, np.float32), samples=np.arange(start, start + 20))
    assert [number for _, number in histogram.extremes.top] == list(range(8))


def test_a_stride_does_not_touch_them() -> None:
    values = samples(2)
    kept, whole = StreamingHistogram(), StreamingHistogram()
    kept.add(values, keep=10)
    whole.add(values)
    assert kept.extremes.top == whole.extremes.top
    assert kept.extremes.average == whole.extremes.average


def test_a_sample_without_a_finite_value_counts_for_its_number_only() -> None:
    values = np.array([[1, 2], [np.nan, np.inf], [np.nan, -5], [3, 4]], np.float32)
    histogram = StreamingHistogram()
    histogram.add(values)
    extremes = histogram.extremes
    assert (extremes.samples, extremes.measured) == (4, 3)
    assert extremes.average == ((1 - 5 + 3) / 3, (2 - 5 + 4) / 3)
    assert extremes.top == [(5.0, 2), (4.0, 3), (2.0, 0)]
    assert (histogram.count, histogram.not_finite) == (5, 3)


def test_numbers_and_empty_samples() -> None:
    histogram = StreamingHistogram()
    histogram.add(np.float32(2.5))
    histogram.add(np.zeros((3, 0), np.float32))
    histogram.add(np.zeros((0, 4), np.float32))
    assert (histogram.extremes.samples, histogram.extremes.measured) == (4, 1)
    assert histogram.extremes.average == (2.5, 2.5)
    assert StreamingHistogram().extremes.average == (0.0, 0.0)


def test_memory_does_not_grow_with_the_samples() -> None:
    histogram, sizes = StreamingHistogram(), []
    for seed in range(20):
        histogram.add(samples(seed))
        sizes.append(len(pickle.dumps(vars(histogram.extremes))))
    assert max(sizes[1:]) < 1.1 * min(sizes[1:])


def test_the_range_average_is_the_mean_of_the_samples() -> None:
    values, histogram = samples(3), StreamingHistogram()
    histogram.add(values)
    found = Ranges({"t": histogram}).find("t", AVERAGE)
    flat = values.reshape(len(values), -1)
    np.testing.assert_allclose(found, (flat.min(axis=1).mean(), flat.max(axis=1).mean()), rtol=1e-6)
    assert values.min() < found[0] < found[1] < values.max()


def test_a_file_keeps_them() -> None:
    histograms = {name: StreamingHistogram() for name in ("a", "none", "b")}
    histograms["a"].add(samples(4))
    histograms["b"].add(samples(5, 3))
    again = Ranges.from_bytes(Ranges(histograms).to_bytes()).histograms
    for name, histogram in histograms.items():
        assert again[name].extremes.top == histogram.extremes.top
        assert again[name].extremes.average == histogram.extremes.average
        assert again[name].extremes.samples == histogram.extremes.samples


@pytest.mark.parametrize("missing", ["version", "samples", "top_values"])
def test_a_file_of_before_is_refused(missing: str) -> None:
    """The caller then measures anew."""
    histogram = StreamingHistogram()
    histogram.add(samples(6))
    with np.load(io.BytesIO(Ranges({"t": histogram}).to_bytes())) as file:
        kept = {key: file[key] for key in file.files if key != missing}
    old = io.BytesIO()
    np.savez_compressed(old, **kept)
    with pytest.raises(ValueError):
        Ranges.from_bytes(old.getvalue())
