"""Folding BatchNormalization: the outputs stay, and what must not be folded is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from quant_core.graph import inputs_of
from quant_core.prepare import generate_inputs, prepare
from tests.models import build, conv_chain, file_of, node, norm, norm_weights, normal, port, simulate


def check(model: onnx.ModelProto, folder: Path, folded: int, db: float = 100.0) -> list[str]:
    """Prepares `model`, holds the outputs to those before, and gives the operators left."""
    file = file_of(model, folder)
    feeds = generate_inputs(inputs_of(file.model), seed=3)
    prepared, steps = prepare(file.model)
    for got, wanted in zip(simulate(prepared, feeds), simulate(file.model, feeds), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-4)
    proofs = [s.proof_db for s in steps if s.name == "batch norm"]
    assert [f"{folded} BatchNormalization" in s.done for s in steps if s.name == "batch norm"] == [True] * (
        folded > 0
    )
    assert all(p is not None and p > db for p in proofs)
    left = [n.op_type for n in prepared.graph]
    before = sum(n.op_type == "BatchNormalization" for n in model.graph.node)
    assert left.count("BatchNormalization") == before - folded
    assert [v.name for v in prepared.graph.outputs] == [o.name for o in model.graph.output]
    return left


@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_conv(groups: int, bias: bool, tmp_path: Path) -> None:
    weights = {"w": normal(1, 8, 4 // groups, 3, 3), "b": normal(2, 8), **norm_weights("n", 8, 3)}
    inputs = ["x", "w", *(["b"] if bias else [])]
    nodes = [
        node("Conv", inputs, ["c"], name="conv", group=groups),
        norm("n", "c", "d"),
        node("Relu", ["d"], ["y"]),
    ]
    check(build(nodes, [port("x", "N", 4, 6, 6)], [port("y", "N", 8, 4, 4)], weights), tmp_path, folded=1)


@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_conv_transpose(groups: int, bias: bool, tmp_path: Path) -> None:
    weights = {"w": normal(1, 4, 8 // groups, 2, 2), "b": normal(2, 8), **norm_weights("n", 8, 3)}
    inputs = ["x", "w", *(["b"] if bias else [])]
    nodes = [
        node("ConvTranspose", inputs, ["c"], name="deconv", group=groups, strides=[2, 2]),
        norm("n", "c", "y"),
    ]
    check(build(nodes, [port("x", "N", 4, 5, 5)], [port("y", "N", 8, 10, 10)], weights), tmp_path, folded=1)


@pytest.mark.parametrize("bias", ["none", "vector", "scalar", "row"])
@pytest.mark.parametrize("trans_b", [0, 1])
@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 1.0), (0.5, 2.0)])
def test_gemm(alpha: float, beta: float, trans_b: int, bias: str, tmp_path: Path) -> None:
    shapes = {"none": (), "vector": (7,), "scalar": (1,), "row": (1, 7)}
    weights = {
        "w": normal(1, *((7, 5) if trans_b else (5, 7))),
        "b": normal(2, *shapes[bias]),
        **norm_weights("n", 7, 3),
    }
    inputs = ["x", "w", *([] if bias == "none" else ["b"])]
    nodes = [
        node("Gemm", inputs, ["c"], name="gemm", transB=trans_b, alpha=alpha, beta=beta),
        norm("n", "c", "y"),
    ]
    check(build(nodes, [port("x", "N", 5)], [port("y", "N", 7)], weights), tmp_path, folded=1)


def test_every_norm_of_a_residual_chain(tmp_path: Path) -> None:
    left = check(conv_chain(), tmp_path, folded=3)
    assert left.count("Conv") == 3


def chain(extra: list[onnx.NodeProto], outputs: list[str]) -> onnx.ModelProto:
    """Conv, BatchNormalization to `d`, and more."""
    weights = {"w": normal(1, 4, 3, 1, 1), **norm_weights("n", 4, 3)}
    nodes = [node("Conv", ["x", "w"], ["c"], name="conv"), norm("n", "c", "d"), *extra]
    return build(nodes, [port("x", "N", 3, 4, 4)], [port(o, "N", 4, 4, 4) for o in outputs], weights)


def test_a_conv_that_is_used_twice_is_left(tmp_path: Path) -> None:
    check(chain([node("Add", ["c", "d"], ["y"], name="add")], ["y"]), tmp_path, folded=0)


def test_a_conv_that_is_an_output_is_left(tmp_path: Path) -> None:
    check(chain([], ["d", "c"]), tmp_path, folded=0)


def test_a_norm_that_is_the_output_is_folded_and_keeps_its_name(tmp_path: Path) -> None:
    check(chain([], ["d"]), tmp_path, folded=1)


def test_a_norm_that_learns_is_left(tmp_path: Path) -> None:
    weights = {"w": normal(1, 4, 3, 1, 1), **norm_weights("n", 4, 3)}
    learning = norm("n", "c", "d")
    learning.attribute.append(onnx.helper.make_attribute("training_mode", 1))
    learning.output.extend(["running_mean", "running_var"])
    nodes = [node("Conv", ["x", "w"], ["c"], name="conv"), learning]
    model = build(nodes, [port("x", "N", 3, 4, 4)], [port("d", "N", 4, 4, 4)], weights)
    prepared, _ = prepare(file_of(model, tmp_path).model)
    assert [n.op_type for n in prepared.graph] == ["Conv", "BatchNormalization"]


def test_a_norm_after_another_operator_is_left(tmp_path: Path) -> None:
    weights = {"w": normal(1, 4, 3, 1, 1), **norm_weights("n", 4, 3)}
    nodes = [node("Conv", ["x", "w"], ["c"]), node("Relu", ["c"], ["r"]), norm("n", "r", "y")]
    check(build(nodes, [port("x", "N", 3, 4, 4)], [port("y", "N", 4, 4, 4)], weights), tmp_path, folded=0)


def test_two_convs_that_share_weights_are_folded_each_for_itself(tmp_path: Path) -> None:
    weights = {"w": normal(1, 3, 3, 1, 1), **norm_weights("n", 3, 3), **norm_weights("m", 3, 4)}
    nodes = [
        node("Conv", ["x", "w"], ["c"], name="one"),
        norm("n", "c", "d"),
        node("Conv", ["d", "w"], ["e"], name="two"),
        norm("m", "e", "y"),
    ]
    check(build(nodes, [port("x", "N", 3, 4, 4)], [port("y", "N", 3, 4, 4)], weights), tmp_path, folded=2)


def test_epsilon_counts(tmp_path: Path) -> None:
    model = chain([], ["d"])
    model.graph.node[1].attribute.append(onnx.helper.make_attribute("epsilon", 0.5))
    check(model, tmp_path, folded=1)
