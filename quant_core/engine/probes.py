"""Probes: where a layer's input, output and input codes are, in the FP32 graph and in the exported file."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from quant_core.graph import Graph, graph_nodes, weight_chain

_STORED = (ir.DataType.UINT8, ir.DataType.INT8, ir.DataType.UINT16, ir.DataType.INT16)


@dataclass(frozen=True)
class Grid:
    """The codes of a tensor in the exported file, and the affine map that they come from."""

    codes: str
    scale: NDArray[np.float32]
    zero: NDArray[np.generic]


@dataclass(frozen=True)
class Probe:
    """A node with layers.

    `entries` are the computed tensors that the node reads in the FP32 graph, `entering` the one whose codes
    are `grid` (None where none are stored), `output` what the node gives there and `written` in the exported
    file. `bytes` is what watching them takes for one sample at least."""

    name: str
    layers: tuple[str, ...]
    entries: tuple[str, ...]
    entering: str | None
    output: str
    written: str
    grid: Grid | None
    bytes: int


def probes(graph: Graph, exported: ir.Model, corrected: Collection[str] = ()) -> list[Probe]:
    """The probes of all layers of `graph` whose output is float and that `exported` still has, in the order
    of execution. `corrected` names layers whose bias is corrected.
    """
    nodes = {node.name: node for node in graph.model.graph}
    written = {node.name: node for node in exported.graph if node.name}
    sizes = {n.name: math.prod(n.shape) if n.shape else 1 for n in graph_nodes(graph)}
    found: dict[str, Probe] = {}
    for layer in graph.quantizable:
        node, other = nodes.get(layer.node), written.get(layer.node)
        if node is None or other is None or layer.node in found:
            continue
        output = node.outputs[0]
        if output.dtype not in (None, ir.DataType.FLOAT):
            continue
        entries = tuple(
            dict.fromkeys(v.name or "" for v in node.inputs if v is not None and weight_chain(v)[0] is None)
        )
        held = tuple(x.name for x in graph.quantizable if x.node == layer.node)
        end = _after_correction(other) if set(held) & set(corrected) else other.outputs[0]
        grid = _grid(other, layer.data_input) if layer.input else None
        reads = sum(sizes.get(_maker(v), 1) for v in node.inputs if v is not None)
        found[layer.node] = Probe(
            layer.node,
            held,
            entries,
            layer.input if grid is not None else None,
            output.name or "",
            end.name or "",
            grid,
            4 * (2 * sizes.get(layer.node, 1) + 2 * reads),
        )
    return list(found.values())


def _maker(value: ir.Value) -> str:
    node = value.producer()
    return (value.name if node is None else node.name) or ""


def _grid(node: ir.Node, position: int) -> Grid | None:
    """The plain integer codes that enter `node` at an input, None where there are none: no Q before it, a
    range that is found as the model runs, or codes that NumPy has no type for.
    """
    value = node.inputs[position] if position < len(node.inputs) else None
    decode = None if value is None else value.producer()
    if decode is None or decode.op_type != "DequantizeLinear" or decode.inputs[0] is None:
        return None
    encode = decode.inputs[0].producer()
    if encode is None or encode.op_type != "QuantizeLinear" or len(encode.inputs) < 3:
        return None
    scale, zero = (v.const_value if v is not None else None for v in encode.inputs[1:3])
    if scale is None or zero is None or zero.dtype not in _STORED:
        return None
    codes = encode.outputs[0]
    codes.type = ir.TensorType(zero.dtype)  # so that it can be an output
    return Grid(codes.name or "", np.asarray(scale.numpy(), np.float32), zero.numpy())


def _after_correction(node: ir.Node) -> ir.Value:
    """What `node` gives, after the correction that is added to it where it has no bias of its own."""
    value = node.outputs[0]
    while value.is_graph_output() is False and len(users := list(value.uses())) == 1:
        user = users[0][0]
        if user.op_type == "Sum" and len(user.inputs) == 1:  # keeps ONNX Runtime from quantizing the weights
            value = user.outputs[0]
            continue
        stored = [v for v in user.inputs if v is not None and v.const_value is not None]
        if user.op_type == "Add" and len(stored) == 1 and node.op_type == "MatMul":
            return user.outputs[0]
        break
    return node.outputs[0]
