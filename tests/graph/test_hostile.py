"""Files made to break an importer: one plain sentence or a graph, and soon."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from quant_core.errors import ModelError
from quant_core.graph import Graph, checks, inputs_of, outputs_of, read_model, runnable
from quant_core.prepare import generate_inputs, prepare
from quant_core.study import Study
from tests.models import build, conv_chain, file_of, node, normal, port, run


def refused(model: onnx.ModelProto | bytes, folder: Path) -> str:
    """The one sentence that reading ends in."""
    path = folder / "net.onnx"
    path.write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
    with pytest.raises(ModelError) as error:
        read_model(path)
    text = str(error.value)
    assert "\n" not in text
    assert len(text) < 900
    return text


def plain() -> onnx.ModelProto:
    return build(
        [node("MatMul", ["x", "w"], ["y"], name="product")],
        [port("x", "N", 4)],
        [port("y", "N", 5)],
        {"w": normal(1, 4, 5)},
    )


def test_a_cycle(tmp_path: Path) -> None:
    nodes = [node("Add", ["x", "b"], ["a"]), node("Relu", ["a"], ["b"]), node("Relu", ["b"], ["y"])]
    assert "cycle" in refused(build(nodes, [port("x", 1)], [port("y", 1)], {}), tmp_path)


def test_too_many_nodes(tmp_path: Path) -> None:
    nodes = [node("Relu", [f"v{i}"], [f"v{i + 1}"]) for i in range(checks.MOST_NODES + 1)]
    model = build(nodes, [port("v0", 1)], [port(f"v{len(nodes)}", 1)], {})
    assert "nodes" in refused(model, tmp_path)


def test_a_million_nodes_in_bodies(tmp_path: Path) -> None:
    body = helper.make_graph([node("Relu", ["x"], ["r"])] * 1, "b", [], [port("r", 1)])
    many = node("If", ["c"], ["y"], then_branch=body, else_branch=body)
    model = build([many], [port("x", 1), port("c", kind=TensorProto.BOOL)], [port("y", 1)], {})
    inner = model.graph.node[0].attribute[0].g
    one = inner.node[0].SerializeToString()
    inner.node.extend([onnx.NodeProto.FromString(one)] * 1_000_000)
    started = time.monotonic()
    assert "nodes" in refused(model, tmp_path)
    assert time.monotonic() - started < 60


@pytest.mark.parametrize("dims", [[4, 500], [1 << 40, 1 << 20], [-4, -5], [4]])
def test_a_tensor_that_declares_another_size(dims: list[int], tmp_path: Path) -> None:
    model = plain()
    model.graph.initializer[0].dims[:] = dims
    text = refused(model, tmp_path)
    assert "declares" in text or "negative" in text
    typed = plain()
    tensor = typed.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.float_data.extend([1.0] * 20)
    tensor.dims[:] = dims
    text = refused(typed, tmp_path)
    assert "declares" in text or "negative" in text


def test_a_constant_that_declares_another_size(tmp_path: Path) -> None:
    tensor = numpy_helper.from_array(normal(1, 4, 5), "w")
    tensor.dims[:] = [1 << 30, 4]
    nodes = [node("Constant", [], ["w"], value=tensor), node("MatMul", ["x", "w"], ["y"])]
    assert "declares" in refused(build(nodes, [port("x", 1, 4)], [port("y", 1, 5)], {}), tmp_path)


def external(model: onnx.ModelProto, location: str, offset: int = 0, length: int = 80) -> onnx.ModelProto:
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", str(offset)), ("length", str(length))):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
    return model


@pytest.mark.parametrize(("offset", "length"), [(0, 8000), (1 << 40, 80), (40, 80), (-8, 80), (0, 8)])
def test_external_data_that_declares_more_than_its_file_holds(
    offset: int, length: int, tmp_path: Path
) -> None:
    (tmp_path / "net.data").write_bytes(bytes(100))
    assert "net.onnx" in refused(external(plain(), "net.data", offset, length), tmp_path)


@pytest.mark.parametrize(
    "location", ["../../etc/passwd", "/etc/passwd", "a\0b", "ring", "x" * 5000, "", "<b>\n"]
)
def test_external_data_in_strange_places(location: str, tmp_path: Path) -> None:
    (tmp_path / "ring").symlink_to(tmp_path / "ring")
    refused(external(plain(), location), tmp_path)


@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", "a\x00\x1b[31m\u202e", "n" * 10_000, "../../x"]
)
def test_hostile_names_are_only_text(name: str, tmp_path: Path) -> None:
    model = plain()
    model.graph.node[0].name = name
    model.graph.node[0].input[1] = model.graph.initializer[0].name = name
    file = file_of(model, tmp_path)
    study = Study.open(file.path)
    (layer,) = study.inspect()["layers"]
    assert layer["weights"] == name
    feeds = {"x": normal(2, 3, 4)}
    np.testing.assert_array_equal(run(model, feeds)[0], run(study.graph.model, feeds)[0])


def test_a_hostile_name_in_an_error_is_cut_and_clean(tmp_path: Path) -> None:
    model = plain()
    model.graph.node[0].input[1] = "\x1b[31m" + "n" * 10_000
    text = refused(model, tmp_path)
    assert "\x1b" not in text
    assert "nothing gives" in text


def twice_made() -> onnx.ModelProto:
    nodes = [node("Relu", ["x"], ["y"]), node("Neg", ["x"], ["y"])]
    return build(nodes, [port("x", 1)], [port("y", 1)], {})


def no_such_output() -> onnx.ModelProto:
    return build([node("Relu", ["x"], ["r"])], [port("x", 1)], [port("y", 1)], {})


def no_such_input() -> onnx.ModelProto:
    return build([node("Relu", ["nowhere"], ["y"])], [port("x", 1)], [port("y", 1)], {})


def no_such_input_in_a_body() -> onnx.ModelProto:
    body = helper.make_graph([node("Relu", ["nowhere"], ["r"])], "b", [], [port("r", 1)])
    nodes = [node("If", ["c"], ["y"], then_branch=body, else_branch=body)]
    return build(nodes, [port("c", kind=TensorProto.BOOL)], [port("y", 1)], {})


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (twice_made, "two tensors"),
        (no_such_output, "given by no node"),
        (no_such_input, "'nowhere', which nothing gives"),
        (no_such_input_in_a_body, "'nowhere', which nothing gives"),
    ],
    ids=lambda x: getattr(x, "__name__", ""),
)
def test_names_that_do_not_fit(make: Callable[[], onnx.ModelProto], said: str, tmp_path: Path) -> None:
    assert said in refused(make(), tmp_path)


def nested(depth: int) -> bytes:
    """If bodies within each other, written as bytes: the library itself refuses to build deep ones."""

    def field(number: int, content: bytes) -> bytes:
        return _varint(number << 3 | 2) + _varint(len(content)) + content

    body = helper.make_graph([node("Relu", ["x"], ["o0"])], "b", [], [port("o0", 1)]).SerializeToString()
    for i in range(1, depth):
        attribute = field(1, b"then_branch") + field(6, body) + _varint(20 << 3) + _varint(5)
        inner = field(1, b"c") + field(2, b"o%d" % i) + field(4, b"If") + field(5, attribute)
        body = field(1, inner) + field(2, b"b") + field(12, port(f"o{i}", 1).SerializeToString())
    inputs = [port("x", 1), port("c", kind=TensorProto.BOOL)]
    graph = body + b"".join(field(11, value.SerializeToString()) for value in inputs)
    imports = field(8, helper.make_opsetid("", 17).SerializeToString())
    return _varint(1 << 3) + _varint(8) + field(7, graph) + imports


def _varint(number: int) -> bytes:
    out = b""
    while number > 127:
        out, number = out + bytes([number & 127 | 128]), number >> 7
    return out + bytes([number])


def test_bodies_within_bodies_open(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(nested(25))
    file = read_model(tmp_path / "net.onnx")
    prepared, _ = prepare(file.model)
    assert Graph(file, prepared).layers == ()


@pytest.mark.parametrize("depth", [200, 2000])
def test_bodies_without_end_are_refused(depth: int, tmp_path: Path) -> None:
    assert "not a readable ONNX file" in refused(nested(depth), tmp_path)


def test_nodes_out_of_order_open(tmp_path: Path) -> None:
    model = conv_chain()
    turned = list(reversed([onnx.NodeProto.FromString(n.SerializeToString()) for n in model.graph.node]))
    del model.graph.node[:]
    model.graph.node.extend(turned)
    file = file_of(model, tmp_path)
    assert next(n.name for n in file.model.graph) == "first"


# ---- what is repaired


def test_outputs_that_are_maps_are_cut_off(tmp_path: Path) -> None:
    nodes = [
        node("MatMul", ["x", "w"], ["scores"], name="product"),
        helper.make_node(
            "ZipMap", ["scores"], ["y"], name="zip", domain="ai.onnx.ml", classlabels_int64s=[1, 2, 3, 4, 5]
        ),
    ]
    model = build(nodes, [port("x", "N", 4)], [port("y", "N")], {"w": normal(1, 4, 5)})
    model.opset_import.append(helper.make_opsetid("ai.onnx.ml", 1))
    mapped = helper.make_map_type_proto(
        TensorProto.INT64, helper.make_tensor_type_proto(TensorProto.FLOAT, None)
    )
    model.graph.output[0].type.CopyFrom(helper.make_sequence_type_proto(mapped))
    file = file_of(model, tmp_path)
    assert [p.name for p in outputs_of(file.model)] == ["scores"]
    assert len(file.repairs) == 1
    study = Study.open(file.path)
    assert study.steps[0].name == "repair"
    assert [x.name for x in study.graph.quantizable] == ["product"]
    again = runnable(file)
    assert isinstance(again, bytes)
    feeds = {"x": normal(2, 3, 4)}
    np.testing.assert_allclose(run(again, feeds)[0], feeds["x"] @ normal(1, 4, 5), rtol=1e-5, atol=1e-6)


def test_the_last_of_several_constants_of_one_name_counts(tmp_path: Path) -> None:
    first, last = (numpy_helper.from_array(normal(i, 4, 5), "v") for i in (1, 2))
    nodes = [
        node("Constant", [], ["w"], value=first),
        node("Constant", [], ["w"], value=last),
        node("MatMul", ["x", "w"], ["y"], name="product"),
    ]
    model = build(nodes, [port("x", "N", 4)], [port("y", "N", 5)], {})
    file = file_of(model, tmp_path)
    assert file.repairs
    feeds = {"x": normal(3, 2, 4)}
    content = runnable(file)
    assert isinstance(content, bytes)
    np.testing.assert_array_equal(run(content, feeds)[0], run(model, feeds)[0])  # as ONNX Runtime has it


def test_sparse_tensors_are_written_out(tmp_path: Path) -> None:
    dense = np.zeros((4, 5), np.float32)
    dense[1, 2], dense[3, 4] = 2.0, -1.0
    values = numpy_helper.from_array(np.array([2.0, -1.0], np.float32), "w")
    indices = numpy_helper.from_array(np.array([7, 19]), "i")
    model = plain()
    del model.graph.initializer[:]
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [4, 5]))
    graph = Graph(file := file_of(model, tmp_path), file.model)
    np.testing.assert_array_equal(graph.weights(graph.layers[0]), dense)
    model.graph.sparse_initializer[0].dims[:] = [1 << 20, 1 << 20]
    assert "too large" in refused(model, tmp_path)


def test_a_name_of_a_dimension_has_one_size_in_generated_inputs(tmp_path: Path) -> None:
    model = build(
        [node("MatMul", ["x", "s"], ["y"], name="product")],
        [port("x", "batch", 3, "T"), port("s", "batch", "T", 2), port("z", 2, "batch")],
        [port("y", "batch", 3, 2)],
        {},
    )
    made = generate_inputs(inputs_of(file_of(model, tmp_path).model), length=5)
    assert {k: v.shape for k, v in made.items()} == {"x": (2, 3, 5), "s": (2, 5, 2), "z": (2, 2)}
