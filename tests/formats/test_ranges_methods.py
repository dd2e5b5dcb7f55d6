"""OCTAV and entropy ranges, narrow ranges of few levels, and input that has no shape to speak of."""

from __future__ import annotations

import time

import numpy as np
import pytest
from numpy.typing import NDArray

from quant_core.errors import FormatError
from quant_core.formats import FORMATS, Format, affine_parameters, fake_quantize, find_range
from quant_core.formats.range_entropy import _divergence

Rows = NDArray[np.float32]
METHODS = ["minmax", "percentile:99.9", "mse", "octav", "entropy"]
SCALED = [f for f in FORMATS.values() if f.kind in ("integer", "minifloat", "table") and not f.block]
FEW = ["int2", "uint2", "int3", "uint3", "ternary"]


def drawn(kind: str, size: int = 20_000) -> Rows:
    rng = np.random.default_rng(5)
    normal = rng.normal(size=size)
    raw = {
        "normal": normal,
        "laplace": rng.laplace(size=size),
        "relu": np.maximum(normal, 0),
        "pruned": np.where(rng.random(size) < 0.9, 0, normal),
        "shifted": np.abs(normal) + 0.5,
        "negative": -np.abs(normal),
    }[kind]
    return raw.astype(np.float32)[None]


def error(rows: Rows, low: object, high: object, number: Format, symmetric: bool) -> NDArray[np.float64]:
    scale, zero = affine_parameters(np.reshape(low, (-1, 1)), np.reshape(high, (-1, 1)), number, symmetric)
    return np.square(fake_quantize(rows, scale, zero, number) - rows).mean(axis=1, dtype=np.float64)


@pytest.mark.parametrize("kind", ["normal", "laplace", "relu", "pruned", "shifted", "negative"])
@pytest.mark.parametrize(
    ("name", "symmetric"), [("int4", True), ("uint4", False), ("int8", True), ("uint8", False)]
)
def test_octav_loses_no_more_than_the_search(kind: str, name: str, symmetric: bool) -> None:
    rows, number = drawn(kind), FORMATS[name]
    octav = error(rows, *find_range(rows, "octav", number, symmetric), number, symmetric)
    searched = error(rows, *find_range(rows, "mse", number, symmetric), number, symmetric)
    assert octav <= 1.1 * searched  # 0.4 dB: the fixed point counts rounding noise as even


def test_octav_is_the_fixed_point_of_equation_6() -> None:
    """Of a symmetric quantizer, with the step of its grid: s = E[|x|; |x| > s] / (k P(|x| <= s) + P(|x| >
    s)).
    """
    size = np.abs(drawn("laplace")[0].astype(np.float64))
    clip = find_range(drawn("laplace"), "octav", FORMATS["int4"], True)[1][0]
    outside = size > clip
    k = 1 / (12 * 7**2)
    again = size[outside].sum() / (k * (~outside).sum() + outside.sum())
    assert again == pytest.approx(clip, rel=1e-2)  # the best of the last steps, on finite data


@pytest.mark.parametrize("symmetric", [True, False])
def test_octav_does_not_see_zeros(symmetric: bool) -> None:
    """They have a code, so they make no rounding noise."""
    rows = drawn("normal")
    with_zeros = np.concatenate([rows, np.zeros_like(rows), np.zeros_like(rows)], axis=1)
    number = FORMATS["int4"]
    np.testing.assert_allclose(
        find_range(with_zeros, "octav", number, symmetric), find_range(rows, "octav", number, symmetric)
    )


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("method", ["octav", "entropy"])
def test_counts_stand_for_repeated_values(method: str, symmetric: bool) -> None:
    rng = np.random.default_rng(4)
    values = np.sort(rng.normal(size=900)).astype(np.float32)
    counts = rng.integers(1, 9, 900).astype(np.float32)
    number = FORMATS["int4"]
    weighed = find_range(values[None], method, number, symmetric, counts[None])
    repeated = np.repeat(values, counts.astype(int))[None]
    plain = find_range(repeated, method, number, symmetric)
    np.testing.assert_allclose(weighed, plain, rtol=1e-3 if method == "octav" else 0.25)


