"""The plain loop: for every cell copy the proto, make a session, run everything.

This is what a sweep costs without an engine, and what the engine's numbers are held to. It is pinned: it uses
the numerics of `quant_core.formats`, but nothing of lowering or of the engine's loop, and stays as it is when
those become faster.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime as ort
from onnx import helper, numpy_helper

from quant_core.data import Dataset, Outputs, QualityMeter
from quant_core.engine import CellKey
from quant_core.formats import affine_parameters, quantize_tensor
from quant_core.graph import Graph, Layer
from quant_core.plan import cell_precision
from quant_core.stats import Ranges


def session_of(model: bytes) -> ort.InferenceSession:
    """A session in which quantizers run as written, in float."""
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    return ort.InferenceSession(model, options, ["CPUExecutionProvider"])


@dataclass
class PlainLoop:
    """A prepared model as a proto, with data and the outputs of the FP32 model batch by batch."""

    graph: Graph
    model: onnx.ModelProto
    ranges: Ranges
    data: Dataset
    expected: list[Outputs]
    size: int

    def sqnr_db(self, key: CellKey) -> float:
        """The output SQNR of one cell, dB."""
        layer = self.graph.layer(key.layer)
        precision = cell_precision(layer, key.format, key.part)
        assert precision is not None
        model = onnx.ModelProto()
        model.CopyFrom(self.model)
        if precision.weights is not None:
            stored = next(t for t in model.graph.initializer if t.name == layer.tensor)
            decoded = quantize_tensor(numpy_helper.to_array(stored), layer.axis, precision.weights).decode()
            stored.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(decoded), stored.name))
        if precision.activations is not None:
            number, symmetric = precision.activations.number, precision.activations.symmetric
            low, high = self.ranges.find(layer.input or "", precision.activations)
            scale, zero = affine_parameters(low, high, number, symmetric)
            parameters = [
                numpy_helper.from_array(np.asarray(scale), "plain_scale"),
                numpy_helper.from_array(np.asarray(zero).astype(number.storage), "plain_zero"),
            ]
            _quantize_input(model, layer, parameters, number.bits)
        session = session_of(model.SerializeToString())
        meter = QualityMeter()
        for (feeds, _), expected in zip(self.data.batches(self.size), self.expected, strict=True):
            meter.add(session.run(None, feeds), expected, None)
        return meter.result().sqnr_db


def _quantize_input(
    model: onnx.ModelProto, layer: Layer, parameters: list[onnx.TensorProto], bits: int
) -> None:
    """Put a quantizer and its inverse before `layer`."""
    nodes = list(model.graph.node)
    position = next(i for i, n in enumerate(nodes) if n.name == layer.name)
    names = [p.name for p in parameters]
    entering = nodes[position].input[layer.data_input]
    added = []
    if bits == 2:  # keeps ONNX Runtime 1.31 from refusing a Clip right before a 2-bit quantizer
        added.append(helper.make_node("Sum", [entering], ["plain_same"]))
        entering = "plain_same"
    added.append(helper.make_node("QuantizeLinear", [entering, *names], ["plain_codes"]))
    added.append(helper.make_node("DequantizeLinear", ["plain_codes", *names], ["plain_values"]))
    nodes[position].input[layer.data_input] = "plain_values"
    model.graph.ClearField("node")
    model.graph.node.extend([*nodes[:position], *added, *nodes[position:]])
    model.graph.initializer.extend(parameters)
