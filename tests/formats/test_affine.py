"""Scale and zero point against numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quant_core.formats import FORMATS, affine_parameters, dequantize, fake_quantize, quantize

INTEGERS = [f.name for f in FORMATS.values() if f.kind == "integer" and not f.block and f.levels != 3]


@pytest.mark.parametrize(
    ("name", "low", "high", "symmetric", "scale", "zero"),
    [
        ("uint8", -1.0, 1.55, False, 0.01, 100),
        ("uint8", 0.0, 2.55, False, 0.01, 0),
        ("uint8", -2.55, 0.0, False, 0.01, 255),
        ("int8", 0.0, 2.55, False, 0.01, -128),
        ("int8", -1.27, 0.5, True, 0.01, 0),  # the upper end decides: 127 codes above zero, 128 below
        ("int8", -1.28, 1.27, True, 0.01, 0),
        ("int8", -0.1, 1.27, True, 0.01, 0),
        ("uint8", -1.28, 1.27, True, 0.01, 128),
        ("int4", -0.8, 0.7, True, 0.1, 0),
        ("uint4", -0.5, 1.0, False, 0.1, 5),
        ("int2", -2.0, 1.0, False, 1.0, 0),
        ("int2", -1.0, 0.5, True, 0.5, 0),
        ("int16", -327.68, 327.67, True, 0.01, 0),
    ],
)
def test_parameters_by_hand(
    name: str, low: float, high: float, symmetric: bool, scale: float, zero: int
) -> None:
    found_scale, found_zero = affine_parameters(low, high, FORMATS[name], symmetric)
    tolerance = 1.0 / 127 if (name, low) == ("int8", -1.27) else 1e-6
    np.testing.assert_allclose(found_scale, scale, rtol=tolerance)
    assert int(found_zero) == zero


def test_a_range_that_misses_zero_is_extended_to_it() -> None:
    scale, zero = affine_parameters(1.0, 2.55, FORMATS["uint8"], False)
    np.testing.assert_allclose(scale, 0.01, rtol=1e-6)
    assert int(zero) == 0


def test_values_beyond_the_range_take_the_last_code() -> None:
    scale, zero = affine_parameters(-1.0, 1.55, FORMATS["uint8"], False)
    codes = quantize(np.array([-1e30, -5.0, 0.0, 5.0, 1e30], np.float32), scale, zero, FORMATS["uint8"])
    assert codes.tolist() == [0, 0, 100, 255, 255]


@pytest.mark.parametrize("name", INTEGERS)
@pytest.mark.parametrize("symmetric", [True, False], ids=["symmetric", "asymmetric"])
@settings(max_examples=40, deadline=None)
@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_both_ends_and_zero_have_a_code(name: str, symmetric: bool, a: float, b: float) -> None:
    """Within half a step at the ends, which the rounded zero point may move; exactly at zero."""
    low, high = min(a, b), max(a, b)
    number = FORMATS[name]
    scale, zero = affine_parameters(low, high, number, symmetric)
    ends = np.array([low, high, 0.0], np.float32)
    decoded = fake_quantize(ends, scale, zero, number)
    slack = float(scale) * (0.5 + 1e-3) + 4e-6 * max(abs(low), abs(high))
    assert abs(float(decoded[0]) - low) <= slack
    assert abs(float(decoded[1]) - high) <= slack
    assert decoded[2] == 0.0


def test_arrays_of_ranges_give_arrays_of_parameters() -> None:
    low, high = np.array([[-1.0], [0.0]]), np.array([[1.0], [4.0]])
    scale, zero = affine_parameters(low, high, FORMATS["uint4"], False)
    assert scale.shape == zero.shape == (2, 1)
    assert scale.dtype == np.float32
    single = [affine_parameters(low[i, 0], high[i, 0], FORMATS["uint4"], False) for i in range(2)]
    assert [float(s) for s, _ in single] == scale[:, 0].tolist()
    assert [int(z) for _, z in single] == zero[:, 0].tolist()


def test_dequantize_multiplies_in_float32() -> None:
    scale = np.float32(0.1).reshape(())
    decoded = dequantize(np.array([3, 7]), scale, np.asarray(1, np.int32))
    assert decoded.dtype == np.float32
    assert decoded.tolist() == [
        float(np.float32(2) * np.float32(0.1)),
        float(np.float32(6) * np.float32(0.1)),
    ]


def test_the_catalogue_says_what_each_format_holds() -> None:
    expected = {
        "int16": (-32768, 32767),
        "uint16": (0, 65535),
        "int8": (-128, 127),
        "uint8": (0, 255),
        "int4": (-8, 7),
        "uint4": (0, 15),
        "int2": (-2, 1),
        "uint2": (0, 3),
        "int6": (-32, 31),
        "int3": (-4, 3),
        "uint3": (0, 7),
        "ternary": (-1, 1),
    }
    assert {n: (FORMATS[n].qmin, FORMATS[n].qmax) for n in expected} == expected
    assert {n: FORMATS[n].levels for n in ("int8", "int4", "int2")} == {"int8": 256, "int4": 16, "int2": 4}
