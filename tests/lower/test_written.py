"""What is counted, and what is written tensor by tensor, is the file that is written at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quant_core.lower import WeightCache, lower, size_of, to_bytes, to_bytes_once
from quant_core.plan import preset_plan
from tests.bodies import branching
from tests.models import (
    build,
    conv_chain,
    fixed_range,
    graph_of,
    matmul_chain,
    port,
    tied_language_model,
    zoo,
)

MODELS = [conv_chain, matmul_chain, tied_language_model, branching, zoo]
KINDS = [np.float32, np.float64, np.float16, np.int64, np.int8, np.uint8, np.bool_]


def check(model: ir.Model) -> None:
    whole = to_bytes(model)
    assert size_of(model) == len(whole)
    assert to_bytes(model) == whole  # counting changes nothing
    assert to_bytes_once(model) == whole


@pytest.mark.parametrize("preset", ["fp16", "int8", "int8-dynamic", "int4-weights", "w4a8"])
@pytest.mark.parametrize("make", MODELS, ids=lambda f: f.__name__)
def test_of_a_lowered_graph(make: Callable[[], onnx.ModelProto], preset: str, tmp_path: Path) -> None:
    graph = graph_of(make(), tmp_path)
    check(lower(WeightCache(graph), preset_plan(graph, preset), fixed_range()))


@pytest.mark.parametrize("make", MODELS, ids=lambda f: f.__name__)
def test_of_a_model_as_it_was_read(make: Callable[[], onnx.ModelProto]) -> None:
    check(ir.from_proto(make()))


@given(
    sizes=st.lists(st.sampled_from([0, 1, 2, 3, 126, 127, 128, 129, 16381, 16384, 70000]), max_size=4),
    kind=st.sampled_from(KINDS),
    name=st.text("ab", min_size=1, max_size=200),
    raw=st.booleans(),
)
def test_of_tensors_of_any_size(sizes: list[int], kind: type, name: str, raw: bool) -> None:
    model = build([], [port("x", 1)], [port("x", 1)], {})
    for number, size in enumerate(sizes):
        array = np.zeros((1, size), kind)
        if raw or kind is np.bool_:
            tensor = onnx.numpy_helper.from_array(array, f"{name}{number}")
        else:
            made = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(kind))
            tensor = onnx.helper.make_tensor(f"{name}{number}", made, array.shape, array.ravel())
        model.graph.initializer.append(tensor)
    check(ir.from_proto(model))


def test_of_text_notes_and_four_bits() -> None:
    model = build([], [port("x", 1)], [port("x", 1)], {})
    words = onnx.helper.make_tensor("words", onnx.TensorProto.STRING, [2], [b"one", b"two"])
    noted = onnx.numpy_helper.from_array(np.zeros(300, np.float32), "noted")
    noted.doc_string = "what it is"
    model.graph.initializer.extend([words, noted])
    read = ir.from_proto(model)
    four = ir.Tensor(np.zeros(301, np.int8), dtype=ir.DataType.INT4, name="four")
    value = ir.Value(name="four", const_value=four, shape=four.shape, type=ir.TensorType(four.dtype))
    read.graph.register_initializer(value)
    check(read)
