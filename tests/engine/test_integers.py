"""A layer in integers gives what ONNX Runtime's integer operators give, to the bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from quant_core.engine import integer_form, trace_integers
from quant_core.errors import PlanError
from quant_core.formats import Scheme
from quant_core.graph import Graph, Layer
from quant_core.lower import WeightCache
from tests.models import build, conv_chain, dataset, graph_of, matmul_chain, normal, port, zoo

SCHEMES = [Scheme("int8", "channel"), Scheme("int8", "tensor"), Scheme("int8", "tensor", False)]


def traced(bench: Any, layer: Layer, scheme: Scheme) -> Any:
    ends = bench.ranges.find(layer.input, Scheme("uint8", "tensor", False))
    return trace_integers(bench.graph, layer, bench.cache.get(layer, scheme), ends, bench.data)


@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
@pytest.mark.parametrize("make", [conv_chain, matmul_chain], ids=lambda f: f.__name__)
def test_every_layer_equals_the_integer_operator(bench_of: Any, make: Any, scheme: Scheme) -> None:
    bench = bench_of(make())
    layers = [
        x for x in bench.graph.quantizable if x.op in ("Conv", "Gemm", "MatMul") and x.weight_input == 1
    ]
    assert layers
    for layer in layers:
        found = traced(bench, layer, scheme).counts
        assert found.outputs > 0
        assert found.differ == 0, layer.name
        assert found.fixed_most <= 1
        assert found.noise < 0.1 * found.signal


ATTRIBUTES: list[dict[str, Any]] = [
    {"strides": [2, 1], "pads": [1, 0, 2, 1]},
    {"dilations": [2, 2], "pads": [2, 2, 2, 2]},
    {"auto_pad": "SAME_UPPER", "strides": [2, 2]},
    {"auto_pad": "SAME_LOWER", "strides": [2, 2]},
    {"auto_pad": "VALID"},
]


def convolution(
    shape: tuple[int, ...], size: tuple[int, ...], group: int, **attributes: Any
) -> onnx.ModelProto:
    node = helper.make_node("Conv", ["x", "w", "b"], ["y"], name="conv", group=group, **attributes)
    channels = shape[1] * group
    stored = {"w": normal(1, *shape), "b": normal(2, shape[0])}
    return build(
        [node], [port("x", "N", channels, *size)], [port("y", "N", shape[0], *("?" * len(size)))], stored
    )


@pytest.mark.parametrize("group", [1, 3])
@pytest.mark.parametrize("attributes", ATTRIBUTES, ids=str)
def test_every_way_to_place_a_window(tmp_path: Path, attributes: dict[str, Any], group: int) -> None:
    check(graph_of(convolution((6, 2, 3, 3), (9, 8), group, **attributes), tmp_path), (4, 2 * group, 9, 8))


def test_a_convolution_along_one_axis(tmp_path: Path) -> None:
    check(graph_of(convolution((4, 3, 5), (20,), 1, pads=[2, 2], strides=[3]), tmp_path), (4, 3, 20))


def check(graph: Graph, shape: tuple[int, ...]) -> None:

    layer = graph.quantizable[0]
    x = np.random.default_rng(3).normal(1.0, 1.0, shape).astype(np.float32)
    weights = WeightCache(graph).get(layer, SCHEMES[0])
    ends = float(x.min()), float(x.max())
    found = trace_integers(graph, layer, weights, ends, dataset({"x": x}))
    assert found.counts.differ == 0
    assert found.counts.noise < 0.01 * found.counts.signal
    assert found.accumulators.count == found.counts.outputs


def test_a_bias_that_32_bits_cannot_hold_raises_the_scale(tmp_path: Path) -> None:
    model = convolution((2, 1, 3, 3), (6, 6), 1)
    weights = normal(1, 2, 1, 3, 3)
    weights[0] *= 1e-9  # a dead channel, of which only the bias is left
    for tensor in model.graph.initializer:
        if tensor.name == "w":
            tensor.CopyFrom(onnx.numpy_helper.from_array(weights, "w"))
        if tensor.name == "b":
            tensor.CopyFrom(onnx.numpy_helper.from_array(np.array([2.0, 0.1], np.float32), "b"))
    graph = graph_of(model, tmp_path)
    x = np.random.default_rng(3).normal(0.0, 1.0, (3, 1, 6, 6)).astype(np.float32)
    layer = graph.quantizable[0]
    found = trace_integers(
        graph, layer, WeightCache(graph).get(layer, SCHEMES[0]), (-3.0, 3.0), dataset({"x": x})
    )
    assert found.counts.raised == 1
    assert found.counts.differ == 0
    assert found.counts.high < 1 << 31
    dead = found.form.output_rows(found.first_output)[:, 0]
    assert dead == pytest.approx(2.0, abs=1e-6)
    assert found.counts.noise < 0.01 * found.counts.signal


def test_what_has_no_integer_form_says_why(tmp_path: Path) -> None:
    graph = graph_of(zoo(), tmp_path)
    refused = [layer for layer in graph.quantizable if layer.op not in ("Conv", "Gemm", "MatMul")]
    assert refused
    for layer in refused:
        with pytest.raises(PlanError, match="is not computed in integers here"):
            integer_form(graph, layer)
