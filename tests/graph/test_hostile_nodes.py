"""Files whose nodes, names and functions make no sense: found by mutation, one of each kind (tests/fuzz)."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from quant_core.errors import ModelError
from quant_core.graph import Graph, inputs_of, read_model
from quant_core.prepare import generate_inputs, prepare
from quant_core.study.inspection import inspection
from tests.models import build, conv_chain, node, normal, port


def plain() -> onnx.ModelProto:
    return build(
        [node("Gemm", ["x", "w"], ["y"], name="product")],
        [port("x", "N", 4)],
        [port("y", "N", 5)],
        {"w": normal(1, 4, 5)},
    )


def saved(model: onnx.ModelProto | bytes, folder: Path) -> Path:
    path = folder / "net.onnx"
    path.write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
    return path


def refused(model: onnx.ModelProto | bytes, folder: Path) -> str:
    with pytest.raises(ModelError) as error:
        read_model(saved(model, folder))
    assert str(error.value).isprintable()
    return str(error.value)


@pytest.mark.parametrize("name", ["product", "test", "Gemm"])
def test_a_name_that_is_no_text(name: str, tmp_path: Path) -> None:
    content = plain().SerializeToString()
    assert "not text" in refused(content.replace(name.encode(), b"\xb3" * len(name)), tmp_path)


def test_metadata_that_are_no_text(tmp_path: Path) -> None:
    model = plain()
    model.metadata_props.add(key="about", value="this")
    assert "not text" in refused(model.SerializeToString().replace(b"about", b"\xff" * 5), tmp_path)


def called(model: onnx.ModelProto, *functions: onnx.FunctionProto) -> onnx.ModelProto:
    model.functions.extend(functions)
    model.opset_import.add(domain="my.own", version=1)
    model.graph.node.append(node("F0", ["y"], ["z"], domain="my.own"))
    model.graph.output.append(port("z", "N", 5))
    return model


def function(name: str, *nodes: onnx.NodeProto) -> onnx.FunctionProto:
    sets = [helper.make_opsetid("", 17), helper.make_opsetid("my.own", 1)]
    return helper.make_function("my.own", name, ["x"], ["y"], list(nodes), sets)


def test_functions_that_double_thirty_times(tmp_path: Path) -> None:
    made = [
        function(f"F{i}", *(node(f"F{i + 1}", [a], [b], domain="my.own") for a, b in ("xm", "my")))
        for i in range(30)
    ]
    last = function("F30", node("Relu", ["x"], ["y"]))
    assert "written out" in refused(called(plain(), *made, last), tmp_path)


def test_functions_that_call_each_other_in_a_ring(tmp_path: Path) -> None:
    ring = [function(f"F{i}", node(f"F{(i + 1) % 3}", ["x"], ["y"], domain="my.own")) for i in range(3)]
    assert "calls itself" in refused(called(plain(), *ring), tmp_path)


def test_functions_that_are_called_often_but_not_too_often(tmp_path: Path) -> None:
    twice = function("F0", *(node("F1", [a], [b], domain="my.own") for a, b in ("xm", "my")))
    path = saved(called(plain(), twice, function("F1", node("Relu", ["x"], ["y"]))), tmp_path)
    prepared, _ = prepare(read_model(path).model)
    assert [n.op_type for n in prepared.graph] == ["Gemm", "Relu", "Relu"]


def test_a_function_that_reads_what_nothing_gives(tmp_path: Path) -> None:
    assert "nothing gives" in refused(
        called(plain(), function("F0", node("Relu", ["other"], ["y"]))), tmp_path
    )


def test_an_attribute_of_a_wrong_type(tmp_path: Path) -> None:
    model = conv_chain()
    (group,) = [
        a for n in model.graph.node if n.name == "depthwise" for a in n.attribute if a.name == "group"
    ]
    group.type, group.s = onnx.AttributeProto.STRING, b"many"
    assert "'group'" in refused(model, tmp_path)
    group.type = onnx.AttributeProto.UNDEFINED
    assert "wrong type" in refused(model, tmp_path)


def test_an_attribute_that_the_operator_does_not_have_is_let_be(tmp_path: Path) -> None:
    model = plain()
    model.graph.node[0].attribute.append(helper.make_attribute("axis", "none"))
    model.graph.node[0].attribute.append(helper.make_attribute("group", [1.5]))
    file = read_model(saved(model, tmp_path))
    assert [layer.name for layer in Graph(file, prepare(file.model)[0]).layers] == ["product"]


@pytest.mark.parametrize("kind", [0, 99, -1])
def test_a_tensor_without_a_type(kind: int, tmp_path: Path) -> None:
    model = plain()
    model.graph.initializer[0].data_type = kind
    assert "no type" in refused(model, tmp_path)


def test_a_tensor_of_texts_that_declares_another_size(tmp_path: Path) -> None:
    model = plain()
    model.graph.initializer.append(TensorProto(name="t", data_type=8, dims=[5], string_data=[b"a"]))
    assert "declares 5 values and holds 1" in refused(model, tmp_path)


def test_a_tensor_of_more_dimensions_than_arrays_have(tmp_path: Path) -> None:
    model = plain()
    model.graph.initializer[0].dims.extend([1] * 2000)
    assert "2,002 dimensions" in refused(model, tmp_path)


@pytest.mark.parametrize("which", ["input", "output"])
def test_an_input_or_output_without_a_name(which: str, tmp_path: Path) -> None:
    model = plain()
    getattr(model.graph, which).add()
    assert "no name" in refused(model, tmp_path)


def test_data_by_way_of_a_folder_that_does_not_exist(tmp_path: Path) -> None:
    model = plain()
    tensor = model.graph.initializer[0]
    (tmp_path / "data.bin").write_bytes(tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="a/../data.bin")
    assert "missing" in refused(model, tmp_path)


def test_a_negative_size_of_an_input_is_a_free_one(tmp_path: Path) -> None:
    model = plain()
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = -1
    inputs = inputs_of(read_model(saved(model, tmp_path)).model)
    assert inputs[0].shape == (None, 4)
    assert generate_inputs(inputs)["x"].shape == (2, 4)


def test_an_input_that_is_one_number_comes_first(tmp_path: Path) -> None:
    model = build(
        [node("Mul", ["s", "x"], ["m"]), node("MatMul", ["m", "w"], ["y"], name="product")],
        [port("s"), port("x", "N", 4)],
        [port("y", "N", 5)],
        {"w": normal(1, 4, 5)},
    )
    file = read_model(saved(model, tmp_path))
    assert len(Graph(file, prepare(file.model)[0]).quantizable) == 1


def test_zero_points_that_do_not_belong_to_their_scales(tmp_path: Path) -> None:
    weights = {
        "w": np.ones((8, 5), np.int8),
        "s": np.ones(5, np.float32),
        "z": np.zeros(40, np.int8),
    }
    nodes = [
        node("DequantizeLinear", ["w", "s", "z"], ["f"], axis=1),
        node("MatMul", ["x", "f"], ["y"], name="product"),
    ]
    file = read_model(saved(build(nodes, [port("x", "N", 8)], [port("y", "N", 5)], weights), tmp_path))
    record = inspection(Graph(file, prepare(file.model)[0]), ())
    assert record["quantized"] == []


def test_values_in_the_field_of_another_type(tmp_path: Path) -> None:
    model = plain()
    model.graph.initializer.append(TensorProto(name="t", data_type=18, dims=[2], int64_data=[1, 2]))
    assert "declares 2 values and holds 0" in refused(model, tmp_path)


def test_weights_turned_by_an_order_that_is_none(tmp_path: Path) -> None:
    nodes = [
        node("Transpose", ["w"], ["t"], perm=[7]),
        node("MatMul", ["x", "t"], ["y"], name="product"),
    ]
    weights = {"w": normal(1, 5, 4)}
    file = read_model(saved(build(nodes, [port("x", "N", 4)], [port("y", "N", 5)], weights), tmp_path))
    assert [x.name for x in Graph(file, prepare(file.model)[0]).layers] == ["product"]


def test_raw_bytes_that_are_none_beside_other_values(tmp_path: Path) -> None:
    model = plain()
    model.graph.initializer.append(TensorProto(name="t", data_type=1, float_data=[1.0], raw_data=b""))
    assert "declares 4 bytes and holds 0" in refused(model, tmp_path)


def test_a_transpose_of_nothing(tmp_path: Path) -> None:
    nodes = [node("Transpose", [], ["t"]), node("MatMul", ["x", "t"], ["y"], name="product")]
    model = build(nodes, [port("x", "N", 4)], [port("y", "N", 5)], {})
    file = read_model(saved(model, tmp_path))
    record = inspection(Graph(file, prepare(file.model)[0]), ())
    assert [x["reason"] is None for x in record["layers"]] == [False]


def test_an_opset_twice_of_which_one_is_not_known(tmp_path: Path) -> None:
    model = plain()
    model.opset_import.add(domain="ai.onnx", version=99)
    file = read_model(saved(model, tmp_path))
    with contextlib.suppress(ModelError):
        Graph(file, prepare(file.model)[0]).at_opset(21)


def test_a_scale_that_is_no_number_is_none_in_the_record(tmp_path: Path) -> None:
    weights = {"w": np.ones((8, 5), np.int8), "s": np.full(5, np.nan, np.float32)}
    nodes = [
        node("DequantizeLinear", ["w", "s"], ["f"], axis=1),
        node("MatMul", ["x", "f"], ["y"], name="product"),
    ]
    file = read_model(saved(build(nodes, [port("x", "N", 8)], [port("y", "N", 5)], weights), tmp_path))
    (record,) = inspection(Graph(file, prepare(file.model)[0]), ())["quantized"]
    assert record["scale_low"] is None
    json.dumps(record, allow_nan=False)
