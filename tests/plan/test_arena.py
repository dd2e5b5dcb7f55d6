"""The arena of a plan, by hand."""

from __future__ import annotations

from pathlib import Path

from quant_core.formats import Scheme
from quant_core.graph import Flow, Read, tensor_flow
from quant_core.plan import Plan, Precision, arena, preset_plan
from tests.models import conv_chain, graph_of

INT8 = Scheme("uint8", "tensor", False)


def test_of_a_residual_block_by_hand(tmp_path: Path) -> None:
    """While the depthwise layer runs, a3 and b3 are alive, 512 values each; a3 is also read by the Add, in
    float, so it stays float. While the Add runs, a3, c2 and c4 are, all three in float."""
    graph = graph_of(conv_chain(), tmp_path)
    found = arena(*tensor_flow(graph), preset_plan(graph, "int8"))
    assert found is not None
    assert (found.bytes_fp32, found.step_fp32) == (4 * 3 * 512, "pointwise")  # a3, b3 and c2
    assert (found.bytes, found.step) == (4 * 3 * 512, "add")


def test_a_chain_that_is_quantized_throughout_takes_a_quarter() -> None:
    steps = ("a", "b")
    flows = (
        Flow("x", 100, 32, -1, 0, (Read(0, ("a",)),)),
        Flow("m", 50, 32, 0, 1, (Read(1, ("b",)),)),
        Flow("y", 10, 32, 1, 1, ()),
    )
    plan = Plan("p", {n: Precision(None, INT8) for n in steps})
    found = arena(steps, flows, plan)
    assert found is not None
    assert (found.bytes, found.bytes_fp32) == (150, 600)
    mixed = arena(steps, flows, Plan("p", {"a": Precision(None, INT8)}))
    assert mixed is not None
    assert mixed.bytes == 100 + 4 * 50


def test_what_only_moves_values_does_so_at_the_width_that_is_read_after_it() -> None:
    flows = (
        Flow("x", 100, 32, -1, 0, (Read(0, (), "p"),)),
        Flow("p", 25, 32, 0, 1, (Read(1, ("b",)),)),
    )
    found = arena(("pool", "b"), flows, Plan("p", {"b": Precision(None, INT8)}))
    assert found is not None
    assert found.bytes == 125


def test_four_bits_share_a_byte_and_an_unknown_shape_is_not_guessed() -> None:
    four = Scheme("uint4", "tensor", False)
    flows = (Flow("x", 7, 32, -1, 0, (Read(0, ("a",)),)),)
    plan = Plan("p", {"a": Precision(None, four)})
    found = arena(("a",), flows, plan)
    assert found is not None
    assert found.bytes == 4
    assert arena(("a",), (Flow("x", None, 32, -1, 0, ()),), plan) is None


def test_weights_only_changes_nothing(tmp_path: Path) -> None:
    graph = graph_of(conv_chain(), tmp_path)
    found = arena(*tensor_flow(graph), preset_plan(graph, "int8-weights"))
    assert found is not None
    assert found.bytes == found.bytes_fp32
