"""Weights of recurrent and fused layers, in half precision, and inside bodies, decoded as NumPy does it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from quant_core.formats import Scheme, quantize_tensor, sqnr_db
from quant_core.graph import Graph, inputs_of
from quant_core.lower import DECODERS, WeightCache, lower, to_bytes
from quant_core.plan import Plan, Precision, preset_plan
from quant_core.prepare import generate_inputs
from tests.bodies import branching, looping
from tests.models import (
    Array,
    build,
    fixed_range,
    graph_of,
    node,
    normal,
    only,
    plan_of,
    port,
    proto_of,
    recurrent,
    run,
    simulate,
)

SCHEMES = [
    Scheme("int8", "channel"),
    Scheme("int4", "group:2", False, "mse"),
    Scheme("int4", "channel", False, "mse"),
    Scheme("int2", "channel", False, "mse"),
    Scheme("codebook4", "channel"),
    Scheme("fp16"),
]
BODIES = [branching, looping, recurrent]


def half() -> onnx.ModelProto:
    """Two products in half precision between casts. `x` [N, 6] to `y` [N, 5]."""
    nodes = [
        node("Cast", ["x"], ["h"], name="in", to=TensorProto.FLOAT16),
        node("MatMul", ["h", "v"], ["a"], name="one"),
        node("MatMul", ["a", "w"], ["b"], name="two"),
        node("Cast", ["b"], ["y"], name="out", to=TensorProto.FLOAT),
    ]
    weights = {"v": normal(1, 6, 4).astype(np.float16), "w": normal(2, 4, 5).astype(np.float16)}
    return build(nodes, [port("x", "N", 6)], [port("y", "N", 5)], weights)


def attention() -> onnx.ModelProto:
    """Fused attention with two heads. `x` [N, T, 8] to `y` [N, T, 8]."""
    fused = helper.make_node(
        "Attention", ["x", "w", "b"], ["y"], name="attention", domain="com.microsoft", num_heads=2
    )
    weights = {"w": normal(1, 8, 24, scale=0.3), "b": normal(2, 24)}
    model = build([fused], [port("x", "N", "T", 8)], [port("y", "N", "T", 8)], weights)
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    return model


def content(graph: Graph, plan: Plan, decoder: str = "cast") -> bytes:
    return to_bytes(lower(WeightCache(graph), plan, fixed_range(), None, decoder))


def node_anywhere(model: onnx.ModelProto, name: str) -> onnx.NodeProto:
    """The node called `name`, in the graph or a body."""
    graphs = [model.graph]
    while graphs:
        for n in (graph := graphs.pop()).node:
            if n.name == name:
                return n
            graphs += [a.g for a in n.attribute if a.type == onnx.AttributeProto.GRAPH]
        del graph
    raise AssertionError(name)


@pytest.mark.parametrize("make", [*BODIES, half, attention], ids=lambda f: f.__name__)
@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
@pytest.mark.parametrize("decoder", DECODERS)
def test_decoded_weights_are_numpys(
    make: Callable[[], onnx.ModelProto], scheme: Scheme, decoder: str, tmp_path: Path
) -> None:
    graph = graph_of(make(), tmp_path)
    assert graph.quantizable
    made = proto_of(content(graph, plan_of(graph, Precision(scheme)), decoder))
    for layer in graph.quantizable:
        read = node_anywhere(made, layer.node).input[layer.weight_input]
        decoded = quantize_tensor(graph.weights(layer), layer.axis, scheme).decode()
        stored = graph.model.graph.initializers[layer.tensor or ""].const_value
        assert stored is not None
        (value,) = simulate(only(made, [read], int(stored.dtype)), {})
        np.testing.assert_array_equal(value.ravel(), decoded.astype(stored.dtype.numpy()).ravel())
        assert value.shape == tuple(stored.shape)


def with_weights(model: onnx.ModelProto, graph: Graph, scheme: Scheme) -> onnx.ModelProto:
    """`model` with each tensor replaced by what NumPy decodes."""
    copy = onnx.ModelProto.FromString(model.SerializeToString())
    decoded: dict[str, Array] = {
        x.tensor or "": quantize_tensor(graph.weights(x), x.axis, scheme).decode() for x in graph.quantizable
    }
    graphs = [copy.graph]
    while graphs:
        current = graphs.pop()
        for tensor in current.initializer:
            if tensor.name in decoded:
                kind = helper.tensor_dtype_to_np_dtype(tensor.data_type)
                values = decoded[tensor.name].reshape(tuple(tensor.dims)).astype(kind)
                tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
        graphs += [a.g for n in current.node for a in n.attribute if a.type == onnx.AttributeProto.GRAPH]
    return copy


@pytest.mark.parametrize("make", [*BODIES, half, attention], ids=lambda f: f.__name__)
@pytest.mark.parametrize("preset", ["fp16", "int8-weights", "int4-weights"])
def test_the_file_computes_with_the_decoded_weights_simulated_and_shipped(
    make: Callable[[], onnx.ModelProto], preset: str, tmp_path: Path
) -> None:
    graph = graph_of(make(), tmp_path)
    plan = preset_plan(graph, preset)
    scheme = plan[graph.quantizable[0].name].weights
    assert scheme is not None
    feeds = generate_inputs(inputs_of(graph.model), seed=2)
    expected = run(with_weights(make(), graph, scheme), feeds)
    made = content(graph, plan)
    for execute in (simulate, run):
        for got, wanted in zip(execute(made, feeds), expected, strict=True):
            assert got.dtype == wanted.dtype
            assert sqnr_db(wanted, got) > (50 if make is half else 110)


def test_a_branch_reads_its_decoded_weights_from_the_graph_around_it(tmp_path: Path) -> None:
    graph = graph_of(branching(), tmp_path)
    made = content(graph, Plan("one", {"inside": Precision(Scheme("int8", "channel"))}))
    for flag in (True, False):
        feeds = {"x": normal(1, 2, 3, 6, 6), "flag": np.array(flag)}
        found = sqnr_db(simulate(graph.model, feeds)[0], simulate(made, feeds)[0])
        assert (30 < found < 70) if flag else found > 150  # the other branch is untouched


def test_the_directions_of_a_recurrent_layer_share_no_scale(tmp_path: Path) -> None:
    model = recurrent()
    weights = normal(1, 2, 12, 5)
    weights[1] *= 1000
    model.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(weights, "w1"))
    graph = graph_of(model, tmp_path)
    layer = graph.layer("lstm.W")
    decoded = quantize_tensor(graph.weights(layer), layer.axis, Scheme("int8", "channel")).decode()
    assert sqnr_db(weights[0], decoded.reshape(weights.shape)[0]) > 35


def test_names_inside_a_body_hide_nothing_of_the_graph_around_it(tmp_path: Path) -> None:
    """Short names are given to everything; those that a body calls its own are not among them."""
    model = looping()
    loop = model.graph.node[0].attribute[0].g
    for value, short in zip(loop.input, "abc", strict=True):
        old, value.name = value.name, short
        for n in loop.node:
            n.input[:] = [short if i == old else i for i in n.input]
    graph = graph_of(model, tmp_path)
    feeds = {"x": normal(3, 2, 4)}
    expected = run(model, feeds)[0]
    assert sqnr_db(expected, run(content(graph, preset_plan(graph, "int8-weights")), feeds)[0]) > 30
