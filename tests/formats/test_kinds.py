"""Minifloats, tables, blocks and codebooks: what their papers say of them, worked out the slow way."""

from __future__ import annotations

import itertools
import math

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from quant_core.formats import FORMATS, Scheme, quantize_tensor, to_rows
from quant_core.formats.codebook import BINS, learn_table, look_up
from quant_core.formats.packing import pack_bits, pack_trits, unpack_bits, unpack_trits
from tests.models import normal

QUICK = settings(max_examples=25, deadline=None)


def plain(limit: float) -> st.SearchStrategy[float]:
    """Numbers that are zero or far from the smallest, where scales end."""
    return st.floats(-limit, limit, width=32).map(lambda v: 0.0 if abs(v) < 1e-20 else v)


weights = arrays(np.float32, st.tuples(st.integers(1, 4), st.integers(1, 70)), elements=plain(100))
MINIFLOATS = [f.name for f in FORMATS.values() if f.kind == "minifloat" and not f.block]
NOT_FLOATS = [f.name for f in FORMATS.values() if f.kind != "float"]
BLOCKS = [f.name for f in FORMATS.values() if f.block]


@pytest.mark.parametrize("name", MINIFLOATS)
@QUICK
@given(values=weights)
def test_a_minifloat_is_the_cast_of_what_the_scale_leaves(name: str, values: NDArray[np.float32]) -> None:
    tensor = quantize_tensor(values, 0, Scheme(name, "channel"))
    assert tensor.scale is not None
    scale = tensor.scale[:, None]
    limit = float(ml_dtypes.finfo(FORMATS[name].storage).max)
    cast = np.clip(values / scale, -limit, limit).astype(FORMATS[name].storage).astype(np.float32)
    np.testing.assert_array_equal(tensor.decode(), cast * scale)


@pytest.mark.parametrize("name", [*MINIFLOATS, "nf4", "mxfp8", "mxfp4", "mxint8", "nvfp4"])
@QUICK
@given(values=weights)
def test_every_value_takes_the_nearest_of_the_grid(name: str, values: NDArray[np.float32]) -> None:
    tensor = quantize_tensor(values, 0, Scheme(name, "channel"))
    assert tensor.scale is not None
    rows = to_rows(values, tensor.layout)
    grid = FORMATS[name].grid().astype(np.float64)
    for row, scale, codes in zip(rows, tensor.scale.astype(np.float64), tensor.codes, strict=True):
        found = codes * scale if FORMATS[name].kind == "integer" else FORMATS[name].decoded()[codes] * scale
        nearest = np.abs(grid[None] * scale - row[:, None]).min(axis=1)
        np.testing.assert_allclose(
            np.abs(found - row), nearest, rtol=1e-5, atol=1e-6 * (1 + np.abs(row).max())
        )


@pytest.mark.parametrize("name", [n for n in NOT_FLOATS if FORMATS[n].kind != "codebook" and n != "binary"])
@QUICK
@given(values=weights)
def test_zero_stays_exactly_zero(name: str, values: NDArray[np.float32]) -> None:
    values[:, 0] = 0.0
    assert (quantize_tensor(values, 0, Scheme(name, "tensor")).decode()[:, 0] == 0.0).all()


@QUICK
@given(values=weights, granularity=st.sampled_from(["tensor", "channel", "group:16"]))
def test_binary_is_the_sign_times_the_mean_magnitude(values: NDArray[np.float32], granularity: str) -> None:
    tensor = quantize_tensor(values, 0, Scheme("binary", granularity))
    assert tensor.scale is not None
    start = 0
    rows = to_rows(values, tensor.layout)
    assert tensor.layout.sizes.sum() == values.size
    for row, count, scale in zip(rows, tensor.layout.sizes, tensor.scale, strict=True):
        mean = np.abs(row[:count]).mean(dtype=np.float64)
        assert scale == (pytest.approx(mean, rel=1e-5, abs=1e-30) if mean > 0 else 1.0)
        start += count
    np.testing.assert_array_equal(np.sign(tensor.decode()), np.where(values >= 0, 1, -1))