@pytest.mark.parametrize("unit", [2.0**-130, 1.0, 2.0**90])
@pytest.mark.parametrize("method", METHODS)
def test_the_unit_of_the_values_does_not_matter(method: str, unit: float) -> None:
    rows, number = drawn("laplace"), FORMATS["int4"]
    low, high = find_range((rows * unit).astype(np.float32), method, number, True)
    expected = np.array(find_range(rows, method, number, True)) * unit
    np.testing.assert_allclose([low, high], expected, rtol=2e-3)


@pytest.mark.parametrize("name", ["uint4", "int8", "uint8"])
@pytest.mark.parametrize("kind", ["normal", "laplace", "relu", "pruned"])
def test_entropy_clips_a_tail_and_loses_little(kind: str, name: str) -> None:
    rows, number = drawn(kind, 200_000), FORMATS[name]
    symmetric = name.startswith("i")
    low, high = find_range(rows, "entropy", number, symmetric)
    assert high[0] <= rows.max() and low[0] >= rows.min()
    best = error(rows, *find_range(rows, "mse", number, symmetric), number, symmetric)
    assert error(rows, low, high, number, symmetric) <= 2.5 * best


def test_entropy_clips_lone_outliers() -> None:
    rows = np.concatenate([drawn("normal"), [[40.0, -35.0]]], axis=1).astype(np.float32)
    low, high = find_range(rows, "entropy", FORMATS["int8"], True)
    assert -8 < low[0] < -2 and 2 < high[0] < 8


def test_entropy_keeps_an_even_distribution_whole() -> None:
    rows = np.random.default_rng(1).uniform(-1, 1, (1, 50_000)).astype(np.float32)
    low, high = find_range(rows, "entropy", FORMATS["uint8"], False)
    assert high[0] - low[0] > 0.98 * (rows.max() - rows.min())


@pytest.mark.parametrize("name", ["int16", "uint8", "int4"])
def test_entropy_keeps_the_whole_range_where_it_says_nothing(name: str) -> None:
    """Of few distinct values, and where every bin has a code of its own."""
    few = (np.random.default_rng(2).integers(-8, 9, (1, 5000)) / 8).astype(np.float32)
    values, counts = np.unique(few, return_counts=True)
    weighed = find_range(values[None], "entropy", FORMATS[name], True, counts[None].astype(np.float32))
    assert [float(e[0]) for e in weighed] == [-1, 1]
    low, high = find_range(drawn("normal"), "entropy", FORMATS["int16"], True)
    assert (low[0], high[0]) == (drawn("normal").min(), drawn("normal").max())


def test_the_divergence_is_that_of_the_definition() -> None:
    """KL(P || Q), bin by bin, for a small histogram: codes of bins 0 0 1 1 2, the last bin clipped."""
    weight = np.array([4.0, 2.0, 1.0, 3.0, 2.0])
    decoded = np.array([[0, 0, 1, 1, 1]], np.float32)
    inside = np.array([[True, True, True, True, False]])
    p = np.array([4, 2, 1, 3 + 2]) / 12
    q = np.array([3, 3, 2, 2]) / 10
    assert _divergence(decoded, inside, weight)[0] == pytest.approx(np.sum(p * np.log(p / q)))


@pytest.mark.parametrize("symmetric", [True, False])
def test_entropy_of_an_activation_histogram_takes_a_moment(symmetric: bool) -> None:
    rng = np.random.default_rng(6)
    values = np.linspace(-4, 4, 4096, dtype=np.float32)[None]
    counts = (1 + rng.poisson(5000 * np.exp(-0.5 * values**2))).astype(np.float32)
    taken = []
    for _ in range(3):
        start = time.perf_counter()
        find_range(values, "entropy", FORMATS["uint8"], symmetric, counts)
        taken.append(time.perf_counter() - start)
    assert min(taken) < 0.2


