"""Accidents in what a model says: of tensors, names, nodes, types and functions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np
import onnx
from onnx import AttributeProto, TensorProto, helper

from tests.fuzz.excess import functions, huge, nest
from tests.fuzz.mutate import NAMES, NUMBERS_64

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


ACCIDENTS: tuple[_Mutation, ...] = (
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
    nest,
    functions,
    huge,
)
