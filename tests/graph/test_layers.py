"""What is found in a graph: layers, shapes, costs, and the reason where one cannot be quantized."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from quant_core.errors import PlanError
from quant_core.graph import Graph, Layer
from tests.bodies import branching
from tests.models import (
    build,
    conv_chain,
    file_of,
    graph_of,
    matmul_chain,
    node,
    normal,
    port,
    tied_language_model,
    zoo,
)


def layers_of(graph: Graph) -> dict[str, Layer]:
    return {layer.name: layer for layer in graph.layers}


def test_the_layers_of_a_chain_are_listed_in_the_order_of_execution(tmp_path: Path) -> None:
    graph = graph_of(conv_chain(), tmp_path)
    rows = [(x.name, x.op, x.shape, x.axis, x.parameters, x.bytes, x.macs) for x in graph.layers]
    assert rows == [
        ("first", "Conv", (8, 3, 3, 3), 0, 216, 864, 64 * 216),
        ("depthwise", "Conv", (8, 1, 3, 3), 0, 72, 288, 64 * 72),
        ("pointwise", "Conv", (8, 8, 1, 1), 0, 64, 256, 64 * 64),
        ("classifier", "Gemm", (5, 8), 0, 40, 160, 40),
    ]
    assert [x.kind for x in graph.layers] == ["Conv 3x3", "Depthwise 3x3", "Conv 1x1", "Gemm"]
    assert all(x.reason is None for x in graph.layers)
    assert graph.quantizable == graph.layers


def test_each_kind_of_layer_has_its_output_axis_and_cost(tmp_path: Path) -> None:
    found = layers_of(graph_of(zoo(), tmp_path))
    assert {n: (x.axis, x.shape, x.macs) for n, x in found.items()} == {
        "conv": (0, (6, 2, 3, 3), 6 * 36 * 2 * 9),
        "deconv": (1, (4, 3, 2, 2), 4 * 36 * 3 * 4),
        "gemm": (1, (10, 7), 70),
        "gemm_t": (0, (7, 10), 70),
        "right": (1, (10, 3), 30),
        "left": (0, (5, 6), 4 * 5 * 6 * 6),
        "table": (0, (11, 9), 0),
    }
    assert {n: x.input for n, x in found.items()} == {
        "conv": "image",
        "deconv": "image",
        "gemm": "row",
        "gemm_t": "row",
        "right": "row",
        "left": "image",
        "table": None,
    }
    assert (found["left"].weight_input, found["left"].data_input) == (0, 1)
    assert found["table"].kind == "Embedding"


def test_stored_weights_are_given_in_their_stored_shape(tmp_path: Path) -> None:
    graph = graph_of(matmul_chain(), tmp_path)
    np.testing.assert_array_equal(graph.weights(graph.layer("on_right")), normal(1, 6, 5))
    np.testing.assert_array_equal(graph.weights(graph.layer("on_left")), normal(2, 3, 4))


def test_layers_that_read_one_stored_tensor_are_tied(tmp_path: Path) -> None:
    found = layers_of(graph_of(tied_language_model(), tmp_path))
    assert found["embedding"].tensor == found["head"].tensor == "table"
    assert found["embedding"].tied == ("head",)
    assert found["head"].tied == ("embedding",)
    assert found["projection"].tied == ()
    # The output channels of the head are the rows of the table, in front of the Transpose.
    assert (found["embedding"].axis, found["head"].axis) == (0, 0)


def test_an_unknown_layer_is_named(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="'conv_9'"):
        graph_of(conv_chain(), tmp_path).layer("conv_9")


def refused(nodes: list, weights: dict, tmp_path: Path, *outputs: str) -> dict[str, str | None]:  # type: ignore[type-arg]
    """The reason of each layer of a model with the input `x` [N, 4]."""
    model = build(nodes, [port("x", "N", 4)], [port(name, "a", "b") for name in outputs], weights)
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")
    file = file_of(model, tmp_path)
    return {x.name: None if x.reason is None else x.reason.text for x in Graph(file, file.model).layers}


def test_a_product_of_two_activations_says_so(tmp_path: Path) -> None:
    nodes = [
        node("Transpose", ["x"], ["t"], name="turn"),
        node("MatMul", ["x", "t"], ["y"], name="scores"),
    ]
    assert "both inputs are activations" in str(refused(nodes, {}, tmp_path, "y")["scores"])


def test_computed_weights_say_so(tmp_path: Path) -> None:
    nodes = [
        node("Relu", ["x"], ["r"], name="relu"),
        node("Gemm", ["x", "r"], ["y"], name="product", transB=1),
    ]
    assert "computed" in str(refused(nodes, {}, tmp_path, "y")["product"])


def test_a_vector_says_so(tmp_path: Path) -> None:
    nodes = [node("MatMul", ["x", "v"], ["y"], name="dot")]
    assert "vector" in str(refused(nodes, {"v": normal(1, 4)}, tmp_path, "y")["dot"])


def test_empty_weights_say_so(tmp_path: Path) -> None:
    nodes = [node("MatMul", ["x", "v"], ["y"], name="nothing")]
    assert "empty" in str(refused(nodes, {"v": normal(1, 4, 0)}, tmp_path, "y")["nothing"])


def layers_in(nodes: list, weights: dict, tmp_path: Path, *outputs: str) -> dict[str, Layer]:  # type: ignore[type-arg]
    """The layers of a model with the input `x` [N, 4]."""
    model = build(nodes, [port("x", "N", 4)], [port(name, "a", "b") for name in outputs], weights)
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")
    file = file_of(model, tmp_path)
    return layers_of(Graph(file, file.model))


def test_half_precision_weights_are_quantized_and_what_enters_them_is_not(tmp_path: Path) -> None:
    nodes = [
        node("Cast", ["x"], ["h"], name="cast", to=TensorProto.FLOAT16),
        node("MatMul", ["h", "v"], ["y"], name="half"),
    ]
    half = layers_in(nodes, {"v": normal(1, 4, 4).astype(np.float16)}, tmp_path, "y")["half"]
    assert (half.reason, half.input, half.bytes) == (None, None, 32)
    assert "float16" in half.why_no_input


def test_integer_weights_say_how_they_are_stored(tmp_path: Path) -> None:
    nodes = [
        node("Cast", ["x"], ["h"], name="cast", to=TensorProto.INT32),
        node("MatMul", ["h", "v"], ["y"], name="whole"),
    ]
    assert "int32" in str(refused(nodes, {"v": np.ones((4, 4), np.int32)}, tmp_path, "y")["whole"])


def test_quantized_weights_say_so(tmp_path: Path) -> None:
    weights = {
        "q": np.ones((4, 4), np.int8),
        "s": np.float32(0.1),
        "xs": np.float32(0.1),
        "xz": np.uint8(0),
        "qz": np.int8(0),
    }
    nodes = [
        node("DequantizeLinear", ["q", "s"], ["w"], name="decode"),
        node("MatMul", ["x", "w"], ["y"], name="decoded"),
        node("QuantizeLinear", ["x", "xs", "xz"], ["xq"], name="encode"),
        node("QLinearMatMul", ["xq", "xs", "xz", "q", "s", "qz", "xs", "xz"], ["z"], name="integer"),
    ]
    reasons = refused(nodes, {k: np.asarray(v) for k, v in weights.items()}, tmp_path, "y", "z")
    assert "already quantized" in str(reasons["decoded"])
    assert "already quantized" in str(reasons["integer"])


@pytest.mark.parametrize(("op", "gates"), [("LSTM", 4), ("GRU", 3), ("RNN", 1)])
def test_a_recurrent_node_has_a_layer_for_each_stored_tensor(op: str, gates: int, tmp_path: Path) -> None:
    """The directions share no scale: their rows stand one below the other."""
    nodes = [
        node("Unsqueeze", ["x", "axis"], ["u"], name="unsqueeze"),
        node(op, ["u", "w", "r"], ["y"], name="memory", hidden_size=3, direction="bidirectional"),
    ]
    weights = {"axis": np.array([1]), "w": normal(1, 2, gates * 3, 4), "r": normal(2, 2, gates * 3, 3)}
    found = layers_in(nodes, weights, tmp_path, "y")
    assert {n: (x.shape, x.axis, x.weight_input, x.node) for n, x in found.items()} == {
        "memory.W": ((2 * gates * 3, 4), 0, 1, "memory"),
        "memory.R": ((2 * gates * 3, 3), 0, 2, "memory"),
    }
    assert all(x.reason is None and x.input is None and op in x.why_no_input for x in found.values())


def test_the_layers_of_a_recurrent_node_get_names_that_no_node_has(tmp_path: Path) -> None:
    nodes = [
        node("Unsqueeze", ["x", "axis"], ["u"], name="m.W"),
        node("LSTM", ["u", "w", "r"], ["y"], name="m", hidden_size=2),
    ]
    weights = {"axis": np.array([1]), "w": normal(1, 1, 8, 4), "r": normal(2, 1, 8, 2)}
    assert set(layers_in(nodes, weights, tmp_path, "y")) == {"m.W_", "m.R"}


def test_computed_recurrent_weights_say_so(tmp_path: Path) -> None:
    nodes = [
        node("Unsqueeze", ["x", "axis"], ["u"], name="unsqueeze"),
        node("Mul", ["w", "w"], ["ww"], name="square"),
        node("LSTM", ["u", "ww", "r"], ["y"], name="m", hidden_size=2),
    ]
    weights = {"axis": np.array([1]), "w": normal(1, 1, 8, 4), "r": normal(2, 1, 8, 2)}
    reasons = refused(nodes, weights, tmp_path, "y")
    assert "computed" in str(reasons["m.W"])
    assert reasons["m.R"] is None


def test_a_layer_inside_a_body_stands_where_its_node_is_and_keeps_its_activations(tmp_path: Path) -> None:
    graph = graph_of(branching(), tmp_path)
    assert [(x.name, x.body) for x in graph.quantizable] == [("conv", ""), ("inside", "If"), ("gemm", "")]
    inside = graph.layer("inside")
    assert inside.input is None
    assert "body of an If" in inside.why_no_input


def test_every_reason_names_its_node(tmp_path: Path) -> None:
    nodes = [node("Transpose", ["x"], ["t"], name="turn"), node("MatMul", ["x", "t"], ["y"], name="scores")]
    reason = layers_in(nodes, {}, tmp_path, "y")["scores"].reason
    assert reason is not None
    assert reason.node == "scores"


def test_the_weights_of_fused_attention_are_a_layer(tmp_path: Path) -> None:
    fused = helper.make_node("Attention", ["x", "w", "b"], ["y"], name="a", domain="com.microsoft")
    model = build(
        [fused], [port("x", "N", 2, 4)], [port("y", "N", 2, 4)], {"w": normal(1, 4, 12), "b": normal(2, 12)}
    )
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    file = file_of(model, tmp_path)
    (layer,) = Graph(file, file.model).layers
    assert (layer.name, layer.shape, layer.axis, layer.reason) == ("a", (4, 12), 1, None)


def test_operators_with_numbers_in_their_attributes_are_listed(tmp_path: Path) -> None:
    linear = helper.make_node(
        "LinearRegressor", ["x"], ["y"], name="r", domain="ai.onnx.ml", coefficients=[1.0, 2.0, 3.0, 4.0]
    )
    model = build([linear], [port("x", "N", 4)], [port("y", "N", 1)], {})
    model.opset_import.append(helper.make_opsetid("ai.onnx.ml", 1))
    file = file_of(model, tmp_path)
    (layer,) = Graph(file, file.model).layers
    assert layer.parameters == 4
    assert "attributes" in str(layer.reason)


def test_a_gather_of_indices_or_of_another_axis_is_no_layer(tmp_path: Path) -> None:
    nodes = [
        node("Shape", ["x"], ["s"], name="shape"),
        node("Gather", ["s", "zero"], ["n"], name="pick"),
        node("Gather", ["x", "zero"], ["c"], name="column", axis=1),
        node("Gather", ["w", "n"], ["o"], name="other_axis", axis=1),
    ]
    weights = {"zero": np.array(0), "w": normal(1, 3, 3)}
    assert refused(nodes, weights, tmp_path, "c", "o") == {}


def test_other_domains_are_left_alone(tmp_path: Path) -> None:
    custom = helper.make_node("Conv", ["x", "w"], ["y"], name="custom", domain="example")
    model = build([custom], [port("x", "N", 4)], [port("y", "N", 4)], {"w": normal(1, 4, 4)})
    model.opset_import.append(helper.make_opsetid("example", 1))
    file = file_of(model, tmp_path)
    assert Graph(file, file.model).layers == ()


def test_macs_count_one_sample_where_the_batch_is_free(tmp_path: Path) -> None:
    """Positions of unknown length count once."""
    free = layers_of(graph_of(tied_language_model(), tmp_path))
    assert free["projection"].macs == 70 * 70
    assert free["head"].macs == 70 * 12
