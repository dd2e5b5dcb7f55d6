"""A bias that is many times what its channel's weights can give still fits the 32 bits it is rounded to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quant_core.formats import Scheme, quantize_tensor
from quant_core.lower import WeightCache, lower, to_bytes, with_room_for_bias
from quant_core.plan import preset_plan
from tests.models import build, fixed_range, graph_of, node, normal, port, run, simulate

FEEDS = {"x": normal(9, 2, 3, 8, 8)}


def dead_channels() -> onnx.ModelProto:
    """Two convolutions, the first with channels that training has switched off: tiny weights, large bias."""
    weights = {"w1": normal(1, 6, 3, 3, 3, scale=0.3), "b1": normal(2, 6), "w2": normal(3, 4, 6, 1, 1)}
    weights["w1"][2] *= 1e-9
    weights["w1"][4] *= 1e-15
    weights["b1"][[2, 4]] = 3.0
    nodes = [
        node("Conv", ["x", "w1", "b1"], ["a"], name="conv1"),
        node("Relu", ["a"], ["r"], name="relu"),
        node("Conv", ["r", "w2"], ["y"], name="conv2"),
    ]
    return build(nodes, [port("x", "N", 3, 8, 8)], [port("y", "N", 4, 6, 6)], weights)


@pytest.mark.parametrize("preset", ["int8", "int8-tensor"])
def test_what_is_shipped_is_what_was_simulated(preset: str, tmp_path: Path) -> None:
    graph = graph_of(dead_channels(), tmp_path)
    model = to_bytes(lower(WeightCache(graph), preset_plan(graph, preset), fixed_range(-4.0, 4.0)))
    (wanted,), (found,) = simulate(model, FEEDS), run(model, FEEDS)
    assert np.abs(found - wanted).max() < 0.05 * np.abs(wanted).max()
    assert np.isfinite(found).all()


@given(
    st.lists(st.floats(-1e6, 1e6, width=32), min_size=4, max_size=4),
    st.sampled_from(["channel", "tensor"]),
    st.floats(1e-8, 1e3),
)
def test_every_bias_fits_and_no_scale_shrinks(bias: list[float], granularity: str, step: float) -> None:
    values = normal(5, 4, 10) * np.array([1, 1e-3, 1e-9, 1e-20], np.float32)[:, None]
    tensor = quantize_tensor(values, 0, Scheme("int8", granularity))
    roomy = with_room_for_bias(tensor, np.array(bias), step)
    assert tensor.scale is not None and roomy.scale is not None
    assert (roomy.scale >= tensor.scale).all()
    scales = np.broadcast_to(roomy.scale, 4).astype(np.float64)
    assert (np.abs(bias) / (scales * step) <= 1.001 * 2**30).all()
    same = np.broadcast_to(roomy.scale == tensor.scale, 4)
    np.testing.assert_array_equal(roomy.decode()[same], tensor.decode()[same])
    # A value moves by half a step of the old scale and half a step of the new one at most.
    assert (np.abs(roomy.decode() - values) <= 1.01 * scales[:, None] + np.abs(values) * 0.02).all()
