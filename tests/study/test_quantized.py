"""Files that are quantized already: what is read of them is what ONNX Runtime computes with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)
from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

from quant_core.formats import sqnr_db
from quant_core.graph import Graph
from quant_core.prepare import prepare
from quant_core.study import Study, quantized_layers, quantized_records
from tests.models import build, file_of, graph_of, node, normal, port, run

GIVEN = {"x": normal(9, 16, 3, 8, 8)}


def net() -> onnx.ModelProto:
    """A Conv, a depthwise Conv and a MatMul. `x` [N, 3, 8, 8] to `y` [N, 6]."""
    nodes = [
        node("Conv", ["x", "wa", "ba"], ["a"], name="first", pads=[1, 1, 1, 1]),
        node("Relu", ["a"], ["b"], name="relu"),
        node("Conv", ["b", "wb"], ["c"], name="second", group=8),
        node("GlobalAveragePool", ["c"], ["d"], name="pool"),
        node("Flatten", ["d"], ["e"], name="flatten"),
        node("MatMul", ["e", "wc"], ["y"], name="head"),
    ]
    weights = {
        "wa": normal(1, 8, 3, 3, 3, scale=0.3),
        "ba": normal(2, 8),
        "wb": normal(3, 8, 1, 3, 3, scale=0.4),
        "wc": normal(4, 8, 6),
    }
    return build(nodes, [port("x", "N", 3, 8, 8)], [port("y", "N", 6)], weights)


class Reader(CalibrationDataReader):
    def __init__(self) -> None:
        self.left = [GIVEN]

    def get_next(self) -> dict[str, np.ndarray] | None:
        return self.left.pop() if self.left else None


def static(source: Path, target: Path, form: QuantFormat, per_channel: bool, kind: QuantType) -> None:
    quantize_static(
        source,
        target,
        Reader(),
        form,
        per_channel=per_channel,
        weight_type=kind,
        activation_type=QuantType.QUInt8,
    )


MAKERS: dict[str, Callable[[Path, Path], None]] = {
    "QDQ per channel": lambda a, b: static(a, b, QuantFormat.QDQ, True, QuantType.QInt8),
    "QDQ per tensor": lambda a, b: static(a, b, QuantFormat.QDQ, False, QuantType.QInt8),
    "QDQ unsigned": lambda a, b: static(a, b, QuantFormat.QDQ, True, QuantType.QUInt8),
    "QOperator": lambda a, b: static(a, b, QuantFormat.QOperator, True, QuantType.QInt8),
    "QOperator unsigned": lambda a, b: static(a, b, QuantFormat.QOperator, False, QuantType.QUInt8),
    "dynamic": lambda a, b: quantize_dynamic(a, b, weight_type=QuantType.QUInt8),
}


def quantized(name: str, folder: Path) -> Graph:
    source, target = folder / "float.onnx", folder / "quantized.onnx"
    source.write_bytes(net().SerializeToString())
    MAKERS[name](source, target)
    return graph_of(onnx.load(target), folder, "read.onnx")


@pytest.mark.parametrize("name", MAKERS)
def test_every_layer_is_read_with_the_weights_it_stands_for(name: str, tmp_path: Path) -> None:
    found = quantized_layers(quantized(name, tmp_path))
    assert len(found) == 3
    floats = {
        "wa": normal(1, 8, 3, 3, 3, scale=0.3),
        "wb": normal(3, 8, 1, 3, 3, scale=0.4),
        "wc": normal(4, 8, 6),
    }
    for layer, exact in zip(found, floats.values(), strict=True):
        assert layer.weights is not None
        assert layer.weights.granularity == (
            "channel" if "channel" in name or name in ("QOperator", "QDQ unsigned") else "tensor"
        )
        assert layer.style == name.split()[0]
        assert layer.weights.format == ("uint8" if "unsigned" in name or name == "dynamic" else "int8")
        assert sqnr_db(exact, layer.weights.values()) > 35
        assert layer.activations is not None
        assert (layer.activations.scale is None) == (name == "dynamic")


def test_blocks_of_4_bits(tmp_path: Path) -> None:
    weights = normal(1, 70, 12)
    model = build(
        [node("MatMul", ["x", "w"], ["y"], name="head")],
        [port("x", "N", 70)],
        [port("y", "N", 12)],
        {"w": weights},
    )
    for symmetric in (True, False):
        quantizer = MatMulNBitsQuantizer(
            onnx.ModelProto.FromString(model.SerializeToString()), block_size=32, is_symmetric=symmetric
        )
        quantizer.process()
        made = quantizer.model.model
        graph = graph_of(made, tmp_path)
        (layer,) = quantized_layers(graph)
        assert layer.weights is not None
        assert (layer.style, layer.weights.format, layer.weights.granularity) == (
            "blocks",
            "uint4",
            "group:32",
        )
        assert layer.weights.symmetric == symmetric
        eye = np.eye(70, dtype=np.float32)
        computed = run(made, {"x": eye}, session_qdq_matmulnbits_accuracy_level="1")[0]
        np.testing.assert_allclose(layer.weights.values().T, computed, atol=1e-5)
        assert "already quantized" in str(graph.layers[0].reason)


def test_scales_of_a_file_are_compared_with_ours(tmp_path: Path) -> None:
    graph = quantized("QDQ per tensor", tmp_path)
    records = quantized_records(graph, graph_of(net(), tmp_path))
    assert [r["shape"] for r in records] == [[8, 3, 3, 3], [8, 1, 3, 3], [8, 6]]
    for record in records:
        assert record["our_scheme"].startswith("int8 per channel")
        assert record["our_sqnr_db"] > record["sqnr_db"] > 30  # a scale for each channel costs less
        assert record["our_scale_high"] <= record["scale_high"] * 1.01
    alone = quantized_records(graph)
    assert all(r["sqnr_db"] is None and r["our_scale_low"] > 0 for r in alone)


def test_a_float_model_has_no_records(tmp_path: Path) -> None:
    assert quantized_records(graph_of(net(), tmp_path)) == []


def test_inspect_lists_them_and_every_layer_says_so(tmp_path: Path) -> None:
    for name in ("QDQ per channel", "QOperator", "dynamic"):
        quantized(name, tmp_path)
        record = Study.open(tmp_path / "quantized.onnx").inspect()
        assert len(record["quantized"]) == 3
        assert all("already quantized" in x["reason"] for x in record["layers"])


def test_our_own_exports_say_that_they_are_quantized(tmp_path: Path) -> None:
    from quant_core.plan import preset_plan

    source = file_of(net(), tmp_path).path
    study = Study.open(source)
    for preset in ("int8-weights", "int4-weights"):
        study.export(preset_plan(study.graph, preset), tmp_path / "again.onnx")
        again = Study.open(tmp_path / "again.onnx").graph
        assert again.layers
        assert all("already quantized" in str(x.reason) for x in again.layers)


def test_weights_that_are_inputs_are_listed_without_numbers(models: Path) -> None:
    record = Study.open(models / "odd" / "dynamic_quantize.onnx").inspect()
    (layer,) = record["quantized"]
    assert (layer["style"], layer["shape"], layer["scales"]) == ("dynamic", None, 0)


def test_a_real_file_is_read_beside_its_float_original(models: Path) -> None:
    original = Study.open(models / "keywords" / "model.onnx").graph
    graph = Study.open(models / "odd" / "keywords_int8_qdq.onnx").graph
    records = quantized_records(graph, original)
    assert len(records) == 10
    assert all(r["sqnr_db"] > 30 and r["our_sqnr_db"] > 30 for r in records)
    assert all(r["activation_format"] == "int8" for r in records[1:])


def test_preparing_leaves_the_codes(tmp_path: Path) -> None:
    graph = quantized("QDQ per channel", tmp_path)
    before = sum(n.op_type == "DequantizeLinear" for n in graph.file.model.graph)
    prepared, _ = prepare(graph.file.model)
    assert sum(n.op_type == "DequantizeLinear" for n in prepared.graph) == before
