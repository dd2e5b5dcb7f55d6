"""Laws that every format keeps, whatever the tensor."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from quant_core.errors import FormatError
from quant_core.formats import (
    FORMATS,
    QuantizedTensor,
    Scheme,
    from_rows,
    quantize,
    quantize_tensor,
    to_rows,
)

INTEGERS = [f.name for f in FORMATS.values() if f.kind == "integer" and not f.block]
FLOATS = [f.name for f in FORMATS.values() if f.kind == "float"]
GRANULARITIES = ["tensor", "channel", "group:8"]
RANGES = ["minmax", "mse", "percentile:99"]
SCHEMES = [Scheme(f, g, s) for f in INTEGERS for g in GRANULARITIES for s in (True, False)]
QUICK = settings(max_examples=6, deadline=None)

shapes = st.tuples(st.integers(1, 4), st.integers(1, 40))
weights = shapes.flatmap(lambda s: arrays(np.float32, s, elements=st.floats(-100, 100, width=32)))
every_scheme = pytest.mark.parametrize("scheme", SCHEMES, ids=str)


def steps(tensor: QuantizedTensor) -> NDArray[np.float64]:
    """The scale of each value, in the shape of the tensor."""
    assert tensor.scale is not None
    rows = np.broadcast_to(tensor.scale[:, None].astype(np.float64), tensor.codes.shape)
    return from_rows(rows, tensor.layout).astype(np.float64)


@every_scheme
@QUICK
@given(values=weights)
def test_zero_stays_exactly_zero(scheme: Scheme, values: NDArray[np.float32]) -> None:
    values[:, 0] = 0.0
    assert (quantize_tensor(values, 0, scheme).decode()[:, 0] == 0.0).all()


@every_scheme
@QUICK
@given(values=weights)
def test_a_decoded_tensor_has_the_same_codes(scheme: Scheme, values: NDArray[np.float32]) -> None:
    tensor = quantize_tensor(values, 0, scheme)
    assert tensor.scale is not None and tensor.zero_point is not None
    decoded = to_rows(tensor.decode(), tensor.layout)
    again = quantize(decoded, tensor.scale[:, None], tensor.zero_point[:, None], scheme.number)
    padded = to_rows(np.ones_like(values), tensor.layout) == 1
    np.testing.assert_array_equal(again[padded], tensor.codes[padded])


@every_scheme
@QUICK
@given(values=weights)
def test_codes_and_zero_points_fit_the_format(scheme: Scheme, values: NDArray[np.float32]) -> None:
    tensor = quantize_tensor(values, 0, scheme)
    for stored in (tensor.codes, tensor.zero_point):
        assert stored is not None
        assert stored.min() >= scheme.number.qmin
        assert stored.max() <= scheme.number.qmax


@every_scheme
@QUICK
@given(values=weights)
def test_the_error_is_at_most_half_a_step(scheme: Scheme, values: NDArray[np.float32]) -> None:
    tensor = quantize_tensor(values, 0, scheme)
    error = np.abs(tensor.decode().astype(np.float64) - values)
    rounding = 4 * np.finfo(np.float32).eps * np.abs(values).max()
    assert (error <= steps(tensor) / 2 + rounding).all()


@pytest.mark.parametrize("symmetric", [True, False], ids=["symmetric", "asymmetric"])
@pytest.mark.parametrize("granularity", GRANULARITIES)
@pytest.mark.parametrize("method", ["minmax", "mse"])
@pytest.mark.parametrize("draw", ["normal", "laplace", "uniform", "exponential"])
def test_more_bits_are_never_worse(method: str, granularity: str, symmetric: bool, draw: str) -> None:
    rng = np.random.default_rng(5)
    values = np.asarray(getattr(rng, draw)(size=(6, 200)), np.float32)
    for names in (
        ("int2", "int3", "int4", "int6", "int8", "int16"),
        ("uint2", "uint3", "uint4", "uint6", "uint8"),
    ):
        errors = [squared_error(values, Scheme(n, granularity, symmetric, method)) for n in names]
        assert errors == sorted(errors, reverse=True)
        assert errors[0] > errors[-1]


@pytest.mark.parametrize("name", INTEGERS)
@pytest.mark.parametrize("symmetric", [True, False], ids=["symmetric", "asymmetric"])
@settings(max_examples=15, deadline=None)
@given(values=weights, granularity=st.sampled_from(GRANULARITIES))
@example(values=np.array([[-99.45842, 53.107857]], np.float32), granularity="tensor")
def test_the_mse_range_never_has_more_squared_error_than_minmax(
    name: str, symmetric: bool, values: NDArray[np.float32], granularity: str
) -> None:
    tuned = squared_error(values, Scheme(name, granularity, symmetric, "mse"))
    plain = squared_error(values, Scheme(name, granularity, symmetric, "minmax"))
    assert tuned <= plain * (1 + 1e-5) + 1e-12


def squared_error(values: NDArray[np.float32], scheme: Scheme) -> float:
    decoded = quantize_tensor(values, 0, scheme).decode().astype(np.float64)
    return float(np.square(decoded - values).sum())


LARGEST, SMALLEST = np.finfo(np.float32).max, np.finfo(np.float32).smallest_subnormal
EXTREMES = {
    "zeros": np.zeros((2, 20)),
    "one constant": np.full((2, 20), 0.7),
    "a negative constant": np.full((2, 20), -3.0),
    "one element": np.array([[2.5]]),
    "the smallest number": np.full((2, 20), SMALLEST),
    "subnormal": np.linspace(-1e-40, 1e-39, 40).reshape(2, 20),
    "tiny": np.linspace(-1e-30, 2e-30, 40).reshape(2, 20),
    "huge": np.linspace(-1e38, 3e38, 40).reshape(2, 20),
    "the largest number": np.full((2, 20), LARGEST),
    "both largest numbers": np.array([[-LARGEST, LARGEST] * 10] * 2),
    "tiny beside huge": np.array([[1e-38, 1e38] * 10] * 2),
    "one outlier": np.array([[1e-3] * 19 + [1e4]] * 2),
}


@pytest.mark.parametrize("extreme", EXTREMES)
@pytest.mark.parametrize("method", RANGES)
@pytest.mark.parametrize("granularity", GRANULARITIES)
def test_extreme_tensors_stay_finite(extreme: str, granularity: str, method: str) -> None:
    values = EXTREMES[extreme].astype(np.float32)
    largest = float(np.abs(values).max())
    for name in INTEGERS:
        for symmetric in (True, False):
            tensor = quantize_tensor(values, 0, Scheme(name, granularity, symmetric, method))
            decoded = tensor.decode().astype(np.float64)
            assert tensor.scale is not None
            assert np.isfinite(tensor.scale).all() and (tensor.scale > 0).all(), name
            assert np.isfinite(decoded).all(), name
            assert (np.abs(decoded) <= 1.6 * largest + 1e-37).all(), name


@pytest.mark.parametrize("extreme", EXTREMES)
@pytest.mark.parametrize("name", FLOATS)
def test_float_formats_keep_extreme_tensors_finite(extreme: str, name: str) -> None:
    assert np.isfinite(quantize_tensor(EXTREMES[extreme].astype(np.float32), 0, Scheme(name)).decode()).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", FORMATS)
def test_values_that_are_not_finite_are_refused(name: str, bad: float) -> None:
    values = np.ones((2, 9), np.float32)
    values[1, 4] = bad
    with pytest.raises(FormatError, match="NaN or infinite"):
        quantize_tensor(values, 0, Scheme(name, "channel"))


@pytest.mark.parametrize("name", INTEGERS)
def test_a_constant_is_exact_where_its_range_touches_it(name: str) -> None:
    """The end of an asymmetric range that holds one sign is a code."""
    number = FORMATS[name]
    decoded = quantize_tensor(np.full((1, 9), 0.75, np.float32), 0, Scheme(name, "tensor", False)).decode()
    np.testing.assert_allclose(decoded, 0.75, rtol=1e-6, atol=0.75 / number.levels / 1e3)


@pytest.mark.parametrize("name", INTEGERS)
def test_an_empty_tensor_has_no_codes(name: str) -> None:
    decoded = quantize_tensor(np.zeros((3, 0), np.float32), 0, Scheme(name, "channel")).decode()
    assert decoded.shape == (3, 0)
