"""Good models of many kinds, to be spoilt."""

from __future__ import annotations

import functools

import numpy as np
import onnx
from onnx import helper

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
