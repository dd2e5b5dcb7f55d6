"""ONNX's quantization operators on random tensors, against the ONNX reference."""

from __future__ import annotations

import math
from typing import Any

import ml_dtypes
import numpy as np
import onnxruntime as ort
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import helper
from onnx.reference import ReferenceEvaluator

from quant_core.errors import FormatError
from quant_core.formats.onnx_ops import dequantize_linear, dynamic_quantize_linear, quantize_linear
from tests.models import build, node, port

Array = NDArray[np.generic]
OPSET = 25  # the newest of which the reference knows all attributes that are tried here

INTEGERS = [np.uint16, np.int16, np.uint8, np.int8]
INTEGERS += [ml_dtypes.uint4, ml_dtypes.int4, ml_dtypes.uint2, ml_dtypes.int2]
FLOATS8 = [
    ml_dtypes.float8_e4m3fn,
    ml_dtypes.float8_e4m3fnuz,
    ml_dtypes.float8_e5m2,
    ml_dtypes.float8_e5m2fnuz,
]
FLOATS = [*FLOATS8, ml_dtypes.float6_e2m3fn, ml_dtypes.float6_e3m2fn, ml_dtypes.float4_e2m1fn]
CODES = [np.dtype(kind) for kind in (*INTEGERS, *FLOATS)]
WIDE = [np.dtype(kind) for kind in (np.float32, np.float16, ml_dtypes.bfloat16)]
GRANULARITIES = ["tensor", "axis", "block"]

# Where the reference implementation departs from the operator's text, and we follow the text.
DEVIATIONS = {
    "precision": "x / scale in the type of the scale; the reference divides float32 by float16 in float32",
    "zero range": "a range of nothing but zero gives the scale 1, as ONNX Runtime; the reference gives 1/255",
    "large ratio": "x / scale beyond int32 saturates; the reference makes it an int32 first, which x86 wraps",
}


def onnx_type(kind: np.dtype) -> int:
    return int(helper.np_dtype_to_tensor_dtype(kind))


def reference(operator: str, feeds: dict[str, Array], out: np.dtype, **attributes: Any) -> Array:
    """What the ONNX reference evaluator computes."""
    inputs = [port(name, *a.shape, kind=onnx_type(a.dtype)) for name, a in feeds.items()]
    shape = next(iter(feeds.values())).shape
    made = node(operator, list(feeds), ["y"], **attributes)
    model = build([made], inputs, [port("y", *shape, kind=onnx_type(out))], {}, OPSET)
    return np.asarray(ReferenceEvaluator(model).run(None, feeds)[0])


def same(ours: Array, theirs: Array) -> None:
    """To the bit: type, shape and every value."""
    assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
    np.testing.assert_array_equal(ours.reshape(-1).view(np.uint8), theirs.reshape(-1).view(np.uint8))


@st.composite
def layouts(draw: st.DrawFn, granularity: str) -> tuple[tuple[int, ...], tuple[int, ...], dict[str, int]]:
    """The shape of a tensor, the shape of its scales, and the attributes that go with them."""
    shape = tuple(draw(st.lists(st.integers(1, 6), min_size=1, max_size=4)))
    if granularity == "tensor":
        return shape, (), {}
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    if granularity == "axis":
        return shape, (shape[axis],), {"axis": axis}
    size = draw(st.integers(1, shape[axis]))
    blocks = list(shape)
    blocks[axis] = math.ceil(shape[axis] / size)
    assume(math.prod(blocks) > 1)
    return shape, tuple(blocks), {"axis": axis, "block_size": size}


def codes(rng: np.random.Generator, kind: np.dtype, shape: tuple[int, ...]) -> Array:
    """Random codes; of a float, finite ones."""
    if kind in FLOATS:
        return (rng.normal(size=shape) * 3).astype(kind)
    info = ml_dtypes.iinfo(kind)
    return rng.integers(int(info.min), int(info.max) + 1, shape).astype(kind)


def zeros(rng: np.random.Generator, kind: np.dtype, shape: tuple[int, ...]) -> Array:
    return np.zeros(shape, kind) if kind in FLOATS else codes(rng, kind, shape)


