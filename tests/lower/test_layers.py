"""What a lowered layer gives, simulated, is what NumPy gives with the same codes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from quant_core.formats import Scheme, affine_parameters, fake_quantize, quantize_tensor, sqnr_db
from quant_core.graph import Graph
from quant_core.lower import WeightCache, lower, to_bytes
from quant_core.plan import Plan, Precision
from tests.models import (
    fixed_range,
    graph_of,
    node_of,
    normal,
    plan_of,
    proto_of,
    run,
    simulate,
    two_in_a_row,
)

Floats = NDArray[np.float32]
LOW, HIGH = -2.5, 3.0
ENTERS = {"conv": "image", "deconv": "image", "left": "image", "gemm": "row", "gemm_t": "row", "right": "row"}
PRECISIONS = {
    "int8 weights": Precision(Scheme("int8", "channel")),
    "int4 weights in groups": Precision(Scheme("int4", "group:4", False, "mse")),
    "int2 weights": Precision(Scheme("int2", "channel", False, "mse")),
    "fp16 weights": Precision(Scheme("fp16")),
    "uint8 activations": Precision(None, Scheme("uint8", "tensor", False)),
    "int16 activations": Precision(None, Scheme("int16", "tensor", True)),
    "uint4 activations": Precision(None, Scheme("uint4", "tensor", False)),
    "uint2 activations": Precision(None, Scheme("uint2", "tensor", False)),
    "int8, uint8": Precision(Scheme("int8", "channel"), Scheme("uint8", "tensor", False)),
    "int8 per tensor, int8": Precision(Scheme("int8", "tensor"), Scheme("int8", "tensor", True)),
    "int4 in groups, uint8": Precision(Scheme("int4", "group:4"), Scheme("uint8", "tensor", False)),
    "int8, uint16": Precision(Scheme("int8", "channel"), Scheme("uint16", "tensor", False)),
    "fp16, uint8": Precision(Scheme("fp16"), Scheme("uint8", "tensor", False)),
}


def numpy_layer(name: str, x: Floats, w: Floats) -> Floats:
    """The layers of the zoo, written with NumPy."""
    if name == "conv":
        padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
        windows = sliding_window_view(padded, (3, 3), axis=(2, 3))  # [N, C, H, W, 3, 3]
        halves = [np.einsum("nchwij,ocij->nohw", windows[:, g], w[k]) for g, k in groups(4, 6)]
        return np.concatenate(halves, axis=1)
    if name == "deconv":
        halves = []
        for g, _ in groups(4, 6):
            spread = np.einsum("nchw,coij->nohiwj", x[:, g], w[g])  # stride equals kernel: nothing overlaps
            n, o, h, i, v, j = spread.shape
            halves.append(spread.reshape(n, o, h * i, v * j))
        return np.concatenate(halves, axis=1)
    if name == "gemm_t":
        return x @ w.T
    return w @ x if name == "left" else x @ w


def groups(inputs: int, outputs: int) -> list[tuple[slice, slice]]:
    """Input and output channels of two groups."""
    return [
        (slice(i * inputs // 2, (i + 1) * inputs // 2), slice(i * outputs // 2, (i + 1) * outputs // 2))
        for i in range(2)
    ]


def feeds() -> dict[str, np.ndarray]:
    ids = np.array([3, 0])
    return {"image": normal(11, 2, 4, 6, 6), "row": normal(12, 2, 10), "ids": ids}


def lowered(graph: Graph, plan: Plan) -> onnx.ModelProto:
    return proto_of(to_bytes(lower(WeightCache(graph), plan, fixed_range(LOW, HIGH))))


@pytest.mark.parametrize("name", ENTERS)
@pytest.mark.parametrize("which", PRECISIONS)
def test_a_simulated_layer_equals_numpy(zoo_graph: Graph, name: str, which: str) -> None:
    precision, layer, given = PRECISIONS[which], zoo_graph.layer(name), feeds()
    x, w = given[ENTERS[name]], zoo_graph.weights(layer)
    if precision.activations is not None:
        number = precision.activations.number
        scale, zero = affine_parameters(LOW, HIGH, number, precision.activations.symmetric)
        x = fake_quantize(x, scale, zero, number)
    if precision.weights is not None:
        w = quantize_tensor(w, layer.axis, precision.weights).decode()
    expected = numpy_layer(name, x, w)
    model = lowered(zoo_graph, Plan("one", {name: precision}))
    outputs = dict(zip([o.name for o in model.graph.output], simulate(model, given), strict=True))
    assert sqnr_db(expected, outputs[f"o_{name}"]) > 110


def test_the_numpy_layers_are_the_graphs(zoo_graph: Graph) -> None:
    """In float, so that the test above compares the right thing."""
    given = feeds()
    outputs = dict(
        zip([v.name for v in zoo_graph.model.graph.outputs], simulate(zoo_graph.model, given), strict=True)
    )
    for name, enters in ENTERS.items():
        expected = numpy_layer(name, given[enters], zoo_graph.weights(zoo_graph.layer(name)))
        assert sqnr_db(expected, outputs[f"o_{name}"]) > 120


def test_an_embedding_gives_the_decoded_rows(zoo_graph: Graph) -> None:
    scheme = Scheme("int4", "channel", False, "mse")
    model = lowered(zoo_graph, Plan("one", {"table": Precision(scheme)}))
    position = [o.name for o in model.graph.output].index("o_table")
    decoded = quantize_tensor(zoo_graph.weights(zoo_graph.layer("table")), 0, scheme).decode()
    np.testing.assert_array_equal(simulate(model, feeds())[position], decoded[[3, 0]])


def test_other_layers_are_left_in_float(zoo_graph: Graph) -> None:
    given = feeds()
    model = lowered(zoo_graph, Plan("one", {"conv": PRECISIONS["int8, uint8"]}))
    before, after = simulate(zoo_graph.model, given), simulate(model, given)
    for output, wanted, got in zip(model.graph.output, before, after, strict=True):
        if output.name != "o_conv":
            np.testing.assert_array_equal(got, wanted)


def test_layers_that_share_an_input_share_its_quantizer(zoo_graph: Graph) -> None:
    activations = Precision(None, Scheme("uint8", "tensor", False))
    model = lowered(zoo_graph, Plan("three", dict.fromkeys(("gemm", "gemm_t", "right"), activations)))
    assert sum(n.op_type == "QuantizeLinear" for n in model.graph.node) == 1
    read = {node_of(model, name).input[0] for name in ("gemm", "gemm_t", "right")}
    assert len(read) == 1


def test_a_dynamic_range_is_that_of_the_batch(zoo_graph: Graph) -> None:
    given = feeds()
    precision = Precision(None, Scheme("uint8", "tensor", False, "dynamic"))
    model = lowered(zoo_graph, Plan("one", {"right": precision}))
    x, w = given["row"], zoo_graph.weights(zoo_graph.layer("right"))
    number = precision.activations.number if precision.activations else None
    assert number is not None
    scale, zero = affine_parameters(float(x.min()), float(x.max()), number, False)
    expected = fake_quantize(x, scale, zero, number) @ w
    position = [o.name for o in model.graph.output].index("o_right")
    assert sqnr_db(expected, simulate(model, given)[position]) > 110


@pytest.mark.parametrize("op", ["Conv", "ConvTranspose", "Gemm", "MatMul"])
@pytest.mark.parametrize("weights", [None, "fp16"])
@pytest.mark.parametrize("activations", ["uint8", "int8", "uint16"])
def test_float_weights_between_quantized_activations_stay_float_as_shipped(
    op: str, weights: str | None, activations: str, tmp_path: Path
) -> None:
    """ONNX Runtime must not round them to int8 by itself; see `guard_float_weights`."""
    graph = graph_of(two_in_a_row(op), tmp_path)
    scheme = None if weights is None else Scheme(weights)
    plan = plan_of(graph, Precision(scheme, Scheme(activations, "tensor", False)))
    model = to_bytes(lower(WeightCache(graph), plan, fixed_range(-9, 9)))
    given = {"x": normal(3, 3, *((8, 4, 4) if op.startswith("Conv") else (8,)))}
    assert sqnr_db(simulate(model, given)[0], run(model, given)[0]) > 60


def test_a_correction_is_added_per_output_channel(zoo_graph: Graph) -> None:
    given = feeds()
    precision = Precision(Scheme("int8", "channel"))
    for name, axis in (("conv", 1), ("deconv", 1), ("gemm", 1), ("gemm_t", 1), ("right", 1)):
        layer, plan = zoo_graph.layer(name), Plan("one", {name: precision})
        position = [v.name for v in zoo_graph.model.graph.outputs].index(f"o_{name}")
        plain = simulate(lowered(zoo_graph, plan), given)[position]
        shift = normal(5, plain.shape[axis])
        model = lower(WeightCache(zoo_graph), plan, fixed_range(), {layer.name: shift})
        shape = [-1 if i == axis else 1 for i in range(plain.ndim)]
        np.testing.assert_allclose(
            simulate(model, given)[position], plain + shift.reshape(shape), rtol=1e-4, atol=1e-4
        )
