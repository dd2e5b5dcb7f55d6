"""Shapes of all tensors and multiply-accumulate counts of nodes, for one sample."""

from __future__ import annotations

import math

import onnx_ir as ir
from onnx import shape_inference

from quant_core.graph.operators import int_of

Shapes = dict[str, tuple[int, ...]]


def sizes_of(tensor: ir.TensorProtocol) -> tuple[int, ...]:
    """The shape of a stored tensor."""
    return tuple(n if isinstance(n, int) else 0 for n in tensor.shape)


def infer_shapes(model: ir.Model) -> Shapes:
    """Shape of each tensor that can be known for one sample: unknown input dimensions (batch, length) count
    as 1.
    """
    skeleton = model.clone()
    for value in skeleton.graph.inputs:
        if value.shape is not None:
            value.shape = ir.Shape([d if isinstance(d, int) else 1 for d in value.shape])
    for value in skeleton.graph.outputs:
        value.shape = None
    proto = ir.to_proto(skeleton)
    try:
        inferred = shape_inference.infer_shapes(proto, data_prop=True)
    except Exception:  # a graph that defeats inference still opens; its MACs are unknown
        inferred = proto
    shapes: Shapes = {}
    graph = inferred.graph
    for info in (*graph.input, *graph.value_info, *graph.output):
        dims = info.type.tensor_type.shape.dim
        if info.type.tensor_type.HasField("shape") and all(d.HasField("dim_value") for d in dims):
            shapes[info.name] = tuple(d.dim_value for d in dims)
    for name, value in model.graph.initializers.items():
        if value.const_value is not None:
            shapes[name] = sizes_of(value.const_value)
    return shapes


def count_macs(node: ir.Node, weight_shape: tuple[int, ...], shapes: Shapes) -> int | None:
    """Multiply-accumulates of a Conv, ConvTranspose, Gemm or MatMul for one sample, of weights of another
    node one for each weight and position; 0 for embeddings; None if unknown.
    """
    if node.op_type in ("Gather", "EmbedLayerNormalization"):
        return 0
    output = shapes.get(node.outputs[0].name or "")
    source = shapes.get(node.inputs[0].name or "") if node.inputs[0] is not None else None
    if node.op_type == "Conv" and output is not None:
        return math.prod(output) * math.prod(weight_shape[1:])
    if node.op_type == "ConvTranspose" and source is not None:
        return math.prod(source) * math.prod(weight_shape[1:])
    if node.op_type in ("Gemm", "MatMul") and output is not None:
        if node.op_type == "Gemm":
            trans_a = int_of(node, "transA", 0)
            inner = source[0 if trans_a else 1] if source else None
        else:
            inner = source[-1] if source else weight_shape[-2]
        return None if inner is None else math.prod(output) * inner
    if node.op_type in ("LSTM", "GRU", "RNN", "Attention"):
        return math.prod(weight_shape) * (math.prod(source[:2]) if source else 1)
    # Unknown output, as after a computed Reshape: one position of an unknown length, which counts as 1.
    return math.prod(weight_shape) if node.op_type in ("Gemm", "MatMul") else None