@pytest.mark.parametrize("granularity", GRANULARITIES)
@pytest.mark.parametrize("kind", CODES, ids=str)
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_quantize(kind: np.dtype, granularity: str, data: st.DataObject) -> None:
    shape, parameters, attributes = data.draw(layouts(granularity))
    wide = data.draw(st.sampled_from(WIDE))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    spread, most = 10.0 ** data.draw(st.integers(-3, 4)), 1e3 if wide == np.float16 else 6e4
    feeds: dict[str, Array] = {
        "x": np.clip(rng.normal(size=shape) * spread, -most, most).astype(wide),
        "scale": rng.uniform(0.02, 2.0, parameters).astype(wide),
    }
    if data.draw(st.booleans()):
        feeds["zero"] = zeros(rng, kind, parameters)
    saturate = data.draw(st.booleans()) if kind in FLOATS8 else True
    expected = reference(
        "QuantizeLinear", feeds, kind, output_dtype=onnx_type(kind), saturate=int(saturate), **attributes
    )
    found = quantize_linear(*feeds.values(), **attributes, saturate=saturate, output_dtype=kind)
    same(found, expected)


@pytest.mark.parametrize("granularity", GRANULARITIES)
@pytest.mark.parametrize("kind", [*CODES, np.dtype(np.int32)], ids=str)
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_dequantize(kind: np.dtype, granularity: str, data: st.DataObject) -> None:
    shape, parameters, attributes = data.draw(layouts(granularity))
    wide, out = data.draw(st.sampled_from(WIDE)), data.draw(st.sampled_from([None, *WIDE]))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    feeds: dict[str, Array] = {
        "x": codes(rng, kind, shape),
        "scale": rng.uniform(0.001, 0.5, parameters).astype(wide),
    }
    if kind != np.int32 and data.draw(st.booleans()):
        feeds["zero"] = zeros(rng, kind, parameters)
    more = {} if out is None else {"output_dtype": onnx_type(out)}
    with np.errstate(over="ignore"):
        expected = reference("DequantizeLinear", feeds, out or wide, **attributes, **more)
    same(dequantize_linear(*feeds.values(), **attributes, output_dtype=out), expected)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(-(2.0**99), 2.0**99, width=32), min_size=1, max_size=40),
    st.sampled_from(["as it is", "above zero", "below zero"]),
)
def test_dynamic_quantize(values: list[float], where: str) -> None:
    x = np.array(values, np.float32)
    x = {"as it is": x, "above zero": np.abs(x), "below zero": -np.abs(x)}[where]
    assume(float(np.abs(x).max()) > 1e-30)  # elsewhere the scale is 1
    outputs = [port("y", len(x), kind=onnx_type(np.dtype(np.uint8))), port("scale")]
    outputs.append(port("zero", kind=onnx_type(np.dtype(np.uint8))))
    made = node("DynamicQuantizeLinear", ["x"], ["y", "scale", "zero"])
    model = build([made], [port("x", len(x))], outputs, {}, 11)
    for ours, theirs in zip(
        dynamic_quantize_linear(x), ReferenceEvaluator(model).run(None, {"x": x}), strict=True
    ):
        same(ours, np.asarray(theirs))
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    for ours, theirs in zip(dynamic_quantize_linear(x), session.run(None, {"x": x}), strict=True):
        assert np.abs(ours.astype(np.float64) - theirs).max() <= (0 if theirs.shape == () else 1)


@pytest.mark.parametrize(
    "x", [np.zeros(4, np.float32), np.zeros(0, np.float32), np.full(3, 1e-45, np.float32)]
)
def test_dynamic_quantize_of_nothing_but_zero_has_the_scale_one(x: NDArray[np.float32]) -> None:
    y, scale, zero = dynamic_quantize_linear(x)
    assert (float(scale), int(zero)) == (1.0, 0)
    assert (y == 0).all() and y.dtype == np.uint8


def test_the_type_of_the_scale_is_the_precision_of_the_division() -> None:
    """The operator's text says so. float16 has no 2049."""
    feeds: dict[str, Array] = {"x": np.array([2049.0], np.float32), "scale": np.array(1.0, np.float16)}
    assert quantize_linear(*feeds.values(), output_dtype=np.uint16)[0] == 2048
    assert quantize_linear(*feeds.values(), output_dtype=np.uint16, precision=np.float32)[0] == 2049
    kind = np.dtype(np.uint16)
    found = reference("QuantizeLinear", feeds, kind, output_dtype=onnx_type(kind))
    assert found[0] == 2049, f"no longer so: {DEVIATIONS['precision']}"


