"""The distance to the statistics of training: by hand, and zero for the data they were taken of."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from quant_core.engine import batch_norm_distance
from quant_core.graph import read_model
from tests.models import build, matmul_chain, node, normal, port


def model_with(tmp_path, mean: np.ndarray, variance: np.ndarray) -> ir.Model:  # type: ignore[no-untyped-def]
    """x [N, 3, 2, 2] through a Conv that doubles and a BatchNormalization."""
    ones = np.ones(3, np.float32)
    weights = {"w": 2 * np.eye(3, dtype=np.float32).reshape(3, 3, 1, 1), "one": ones, "zero": 0 * ones}
    weights |= {"mean": mean.astype(np.float32), "var": variance.astype(np.float32)}
    nodes = [
        node("Conv", ["x", "w"], ["c"], name="conv"),
        node("BatchNormalization", ["c", "one", "zero", "mean", "var"], ["y"], name="norm"),
    ]
    path = tmp_path / "m.onnx"
    path.write_bytes(
        build(nodes, [port("x", "N", 3, 2, 2)], [port("y", "N", 3, 2, 2)], weights).SerializeToString()
    )
    return read_model(path).model


@pytest.mark.parametrize("size", [1, 4, 100])
def test_the_data_of_training_is_at_zero(tmp_path, size: int) -> None:  # type: ignore[no-untyped-def]
    x = normal(1, 10, 3, 2, 2) + 3
    model = model_with(tmp_path, 2 * x.mean((0, 2, 3)), 4 * x.var((0, 2, 3)))
    assert batch_norm_distance(model, {"x": x}, size) == pytest.approx(0, abs=1e-5)


def test_another_scale_and_shift_by_the_formula(tmp_path) -> None:  # type: ignore[no-untyped-def]
    x = normal(1, 10, 3, 2, 2)
    mean, variance = np.array([1.0, -2.0, 0.5]), np.array([0.5, 9.0, 2.0])
    m, v = 2 * x.mean((0, 2, 3), dtype=np.float64), 4 * x.var((0, 2, 3), dtype=np.float64)
    wanted = np.median((np.log(variance / v) + (v + (m - mean) ** 2) / variance - 1) / 2)
    found = batch_norm_distance(model_with(tmp_path, mean, variance), {"x": x}, 4)
    assert found == pytest.approx(wanted, rel=1e-5)


def test_a_model_without_statistics_has_no_distance(tmp_path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "m.onnx").write_bytes(matmul_chain().SerializeToString())
    model = read_model(tmp_path / "m.onnx").model
    assert batch_norm_distance(model, {"x": normal(1, 2, 4, 6)}, 2) is None
