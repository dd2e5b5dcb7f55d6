"""Tiny ONNX models that show one thing each, and what tests do with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from quant_core.data import ArrayDataset
from quant_core.graph import Graph, Layer, ModelFile, read_model
from quant_core.plan import Plan, Precision
from quant_core.prepare import prepare

Array = NDArray[np.generic]
OPSET = 17
node = helper.make_node


def port(name: str, *dims: int | str, kind: int = TensorProto.FLOAT) -> onnx.ValueInfoProto:
    """An input or output."""
    return helper.make_tensor_value_info(name, kind, list(dims))


def build(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    weights: Mapping[str, Array],
    opset: int = OPSET,
) -> onnx.ModelProto:
    """A model; `weights` become initializers."""
    stored = [numpy_helper.from_array(np.ascontiguousarray(a), name) for name, a in weights.items()]
    graph = helper.make_graph(list(nodes), "test", list(inputs), list(outputs), stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def normal(seed: int, *shape: int, scale: float = 1.0) -> NDArray[np.float32]:
    """Seeded normal noise."""
    return (np.random.default_rng(seed).normal(size=shape) * scale).astype(np.float32)


def norm_weights(prefix: str, channels: int, seed: int) -> dict[str, Array]:
    """Parameters of a BatchNormalization that is far from the identity."""
    rng = np.random.default_rng(seed)
    return {
        f"{prefix}_gamma": rng.uniform(0.3, 2.0, channels).astype(np.float32),
        f"{prefix}_beta": rng.normal(size=channels).astype(np.float32),
        f"{prefix}_mean": rng.normal(size=channels).astype(np.float32),
        f"{prefix}_var": rng.uniform(0.2, 3.0, channels).astype(np.float32),
    }


def norm(prefix: str, source: str, output: str, name: str | None = None) -> onnx.NodeProto:
    """The BatchNormalization with the parameters of `norm_weights`."""
    parameters = [f"{prefix}_{k}" for k in ("gamma", "beta", "mean", "var")]
    return node("BatchNormalization", [source, *parameters], [output], name=name or prefix)


def conv_chain(opset: int = OPSET, batch: int | str = "N") -> onnx.ModelProto:
    """Conv with bias, depthwise and pointwise Conv, each with BatchNormalization, a residual Add, a Gemm.

    Input `x` [N, 3, 8, 8], output `y` [N, 5].
    """
    weights: dict[str, Array] = {
        "wa": normal(1, 8, 3, 3, 3, scale=0.3),
        "ba": normal(2, 8),
        "wb": normal(3, 8, 1, 3, 3, scale=0.4),
        "wc": normal(4, 8, 8, 1, 1, scale=0.4),
        "wd": normal(5, 5, 8),
        "bd": normal(6, 5),
        **norm_weights("na", 8, 7),
        **norm_weights("nb", 8, 8),
        **norm_weights("nc", 8, 9),
    }
    nodes = [
        node("Conv", ["x", "wa", "ba"], ["a1"], name="first", pads=[1, 1, 1, 1]),
        norm("na", "a1", "a2"),
        node("Relu", ["a2"], ["a3"], name="relu_a"),
        node("Conv", ["a3", "wb"], ["b1"], name="depthwise", pads=[1, 1, 1, 1], group=8),
        norm("nb", "b1", "b2"),
        node("Relu", ["b2"], ["b3"], name="relu_b"),
        node("Conv", ["b3", "wc"], ["c1"], name="pointwise"),
        norm("nc", "c1", "c2"),
        node("Add", ["c2", "a3"], ["c3"], name="add"),
        node("Relu", ["c3"], ["c4"], name="relu_c"),
        node("GlobalAveragePool", ["c4"], ["p"], name="pool"),
        node("Flatten", ["p"], ["f"], name="flatten"),
        node("Gemm", ["f", "wd", "bd"], ["y"], name="classifier", transB=1),
    ]
    return build(nodes, [port("x", batch, 3, 8, 8)], [port("y", batch, 5)], weights, opset)


def zoo() -> onnx.ModelProto:
    """One layer of every kind that takes weights, each with an output of its own."""
    nodes = [
        node("Conv", ["image", "w_conv"], ["o_conv"], name="conv", pads=[1, 1, 1, 1], group=2),
        node("ConvTranspose", ["image", "w_deconv"], ["o_deconv"], name="deconv", group=2, strides=[2, 2]),
        node("Gemm", ["row", "w_gemm"], ["o_gemm"], name="gemm"),
        node("Gemm", ["row", "w_gemm_t"], ["o_gemm_t"], name="gemm_t", transB=1),
        node("MatMul", ["row", "w_right"], ["o_right"], name="right"),
        node("MatMul", ["w_left", "image"], ["o_left"], name="left"),
        node("Gather", ["w_table", "ids"], ["o_table"], name="table"),
    ]
    weights = {
        "w_conv": normal(1, 6, 2, 3, 3),
        "w_deconv": normal(2, 4, 3, 2, 2),
        "w_gemm": normal(3, 10, 7),
        "w_gemm_t": normal(4, 7, 10),
        "w_right": normal(5, 10, 3),
        "w_left": normal(6, 5, 6),
        "w_table": normal(7, 11, 9),
    }
    inputs = [port("image", "N", 4, 6, 6), port("row", "N", 10), port("ids", "N", kind=TensorProto.INT64)]
    model = build(nodes, inputs, [port(n.output[0], "N") for n in nodes], weights)
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")
    return model


def two_in_a_row(op: str) -> onnx.ModelProto:
    """Two layers one after the other, so that quantized values stand on both sides of the first.

    `x` to `y`, both [N, 8, 4, 4] for convolutions, else [N, 8].
    """
    nodes = [node(op, ["x", "w1"], ["a"], name="one"), node(op, ["a", "w2"], ["y"], name="two")]
    shape = (8, 8, 1, 1) if op.startswith("Conv") else (8, 8)
    weights = {"w1": normal(1, *shape), "w2": normal(2, *shape)}
    size = ("N", 8, 4, 4) if op.startswith("Conv") else ("N", 8)
    return build(nodes, [port("x", *size)], [port("y", *size)], weights)


def matmul_chain() -> onnx.ModelProto:
    """A product with stored weights on the right, then one with them on the left.

    `x` [N, 4, 6] to `y` [N, 3, 5].
    """
    nodes = [
        node("MatMul", ["x", "right"], ["a"], name="on_right"),
        node("Relu", ["a"], ["b"], name="relu"),
        node("MatMul", ["left", "b"], ["y"], name="on_left"),
    ]
    weights = {"right": normal(1, 6, 5), "left": normal(2, 3, 4)}
    return build(nodes, [port("x", "N", 4, 6)], [port("y", "N", 3, 5)], weights)


def tied_language_model() -> onnx.ModelProto:
    """A token embedding whose table, transposed, is the output projection.

    `ids` [N, T] to `logits` [N, T, 12].
    """
    nodes = [
        node("Gather", ["table", "ids"], ["e"], name="embedding"),
        node("MatMul", ["e", "proj"], ["h"], name="projection"),
        node("Relu", ["h"], ["r"], name="relu"),
        node("Transpose", ["table"], ["table_t"], name="turn", perm=[1, 0]),
        node("MatMul", ["r", "table_t"], ["logits"], name="head"),
    ]
    weights = {"table": normal(1, 12, 70), "proj": normal(2, 70, 70, scale=0.2)}
    ids = port("ids", "N", "T", kind=TensorProto.INT64)
    return build(nodes, [ids], [port("logits", "N", "T", 12)], weights)


def positions() -> onnx.ModelProto:
    """Four products with a position per token between them, computed once and needed all along.

    `x` [N, T, 6] to `y` [N, T, 6]; the positions are [T, 1], without a batch.
    """
    nodes = [
        node("Shape", ["x"], ["shape"], name="shape"),
        node("Gather", ["shape", "one"], ["length"], name="length"),
        node("Range", ["zero", "length", "one"], ["numbers"], name="range"),
        node("Cast", ["numbers"], ["floats"], name="cast", to=TensorProto.FLOAT),
        node("Unsqueeze", ["floats", "last"], ["position"], name="unsqueeze"),
    ]
    weights: dict[str, Array] = {"zero": np.array(0), "one": np.array(1), "last": np.array([1])}
    source = "x"
    for i in range(4):
        weights[f"w{i}"] = normal(i, 6, 6, scale=0.4)
        nodes.append(node("MatMul", [source, f"w{i}"], [f"m{i}"], name=f"layer_{i}"))
        nodes.append(node("Add", [f"m{i}", "position"], [f"a{i}"], name=f"add_{i}"))
        source = "y" if i == 3 else f"r{i}"
        nodes.append(node("Relu", [f"a{i}"], [source], name=f"relu_{i}"))
    return build(nodes, [port("x", "N", "T", 6)], [port("y", "N", "T", 6)], weights)


def deep_residual(blocks: int, channels: int = 4) -> onnx.ModelProto:
    """A Conv and Relu, then `blocks` residual blocks of Conv, Relu, Conv, Add, Relu, a pool and a Gemm.

    `x` [N, 3, 8, 8] to `y` [N, 5]: 2 * blocks + 2 layers, 5 * blocks + 5 nodes.
    """
    weights: dict[str, Array] = {"w_stem": normal(0, channels, 3, 3, 3), "w_out": normal(1, channels, 5)}
    nodes = [
        node("Conv", ["x", "w_stem"], ["s"], name="stem", pads=[1, 1, 1, 1]),
        node("Relu", ["s"], ["r0"], name="stem.relu"),
    ]
    for i in range(blocks):
        for conv in "ab":
            weights[f"w{i}{conv}"] = normal(2 * i + 2 + (conv == "b"), channels, channels, 3, 3, scale=0.1)
        nodes += [
            node("Conv", [f"r{i}", f"w{i}a"], [f"a{i}"], name=f"block{i}.a", pads=[1, 1, 1, 1]),
            node("Relu", [f"a{i}"], [f"b{i}"], name=f"block{i}.relu"),
            node("Conv", [f"b{i}", f"w{i}b"], [f"c{i}"], name=f"block{i}.b", pads=[1, 1, 1, 1]),
            node("Add", [f"c{i}", f"r{i}"], [f"d{i}"], name=f"block{i}.add"),
            node("Relu", [f"d{i}"], [f"r{i + 1}"], name=f"block{i}.out"),
        ]
    nodes += [
        node("GlobalAveragePool", [f"r{blocks}"], ["p"], name="pool"),
        node("Flatten", ["p"], ["f"], name="flatten"),
        node("Gemm", ["f", "w_out"], ["y"], name="head"),
    ]
    return build(nodes, [port("x", "N", 3, 8, 8)], [port("y", "N", 5)], weights)


def recurrent() -> onnx.ModelProto:
    """A bidirectional LSTM, and a GRU whose weights come through an Identity.

    `x` [T, N, 5] to `y` [T, N, 3].
    """
    nodes = [
        node("LSTM", ["x", "w1", "r1", "b1"], ["a"], name="lstm", hidden_size=3, direction="bidirectional"),
        node("ReduceSum", ["a", "axis"], ["s"], name="sum", keepdims=0),
        node("Identity", ["w2"], ["w2_copy"], name="copy"),
        node("GRU", ["s", "w2_copy", "r2"], ["g"], name="gru", hidden_size=3),
        node("Squeeze", ["g", "axis"], ["y"], name="squeeze"),
    ]
    weights: dict[str, Array] = {
        "w1": normal(1, 2, 12, 5),
        "r1": normal(2, 2, 12, 3),
        "b1": normal(3, 2, 24),
        "w2": normal(4, 1, 9, 3),
        "r2": normal(5, 1, 9, 3),
        "axis": np.array([1]),
    }
    return build(nodes, [port("x", "T", "N", 5)], [port("y", "T", "N", 3)], weights)


def file_of(model: onnx.ModelProto, folder: Path, name: str = "net.onnx") -> ModelFile:
    """`model` written to `folder` and read again."""
    path = folder / name
    path.write_bytes(model.SerializeToString())
    return read_model(path)


def graph_of(model: onnx.ModelProto, folder: Path, name: str = "net.onnx") -> Graph:
    """`model` as a prepared graph."""
    file = file_of(model, folder, name)
    return Graph(file, prepare(file.model)[0])


def run(model: onnx.ModelProto | ir.Model | bytes, feeds: Mapping[str, Array], **options: str) -> list[Array]:
    """What ONNX Runtime gives; `options` are session options, dots written as underscores of `session_`."""
    if isinstance(model, ir.Model):
        model = ir.to_proto(model)
    content = model if isinstance(model, bytes) else model.SerializeToString()
    chosen = ort.SessionOptions()
    chosen.log_severity_level = 4
    for key, value in options.items():
        chosen.add_session_config_entry(key.replace("session_", "session.", 1), value)
    return list(ort.InferenceSession(content, chosen, ["CPUExecutionProvider"]).run(None, dict(feeds)))


def simulate(model: onnx.ModelProto | ir.Model | bytes, feeds: Mapping[str, Array]) -> list[Array]:
    """What the file's arithmetic means: every quantizer runs as written, in float."""
    return run(model, feeds, session_disable_quant_qdq="1")


