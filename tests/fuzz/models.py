"""Model files to be refused or understood: good ones with accidents in their bytes or in what they say."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np
import onnx
from onnx import AttributeProto, TensorProto, helper

from tests.fuzz.mutate import NAMES, NUMBERS_64, mutate_bytes
from tests.models import (
    build,
    conv_chain,
    deep_residual,
    matmul_chain,
    node,
    normal,
    port,
    positions,
    tied_language_model,
    two_in_a_row,
    zoo,
)

CANARY = "../../canary/secret.bin"  # from a case's folder
_OPS = [
    "Relu",
    "Add",
    "Mul",
    "MatMul",
    "Gemm",
    "Conv",
    "ConvTranspose",
    "Gather",
    "Reshape",
    "Concat",
    "Split",
    "Slice",
    "Pad",
    "Resize",
    "LSTM",
    "GRU",
    "RNN",
    "If",
    "Loop",
    "Scan",
    "Constant",
    "ConstantOfShape",
    "BatchNormalization",
    "LayerNormalization",
    "DequantizeLinear",
    "QuantizeLinear",
    "Cast",
    "Einsum",
    "Expand",
    "Tile",
    "Transpose",
    "Identity",
    "Shape",
    "NonZero",
    "Softmax",
    "SequenceConstruct",
    "Optional",
    "NoSuchOperator",
]
_Mutation = Callable[[Random, onnx.ModelProto, Path], None]


@functools.cache
def seeds() -> tuple[bytes, ...]:
    """Good models of many kinds, serialized."""
    made = [
        conv_chain(),
        conv_chain(opset=11),
        zoo(),
        two_in_a_row("Conv"),
        two_in_a_row("MatMul"),
        matmul_chain(),
        tied_language_model(),
        positions(),
        deep_residual(2),
        _branches(),
        _recurrent(),
        _loop(),
        _quantized(),
        _function(),
    ]
    return tuple(model.SerializeToString() for model in made)


def write_model(draw: Random, folder: Path) -> Path:
    """A model file in `folder`, and what it needs beside it."""
    path = folder / "net.onnx"
    content = draw.choice(seeds())
    how = draw.random()
    if how < 0.3:
        path.write_bytes(mutate_bytes(draw, content, draw.choice(seeds())))
        return path
    model = onnx.ModelProto.FromString(content)
    for _ in range(draw.choice((1, 1, 1, 2, 3, 6))):
        draw.choice(_MUTATIONS)(draw, model, folder)
    content = model.SerializeToString()
    path.write_bytes(mutate_bytes(draw, content) if how > 0.95 else content)
    return path


# ---- what is said of tensors


def _tensor(draw: Random, model: onnx.ModelProto) -> TensorProto:
    stored = list(model.graph.initializer)
    stored += [a.t for n in model.graph.node for a in n.attribute if a.type == AttributeProto.TENSOR]
    return draw.choice(stored) if stored else model.graph.initializer.add()


def _dims(draw: Random, model: onnx.ModelProto, folder: Path) -> None:
    dims = _tensor(draw, model).dims
    how = draw.randrange(4)
    if how == 0 and dims:
        dims[draw.randrange(len(dims))] = draw.choice(NUMBERS_64)
    elif how == 1:
        dims.append(draw.choice((0, 1, 2, 1 << 40)))
    elif how == 2 and dims:
        dims.pop()
    else:
        dims.extend([1] * draw.choice((1, 10, 2000)))


def _tensor_type(draw: Random, model: onnx.ModelProto, folder: Path) -> None:
    _tensor(draw, model).data_type = draw.choice((*range(0, 30), 99, -1, 1 << 30))


def _payload(draw: Random, model: onnx.ModelProto, folder: Path) -> None:
    tensor = _tensor(draw, model)
    raw = tensor.raw_data
    how = draw.randrange(5)
    if how == 0:
        tensor.ClearField("raw_data")
        tensor.float_data.extend([0.5] * draw.choice((0, 1, 7, 72)))
    elif how == 1:
        tensor.raw_data = raw[: len(raw) // 2]
    elif how == 2:
        count = len(raw) // 4
        special = np.float32([np.nan, np.inf, -np.inf, 0, 1e38, -1e38, 1e-45])
        tensor.raw_data = special[np.arange(count) % draw.choice((1, 2, 3, 7))].tobytes()
    elif how == 3:
        tensor.ClearField("raw_data")
        tensor.data_type = TensorProto.STRING
        tensor.string_data.extend([b"x", b"\xff\xfe"])
    else:
        tensor.int32_data.extend([1, 2, 3])


def _external(draw: Random, model: onnx.ModelProto, folder: Path) -> None:
    """Data in another file: outside the folder, absolute, through a link, of a wrong size, or as it
    should be."""
    tensor = _tensor(draw, model)
    content = tensor.raw_data or b"\0" * 64
    secret = (folder / CANARY).resolve()
    location = draw.choice(
        (
            CANARY,
            str(secret),
            "link.bin",
            "ring.bin",
            "linked/secret.bin",
            "data.bin",
            "missing.bin",
            "/dev/zero",
            "/dev/stdin",
            ".",
            "..",
            "net.onnx",
            "a/../data.bin",
            "file:///etc/hostname",
            *NAMES,
        )
    )
    if location == "link.bin":
        _link(folder / "link.bin", secret)
    elif location == "ring.bin":
        _link(folder / "ring.bin", folder / "ring.bin")
    elif location.startswith("linked"):
        _link(folder / "linked", secret.parent)
    elif location.endswith("data.bin"):
        (folder / "data.bin").write_bytes(content)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entries = {"location": location}
    if draw.random() < 0.5:
        entries["offset"] = str(draw.choice((0, 0, 4, -1, 1 << 62, "x", "1e3", "9" * 5000)))
    if draw.random() < 0.5:
        entries["length"] = str(draw.choice((len(content), 0, -1, 1 << 62, "", "९")))
    if draw.random() < 0.1:
        entries[draw.choice(NAMES)] = draw.choice(NAMES)
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=value)


def _link(path: Path, target: Path) -> None:
    if not path.is_symlink():
        path.symlink_to(target)


# ---- what is said of names


def _rename(draw: Random, model: onnx.ModelProto, folder: Path) -> None:
    """A name is another one, everywhere it is read."""
    graph = model.graph
    names = sorted(
        {n for x in graph.node for n in (*x.input, *x.output)} | {i.name for i in graph.initializer}
    )
    old, new = draw.choice(names or ["x"]), draw.choice(NAMES)
    for x in graph.node:
        x.input[:] = [new if n == old else n for n in x.input]
        x.output[:] = [new if n == old else n for n in x.output]
    for held in (*graph.input, *graph.output, *graph.initializer):
        held.name = new if held.name == old else held.name


def _name(draw: Random, model: onnx.ModelProto, folder: Path) -> None:
    """A name of one place only."""
    graph = model.graph
    places: list[tuple[object, str]] = [
        (model, "producer_name"),
        (model, "doc_string"),
        (model, "domain"),
        (graph, "name"),
    ]
    places += [(x, field) for x in graph.node for field in ("name", "op_type", "domain", "doc_string")]
    places += [(x, "name") for x in (*graph.input, *graph.output, *graph.initializer, *graph.value_info)]
    places += [(a, "name") for x in graph.node for a in x.attribute]
    place, field = draw.choice(places)
    setattr(place, field, draw.choice(NAMES))


def _duplicate(draw: Random, model: onnx.ModelProto, folder: Path) -> None:
    """Two things of one name."""
    graph = model.graph
    how = draw.randrange(5)
    nodes = list(graph.node)
    if how == 0 and nodes:
        graph.node.append(draw.choice(nodes))
    elif how == 1 and len(nodes) > 1:
        draw.choice(nodes).name = draw.choice(nodes).name
    elif how == 2 and graph.initializer:
        graph.initializer.append(draw.choice(list(graph.initializer)))
    elif how == 3 and graph.input:
        graph.input.append(draw.choice(list(graph.input)))
    elif graph.output:
        graph.output.append(draw.choice(list(graph.output)))


def _metadata(draw: Random, model: onnx.ModelProto, folder: Path) -> None:
    for _ in range(draw.choice((1, 2, 300))):
        model.metadata_props.add(key=draw.choice(NAMES), value=draw.choice(NAMES))


# ---- what is said of nodes


def _wire(draw: Random, model: onnx.ModelProto, folder: Path) -> None:
    """A node reads something else: a cycle, nothing, or too much."""
    graph = model.graph
    if not graph.node:
        return
    x = draw.choice(list(graph.node))
    names = [n for y in graph.node for n in y.output] + [i.name for i in graph.initializer] + ["", "nothing"]
    how = draw.randrange(4)
    if how == 0 and x.input:
        x.input[draw.randrange(len(x.input))] = draw.choice(names)
    elif how == 1 and x.input:
        x.input.pop()
    elif how == 2:
        x.input.extend([draw.choice(names)] * draw.choice((1, 2, 500)))
    elif x.output:
        x.output[0] = draw.choice(names)


def _remove(draw: Random, model: onnx.ModelProto, folder: Path) -> None:
    graph = model.graph
    held = draw.choice(
        (graph.node, graph.input, graph.output, graph.initializer, model.opset_import, graph.value_info)
    )
    if held:
        held.pop(draw.randrange(len(held)))


def _shuffle(draw: Random, model: onnx.ModelProto, folder: Path) -> None:
    nodes = list(model.graph.node)
    draw.shuffle(nodes)
    model.graph.ClearField("node")
    model.graph.node.extend(nodes)


def _operator(draw: Random, model: onnx.ModelProto, folder: Path) -> None:
    if model.graph.node:
        draw.choice(list(model.graph.node)).op_type = draw.choice(_OPS)


def _domain(draw: Random, model: onnx.ModelProto, folder: Path) -> None:
    if model.graph.node:
        x = draw.choice(list(model.graph.node))
        x.domain = draw.choice(("com.microsoft", "ai.onnx", "ai.onnx.ml", "my.own", *NAMES))
        if draw.random() < 0.5:
            model.opset_import.add(domain=x.domain, version=draw.choice((1, 0, -1, 1 << 40)))


def _attribute(draw: Random, model: onnx.ModelProto, folder: Path) -> None:
    if not model.graph.node:
        return
    x = draw.choice(list(model.graph.node))
    names = (
        "axis",
        "axes",
        "perm",
        "transB",
        "group",
        "pads",
        "strides",
        "kernel_shape",
        "dilations",
        "to",
        "value",
        "alpha",
        "epsilon",
        "body",
        "then_branch",
        "hidden_size",
        "direction",
        "equation",
        "block_size",
        "bits",
    )
    name = draw.choice((*names, *(a.name for a in x.attribute)))
    for a in [a for a in x.attribute if a.name == name and draw.random() < 0.8]:
        x.attribute.remove(a)
    value = draw.choice(
        (
            draw.choice(NUMBERS_64),
            [draw.choice(NUMBERS_64) for _ in range(draw.choice((1, 2, 4)))],
            0.5,
            float("nan"),
            draw.choice(NAMES),
            [1.5, 2.5],
            TensorProto(data_type=1, dims=[1 << 30]),
        )
    )
    made = helper.make_attribute(name, value)
    if draw.random() < 0.3:
        made.type = draw.choice((0, 1, 2, 3, 4, 5, 6, 7, 8, 11, 13))
    x.attribute.append(made)


def _ports(draw: Random, model: onnx.ModelProto, folder: Path) -> None:
    """Types and shapes of inputs and outputs."""
    held = [*model.graph.input, *model.graph.output]
    if not held:
        return
    kind = draw.choice(held).type
    how = draw.randrange(5)
    if how == 0:
        kind.tensor_type.elem_type = draw.choice((*range(0, 30), 99))
    elif how == 1:
        kind.tensor_type.ClearField("shape")
    elif how == 2:
        kind.sequence_type.elem_type.tensor_type.elem_type = 1
    elif how == 3:
        dim = kind.tensor_type.shape.dim.add()
        if draw.random() < 0.5:
            dim.dim_value = draw.choice(NUMBERS_64)
        else:
            dim.dim_param = draw.choice(NAMES)
    elif kind.tensor_type.shape.dim:
        dim = draw.choice(list(kind.tensor_type.shape.dim))
        dim.dim_value = draw.choice(NUMBERS_64)


def _versions(draw: Random, model: onnx.ModelProto, folder: Path) -> None:
    how = draw.randrange(3)
    if how == 0:
        model.ir_version = draw.choice((0, 1, 3, 11, 99, -1, 1 << 40))
    elif how == 1 and model.opset_import:
        model.opset_import[0].version = draw.choice((0, 1, 6, 9, 13, 21, 25, 99, -1, 1 << 40))
    else:
        model.opset_import.add(domain=draw.choice(("", "ai.onnx", *NAMES)), version=draw.choice((1, 17, 99)))


def _nest(draw: Random, model: onnx.ModelProto, folder: Path) -> None:
    """Bodies in bodies, up to the depth that the format can hold, or shapes of a graph that is huge on
    paper."""
    if not model.graph.output:
        return
    out = model.graph.output[0].name
    body = helper.make_graph([node("Identity", [out], ["deep"])], "b", [], [port("deep", 1)])
    for level in range(draw.choice((1, 3, 15, 30))):
        inner = node("If", ["c"], ["deep"], then_branch=body, else_branch=body if level < 4 else _small(out))
        body = helper.make_graph([inner], "b", [], [port("deep", 1)])
    model.graph.initializer.append(helper.make_tensor("c", TensorProto.BOOL, [], [True]))
    model.graph.node.append(node("If", ["c"], ["deepest"], then_branch=body, else_branch=body))
    model.graph.output.append(port("deepest", 1))


def _small(out: str) -> onnx.GraphProto:
    return helper.make_graph([node("Identity", [out], ["deep"])], "s", [], [port("deep", 1)])


def _functions(draw: Random, model: onnx.ModelProto, folder: Path) -> None:
    """Functions that call themselves or each other, or double what they hold."""
    how = draw.randrange(3)
    depth = draw.choice((1, 5, 30))
    for i in range(depth):
        called = f"F{i + 1}" if i + 1 < depth else ("F0" if how == 0 else "Relu")
        inside = [node(called, ["x"], ["m"], domain="my.own" if called != "Relu" else "")]
        inside.append(
            node(called if how == 1 else "Relu", ["m"], ["y"], domain=inside[0].domain if how == 1 else "")
        )
        sets = [helper.make_opsetid("", 17), helper.make_opsetid("my.own", 1)]
        model.functions.append(helper.make_function("my.own", f"F{i}", ["x"], ["y"], inside, sets))
    model.opset_import.add(domain="my.own", version=1)
    if model.graph.output:
        model.graph.node.append(node("F0", [model.graph.output[0].name], ["from_function"], domain="my.own"))
        model.graph.output.append(port("from_function", 1))


def _huge(draw: Random, model: onnx.ModelProto, folder: Path) -> None:
    """A few bytes that ask for very much when run or folded."""
    size = [1 << draw.choice((10, 20, 33, 40)), draw.choice((1, 1 << 20))]
    model.graph.initializer.append(helper.make_tensor("size", TensorProto.INT64, [2], size))
    op = draw.choice(
        (node("ConstantOfShape", ["size"], ["large"]), node("Expand", ["one", "size"], ["large"]))
    )
    model.graph.initializer.append(helper.make_tensor("one", TensorProto.FLOAT, [1], [1.0]))
    model.graph.node.append(op)
    model.graph.node.append(node("ReduceSum", ["large"], ["sum"], keepdims=0))
    model.graph.output.append(port("sum"))


_MUTATIONS: tuple[_Mutation, ...] = (
    _dims,
    _dims,
    _tensor_type,
    _payload,
    _external,
    _external,
    _rename,
    _rename,
    _name,
    _name,
    _duplicate,
    _metadata,
    _wire,
    _wire,
    _remove,
    _remove,
    _shuffle,
    _operator,
    _operator,
    _domain,
    _attribute,
    _attribute,
    _ports,
    _ports,
    _versions,
    _nest,
    _functions,
    _huge,
)


# ---- more good models


def _branches() -> onnx.ModelProto:
    def branch(name: str) -> onnx.GraphProto:
        return helper.make_graph(
            [node("MatMul", ["x", name], ["r"], name=f"in_{name}")], name, [], [port("r", "N", 5)]
        )

    nodes = [node("If", ["c"], ["y"], name="choice", then_branch=branch("w1"), else_branch=branch("w2"))]
    weights = {"w1": normal(1, 4, 5), "w2": normal(2, 4, 5), "c": np.array(True)}
    return build(nodes, [port("x", "N", 4)], [port("y", "N", 5)], weights)


def _recurrent() -> onnx.ModelProto:
    weights = {"w": normal(1, 1, 32, 6), "r": normal(2, 1, 32, 8), "b": normal(3, 1, 64)}
    nodes = [node("LSTM", ["x", "w", "r", "b"], ["y"], name="lstm", hidden_size=8)]
    return build(nodes, [port("x", 5, "N", 6)], [port("y", 5, 1, "N", 8)], weights)


def _loop() -> onnx.ModelProto:
    inside = [node("MatMul", ["s", "w"], ["s_out"], name="step"), node("Identity", ["go"], ["go_out"])]
    body = helper.make_graph(
        inside,
        "body",
        [port("i", kind=7), port("go", kind=9), port("s", "N", 4)],
        [port("go_out", kind=9), port("s_out", "N", 4)],
    )
    nodes = [node("Loop", ["n", "", "x"], ["y"], name="loop", body=body)]
    return build(
        nodes, [port("x", "N", 4)], [port("y", "N", 4)], {"w": normal(1, 4, 4), "n": np.array(3, np.int64)}
    )


def _quantized() -> onnx.ModelProto:
    weights = {
        "w": np.arange(-20, 20, dtype=np.int8).reshape(8, 5),
        "s": np.float32([0.1] * 5),
        "z": np.zeros(5, np.int8),
    }
    nodes = [
        node("DequantizeLinear", ["w", "s", "z"], ["wf"], name="decode", axis=1),
        node("MatMul", ["x", "wf"], ["y"], name="product"),
    ]
    return build(nodes, [port("x", "N", 8)], [port("y", "N", 5)], weights)


def _function() -> onnx.ModelProto:
    model = build(
        [node("Twice", ["x", "w"], ["y"], name="twice", domain="my.own")],
        [port("x", "N", 6)],
        [port("y", "N", 6)],
        {"w": normal(1, 6, 6)},
    )
    inside = [node("MatMul", ["a", "b"], ["m"], name="m1"), node("MatMul", ["m", "b"], ["c"], name="m2")]
    sets = [helper.make_opsetid("", 17)]
    model.functions.append(helper.make_function("my.own", "Twice", ["a", "b"], ["c"], inside, sets))
    model.opset_import.add(domain="my.own", version=1)
    return model
