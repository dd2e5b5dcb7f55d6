"""Constants that are computed while the model runs: weights behind them are found, and nothing blows up."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from quant_core.errors import ModelError
from quant_core.graph import Graph, inputs_of
from quant_core.prepare import generate_inputs, prepare
from quant_core.study import Study
from tests.models import build, conv_chain, file_of, graph_of, node, normal, port, run, tied_language_model


def folded(model: onnx.ModelProto, folder: Path) -> Graph:
    """The prepared graph, its outputs held to those of the file."""
    graph = graph_of(model, folder)
    feeds = generate_inputs(inputs_of(graph.model), seed=4)
    for got, wanted in zip(run(graph.model, feeds), run(model, feeds), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)
    return graph


def product(nodes: list[onnx.NodeProto], weights: dict[str, np.ndarray], rows: int = 4) -> onnx.ModelProto:
    """A MatMul with `w`, which `nodes` give."""
    nodes = [*nodes, node("MatMul", ["x", "w"], ["y"], name="product")]
    return build(nodes, [port("x", "N", rows)], [port("y", "N", "M")], weights)


def test_weights_that_are_put_together_become_a_layer(tmp_path: Path) -> None:
    nodes = [
        node("Concat", ["a", "b"], ["ab"], axis=1),
        node("Mul", ["ab", "gain"], ["w"]),
    ]
    weights = {"a": normal(1, 4, 3), "b": normal(2, 4, 5), "gain": normal(3, 8)}
    graph = folded(product(nodes, weights), tmp_path)
    (layer,) = graph.quantizable
    assert layer.shape == (4, 8)
    np.testing.assert_array_equal(
        graph.weights(layer), np.concatenate([normal(1, 4, 3), normal(2, 4, 5)], 1) * normal(3, 8)
    )
    assert set(graph.model.graph.initializers) == {layer.tensor}


def test_generated_weights_become_a_layer(tmp_path: Path) -> None:
    value = numpy_helper.from_array(np.array([0.02], np.float32))
    nodes = [node("ConstantOfShape", ["shape"], ["w"], value=value)]
    graph = folded(product(nodes, {"shape": np.array([2000, 600])}, rows=2000), tmp_path)
    assert [x.shape for x in graph.quantizable] == [(2000, 600)]
    steps = prepare(graph.file.model)[1]
    assert any("grew by 4,7" in s.done for s in steps)


def test_what_is_generated_and_no_weight_stays(tmp_path: Path) -> None:
    """A mask of 4 MB made by a node of 20 bytes."""
    nodes = [
        node("ConstantOfShape", ["shape"], ["zeros"]),
        node("Add", ["x", "zeros"], ["y"], name="add"),
    ]
    model = build(nodes, [port("x", 1, 1)], [port("y", 1000, 1000)], {"shape": np.array([1000, 1000])})
    graph = folded(model, tmp_path)
    assert [n.op_type for n in graph.model.graph] == ["ConstantOfShape", "Add"]


@pytest.mark.parametrize("shape", [[1 << 20, 1 << 20], [1 << 40], [-5, 3]])
def test_a_tensor_that_fits_no_memory_is_not_made(shape: list[int], tmp_path: Path) -> None:
    nodes = [node("ConstantOfShape", ["shape"], ["w"]), node("MatMul", ["x", "w"], ["y"], name="product")]
    model = build(nodes, [port("x", "N", 4)], [port("y", "N", "M")], {"shape": np.array(shape)})
    file = file_of(model, tmp_path)
    prepared, _ = prepare(file.model)
    assert "ConstantOfShape" in [n.op_type for n in prepared.graph]


def test_a_product_of_vectors_that_fits_no_memory_is_not_made(tmp_path: Path) -> None:
    nodes = [node("MatMul", ["a", "b"], ["w"]), node("MatMul", ["x", "w"], ["y"], name="product")]
    weights = {"a": normal(1, 200_000, 1), "b": normal(2, 1, 200_000)}
    model = build(nodes, [port("x", 0, 200_000)], [port("y", 0, 200_000)], weights)
    prepared, _ = prepare(file_of(model, tmp_path).model)
    assert [n.op_type for n in prepared.graph] == ["MatMul", "MatMul"]


def test_random_weights_stay_random(tmp_path: Path) -> None:
    nodes = [node("RandomNormal", [], ["w"], shape=[4, 5]), node("MatMul", ["x", "w"], ["y"], name="product")]
    model = build(nodes, [port("x", "N", 4)], [port("y", "N", 5)], {})
    prepared, _ = prepare(file_of(model, tmp_path).model)
    assert "RandomNormal" in [n.op_type for n in prepared.graph]


def test_equal_results_are_stored_once(tmp_path: Path) -> None:
    nodes = [
        node("Slice", ["big", "zero", "four"], ["w1"]),
        node("Slice", ["big", "zero", "four"], ["w2"]),
        node("MatMul", ["x", "w1"], ["a"], name="one"),
        node("MatMul", ["x", "w2"], ["b"], name="two"),
        node("Add", ["a", "b"], ["y"], name="add"),
    ]
    weights = {"big": normal(1, 9, 5), "zero": np.array([0]), "four": np.array([4])}
    graph = folded(build(nodes, [port("x", "N", 4)], [port("y", "N", 5)], weights), tmp_path)
    one, two = graph.quantizable
    assert one.tensor == two.tensor
    assert one.tied == ("two",)


def test_a_tied_table_stays_single(tmp_path: Path) -> None:
    graph = folded(tied_language_model(), tmp_path)
    assert graph.layer("embedding").tensor == graph.layer("head").tensor
    assert "Transpose" in [n.op_type for n in graph.model.graph]


def test_functions_are_written_out(tmp_path: Path) -> None:
    model = build([], [port("x", "N", 4)], [port("y", "N", 5)], {"w": normal(1, 4, 5)})
    model.graph.node.append(helper.make_node("Dense", ["x", "w"], ["y"], name="call", domain="mine"))
    inner = [helper.make_node("MatMul", ["a", "b"], ["c"], name="inside")]
    model.functions.append(
        helper.make_function("mine", "Dense", ["a", "b"], ["c"], inner, [helper.make_opsetid("", 17)])
    )
    model.opset_import.append(helper.make_opsetid("mine", 1))
    graph = folded(model, tmp_path)
    assert [x.op for x in graph.quantizable] == ["MatMul"]


@pytest.mark.parametrize(
    "error", [AssertionError("no"), RuntimeError("C++"), MemoryError(), ModelError("no")]
)
def test_a_converter_that_fails_or_asserts_is_undone_and_said(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(model: object) -> object:
        raise error

    monkeypatch.setattr(sys.modules["quant_core.prepare.prepare"], "raise_old_opset", fails)
    graph = file_of(conv_chain(opset=9), tmp_path)
    prepared, steps = prepare(graph.model)
    (opset,) = [s for s in steps if s.name == "opset"]
    assert not opset.kept
    assert opset.done.startswith("undone: ")
    assert [s.name for s in steps if s.kept] == ["batch norm", "shapes"]
    assert prepared.graph.opset_imports[""] == 9


def test_a_converter_that_corrupts_is_undone_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def corrupts(model):  # type: ignore[no-untyped-def]
        node = next(n for n in model.graph if n.op_type == "Relu")
        node.outputs[0].replace_all_uses_with(node.inputs[0])
        return model, 9

    monkeypatch.setattr(sys.modules["quant_core.prepare.prepare"], "raise_old_opset", corrupts)
    _, steps = prepare(file_of(conv_chain(opset=9), tmp_path).model)
    (opset,) = [s for s in steps if s.name == "opset"]
    assert not opset.kept
    assert opset.proof_db is not None and opset.proof_db < 80
    assert "outputs moved" in opset.done


def test_a_step_without_proof_is_undone_unless_it_only_moves_things(tmp_path: Path) -> None:
    """A reshape to a size that no generated input has."""
    model = conv_chain(opset=12)
    model.graph.node.insert(0, node("Reshape", ["raw", "shape"], ["x"]))
    model.graph.input[0].CopyFrom(port("raw", "N", "L"))
    model.graph.initializer.append(numpy_helper.from_array(np.array([5, 3, 8, 8]), "shape"))
    file = file_of(model, tmp_path)
    steps = {s.name: s for s in prepare(file.model)[1]}
    assert not steps["opset"].kept
    assert not steps["batch norm"].kept
    assert "not proven" in steps["opset"].done
    assert steps["names"].kept
    with_data = {s.name: s for s in prepare(file.model, {"raw": normal(1, 5, 192)})[1]}
    assert all(s.kept and s.proof_db is not None for s in with_data.values())


def test_models_with_operators_of_other_domains_open(tmp_path: Path) -> None:
    fused = helper.make_node("Gelu", ["h"], ["y"], name="gelu", domain="com.microsoft")
    nodes = [node("MatMul", ["x", "w"], ["h"], name="product"), fused]
    model = build(nodes, [port("x", "N", 4)], [port("y", "N", 5)], {"w": normal(1, 4, 5)}, opset=11)
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    study = Study.open(file_of(model, tmp_path).path)
    assert all(s.kept for s in study.steps)
    assert [x.name for x in study.graph.quantizable] == ["product"]
