"""Fold constants: compute at once what depends on stored tensors alone, so that weights behind it are found.

Left as they are: quantizers and what widens stored codes (their weights are quantized already), Transpose and
Identity of stored weights (layers are found through them, and a tied weight stays single), random operators,
and what would make the model grow: more than `LOOSE` bytes a node, `GROWTH` bytes in all where the result
leads to the weights of a layer. Results that are equal are stored once."""

from __future__ import annotations

import hashlib
import math

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray
from onnx import helper, numpy_helper, shape_inference
from onnx_ir.passes import common as passes

from quant_core.engine import make_session
from quant_core.errors import ModelError
from quant_core.graph import bodies_of, every_node, product_of, sizes_of, slots_of

LOOSE = 64 << 10
GROWTH = 256 << 20
_SMALL = 1024  # elements; larger operands do not enter the estimate of a shape
_LEFT = frozenset(
    ["QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "Constant", "Loop", "If", "Scan",
     "RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Multinomial", "Bernoulli",
     "Dropout", "StringNormalizer", "TfIdfVectorizer"]
)  # fmt: skip
_Array = NDArray[np.generic]


def fold_constants(model: ir.Model) -> tuple[int, int]:
    """Fold what can be. Returns how many nodes, and by how many bytes the stored tensors grew."""
    before = _stored_bytes(model)
    nodes = [node for node, _ in every_node(model.graph)]
    constant = _constant_nodes(nodes)
    leading = _leading_to_weights(nodes, constant)
    results: dict[bytes, ir.Value] = {}
    folded, grown = 0, 0
    for node in nodes:
        if id(node) not in constant or any(v is not None and v.const_value is None for v in node.inputs):
            continue
        size = _size_of(node, model)
        held = sum(
            int(v.const_value.nbytes) for v in node.inputs if v is not None and v.const_value is not None
        )
        if size is None or (size - held > LOOSE and (id(node) not in leading or grown + size > GROWTH)):
            continue
        arrays = _compute(node, model)
        if arrays is None:
            continue
        grown += max(0, size - held)
        for output, array in zip(node.outputs, arrays, strict=True):
            output.replace_all_uses_with(_stored(model.graph, output.name or "folded", array, results))
        assert node.graph is not None
        node.graph.remove(node, safe=True)
        folded += 1
    if folded:
        passes.RemoveUnusedNodesPass()(model)
    return folded, _stored_bytes(model) - before


def _stored_bytes(model: ir.Model) -> int:
    tensors = [v.const_value for g in model.graphs() for v in g.initializers.values()]
    return sum(int(t.nbytes) for t in tensors if t is not None)


def _constant_nodes(nodes: list[ir.Node]) -> set[int]:
    """The nodes that depend on stored tensors alone, by id."""
    found: set[int] = set()
    for node in nodes:
        reads = [v for v in node.inputs if v is not None]
        plain = node.domain in ("", "ai.onnx") and node.op_type not in _LEFT and not bodies_of(node)
        if not plain or not reads or _is_kept(node) or any(o.is_graph_output() for o in node.outputs):
            continue
        producers = [(v, v.producer()) for v in reads]
        if all(v.const_value is not None or (p is not None and id(p) in found) for v, p in producers):
            found.add(id(node))
    return found


def _is_kept(node: ir.Node) -> bool:
    """Whether it is a view of stored weights, or widens stored codes."""
    tensor = node.inputs[0].const_value if node.inputs[0] is not None else None
    if tensor is None:
        return False
    if node.op_type in ("Transpose", "Identity"):
        return tensor.dtype.is_floating_point() and len(sizes_of(tensor)) > 1
    narrow = tensor.dtype.bitwidth <= 8 or tensor.dtype in (ir.DataType.FLOAT16, ir.DataType.BFLOAT16)
    widens = node.op_type in ("Cast", "BitwiseAnd", "BitShift") and len(sizes_of(tensor)) > 1
    return widens and narrow and tensor.dtype != ir.DataType.BOOL


