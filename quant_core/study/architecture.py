"""What the page Model shows: the boxes of the graph, the table of layers, and where the bytes of the file
are.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property

import onnx_ir as ir
import pandas as pd

from quant_core.engine import Cell, CellKey
from quant_core.graph import (
    INPUT,
    OUTPUT,
    Graph,
    Layer,
    Part,
    edges_between,
    every_node,
    fold,
    graph_nodes,
    merge_small,
    repeated_blocks,
    weight_chain,
)
from quant_core.plan import Plan
from quant_core.study.desk import chosen_column
from quant_core.study.study import Study

COLOURS = ("bits", "error", "bytes", "macs")
LARGE = 60  # boxes from which on repeated blocks are folded unless the user says otherwise
_MOST_TENSORS = 400


@dataclass(frozen=True)
class GraphBox:
    """A box of the graph: a layer with what follows it, a helper operator, or a folded block.

    `name` is that of its first node, `kind` what it is, `nodes` the names of all its nodes and `layers` of
    those that are layers, `block` the number of a folded block (0: none), `shape` of what leaves it for one
    sample."""

    name: str
    kind: str
    nodes: tuple[str, ...]
    layers: tuple[str, ...]
    block: int
    shape: tuple[int, ...] | None

    @property
    def is_small(self) -> bool:
        """Whether it is a helper operator."""
        return not self.layers and not self.block


@dataclass(frozen=True)
class Architecture:
    """The boxes in an order of execution, the edges between them, and how many blocks repeat."""

    boxes: tuple[GraphBox, ...]
    edges: tuple[tuple[int, int], ...]
    blocks: int
    folded: bool

    @cached_property
    def box_of(self) -> dict[str, int]:
        """The box that a layer is in."""
        return {layer: i for i, box in enumerate(self.boxes) for layer in box.layers}


def architecture(graph: Graph, folded: bool | None, unfolded: Collection[str] = ()) -> Architecture:
    """The boxes of a prepared graph. `folded` None folds repeated blocks where the graph is large;
    `unfolded` holds the names of the first nodes of blocks that stay open.
    """
    nodes = graph_nodes(graph)
    parts = merge_small(nodes)
    blocks = repeated_blocks(nodes, parts)
    does_fold = bool(blocks) and (len(parts) > LARGE if folded is None else folded)
    if does_fold:
        opened = {n for n, (a, _) in enumerate(blocks, 1) if nodes[parts[a].nodes[0]].name in unfolded}
        parts = fold(parts, blocks, opened)

    def box(part: Part) -> GraphBox:
        inside = [nodes[i] for i in part.nodes]
        first = inside[0]
        kind = f"{len(inside)} nodes" if part.block else " + ".join(dict.fromkeys(n.kind for n in inside))
        return GraphBox(
            first.name,
            first.op if first.op in (INPUT, OUTPUT) else kind,
            tuple(n.name for n in inside),
            tuple(name for n in inside for name in n.layers),
            part.block,
            inside[-1].shape,
        )

    edges = edges_between(nodes, parts)
    return Architecture(tuple(box(part) for part in parts), edges, len(blocks), does_fold)


def damage(
    plan: Plan, layer: str, cells: Mapping[CellKey, Cell], otherwise: str
) -> tuple[str | None, float | None]:
    """The weight format that the error of `layer` is shown at, and the output SQNR (dB) with only that layer
    quantized so, None where it was not measured. A layer in FP32 is shown at the format `otherwise`.
    """
    column = chosen_column(plan[layer], "weights")
    name = otherwise if column == "fp32" else column
    cell = cells.get(CellKey(layer, name, "weights")) if name else None
    return name, None if cell is None else cell.quality.sqnr_db


def layer_table(study: Study, plan: Plan, cells: Mapping[CellKey, Cell], otherwise: str) -> pd.DataFrame:
    """A row for each layer in the order of execution.

    Columns: name, kind, shape, bits (of one weight in `plan`) and bytes (in FP32), both missing where a layer
    has no float weights; macs (for one sample; may be missing), format and sqnr_db (see `damage`; may be
    missing), reason (empty where it can be quantized)."""
    rows = []
    for layer in study.graph.layers:
        named, error = damage(plan, layer.name, cells, otherwise) if layer.reason is None else (None, None)
        rows.append(
            {
                "name": layer.name,
                "kind": layer.kind,
                "shape": "x".join(map(str, layer.shape or ())),
                "bits": plan[layer.name].bits if layer.bytes else None,
                "bytes": layer.bytes or None,
                "macs": layer.macs,
                "format": named,
                "sqnr_db": error,
                "reason": "" if layer.reason is None else layer.reason.text,
            }
        )
    columns = ["name", "kind", "shape", "bits", "bytes", "macs", "format", "sqnr_db", "reason"]
    table = pd.DataFrame(rows, columns=columns)
    return table.astype(dict.fromkeys(("bits", "bytes", "macs", "sqnr_db"), "Float64"))


def tensors_of(study: Study, layer: Layer) -> tuple[str, str]:
    """The names of the tensors that enter and leave `layer`."""
    node = next((n for n, _ in every_node(study.graph.model.graph) if n.name == layer.node), None)
    leaves = "" if node is None else node.outputs[0].name
    return layer.input or "", leaves or ""


def stored_bytes(study: Study, plan: Plan) -> pd.DataFrame:
    """What the user's file stores, largest first in each group; the bytes add up to those of the file.

    Columns: name (of the tensor), group, bytes, bits (in `plan`, of weights of layers; 0 of others), note
    (the layers that read it, its shape)."""
    file = study.graph.file
    readers, weights = readers_of(study)
    rows = []
    for name, tensor in _tensors(file.model):
        names = readers.get(name, [])
        rows.append(
            {
                "name": name,
                "group": "Weights of layers" if name in weights else "Other tensors",
                "bytes": int(tensor.nbytes),
                "bits": plan[weights[name]].bits if name in weights else 0,
                "note": f"{'x'.join(map(str, tensor.shape))} {tensor.dtype.name.lower()}"
                + (f", {', '.join(names[:3])}" if names else ""),
            }
        )
    table = pd.DataFrame(rows, columns=["name", "group", "bytes", "bits", "note"])
    table = table[table["bytes"] > 0].sort_values(["group", "bytes"], ascending=[False, False])
    rest = table.iloc[_MOST_TENSORS:]
    table = table.iloc[:_MOST_TENSORS]
    extra = []
    if len(rest):
        extra.append(
            (f"{len(rest)} more tensors", "Other tensors", int(rest["bytes"].sum()), 0, "the smaller ones")
        )
    graph = file.bytes - int(table["bytes"].sum()) - int(rest["bytes"].sum())
    if graph > 0:
        extra.append(("graph structure", "Graph structure", graph, 0, "nodes, names, attributes, shapes"))
    return pd.concat([table, pd.DataFrame(extra, columns=table.columns)], ignore_index=True)


def readers_of(study: Study) -> tuple[dict[str, list[str]], dict[str, str]]:
    """For the tensors of the user's file: the layers that read each, and of weights the layer they are of."""
    names = {n.outputs[0].name: n.name or "" for n in study.graph.model.graph if n.outputs}
    layers = {layer.name: layer for layer in study.graph.layers}
    readers: dict[str, list[str]] = {}
    weights: dict[str, str] = {}
    for node in study.graph.file.model.graph:
        layer = layers.get(node.name or names.get(_output(node), ""))
        if layer is None or layer.op != node.op_type:
            continue
        for position, value in enumerate(node.inputs):
            stored = weight_chain(value)[0] or value
            if stored is None or stored.name is None:
                continue
            readers.setdefault(stored.name, []).append(layer.name)
            if layer.reason is None and position == layer.weight_input:
                weights.setdefault(stored.name, layer.name)
    return readers, weights


def _output(node: ir.Node) -> str | None:
    """The name that the first output of `node` has in the prepared graph, where it may be a folded norm's."""
    output = node.outputs[0]
    readers = [use.node for use in output.uses()]
    folded = len(readers) == 1 and readers[0].op_type == "BatchNormalization"
    return (readers[0].outputs[0] if folded else output).name


def _tensors(model: ir.Model) -> list[tuple[str, ir.TensorProtocol]]:
    """Every tensor that the file stores: initializers and constants."""
    found = [(n, v.const_value) for n, v in model.graph.initializers.items() if v.const_value is not None]
    for node in model.graph:
        value = node.attributes.get("value") if node.op_type == "Constant" else None
        if value is not None and isinstance(value.value, ir.TensorProtocol):
            found.append((node.outputs[0].name or "constant", value.value))
    return found
