"""As shipped, ONNX Runtime's own kernels load every pair of formats and mean what the plan means."""

from __future__ import annotations

from pathlib import Path

import pytest

from quant_core.formats import FORMATS, Scheme, sqnr_db
from quant_core.graph import Graph, inputs_of
from quant_core.lower import DECODERS, WeightCache, lower, to_bytes
from quant_core.plan import Precision
from quant_core.prepare import generate_inputs
from tests.models import fixed_range, graph_of, plan_of, run, simulate, two_in_a_row

INTEGERS = [f.name for f in FORMATS.values() if f.kind == "integer"]
ACTIVATIONS = {
    **{name: Scheme(name, "tensor", False) for name in ("uint16", "uint8", "int8", "uint4", "uint2")},
    "dynamic": Scheme("uint8", "tensor", False, "dynamic"),
}


def apart(graph: Graph, precision: Precision, decoder: str = "cast") -> dict[str, float]:
    """SQNR (dB) of each layer's output as shipped against simulated."""
    model = to_bytes(lower(WeightCache(graph), plan_of(graph, precision), fixed_range(), None, decoder))
    feeds = generate_inputs(inputs_of(graph.model))
    pairs = zip(simulate(model, feeds), run(model, feeds), strict=True)
    names = [v.name or "" for v in graph.model.graph.outputs]
    return dict(zip(names, (sqnr_db(a, b) for a, b in pairs), strict=True))


@pytest.mark.parametrize("activations", ACTIVATIONS)
@pytest.mark.parametrize("weights", [None, "fp16", *INTEGERS])
def test_weights_beside_activations(zoo_graph: Graph, weights: str | None, activations: str) -> None:
    """Integer kernels round in another place now and then, which 60 dB allows."""
    scheme = None if weights is None else Scheme(weights, "channel", False)
    found = apart(zoo_graph, Precision(scheme, ACTIVATIONS[activations]))
    assert {name: db for name, db in found.items() if db < 60} == {}


@pytest.mark.parametrize("activations", ACTIVATIONS)
@pytest.mark.parametrize("weights", ["int8", "uint8", "int4", "int2"])
def test_layer_after_layer(tmp_path: Path, weights: str, activations: str) -> None:
    """Kernels that also give quantized values. A value may fall to the other side of a rounding."""
    precision = Precision(Scheme(weights, "channel", False), ACTIVATIONS[activations])
    for op in ("Conv", "ConvTranspose", "Gemm", "MatMul"):
        assert apart(graph_of(two_in_a_row(op), tmp_path), precision)["y"] > 45, op


@pytest.mark.parametrize("granularity", ["tensor", "channel", "group:4"])
@pytest.mark.parametrize("name", INTEGERS)
def test_weights_alone_are_exact(zoo_graph: Graph, name: str, granularity: str) -> None:
    found = apart(zoo_graph, Precision(Scheme(name, granularity, False)))
    assert {output: db for output, db in found.items() if db < 110} == {}


@pytest.mark.parametrize("name", INTEGERS)
def test_dequantize_linear_on_request_rounds_activations_to_8_bits_at_worst(
    zoo_graph: Graph, name: str
) -> None:
    """ONNX Runtime turns it into MatMulNBits with 8-bit activations by itself; never into nonsense."""
    assert "dequantize" in DECODERS
    found = apart(zoo_graph, Precision(Scheme(name, "channel", False)), "dequantize")
    assert {output: db for output, db in found.items() if db < 35} == {}