def _leading_to_weights(nodes: list[ir.Node], constant: set[int]) -> set[int]:
    """Those of `constant` whose result is, or goes into, the weights of a layer."""
    found: set[int] = set()
    for node in reversed(nodes):
        if id(node) not in constant:
            continue
        for output in node.outputs:
            for use in output.uses():
                weights = {1} if product_of(use.node) else {slot.position for slot in slots_of(use.node)}
                weights |= {0} if product_of(use.node) in ("MatMul", "Gather") else set()
                if (
                    id(use.node) in found
                    or use.idx in weights
                    or use.node.op_type in ("Transpose", "Identity")
                ):
                    found.add(id(node))
    return found


def _size_of(node: ir.Node, model: ir.Model) -> int | None:
    """Bytes of the outputs by shape inference, None where they cannot be known beforehand."""
    proto = _single(node, model, feed_all=False)
    try:
        inferred = shape_inference.infer_shapes(proto, data_prop=True).graph.output
    except Exception:  # inference raises its own kinds; the node is left alone
        return None
    total = 0
    for output in inferred:
        tensor = output.type.tensor_type
        if not tensor.HasField("shape") or any(not d.HasField("dim_value") for d in tensor.shape.dim):
            return None
        if tensor.elem_type in (onnx.TensorProto.UNDEFINED, onnx.TensorProto.STRING):
            return None
        width = helper.tensor_dtype_to_np_dtype(tensor.elem_type).itemsize
        total += width * math.prod(d.dim_value for d in tensor.shape.dim)
    return total


def _single(node: ir.Node, model: ir.Model, feed_all: bool) -> onnx.ModelProto:
    """A model of `node` alone; its small operands are stored in it unless `feed_all`."""
    inputs, stored = [], []
    for value in {v.name: v for v in node.inputs if v is not None}.values():
        tensor = value.const_value
        assert tensor is not None
        if not feed_all and tensor.size <= _SMALL:
            stored.append(numpy_helper.from_array(np.asarray(tensor.numpy()), value.name))
        else:
            inputs.append(
                helper.make_tensor_value_info(value.name or "", int(tensor.dtype), sizes_of(tensor))
            )
    outputs = [onnx.ValueInfoProto(name=o.name) for o in node.outputs]
    graph = helper.make_graph([ir.to_proto(node)], "one", inputs, outputs, stored)
    version = model.graph.opset_imports.get("", model.graph.opset_imports.get("ai.onnx", 1))
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", version)], ir_version=max(4, model.ir_version)
    )


def _compute(node: ir.Node, model: ir.Model) -> list[_Array] | None:
    """What ONNX Runtime gives for `node`, None where it refuses."""
    values = {v.name or "": v.const_value for v in node.inputs if v is not None}
    try:
        feeds = {name: np.asarray(t.numpy()) for name, t in values.items() if t is not None}
        session = make_session(_single(node, model, feed_all=True).SerializeToString(), "float", threads=1)
        arrays = session.run(None, feeds)
    except (ModelError, TypeError, ValueError, RuntimeError):
        return None
    except Exception:  # ONNX Runtime's own kinds derive from nothing else
        return None
    return list(arrays) if all(isinstance(a, np.ndarray) and a.dtype != object for a in arrays) else None


def _stored(graph: ir.Graph, name: str, array: _Array, results: dict[bytes, ir.Value]) -> ir.Value:
    """An initializer that holds `array`; the one that is there already where it is equal."""
    head = f"{array.dtype} {array.shape} ".encode()
    digest = hashlib.sha256(head + np.ascontiguousarray(array).tobytes()).digest()
    if digest not in results:
        free, number = name, 1
        while free in graph.initializers:
            number += 1
            free = f"{name}_{number}"
        tensor = ir.Tensor(array, name=free)
        value = ir.Value(name=free, const_value=tensor, shape=tensor.shape, type=ir.TensorType(tensor.dtype))
        graph.register_initializer(value)
        results[digest] = value
    return results[digest]
