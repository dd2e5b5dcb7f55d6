"""Bias correction: afterwards the mean of each output channel is the float model's again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from quant_core.data import ArrayDataset
from quant_core.engine import calibrate, with_outputs
from quant_core.formats import Scheme, sqnr_db
from quant_core.graph import Graph, inputs_of
from quant_core.improve import can_correct, correct_bias
from quant_core.lower import Corrections, WeightCache, lower
from quant_core.plan import Plan, Precision
from quant_core.prepare import generate_inputs
from tests.models import (
    Array,
    conv_chain,
    dataset,
    graph_of,
    matmul_chain,
    plan_of,
    positions,
    simulate,
    tied_language_model,
    zoo,
)

COARSE = Scheme("int2", "channel", False, "mse")
UINT8 = Scheme("uint8", "tensor", False)


def samples_of(graph: Graph, count: int = 20) -> ArrayDataset:
    rng = np.random.default_rng(5)

    def like(a: Array) -> Array:
        shape = (count, *a.shape[1:])
        return (rng.normal(size=shape) + 0.5 if a.dtype.kind == "f" else rng.integers(0, 9, shape)).astype(
            a.dtype
        )

    return dataset({name: like(a) for name, a in generate_inputs(inputs_of(graph.model)).items()})


def correct(
    graph: Graph, plan: Plan, data: ArrayDataset, size: int
) -> tuple[ir.Model, ir.Model, Corrections]:
    """The graph of `plan` without and with correction, and the corrections."""
    cache, ranges = WeightCache(graph), calibrate(graph, data)
    found = correct_bias(cache, plan, ranges.find, data, size)
    return lower(cache, plan, ranges.find), lower(cache, plan, ranges.find, found), found


def channel_means(model: ir.Model, layers: list[str], data: ArrayDataset) -> list[Array]:
    """Mean of each output channel of `layers`, with the constant that is added after a MatMul."""
    names, axes = [], []
    for layer in layers:
        node = next(n for n in model.graph if n.name == layer)
        output = node.outputs[0]
        following = [user for user, _ in output.uses() if user.op_type == "Add"]
        if node.op_type == "MatMul" and following and following[0].inputs[1].is_initializer():  # type: ignore[union-attr]
            output = following[0].outputs[0]
        names.append(output.name or "")
        axes.append(1 if node.op_type == "Conv" else -1)
    found = onnx.load_model_from_string(with_outputs(model, names))
    values = dict(zip([o.name for o in found.graph.output], simulate(found, data.arrays), strict=True))
    moved = [np.moveaxis(values[n], axis, 0) for n, axis in zip(names, axes, strict=True)]
    return [v.reshape(len(v), -1).mean(axis=1, dtype=np.float64) for v in moved]


@pytest.mark.parametrize("size", [20, 8])
@pytest.mark.parametrize("activations", [None, UINT8], ids=["weights", "both"])
@pytest.mark.parametrize("make", [conv_chain, positions], ids=lambda f: f.__name__)
def test_the_mean_of_each_channel_is_right_again(
    make: Callable[[], onnx.ModelProto], activations: Scheme | None, size: int, tmp_path: Path
) -> None:
    graph = graph_of(make(), tmp_path)
    data, layers = samples_of(graph), [x.name for x in graph.quantizable]
    plan = plan_of(graph, Precision(COARSE, activations)).with_bias_correction()
    before, after, found = correct(graph, plan, data, size)
    assert set(found) == set(layers)
    wanted = channel_means(graph.model, layers, data)
    for right, wrong, float_mean in zip(
        channel_means(after, layers, data), channel_means(before, layers, data), wanted, strict=True
    ):
        assert np.abs(wrong - float_mean).max() > 0.01
        np.testing.assert_allclose(right, float_mean, rtol=1e-3, atol=2e-3)
    (output,) = simulate(graph.model, data.arrays)
    assert sqnr_db(output, simulate(after, data.arrays)[0]) > sqnr_db(
        output, simulate(before, data.arrays)[0]
    )


def test_layers_that_do_not_ask_are_left_alone(tmp_path: Path) -> None:
    graph = graph_of(conv_chain(), tmp_path)
    plan = plan_of(graph, Precision(COARSE)).edit({"first": Precision(COARSE, bias_correction=True)})
    assert set(correct(graph, plan, samples_of(graph), 8)[2]) == {"first"}


def test_weights_in_float_need_no_correction(tmp_path: Path) -> None:
    graph = graph_of(conv_chain(), tmp_path)
    plan = Plan("p", {"first": Precision(None, UINT8, bias_correction=True)})
    assert correct(graph, plan, samples_of(graph), 8)[2] == {}


def test_what_cannot_take_a_constant_per_channel_is_left_out(tmp_path: Path) -> None:
    graph = graph_of(zoo(), tmp_path)
    assert {x.name: can_correct(x) for x in graph.quantizable} == {
        "conv": True,
        "deconv": True,
        "gemm": True,
        "gemm_t": True,
        "right": True,
        "left": False,
        "table": False,
    }


@pytest.mark.parametrize("make", [matmul_chain, tied_language_model], ids=lambda f: f.__name__)
def test_a_mixed_plan_still_runs(make: Callable[[], onnx.ModelProto], tmp_path: Path) -> None:
    graph = graph_of(make(), tmp_path)
    data = samples_of(graph)
    plan = plan_of(graph, Precision(Scheme("int4", "channel", False, "mse"))).with_bias_correction()
    _, after, found = correct(graph, plan, data, 8)
    assert set(found) == {x.name for x in graph.quantizable if can_correct(x)}
    assert np.isfinite(simulate(after, data.arrays)[0]).all()


@pytest.mark.parametrize("samples", [8, 10])
def test_a_model_with_a_fixed_batch(samples: int, tmp_path: Path) -> None:
    """Also where the last batch is not full: what fills it up has no part in the means."""
    fixed, free = (
        graph_of(conv_chain(batch=4), tmp_path, "a.onnx"),
        graph_of(conv_chain(), tmp_path, "b.onnx"),
    )
    data = samples_of(fixed, samples)
    plan = Plan("p", plan_of(fixed, Precision(COARSE)).with_bias_correction().layers)
    found, wanted = (correct(g, plan, data, 4)[2] for g in (fixed, free))
    for name in wanted:
        np.testing.assert_allclose(found[name], wanted[name], rtol=1e-3, atol=1e-4)
