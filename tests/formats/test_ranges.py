"""Range methods against NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from quant_core.formats import FORMATS, affine_parameters, fake_quantize, find_range

INT4 = FORMATS["int4"]
CLIPPED = {"int2": (-4, 5)}  # with a value further out, 2 bits leave the ratios that are tried


def outliers() -> np.ndarray:
    """Normal rows with one large value each."""
    rows = np.random.default_rng(3).normal(size=(4, 2000)).astype(np.float32)
    rows[:, 0] = [30, -30, 20, 8]
    return rows


def test_minmax_is_the_smallest_and_largest_value() -> None:
    rows = outliers()
    low, high = find_range(rows, "minmax", INT4, True)
    np.testing.assert_array_equal(low, rows.min(axis=1))
    np.testing.assert_array_equal(high, rows.max(axis=1))


@pytest.mark.parametrize("share", [90.0, 99.0, 99.9])
def test_percentile_cuts_the_same_share_off_both_ends(share: float) -> None:
    rows = outliers()
    low, high = find_range(rows, f"percentile:{share}", INT4, True)
    tail = (100 - share) / 2
    expected = np.percentile(rows.astype(np.float64), [tail, 100 - tail], axis=1)
    np.testing.assert_allclose([low, high], expected, rtol=1e-6)


def test_percentile_100_is_minmax() -> None:
    rows = outliers()
    np.testing.assert_array_equal(
        find_range(rows, "percentile:100", INT4, True), find_range(rows, "minmax", INT4, True)
    )


@pytest.mark.parametrize("share", [90.0, 99.0])
def test_counts_stand_for_repeated_values(share: float) -> None:
    rng = np.random.default_rng(4)
    values = np.sort(rng.normal(size=300)).astype(np.float32)
    counts = rng.integers(1, 9, 300).astype(np.float32)
    repeated = np.repeat(values, counts.astype(int))
    found = find_range(values[None], f"percentile:{share}", INT4, False, counts[None])
    expected = np.percentile(repeated, [(100 - share) / 2, (100 + share) / 2])
    neighbours = np.diff(values).max()
    np.testing.assert_allclose([found[0][0], found[1][0]], expected, atol=neighbours)


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("name", ["int2", "int4", "uint4", "int8"])
def test_mse_is_close_to_the_best_of_a_fine_search(name: str, symmetric: bool) -> None:
    rows, number = np.clip(outliers(), *CLIPPED.get(name, (-40, 40))), FORMATS[name]
    low, high = find_range(rows, "mse", number, symmetric)

    def error(low: np.ndarray, high: np.ndarray) -> np.ndarray:
        scale, zero = affine_parameters(low[:, None], high[:, None], number, symmetric)
        return np.square(fake_quantize(rows, scale, zero, number) - rows).sum(axis=1, dtype=np.float64)

    ratios = np.linspace(0.02, 1.0, 120)
    ends = rows.min(axis=1).astype(np.float64), rows.max(axis=1).astype(np.float64)
    if symmetric:
        tries = [error(ends[0] * r, ends[1] * r) for r in ratios]
    else:
        tries = [error(ends[0] * a, ends[1] * b) for a in ratios[::3] for b in ratios[::3]]
    assert (error(low, high) <= 1.1 * np.min(tries, axis=0)).all()


def test_mse_clips_an_outlier_at_few_bits_and_keeps_it_at_many() -> None:
    rows = np.random.default_rng(0).normal(size=(1, 4000)).astype(np.float32)
    rows[0, 0] = 12.0
    few = find_range(rows, "mse", FORMATS["int4"], False)[1][0]
    many = find_range(rows, "mse", FORMATS["int16"], False)[1][0]
    assert few < 0.7 * 12.0
    assert many > 0.99 * 12.0


def test_mse_with_counts_equals_mse_of_the_repeated_values() -> None:
    values = np.linspace(-2, 5, 50, dtype=np.float32)
    counts = np.random.default_rng(1).integers(1, 20, 50).astype(np.float32)
    repeated = np.repeat(values, counts.astype(int))
    weighed = find_range(values[None], "mse", INT4, False, counts[None])
    plain = find_range(repeated[None], "mse", INT4, False)
    np.testing.assert_allclose(weighed, plain, rtol=1e-6)


def test_many_rows_are_searched_as_if_each_were_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = outliers()
    together = find_range(rows, "mse", INT4, False)
    alone = [find_range(row[None], "mse", INT4, False) for row in rows]
    np.testing.assert_array_equal(together, np.concatenate(alone, axis=1))
    monkeypatch.setattr("quant_core.formats.range_mse._CHUNK", 3000)
    np.testing.assert_array_equal(find_range(rows, "mse", INT4, False), together)