def test_nf4_has_sixteen_rising_values_from_minus_one_to_one_and_an_exact_zero() -> None:
    grid = FORMATS["nf4"].grid()
    assert len(grid) == 16
    assert (np.diff(grid) > 0).all()
    assert (grid[0], grid[7], grid[-1]) == (-1.0, 0.0, 1.0)


ELEMENTS = {"mxfp8": (8, 448.0), "mxfp4": (2, 6.0), "mxint8": (0, 127 / 64)}


@pytest.mark.parametrize("name", ELEMENTS)
@QUICK
@given(values=arrays(np.float32, (2, 75), elements=plain(1e6)))
def test_mx_scales_are_those_of_the_specification(name: str, values: NDArray[np.float32]) -> None:
    """Section 6.3: 2 ** (floor(log2(largest magnitude)) - exponent of the largest element)."""
    tensor = quantize_tensor(values, 0, Scheme(name))
    assert tensor.layout.group == 32
    assert tensor.scale is not None
    top, _ = ELEMENTS[name]
    step = 2.0**-6 if name == "mxint8" else 1.0
    for row, scale in zip(to_rows(values, tensor.layout), tensor.scale.astype(float), strict=True):
        largest = float(np.abs(row).max())
        if largest > 0:
            assert scale == step * 2.0 ** (math.frexp(largest)[1] - 1 - top)


def test_nvfp4_uses_the_whole_range_of_both_scales() -> None:
    values = normal(3, 4, 64)
    values[1] *= 1e-3
    tensor = quantize_tensor(values, 0, Scheme("nvfp4"))
    assert tensor.layout.group == 16 and tensor.scale is not None
    whole = np.abs(values).max() / (6 * 448)
    as_fp8 = (tensor.scale / whole).astype(ml_dtypes.float8_e4m3fn).astype(np.float32)
    np.testing.assert_allclose(tensor.scale, as_fp8 * whole, rtol=1e-5)
    assert as_fp8.max() == 448.0


@pytest.mark.parametrize(
    ("scheme", "bits"),
    [
        (Scheme("mxfp4"), 4.25),
        (Scheme("mxfp8"), 8.25),
        (Scheme("mxint8"), 8.25),
        (Scheme("nvfp4"), 4.5 + 32 / 4096),
        (Scheme("nf4", "group:64"), 4.5),
        (Scheme("int4", "group:32"), 5.0),
        (Scheme("int4", "group:32", False), 5.125),
        (Scheme("ternary", "tensor"), 1.6 + 32 / 4096),
        (Scheme("binary", "channel"), 1.0 + 32 / 256),
        (Scheme("codebook4", "tensor"), 4.0 + 16 * 32 / 4096),
        (Scheme("codebook2", "channels:4"), 2.0 + 4 * 32 / 1024),
        (Scheme("fp16"), 16.0),
    ],
    ids=str,
)
def test_bits_per_weight_count_scales_zero_points_and_tables(scheme: Scheme, bits: float) -> None:
    assert quantize_tensor(normal(1, 16, 256), 0, scheme).bits_per_weight == pytest.approx(bits)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("size", [2, 3, 4])
def test_the_table_is_the_best_of_all(seed: int, size: int) -> None:
    """Against every way to cut the sorted values."""
    values = np.sort(normal(seed, 12).astype(np.float64) ** 3)
    best = min(
        sum(np.square(part - part.mean()).sum() for part in np.split(values, cuts))
        for cuts in itertools.combinations(range(1, 12), size - 1)
    )
    table = learn_table(values.astype(np.float32), size)
    error = np.square(table[look_up(values.astype(np.float32), table)] - values).sum()
    assert error == pytest.approx(best, rel=1e-5)


