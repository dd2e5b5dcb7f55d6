"""Where ONNX defines a number, ours is that number to the bit."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from onnx import TensorProto
from onnx.reference import ReferenceEvaluator

from quant_core.formats import FORMATS, Scheme, quantize, quantize_tensor, to_rows
from tests.models import build, node, normal, port

INTEGERS = [f.name for f in FORMATS.values() if f.kind == "integer" and f.has_dequantize]
GRANULARITIES = ["tensor", "channel", "group:4"]
SCHEMES = [Scheme(f, g, s) for f in INTEGERS for g in GRANULARITIES for s in (True, False)]
GROUPS_OPSET = 25  # the first whose QuantizeLinear has blocks and 2-bit types


def reference(
    x: NDArray[np.float32], scale: NDArray[np.float32], zero: NDArray[np.int32], scheme: Scheme, group: int
) -> tuple[NDArray[np.generic], NDArray[np.float32]]:
    """Codes and decoded values of the rows of one channel each, by the ONNX reference implementation."""
    kind = getattr(TensorProto, scheme.number.onnx_type)
    settings_of = {"axis": 1, "block_size": group} if group else {"axis": 0}
    nodes = [
        node("QuantizeLinear", ["x", "scale", "zero"], ["codes"], **settings_of),
        node("DequantizeLinear", ["codes", "scale", "zero"], ["decoded"], **settings_of),
    ]
    inputs = [port("x", *x.shape), port("scale", *scale.shape), port("zero", *zero.shape, kind=kind)]
    outputs = [port("codes", *x.shape, kind=kind), port("decoded", *x.shape)]
    model = build(nodes, inputs, outputs, {}, GROUPS_OPSET)
    feeds = {"x": x, "scale": scale, "zero": zero.astype(scheme.number.storage)}
    codes, decoded = ReferenceEvaluator(model).run(None, feeds)
    return codes, decoded


@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
@settings(max_examples=6, deadline=None)
@given(
    values=arrays(np.float32, (3, 10), elements=st.floats(-50, 50, width=32)),
    method=st.sampled_from(["minmax", "mse", "percentile:90"]),
)
def test_codes_and_values_equal_the_onnx_reference(
    scheme: Scheme, values: NDArray[np.float32], method: str
) -> None:
    scheme = Scheme(scheme.format, scheme.granularity, scheme.symmetric, method)
    tensor = quantize_tensor(values, 0, scheme)
    layout = tensor.layout
    assert tensor.scale is not None and tensor.zero_point is not None
    assert layout.granularity == scheme.granularity
    # The reference casts to int32 before it clips, which has no result beyond.
    assume(float(np.abs(values).max()) / float(tensor.scale.min()) < 2.0**30)
    rows = to_rows(values, layout)
    shape: tuple[int, ...] = ()
    if layout.group:
        rows, shape = rows.reshape(3, -1), (3, layout.groups)
    elif layout.granularity == "channel":
        shape = (3,)
    codes, decoded = reference(
        rows, tensor.scale.reshape(shape), tensor.zero_point.reshape(shape), scheme, layout.group
    )
    np.testing.assert_array_equal(codes.astype(np.int32).reshape(tensor.codes.shape), tensor.codes)
    ours = to_rows(tensor.decode(), layout).reshape(decoded.shape)
    real = to_rows(np.ones_like(values), layout).reshape(decoded.shape) == 1
    np.testing.assert_array_equal(ours[real].view(np.int32), decoded[real].view(np.int32))


@pytest.mark.parametrize("scheme", [s for s in SCHEMES if s.granularity == "tensor"], ids=str)
def test_ties_round_half_to_even_as_in_onnx(scheme: Scheme) -> None:
    """With scale 1 the values k + 1/2 lie exactly between two codes."""
    number = scheme.number
    middle = (number.qmin + number.qmax + 1) // 2
    x = (np.arange(-6, 6, dtype=np.float32) + np.float32(0.5)).reshape(1, -1)
    one, zero = np.float32(1.0).reshape(()), np.asarray(middle, np.int32)
    codes, _ = reference(x, one, zero, scheme, 0)
    np.testing.assert_array_equal(quantize(x, one, zero, number), codes.astype(np.int32))


@settings(max_examples=50, deadline=None)
@given(arrays(np.float32, 20, elements=st.floats(-65504, 65504, width=32)))
def test_fp16_is_the_cast_of_numpy(values: NDArray[np.float32]) -> None:
    decoded = quantize_tensor(values, 0, Scheme("fp16")).decode()
    np.testing.assert_array_equal(decoded, values.astype(np.float16).astype(np.float32))


@settings(max_examples=50, deadline=None)
@given(arrays(np.float32, 20, elements=st.floats(-(2.0**120), 2.0**120, width=32)))
def test_bf16_is_the_cast_of_ml_dtypes(values: NDArray[np.float32]) -> None:
    decoded = quantize_tensor(values, 0, Scheme("bf16")).decode()
    np.testing.assert_array_equal(decoded, values.astype(ml_dtypes.bfloat16).astype(np.float32))


def test_fp32_is_the_tensor_itself() -> None:
    values = normal(1, 4, 5)
    np.testing.assert_array_equal(quantize_tensor(values, 0, Scheme("fp32")).decode(), values)


def test_fp16_takes_what_is_too_large_to_its_largest_number() -> None:
    decoded = quantize_tensor(np.array([1e6, -1e6], np.float32), 0, Scheme("fp16")).decode()
    np.testing.assert_array_equal(decoded, np.array([65504, -65504], np.float32))
