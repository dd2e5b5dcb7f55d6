"""Tiny models with layers inside of the bodies of If and Loop."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.models import Array, build, node, normal, port


def branching() -> onnx.ModelProto:
    """A Conv, an If whose branches read what the Conv gave and an outer tensor, and a Gemm."""
    then = helper.make_graph(
        [node("Conv", ["a", "inner"], ["t"], name="inside")], "then", [], [port("t", "N", 4, 6, 6)]
    )
    otherwise = helper.make_graph(
        [node("Relu", ["a"], ["o"], name="inside_relu")], "else", [], [port("o", "N", 4, 6, 6)]
    )
    nodes = [
        node("Conv", ["x", "w"], ["a"], name="conv", pads=[1, 1, 1, 1]),
        node("If", ["flag"], ["b"], name="choice", then_branch=then, else_branch=otherwise),
        node("Relu", ["b"], ["r"], name="relu"),
        node("Flatten", ["r"], ["f"], name="flatten"),
        node("Gemm", ["f", "v"], ["y"], name="gemm"),
    ]
    weights = {"w": normal(1, 4, 3, 3, 3), "inner": normal(2, 4, 4, 1, 1), "v": normal(3, 144, 5, scale=0.1)}
    inputs = [port("x", "N", 3, 6, 6), port("flag", kind=TensorProto.BOOL)]
    return build(nodes, inputs, [port("y", "N", 5)], weights)


def looping() -> onnx.ModelProto:
    """A Loop that multiplies by an outer tensor and by one of its own, `n` times.

    `x` [N, 4] to `y` [N, 4]."""
    own = numpy_helper.from_array(normal(2, 4, 4, scale=0.3), "own")
    body = helper.make_graph(
        [
            node("MatMul", ["state", "outer"], ["m"], name="first"),
            node("MatMul", ["m", "own"], ["next"], name="second"),
            node("Identity", ["going"], ["go_on"], name="go"),
        ],
        "body",
        [port("i", kind=TensorProto.INT64), port("going", 1, kind=TensorProto.BOOL), port("state", "N", 4)],
        [port("go_on", 1, kind=TensorProto.BOOL), port("next", "N", 4)],
        [own],
    )
    nodes = [node("Loop", ["n", "yes", "x"], ["y"], name="loop", body=body)]
    weights: dict[str, Array] = {"n": np.array(3), "yes": np.array(True), "outer": normal(1, 4, 4, scale=0.7)}
    return build(nodes, [port("x", "N", 4)], [port("y", "N", 4)], weights)


def endless(times: int = 2**60) -> onnx.ModelProto:
    """A Loop that does not end while anybody waits, or takes long.

    `x` [64, 64] to `y` [64, 64]."""
    body = helper.make_graph(
        [node("Identity", ["going"], ["go_on"]), node("MatMul", ["state", "w"], ["next"])],
        "body",
        [port("i", kind=TensorProto.INT64), port("going", kind=TensorProto.BOOL), port("state", 64, 64)],
        [port("go_on", kind=TensorProto.BOOL), port("next", 64, 64)],
    )
    nodes = [  # constants to fold: that is proven by running the model
        node("Constant", [], ["times"], value=numpy_helper.from_array(np.array(times))),
        node("Constant", [], ["yes"], value=numpy_helper.from_array(np.array(True))),
        node("Loop", ["times", "yes", "x"], ["looped"], name="loop", body=body),
        node("MatMul", ["looped", "w"], ["y"], name="last"),
    ]
    weights: dict[str, Array] = {"w": np.eye(64, dtype=np.float32)}
    return build(nodes, [port("x", 64, 64)], [port("y", 64, 64)], weights)
