"""Where the bytes of a file are: a row for everything it stores, and what of each can be saved."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np
import onnx
import onnx_ir as ir
import pandas as pd

from quant_core.graph import ModelFile, every_node, opset_of
from quant_core.lower import smaller_tensor
from quant_core.study.architecture import readers_of
from quant_core.study.study import Study

_SHORT = 2  # bytes of a name in an exported file
_LIST_WORTH = 256  # bytes from which on a list in an attribute has a row of its own
_COLUMNS = ["name", "what", "saving", "bytes", "bytes_after", "share", "used_by"]
_KINDS = {
    "masks": "causal mask",
    "fills": "one value",
    "ranges": "even table",
    "narrow": "wide table",
    "duplicates": "copy",
    "unused": "unused",
}


def everything_stored(study: Study) -> pd.DataFrame:
    """A row for each tensor and each kind of note in the user's file, largest first.

    Columns: name; what (weights, tensor, constant, attribute, shape information, names, documentation, graph,
    or for a tensor that can be saved causal mask, one value, even table, wide table, copy, unused); saving
    (the kind, as in `Study.savings`, or empty); bytes (they add up to those of the file); bytes_after (with
    the saving); share (of the file, 0..1); used_by (the first three nodes that read it)."""
    file = study.graph.file
    weights = set(readers_of(study)[1])
    refused = study.graph.refused
    rows = [_tensor_row(*found, weights, opset_of(file.model)) for found in _tensors(file.model)]
    rows = _copies(rows, file.model)
    for row in rows:
        if row["saving"] in refused:
            row["saving"], row["bytes_after"] = "", row["bytes"]
    rows += _notes(file)
    rest = file.bytes - int(pd.DataFrame(rows, columns=_COLUMNS)["bytes"].sum())
    rows.append(_row("graph", "graph", "", max(0, rest), max(0, rest), "nodes and attributes"))
    table = pd.DataFrame(rows, columns=_COLUMNS)
    table["share"] = table["bytes"] / file.bytes
    return table.sort_values("bytes", ascending=False, kind="stable", ignore_index=True)


def _row(name: str, what: str, saving: str, size: int, after: int, used_by: str) -> dict[str, object]:
    return dict(zip(_COLUMNS, (name, what, saving, size, after, 0.0, used_by), strict=True))


def _tensors(model: ir.Model) -> Iterator[tuple[str, str, ir.TensorProtocol, list[str]]]:
    """(name, what, tensor, readers) of everything stored, in bodies too."""
    for graph in model.graphs():
        for name, value in graph.initializers.items():
            if value.const_value is not None:
                readers = [use.node.name or use.node.op_type for use in value.uses()]
                readers += ["an output"] if value.is_graph_output() else []
                yield name, "tensor", value.const_value, readers
    for node, _ in every_node(model.graph):
        for attribute in node.attributes.values():
            if attribute.type == ir.AttributeType.TENSOR:
                constant = node.op_type == "Constant"
                uses = [use.node for use in node.outputs[0].uses()] if constant else [node]
                readers = [user.name or user.op_type for user in uses]
                label = f"{node.name or node.op_type}.{attribute.name}"
                held_as = (node.outputs[0].name or "") if constant else label
                yield held_as, "constant" if constant else "attribute", attribute.as_tensor(), readers
            elif attribute.type in (ir.AttributeType.FLOATS, ir.AttributeType.INTS):
                held = np.asarray(attribute.value)
                if held.size * 4 >= _LIST_WORTH:
                    label = f"{node.name or node.op_type}.{attribute.name}"
                    kind = np.float32 if attribute.type == ir.AttributeType.FLOATS else np.uint8
                    yield label, "attribute", ir.Tensor(held.astype(kind)), [node.name or node.op_type]


def _tensor_row(
    name: str, what: str, tensor: ir.TensorProtocol, readers: list[str], weights: set[str], opset: int
) -> dict[str, object]:
    size = int(tensor.nbytes)
    row = _row(name, "weights" if name in weights else what, "", size, size, ", ".join(readers[:3]))
    if not readers and what != "attribute":
        return row | {"what": _KINDS["unused"], "saving": "unused", "bytes_after": 0}
    plain = tensor.dtype != ir.DataType.STRING and np.dtype(tensor.dtype.numpy()).kind in "fiub"
    found = smaller_tensor(np.asarray(tensor.numpy()), opset) if plain and what != "attribute" else None
    if found is not None and found[1] < size:
        row |= {"what": _KINDS[found[0]], "saving": found[0], "bytes_after": found[1]}
    return row


def _copies(rows: list[dict[str, object]], model: ir.Model) -> list[dict[str, object]]:
    """`rows` with those marked that are equal to an earlier one."""
    seen: set[object] = set()
    for row, (_, what, tensor, _) in zip(rows, _tensors(model), strict=True):
        if what == "attribute" or row["saving"] or tensor.dtype == ir.DataType.STRING:
            continue
        key = (
            tensor.dtype,
            tuple(tensor.shape),
            hashlib.sha256(np.asarray(tensor.numpy()).tobytes()).digest(),
        )
        if key in seen:
            row |= {"what": _KINDS["duplicates"], "saving": "duplicates", "bytes_after": 0}
        seen.add(key)
    return rows


def _notes(file: ModelFile) -> list[dict[str, object]]:
    """Shape information, names and documentation of the file, without the tensors."""
    proto = onnx.load(file.path, format="protobuf", load_external_data=False)
    shapes = names = count = docs = 0
    docs += len(proto.doc_string.encode()) + sum(p.ByteSize() for p in proto.metadata_props)
    graphs = [proto.graph]
    while graphs:
        graph = graphs.pop()
        shapes += sum(v.ByteSize() for v in graph.value_info)
        docs += len(graph.doc_string.encode()) + sum(p.ByteSize() for p in graph.metadata_props)
        texts = [t.name for t in graph.initializer]
        for node in graph.node:
            docs += len(node.doc_string.encode()) + sum(p.ByteSize() for p in node.metadata_props)
            texts += [node.name, *node.input, *node.output]
            graphs += [a.g for a in node.attribute if a.type == onnx.AttributeProto.GRAPH]
            graphs += [g for a in node.attribute for g in a.graphs]
        names += sum(len(text.encode()) for text in texts)
        count += sum(min(_SHORT, len(text)) for text in texts)
    found = [
        _row("shape information", "shape information", "notes", shapes, 0, ""),
        _row("names", "names", "notes", names, count, "nodes and tensors"),
        _row("documentation", "documentation", "notes", docs, 0, ""),
    ]
    return [row for row in found if row["bytes"]]
