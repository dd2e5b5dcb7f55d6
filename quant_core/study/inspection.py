"""What a model file holds, as the command `inspect` writes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from quant_core.graph import Graph, Layer, count_parameters, inputs_of, opset_of, outputs_of
from quant_core.prepare import Saving
from quant_core.study.quantized import quantized_records


def inspection(graph: Graph, savings: Sequence[Saving]) -> dict[str, Any]:
    """The record of the command `inspect`."""
    file = graph.file
    return {
        "name": file.name,
        "sha256": file.sha256,
        "opset": opset_of(file.model),
        "inputs": [asdict(p) for p in inputs_of(file.model)],
        "outputs": [asdict(p) for p in outputs_of(file.model)],
        "parameters": count_parameters(file.model),
        "macs": sum(layer.macs or 0 for layer in graph.layers),
        "bytes": file.bytes,
        "layers": [_layer_json(layer) for layer in graph.layers],
        "quantized": quantized_records(graph),
        "savings": [{"what": s.what, "bytes": s.bytes, "proven_db": s.proven_db} for s in savings],
    }


def _layer_json(layer: Layer) -> dict[str, Any]:
    return {
        "name": layer.name,
        "op": layer.op,
        "weights": layer.tensor,
        "shape": None if layer.shape is None else list(layer.shape),
        "parameters": layer.parameters,
        "macs": layer.macs,
        "reason": None if layer.reason is None else layer.reason.text,
    }