@pytest.mark.parametrize("bits", [2, 3, 4, 6])
@pytest.mark.parametrize("draw", ["normal", "laplace", "standard_t"])
def test_the_best_table_is_never_worse_than_lloyds(bits: int, draw: str) -> None:
    rng = np.random.default_rng(bits)
    values = (rng.standard_t(3, 20_000) if draw == "standard_t" else getattr(rng, draw)(size=20_000)).astype(
        np.float32
    )
    assert np.unique(values).size > BINS
    errors = []
    for method in ("kmeans", "lloyd"):
        table = learn_table(values, 1 << bits, method)
        assert (np.diff(table) >= 0).all()
        errors.append(float(np.square(table[look_up(values, table)] - values, dtype=np.float64).sum()))
    assert errors[0] <= errors[1] * (1 + 1e-3)


@QUICK
@given(
    values=weights, bits=st.integers(2, 8), granularity=st.sampled_from(["tensor", "channel", "channels:3"])
)
def test_a_codebook_decodes_to_its_nearest_entry(
    values: NDArray[np.float32], bits: int, granularity: str
) -> None:
    tensor = quantize_tensor(values, 0, Scheme(f"codebook{bits}", granularity))
    assert tensor.table is not None
    decoded = to_rows(tensor.decode(), tensor.layout)
    for row, found, count, table in zip(
        to_rows(values, tensor.layout), decoded, tensor.layout.sizes, tensor.table, strict=True
    ):
        nearest = np.abs(table[None].astype(np.float64) - row[:count, None]).min(axis=1)
        np.testing.assert_allclose(np.abs(found[:count] - row[:count]), nearest, rtol=1e-4, atol=1e-5)


def test_a_codebook_with_enough_entries_is_exact() -> None:
    values = np.array([[0.1, 5.0, -3.0, 0.1], [7.5, -3.0, 5.0, 5.0]], np.float32)
    np.testing.assert_array_equal(quantize_tensor(values, 0, Scheme("codebook3")).decode(), values)


@QUICK
@given(bits=st.integers(1, 7), signed=st.booleans(), count=st.integers(0, 50), seed=st.integers(0, 9))
def test_bits_are_packed_eight_codes_to_as_many_bytes_as_bits(
    bits: int, signed: bool, count: int, seed: int
) -> None:
    low = -(1 << (bits - 1)) if signed else 0
    codes = np.random.default_rng(seed).integers(low, low + (1 << bits), count)
    packed = pack_bits(codes, bits)
    assert packed.size == -(-count // 8) * bits
    np.testing.assert_array_equal(unpack_bits(packed, bits, signed, count), codes)


@QUICK
@given(st.lists(st.integers(-1, 1), max_size=40))
def test_five_trits_share_a_byte(codes: list[int]) -> None:
    packed = pack_trits(np.array(codes, np.int64))
    assert packed.size == -(-len(codes) // 5)
    np.testing.assert_array_equal(unpack_trits(packed, len(codes)), codes)


EXTREMES = {
    "zeros": np.zeros((2, 40)),
    "one constant": np.full((2, 40), 0.7),
    "one element": np.array([[2.5]]),
    "subnormal": np.linspace(-1e-40, 1e-39, 80).reshape(2, 40),
    "huge": np.linspace(-1e38, 3e38, 80).reshape(2, 40),
    "both largest numbers": np.array([[-np.finfo(np.float32).max, np.finfo(np.float32).max] * 20] * 2),
    "tiny beside huge": np.array([[1e-38, 1e38] * 20] * 2),
    "empty": np.zeros((3, 0)),
}


@pytest.mark.parametrize("name", NOT_FLOATS)
@pytest.mark.parametrize("extreme", EXTREMES)
def test_extreme_tensors_stay_finite(name: str, extreme: str) -> None:
    values = EXTREMES[extreme].astype(np.float32)
    for granularity in ("tensor", "channel"):
        decoded = quantize_tensor(values, 0, Scheme(name, granularity)).decode()
        assert decoded.shape == values.shape
        assert np.isfinite(decoded).all()
        if extreme == "zeros" and name != "binary":
            assert (decoded == 0).all()