@pytest.mark.parametrize("name", FEW)
def test_few_levels_can_clip_below_a_fifth_of_the_range(name: str) -> None:
    rows = drawn("normal")
    rows = np.concatenate([rows, [[20.0]]], axis=1).astype(np.float32)
    number = FORMATS[name]
    symmetric = not name.startswith("u")
    ratios = np.geomspace(0.02, 1, 60)
    ends = np.float64(rows.min()), np.float64(rows.max())
    tries = [
        error(rows, ends[0] * a, ends[1] * b, number, symmetric)[0] for a in ratios for b in (a, 1.5 * a)
    ]
    found = error(rows, *find_range(rows, "mse", number, symmetric), number, symmetric)
    assert found[0] <= 1.1 * min(tries)


@pytest.mark.parametrize("number", SCALED, ids=str)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("symmetric", [True, False])
def test_every_method_gives_every_scaled_format_a_range_within_the_values(
    number: Format, method: str, symmetric: bool
) -> None:
    rows = np.concatenate([drawn("laplace"), drawn("relu"), drawn("shifted")])
    low, high = find_range(rows, method, number, symmetric)
    assert low.shape == high.shape == (3,)
    assert (low >= np.minimum(rows.min(axis=1), 0) * 1.2 - 1e-6).all()
    assert (high <= np.maximum(rows.max(axis=1), 0) * 1.2 + 1e-6).all()
    assert (high > 0).all()


DEGENERATE = {
    "zeros": np.zeros((2, 300)),
    "constant": np.full((2, 300), -3.5),
    "one value": np.array([[7.0], [0.0]]),
    "subnormal": np.array([[1e-45, -1e-45, 0.0] * 100, [3e-42] * 300]),
    "largest": np.array([[3.4e38, -3.4e38] * 150, [3.4e38] * 300]),
    "without zero": np.stack([np.linspace(3, 4, 300), np.linspace(-4, -3, 300)]),
    "smallest step": np.stack([np.linspace(-1, 1, 300), np.linspace(-1, 1, 300) * 1e-38]),
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", DEGENERATE)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("name", "symmetric"), [("int8", True), ("uint8", False), ("int2", True), ("uint2", False)]
)
@pytest.mark.parametrize("weighed", [False, True])
def test_degenerate_rows_have_a_finite_range(
    kind: str, method: str, name: str, symmetric: bool, weighed: bool
) -> None:
    rows = np.sort(DEGENERATE[kind].astype(np.float32), axis=1)
    counts = np.full(rows.shape, 3.0, np.float32) if weighed else None
    low, high = find_range(rows, method, FORMATS[name], symmetric, counts)
    assert np.isfinite([low, high]).all()
    scale, zero = affine_parameters(low[:, None], high[:, None], FORMATS[name], symmetric)
    assert np.isfinite(fake_quantize(rows, scale, zero, FORMATS[name])).all()
    if kind == "zeros":
        assert (low == 0).all() and (high == 0).all()


@pytest.mark.parametrize("method", METHODS)
def test_rows_without_values_have_an_empty_range(method: str) -> None:
    low, high = find_range(np.zeros((3, 0), np.float32), method, FORMATS["int8"], True)
    assert low.tolist() == high.tolist() == [0, 0, 0]
    low, high = find_range(np.zeros((0, 5), np.float32), method, FORMATS["int8"], True)
    assert low.size == high.size == 0


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("method", METHODS)
def test_values_that_are_not_finite_are_refused(method: str, bad: float) -> None:
    with pytest.raises(FormatError, match="NaN or infinite"):
        find_range(np.array([[1, bad, 2]], np.float32), method, FORMATS["int8"], True)


@pytest.mark.parametrize("method", ["average", "dynamic", "best"])
def test_what_is_no_property_of_a_row_is_refused(method: str) -> None:
    with pytest.raises(FormatError, match="from values alone"):
        find_range(np.ones((1, 3), np.float32), method, FORMATS["int8"], True)
