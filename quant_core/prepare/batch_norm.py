"""Fold BatchNormalization into the layer before it.

y = gamma * (x - mean) / sqrt(var + epsilon) + beta is affine per channel, so it can be absorbed by the
weights and bias of the Conv, ConvTranspose or Gemm that gives x. Source: ONNX BatchNormalization-15; Jacob et
al. 2018, section 3.2."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

_Array = NDArray[np.float64]


def fold_batch_norm(model: ir.Model) -> int:
    """Fold every BatchNormalization that can be; returns how many."""
    folded = 0
    for node in list(model.graph):
        if node.op_type == "BatchNormalization" and node.domain in ("", "ai.onnx"):
            folded += _fold(model.graph, node)
    return folded


def _constant(value: ir.Value | None) -> _Array | None:
    if value is None or value.const_value is None or value.const_value.dtype != ir.DataType.FLOAT:
        return None
    return np.asarray(value.const_value.numpy(), np.float64)


def _fold(graph: ir.Graph, norm: ir.Node) -> bool:
    source = norm.inputs[0]
    layer = source.producer() if source is not None else None
    if source is None or layer is None or layer.op_type not in ("Conv", "ConvTranspose", "Gemm"):
        return False
    if (
        len(source.uses()) != 1
        or source.is_graph_output()
        or norm.attributes.get_int("training_mode", 0) != 0
    ):
        return False
    if any(o.uses() or o.is_graph_output() for o in norm.outputs[1:]):
        return False
    parameters = [_constant(v) for v in norm.inputs[1:5]]
    weights = _constant(layer.inputs[1])
    old_bias = layer.inputs[2] if len(layer.inputs) > 2 else None
    bias = _constant(old_bias) if old_bias is not None else None
    if weights is None or any(p is None for p in parameters) or (old_bias is not None and bias is None):
        return False
    gamma, beta, mean, variance = (np.asarray(p) for p in parameters)
    if bias is not None and bias.size not in (1, mean.size):
        return False
    factor = gamma / np.sqrt(variance + norm.attributes.get_float("epsilon", 1e-5))
    scaled = _scale_channels(layer, weights, factor)
    if scaled is None:
        return False
    start = np.zeros_like(mean) if bias is None else np.broadcast_to(bias.reshape(-1), mean.shape)
    if layer.op_type == "Gemm":
        start = start * layer.attributes.get_float("beta", 1.0)
        layer.attributes.pop("beta", None)
    absorbed = [layer.inputs[1], old_bias, *norm.inputs[1:5]]
    base = norm.name or layer.name or "folded"
    layer.replace_input_with(1, _register(graph, f"{base}.weight", scaled))
    if len(layer.inputs) < 3:
        layer.resize_inputs(3)
    layer.replace_input_with(2, _register(graph, f"{base}.bias", (start - mean) * factor + beta))
    output = norm.outputs[0]
    name, shape, kind = output.name, output.shape, output.type
    if output.is_graph_output():
        graph.outputs[[v is output for v in graph.outputs].index(True)] = source
    output.replace_all_uses_with(source)
    graph.remove(norm, safe=True)
    for value in absorbed:
        if value is not None and not value.uses() and not value.is_graph_output():
            graph.initializers.pop(value.name or "", None)
    source.name, source.shape, source.type = name, shape, kind
    return True


def _scale_channels(layer: ir.Node, weights: _Array, factor: _Array) -> _Array | None:
    """`weights` with output channel c multiplied by `factor[c]`."""
    if layer.op_type == "Conv":
        return weights * factor.reshape(-1, *(1,) * (weights.ndim - 1))
    if layer.op_type == "Gemm":
        return weights * (factor[:, None] if layer.attributes.get_int("transB", 0) else factor[None, :])
    groups = layer.attributes.get_int("group", 1)
    split = weights.reshape(groups, weights.shape[0] // groups, *weights.shape[1:])
    tail = (1,) * (weights.ndim - 2)
    return np.asarray((split * factor.reshape(groups, 1, -1, *tail)).reshape(weights.shape))


def _register(graph: ir.Graph, name: str, array: _Array) -> ir.Value:
    free, number = name, 1
    while free in graph.initializers:
        number += 1
        free = f"{name}_{number}"
    tensor = ir.Tensor(np.ascontiguousarray(array, np.float32), name=free)
    value = ir.Value(name=free, const_value=tensor, shape=tensor.shape, type=ir.TensorType(tensor.dtype))
    graph.register_initializer(value)
    return value
