"""Models that are small in the file and large, deep or endless when they are understood."""

from __future__ import annotations

from pathlib import Path
from random import Random

import onnx
from onnx import TensorProto, helper

from tests.models import node, port


def nest(draw: Random, model: onnx.ModelProto, folder: Path) -> None:
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


def functions(draw: Random, model: onnx.ModelProto, folder: Path) -> None:
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


def huge(draw: Random, model: onnx.ModelProto, folder: Path) -> None:
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