def test_a_range_of_nothing_but_zero_has_another_scale_in_the_reference() -> None:
    x, kind = np.zeros(3, np.float32), onnx_type(np.dtype(np.uint8))
    outputs = [port("y", 3, kind=kind), port("scale"), port("zero", kind=kind)]
    model = build(
        [node("DynamicQuantizeLinear", ["x"], ["y", "scale", "zero"])], [port("x", 3)], outputs, {}, 11
    )
    scale = ReferenceEvaluator(model).run(None, {"x": x})[1]
    assert scale == np.float32(1) / np.float32(255), f"no longer so: {DEVIATIONS['zero range']}"
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    for ours, theirs in zip(dynamic_quantize_linear(x), session.run(None, {"x": x}), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("kind", [np.dtype(k) for k in INTEGERS], ids=str)
def test_what_is_far_outside_gets_the_outermost_code(kind: np.dtype) -> None:
    x = np.array([np.inf, 3e38, 1e12, -1e12, -3e38, -np.inf], np.float32)
    found = quantize_linear(x, np.float32(1e-3).reshape(()), output_dtype=kind).astype(np.int64)
    info = ml_dtypes.iinfo(kind)
    assert found.tolist() == [int(info.max)] * 3 + [int(info.min)] * 3


def test_eight_bit_floats_follow_the_table_of_cast() -> None:
    x, one = np.array([np.nan, np.inf, -np.inf, 1e6, -1e6], np.float32), np.ones((), np.float32)
    for kind in FLOATS8:
        largest = float(ml_dtypes.finfo(kind).max)
        found = quantize_linear(x, one, output_dtype=kind).astype(np.float32)
        np.testing.assert_array_equal(found, [np.nan, largest, -largest, largest, -largest])
        found = quantize_linear(x, one, output_dtype=kind, saturate=False).astype(np.float32)
        over = np.inf if kind == ml_dtypes.float8_e5m2 else np.nan
        np.testing.assert_array_equal(found, [np.nan, over, -over, over, -over])


def test_a_bare_exponent_can_be_the_scale() -> None:
    x = np.linspace(-9, 9, 64, dtype=np.float32)
    power = np.array(0.5, ml_dtypes.float8_e8m0fnu)
    found = quantize_linear(x, power, output_dtype=ml_dtypes.float4_e2m1fn)
    same(found, quantize_linear(x, np.array(0.5, np.float32), output_dtype=ml_dtypes.float4_e2m1fn))
    values = dequantize_linear(found, power, output_dtype=np.float32)
    assert np.abs(values).max() == 3.0


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"x": [np.nan]}, "NaN has no code"),
        ({"x": [0.0], "scale": 0.0}, "NaN has no code"),
        ({"output_dtype": np.float32}, "no type of quantized"),
        ({"zero_point": np.zeros((), np.int8), "output_dtype": np.uint8}, "utput_dtype is uint8"),
        ({"scale": [1.0, 1.0, 1.0]}, "do not fit axis"),
        ({"scale": [1.0, 1.0], "axis": 3}, "xis is 3"),
        ({"scale": [1.0, 1.0, 1.0], "axis": 0, "block_size": 1}, "in blocks of 1"),
    ],
)
def test_what_does_not_fit_is_refused(given: dict[str, Any], says: str) -> None:
    settings_of = {k: v for k, v in given.items() if k not in ("x", "scale")}
    x, scale = (np.asarray(given.get(k, d), np.float32) for k, d in (("x", [1.0, 2.0]), ("scale", 1.0)))
    if "axis" not in settings_of:
        settings_of["axis"] = 0
    with pytest.raises(FormatError, match=says):
        quantize_linear(x, scale, **settings_of)


def test_codes_and_zero_points_of_two_types_are_refused() -> None:
    with pytest.raises(FormatError, match="zero points int8"):
        dequantize_linear(np.zeros(2, np.uint8), np.float32(1).reshape(()), np.zeros((), np.int8))
    with pytest.raises(FormatError, match="not finite"):
        dynamic_quantize_linear([np.inf, 1.0])
