"""What a lowered graph decodes from its stored weights is what NumPy decodes, to the bit."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto
from onnx.reference import ReferenceEvaluator

from quant_core.formats import FORMATS, Scheme, quantize_tensor
from quant_core.graph import Graph
from quant_core.lower import DECODERS, WeightCache, lower, to_bytes
from quant_core.plan import Plan, Precision
from tests.models import (
    fixed_range,
    graph_of,
    node_of,
    only,
    opset,
    plan_of,
    proto_of,
    simulate,
    tied_language_model,
)

SHARED = {"integer": ("tensor", "channel", "group:4"), "codebook": ("tensor", "channel", "channels:3")}
SCHEMES = list(
    dict.fromkeys(
        Scheme(f.name, granularity, symmetric, "mse" if f.bits == 4 else "minmax")
        for f in FORMATS.values()
        for granularity in SHARED.get(f.kind, SHARED["integer"])
        for symmetric in (True, False)
    )
)


def lowered(graph: Graph, plan: Plan, decoder: str = "cast") -> onnx.ModelProto:
    return proto_of(to_bytes(lower(WeightCache(graph), plan, fixed_range(), None, decoder)))


def check_decoded(graph: Graph, scheme: Scheme, model: onnx.ModelProto) -> None:
    """Holds what each layer reads to NumPy, by ONNX Runtime and by the ONNX reference."""
    layers = graph.quantizable
    part = only(model, [node_of(model, x.name).input[x.weight_input] for x in layers])
    by_runtime = simulate(part, {})
    # The reference has DequantizeLinear from opset 19 on only.
    part.opset_import[0].version = max(21, part.opset_import[0].version)
    by_reference = ReferenceEvaluator(part).run(None, {})
    for layer, *found in zip(layers, by_runtime, by_reference, strict=True):
        ours = quantize_tensor(graph.weights(layer), layer.axis, scheme).decode()
        for decoded in found:
            np.testing.assert_array_equal(decoded.view(np.int32), ours.view(np.int32), err_msg=layer.name)


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
def test_decoded_weights_equal_numpy_to_the_bit(zoo_graph: Graph, scheme: Scheme, decoder: str) -> None:
    check_decoded(zoo_graph, scheme, lowered(zoo_graph, plan_of(zoo_graph, Precision(scheme)), decoder))


@pytest.mark.parametrize("scheme", [s for s in SCHEMES if s.number.kind == "integer"], ids=str)
def test_beside_quantized_activations_too(zoo_graph: Graph, scheme: Scheme) -> None:
    """int8 codes are then stored as uint8, which kernels that saturate need; the values are the same."""
    precision = Precision(scheme, Scheme("uint8", "tensor", False))
    check_decoded(zoo_graph, scheme, lowered(zoo_graph, plan_of(zoo_graph, precision)))


@pytest.mark.parametrize(("activations", "kind"), [("uint8", "UINT8"), ("int8", "UINT8"), ("uint16", "INT8")])
def test_int8_codes_are_stored_unsigned_beside_8_bit_activations(
    zoo_graph: Graph, activations: str, kind: str
) -> None:
    precision = Precision(Scheme("int8", "channel"), Scheme(activations, "tensor", False))
    plan = Plan("one", {"right": precision})
    (codes,) = [t for t in lowered(zoo_graph, plan).graph.initializer if list(t.dims) == [10, 3]]
    assert codes.data_type == getattr(TensorProto, kind)


@pytest.mark.parametrize(
    ("name", "bits"), [("int16", 16), ("uint8", 8), ("int4", 4), ("uint4", 4), ("int2", 2), ("bf16", 16)]
)
def test_codes_are_stored_in_their_own_bits(zoo_graph: Graph, name: str, bits: int) -> None:
    model = lowered(zoo_graph, Plan("one", {"gemm": Precision(Scheme(name, "channel"))}))
    (codes,) = [t for t in model.graph.initializer if list(t.dims) == [10, 7]]
    assert codes.data_type == getattr(TensorProto, FORMATS[name].onnx_type)
    assert len(codes.raw_data) == -(-70 * bits // 8)


@pytest.mark.parametrize(
    ("scheme", "decoder", "needed"),
    [
        (Scheme("int8", "channel"), "cast", 17),
        (Scheme("int8", "channel", False), "dequantize", 17),
        (Scheme("fp16"), "cast", 17),
        (Scheme("bf16"), "cast", 17),
        (Scheme("int8", "group:4"), "cast", 17),
        (Scheme("int8", "group:4"), "dequantize", 21),
        (Scheme("int4", "channel"), "cast", 21),
        (Scheme("uint4", "group:4"), "dequantize", 21),
        (Scheme("int16", "channel"), "cast", 21),
        (Scheme("int2", "channel"), "cast", 25),
        (Scheme("int2", "channel"), "dequantize", 25),
    ],
    ids=str,
)
def test_the_opset_is_raised_only_as_far_as_needed(
    zoo_graph: Graph, scheme: Scheme, decoder: str, needed: int
) -> None:
    assert opset(lowered(zoo_graph, Plan("one", {"gemm": Precision(scheme)}), decoder)) == needed


def test_the_opset_follows_the_activations_too(zoo_graph: Graph) -> None:
    found = {
        name: opset(lowered(zoo_graph, Plan("one", {"gemm": Precision(None, Scheme(name, "tensor", False))})))
        for name in ("uint8", "uint16", "uint4", "uint2")
    }
    assert found == {"uint8": 17, "uint16": 21, "uint4": 21, "uint2": 25}


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize(
    "scheme", [Scheme("int8", "channel"), Scheme("int4", "group:8", False, "mse")], ids=str
)
def test_a_tensor_that_two_layers_share_is_stored_once(tmp_path: Path, scheme: Scheme, decoder: str) -> None:
    graph = graph_of(tied_language_model(), tmp_path)
    model = lowered(graph, plan_of(graph, Precision(scheme)), decoder)
    sizes = sorted(math.prod(t.dims) for t in model.graph.initializer)
    groups = -(-70 // (scheme.group_size or 70)) * (scheme.group_size or 70)  # padded length of a channel
    assert sizes[-2:] == [12 * groups, 70 * groups]
    assert sizes[-3] < 12 * 70
    ids = np.array([[0, 3, 11], [5, 5, 7]])
    ours = quantize_tensor(graph.weights(graph.layer("head")), 0, scheme).decode()
    projection = quantize_tensor(graph.weights(graph.layer("projection")), 1, scheme).decode()
    expected = np.maximum(ours[ids] @ projection, 0) @ ours.T
    np.testing.assert_allclose(simulate(model, {"ids": ids})[0], expected, rtol=1e-4, atol=1e-4)


def test_a_shared_tensor_may_be_quantized_for_one_layer_alone(tmp_path: Path) -> None:
    graph = graph_of(tied_language_model(), tmp_path)
    model = lowered(graph, Plan("one", {"head": Precision(Scheme("int8", "channel"))}))
    ids = np.array([[1, 2, 3]])
    table, projection = graph.weights(graph.layer("head")), graph.weights(graph.layer("projection"))
    ours = quantize_tensor(table, 0, Scheme("int8", "channel")).decode()
    expected = np.maximum(table[ids] @ projection, 0) @ ours.T
    np.testing.assert_allclose(simulate(model, {"ids": ids})[0], expected, rtol=1e-4, atol=1e-4)


def test_an_untouched_plan_stores_the_weights_as_they_are(zoo_graph: Graph) -> None:
    model = lowered(zoo_graph, Plan())
    for layer in zoo_graph.quantizable:
        (kept,) = [
            t
            for t in model.graph.initializer
            if t.name == node_of(model, layer.name).input[layer.weight_input]
        ]
        np.testing.assert_array_equal(onnx.numpy_helper.to_array(kept), zoo_graph.weights(layer))
