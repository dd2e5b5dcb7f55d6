"""The file that export writes: valid, lean, with the user's names, and the size that was promised."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from quant_core.errors import PlanError
from quant_core.formats import QuantizedTensor, Scheme, sqnr_db
from quant_core.graph import Graph, Layer, inputs_of
from quant_core.lower import DECODERS, WeightCache, apply_plan, lower, to_bytes, to_bytes_once
from quant_core.plan import PRESETS, Plan, Precision, default_activation_scheme, default_scheme, preset_plan
from quant_core.prepare import generate_inputs
from tests.bodies import branching
from tests.models import (
    build,
    conv_chain,
    deep_residual,
    fixed_range,
    graph_of,
    matmul_chain,
    node,
    norm,
    norm_weights,
    normal,
    opset,
    plan_of,
    port,
    proto_of,
    run,
    simulate,
    tied_language_model,
)

MODELS = [conv_chain, matmul_chain, tied_language_model, branching]
every_model = pytest.mark.parametrize("make", MODELS, ids=lambda f: f.__name__)


def content(graph: Graph, plan: Plan, decoder: str = "cast") -> bytes:
    return to_bytes(lower(WeightCache(graph), plan, fixed_range(), None, decoder))


@every_model
@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_gives_a_valid_file_that_runs(
    make: Callable[[], onnx.ModelProto], preset: str, decoder: str, tmp_path: Path
) -> None:
    graph = graph_of(make(), tmp_path)
    written = tmp_path / "out.onnx"
    written.write_bytes(content(graph, preset_plan(graph, preset), decoder))
    onnx.checker.check_model(str(written), full_check=True)
    feeds = generate_inputs(inputs_of(graph.model))
    for execute in (simulate, run):
        for got, wanted in zip(
            execute(written.read_bytes(), feeds), simulate(graph.model, feeds), strict=True
        ):
            assert got.shape == wanted.shape
            assert sqnr_db(wanted, got) > 3


@every_model
@pytest.mark.parametrize("name", ["int16", "int8", "uint8", "int4", "uint4", "int2", "uint2"])
def test_every_integer_format_gives_a_valid_file_that_loads(
    make: Callable[[], onnx.ModelProto], name: str, tmp_path: Path
) -> None:
    graph = graph_of(make(), tmp_path)
    plan = plan_of(graph, Precision(default_scheme(name), default_activation_scheme(name)))
    written = tmp_path / "out.onnx"
    written.write_bytes(content(graph, plan))
    onnx.checker.check_model(str(written), full_check=True)
    feeds = generate_inputs(inputs_of(graph.model))
    for execute in (simulate, run):
        assert all(np.isfinite(o).all() for o in execute(written.read_bytes(), feeds))


@every_model
def test_inputs_and_outputs_keep_their_names_types_and_shapes(
    make: Callable[[], onnx.ModelProto], tmp_path: Path
) -> None:
    model = make()
    graph = graph_of(model, tmp_path)
    written = proto_of(content(graph, preset_plan(graph, "int8")))
    assert list(written.graph.input) == list(model.graph.input)
    assert list(written.graph.output) == list(model.graph.output)


def test_an_output_keeps_its_name_where_the_last_layer_is_guarded(tmp_path: Path) -> None:
    """A quantized activation with float weights puts a node behind the layer."""
    graph = graph_of(conv_chain(), tmp_path)
    activations = Precision(None, Scheme("uint8", "tensor", False))
    written = proto_of(content(graph, plan_of(graph, activations)))
    assert [o.name for o in written.graph.output] == ["y"]


def test_layers_keep_their_names_and_everything_else_gets_short_ones(tmp_path: Path) -> None:
    graph = graph_of(conv_chain(), tmp_path)
    written = proto_of(content(graph, preset_plan(graph, "int8")))
    assert {n.name for n in written.graph.node} == {x.name for x in graph.layers} | {""}
    assert max(len(t.name) for t in written.graph.initializer) <= 2
    assert not written.graph.value_info


def test_the_file_of_an_8_bit_plan_is_close_to_a_byte_a_weight(tmp_path: Path) -> None:
    """What stands beside the codes: bias and scale of each channel, and the nodes."""
    weights = {"w": normal(1, 64, 64, 3, 3), **norm_weights("n", 64, 2)}
    nodes = [node("Conv", ["x", "w"], ["c"], name="conv"), norm("n", "c", "y")]
    graph = graph_of(build(nodes, [port("x", "N", 64, 9, 9)], [port("y", "N", 64, 7, 7)], weights), tmp_path)
    size = {p: len(content(graph, preset_plan(graph, p))) for p in ("int8-weights", "int4-weights", "fp16")}
    codes = 64 * 64 * 9
    assert codes < size["int8-weights"] < codes + 64 * 8 + 600
    assert codes // 2 < size["int4-weights"] < codes // 2 + codes // 32 * 4 + 64 * 4 + 900
    assert 2 * codes < size["fp16"] < 2 * codes + 64 * 4 + 500


def test_the_same_plan_gives_the_same_bytes(tmp_path: Path) -> None:
    graph = graph_of(conv_chain(), tmp_path)
    plan = preset_plan(graph, "w4a8")
    assert content(graph, plan) == content(graph, plan)


@pytest.mark.parametrize("old", [13, 17])
def test_an_8_bit_file_keeps_the_opset_of_the_model(old: int, tmp_path: Path) -> None:
    graph = graph_of(conv_chain(old), tmp_path)
    found = {p: opset(proto_of(content(graph, preset_plan(graph, p)))) for p in PRESETS}
    assert found == {
        "fp16": old,
        "int8": old,
        "int8-tensor": old,
        "int8-dynamic": old,
        "int8-weights": old,
        "int4-weights": 21,
        "w8a16": 21,
        "w4a8": 21,
    }


def test_a_2_bit_activation_after_a_clip_loads(tmp_path: Path) -> None:
    """ONNX Runtime 1.31 refuses a Clip right before a 2-bit QuantizeLinear."""
    weights = {"w": normal(1, 4, 3), "low": np.float32(0.0), "high": np.float32(6.0)}
    nodes = [
        node("Clip", ["x", "low", "high"], ["c"], name="clip"),
        node("Gemm", ["c", "w"], ["y"], name="gemm"),
    ]
    model = build(
        nodes, [port("x", "N", 4)], [port("y", "N", 3)], {k: np.asarray(v) for k, v in weights.items()}
    )
    graph = graph_of(model, tmp_path)
    for name in ("uint2", "int2"):
        plan = Plan("one", {"gemm": Precision(None, Scheme(name, "tensor", False))})
        made = content(graph, plan)
        for execute in (simulate, run):
            assert execute(made, {"x": normal(1, 2, 4)})[0].shape == (2, 3)


def test_bodies_and_what_they_read_survive(tmp_path: Path) -> None:
    graph = graph_of(branching(), tmp_path)
    made = content(graph, preset_plan(graph, "int8-weights"))
    for flag in (True, False):
        feeds = {"x": normal(1, 2, 3, 6, 6), "flag": np.array(flag)}
        assert sqnr_db(simulate(graph.model, feeds)[0], simulate(made, feeds)[0]) > 30


def test_an_exported_file_can_be_opened_and_exported_again(tmp_path: Path) -> None:
    """Its tensors have short names already."""
    graph = graph_of(conv_chain(), tmp_path)
    once = content(graph, Plan())
    again = graph_of(proto_of(once), tmp_path, "again.onnx")
    feeds = generate_inputs(inputs_of(graph.model))
    np.testing.assert_array_equal(run(content(again, Plan()), feeds)[0], run(once, feeds)[0])
    twice = content(again, preset_plan(again, "int8-weights"))
    assert sqnr_db(run(once, feeds)[0], run(twice, feeds)[0]) > 30


def test_lowering_leaves_the_graph_as_it_was(tmp_path: Path) -> None:
    graph = graph_of(conv_chain(), tmp_path)
    before = to_bytes(graph.model)
    for preset in PRESETS:
        content(graph, preset_plan(graph, preset))
    assert to_bytes(graph.model) == before


def test_a_precision_that_a_layer_cannot_take_is_named(tmp_path: Path) -> None:
    graph = graph_of(branching(), tmp_path)
    with pytest.raises(PlanError, match=r"'inside'.*body of an If"):
        content(graph, Plan("bad", {"inside": Precision(Scheme("int8"), Scheme("uint8", "tensor", False))}))


def test_weights_that_are_not_finite_name_their_layer(tmp_path: Path) -> None:
    model = matmul_chain()
    bad = normal(1, 6, 5)
    bad[0, 0] = np.nan
    model.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(bad, "right"))
    graph = graph_of(model, tmp_path)
    with pytest.raises(PlanError, match=r"'on_right'.*NaN"):
        content(graph, preset_plan(graph, "int8-weights"))


@every_model
def test_equal_plans_give_equal_files(make: Callable[[], onnx.ModelProto], tmp_path: Path) -> None:
    graph = graph_of(make(), tmp_path)
    plan = preset_plan(graph, "int8")
    turned = Plan(plan.name, dict(reversed(plan.layers.items())), plan.model_sha256)
    assert list(turned.layers) != list(plan.layers) or len(plan.layers) == 1
    assert turned.key == plan.key
    assert content(graph, turned) == content(graph, plan)


def test_writing_a_model_that_nobody_needs_afterwards_gives_the_same_file(tmp_path: Path) -> None:
    graph = graph_of(conv_chain(), tmp_path)
    plan = plan_of(graph, Precision(Scheme("int4", "channel")))
    cache = WeightCache(graph)
    files = [write(lower(cache, plan, fixed_range())) for write in (to_bytes, to_bytes_once, to_bytes)]
    assert files[0] == files[1] == files[2]
    assert all(graph.weights(layer).size for layer in graph.quantizable)


def test_codes_are_let_go_when_they_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = sys.modules[WeightCache.__module__]
    monkeypatch.setattr(module, "CACHED", 1)  # bytes: the cache keeps one layer
    graph = graph_of(deep_residual(6), tmp_path)
    made: list[weakref.ref[QuantizedTensor]] = []
    alive: list[int] = []

    class Watched(WeightCache):
        def get(self, layer: Layer, scheme: Scheme) -> QuantizedTensor:
            found = super().get(layer, scheme)
            made.append(weakref.ref(found))
            alive.append(sum(tensor() is not None for tensor in made))
            return found

    apply_plan(Watched(graph), preset_plan(graph, "int4-weights"), fixed_range())
    assert len(made) >= 6
    assert max(alive) <= 2
