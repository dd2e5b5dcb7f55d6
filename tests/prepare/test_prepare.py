"""Preparation: what old and odd files need before their layers are found, with proof."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import numpy_helper

from quant_core.graph import Graph, inputs_of, opset_of
from quant_core.prepare import generate_inputs, prepare
from tests.models import build, conv_chain, file_of, node, normal, port, simulate


def prepared_graph(model: onnx.ModelProto, folder: Path) -> Graph:
    """The prepared graph, its outputs held to those of the file."""
    file = file_of(model, folder)
    feeds = generate_inputs(inputs_of(file.model), seed=5)
    prepared, steps = prepare(file.model)
    assert all(s.kept for s in steps)
    for got, wanted in zip(simulate(prepared, feeds), simulate(file.model, feeds), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5)
    return Graph(file, prepared)


def test_initializers_that_are_listed_as_inputs_need_not_be_fed(tmp_path: Path) -> None:
    model = conv_chain()
    for tensor in model.graph.initializer:
        model.graph.input.append(port(tensor.name, *tensor.dims))
    assert [p.name for p in inputs_of(file_of(model, tmp_path).model)] == ["x"]
    graph = prepared_graph(model, tmp_path)
    assert [v.name for v in graph.model.graph.inputs] == ["x"]
    assert len(graph.quantizable) == 4


def test_weights_in_constant_nodes_become_layers(tmp_path: Path) -> None:
    model = build(
        [
            node("Constant", [], ["w"], value=numpy_helper.from_array(normal(1, 4, 5))),
            node("MatMul", ["x", "w"], ["y"], name="product"),
        ],
        [port("x", "N", 4)],
        [port("y", "N", 5)],
        {},
    )
    graph = prepared_graph(model, tmp_path)
    assert [(x.name, x.parameters) for x in graph.quantizable] == [("product", 20)]


def test_unnamed_nodes_get_names_of_their_own(tmp_path: Path) -> None:
    model = conv_chain()
    for n in model.graph.node:
        n.name = ""
    names = [n.name for n in prepared_graph(model, tmp_path).model.graph]
    assert all(names)
    assert len(set(names)) == len(names)


def test_a_name_used_twice_is_told_apart(tmp_path: Path) -> None:
    """ONNX Runtime refuses such a file, so there are no outputs to hold the steps to."""
    model = conv_chain()
    for n in model.graph.node:
        n.name = "layer"
    file = file_of(model, tmp_path)
    names = [x.name for x in Graph(file, prepare(file.model)[0]).quantizable]
    assert len(names) == len(set(names)) == 4


def test_names_do_not_depend_on_what_was_folded(tmp_path: Path) -> None:
    """A plan names layers, so the same file must give the same names each time."""
    model = conv_chain()
    for n in model.graph.node:
        n.name = ""
    first, second = (prepared_graph(model, tmp_path) for _ in range(2))
    assert [x.name for x in first.layers] == [x.name for x in second.layers]


@pytest.mark.parametrize("opset", [9, 11, 12])
def test_an_old_opset_is_raised_to_13(opset: int, tmp_path: Path) -> None:
    graph = prepared_graph(conv_chain(opset), tmp_path)
    assert opset_of(graph.model) == 13
    assert len(graph.quantizable) == 4


@pytest.mark.parametrize("opset", [13, 17, 21])
def test_a_newer_opset_stays(opset: int, tmp_path: Path) -> None:
    assert opset_of(prepared_graph(conv_chain(opset), tmp_path).model) == opset


def test_the_file_itself_is_never_changed(tmp_path: Path) -> None:
    file = file_of(conv_chain(11), tmp_path)
    before = file.path.read_bytes()
    operators = [n.op_type for n in file.model.graph]
    prepare(file.model)
    assert file.path.read_bytes() == before
    assert [n.op_type for n in file.model.graph] == operators


def test_a_step_that_moves_the_outputs_is_undone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(model: ir.Model) -> int:
        model.graph.initializers["wa"].const_value = ir.Tensor(normal(99, 8, 3, 3, 3), name="wa")
        return 1

    module = importlib.import_module("quant_core.prepare.prepare")
    monkeypatch.setattr(module, "fold_batch_norm", wrong)
    file = file_of(conv_chain(), tmp_path)
    prepared, steps = prepare(file.model)
    (step,) = [s for s in steps if s.name == "batch norm"]
    assert not step.kept
    assert step.proof_db is not None and step.proof_db < 80
    feeds = generate_inputs(inputs_of(file.model))
    np.testing.assert_array_equal(simulate(prepared, feeds)[0], simulate(file.model, feeds)[0])


def test_steps_are_proven_on_the_samples_given(tmp_path: Path) -> None:
    file = file_of(conv_chain(), tmp_path)
    _, steps = prepare(file.model, {"x": normal(1, 3, 3, 8, 8)})
    assert {s.name: s.kept for s in steps} == {"batch norm": True, "shapes": True}
    assert all(s.proof_db is not None and s.proof_db > 100 for s in steps)


def test_generated_inputs_fit_the_ports(tmp_path: Path) -> None:
    made = generate_inputs(inputs_of(file_of(conv_chain(batch=4), tmp_path).model))
    assert made["x"].shape == (4, 3, 8, 8)
    assert made["x"].dtype == np.float32