def proto_of(content: bytes) -> onnx.ModelProto:
    """The model in the bytes of a file."""
    return onnx.load_model_from_string(content)


def node_of(model: onnx.ModelProto, name: str) -> onnx.NodeProto:
    """The node called `name`."""
    return next(n for n in model.graph.node if n.name == name)


def only(model: onnx.ModelProto, tensors: Sequence[str], kind: int = TensorProto.FLOAT) -> onnx.ModelProto:
    """The part of `model` that computes `tensors`, of type `kind`, from stored tensors alone."""
    producers = {out: n for n in model.graph.node for out in n.output}
    needed: list[onnx.NodeProto] = []
    wanted = list(tensors)
    while wanted:
        producer = producers.get(wanted.pop())
        if producer is not None and producer not in needed:
            needed.append(producer)
            wanted += producer.input
    nodes = [n for n in model.graph.node if n in needed]
    read = {name for n in nodes for name in n.input} | set(tensors)
    stored = [t for t in model.graph.initializer if t.name in read]
    part = helper.make_graph(nodes, "part", [], [port(name, "a", kind=kind) for name in tensors], stored)
    for output in part.output:
        output.type.tensor_type.ClearField("shape")
    return helper.make_model(part, opset_imports=model.opset_import, ir_version=model.ir_version)


def opset(model: onnx.ModelProto) -> int:
    """The version of the default operator set."""
    return next(o.version for o in model.opset_import if o.domain in ("", "ai.onnx"))


def dataset(arrays: Mapping[str, Array], labels: Array | None = None, key: str = "made up") -> ArrayDataset:
    """Arrays as a data set."""
    kept = None if labels is None else np.asarray(labels, np.int64)
    return ArrayDataset("made up", key, dict(arrays), kept)


def plan_of(graph: Graph, precision: Precision) -> Plan:
    """The plan that gives every layer `precision`, without activations where a layer has none."""

    def fitting(layer: Layer) -> Precision:
        return precision if layer.input is not None else Precision(precision.weights)

    return Plan("test", {x.name: fitting(x) for x in graph.quantizable}, graph.file.sha256)


def fixed_range(low: float = -3.0, high: float = 3.0) -> object:
    """A `FindRange` that knows one range."""
    return lambda tensor, scheme: (low, high)
