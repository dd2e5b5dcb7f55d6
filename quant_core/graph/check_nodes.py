"""What nodes and names of a file must be before its graph is built: text, and attributes of the
operator's types."""

from __future__ import annotations

import functools

import onnx
from onnx import AttributeProto, GraphProto

from quant_core.errors import ModelError
from quant_core.graph.walks import shown, tensors

_Types = dict[str, int]


def check_model_text(proto: onnx.ModelProto, name: str) -> None:
    """ModelError where what the file says of itself, or a function of it, is not text."""
    texts: list[object] = [proto.producer_name, proto.producer_version, proto.domain, proto.doc_string]
    texts += [text for entry in proto.metadata_props for text in (entry.key, entry.value)]
    texts += [entry.domain for entry in proto.opset_import]
    for function in proto.functions:
        texts += (function.name, function.domain, function.overload, function.doc_string)
        texts += (*function.input, *function.output, *function.attribute)
    _check_text(texts, name)


def check_graph_text(graph: GraphProto, name: str) -> None:
    """ModelError where a name in `graph` is not text."""
    texts: list[object] = [graph.name, graph.doc_string, *_of_nodes(graph)]
    for value in (*graph.input, *graph.output, *graph.value_info):
        texts += (value.name, value.doc_string)
        texts += [dim.dim_param for dim in value.type.tensor_type.shape.dim]
    for tensor in tensors(graph):
        texts += (tensor.name, tensor.doc_string)
        texts += [text for entry in tensor.external_data for text in (entry.key, entry.value)]
    texts += [text for entry in graph.metadata_props for text in (entry.key, entry.value)]
    _check_text(texts, name)


def check_attributes(graph: GraphProto, name: str) -> None:
    """ModelError where an attribute has no type, or another than its operator takes."""
    for node in graph.node:
        types = _types_of(node.op_type) if node.domain in ("", "ai.onnx") else {}
        for attribute in node.attribute:
            wanted = types.get(attribute.name, attribute.type)
            if attribute.ref_attr_name:
                continue
            if attribute.type == AttributeProto.UNDEFINED or wanted != attribute.type:
                what = f"the attribute '{shown(attribute.name)}' of a node of type {shown(node.op_type)}"
                raise ModelError(f"{what} in '{name}' has a wrong type", "export the model again")


@functools.cache
def _types_of(op: str) -> _Types:
    """The type of each attribute of an ONNX operator: what all versions of it have in common."""
    versions = _schemas().get(op, [])
    found: dict[str, set[int]] = {}
    for schema in versions:
        for key, attribute in schema.attributes.items():
            found.setdefault(key, set()).add(int(attribute.type.value))  # type: ignore[attr-defined]
    return {key: types.pop() for key, types in found.items() if len(types) == 1}


@functools.cache
def _schemas() -> dict[str, list[onnx.defs.OpSchema]]:
    found: dict[str, list[onnx.defs.OpSchema]] = {}
    for schema in onnx.defs.get_all_schemas_with_history():
        if schema.domain == "":
            found.setdefault(schema.name, []).append(schema)
    return found


def _of_nodes(graph: GraphProto) -> list[object]:
    texts: list[object] = []
    for node in graph.node:
        texts += (node.name, node.op_type, node.domain, node.overload, node.doc_string)
        texts += (*node.input, *node.output)
        texts += [text for a in node.attribute for text in (a.name, a.ref_attr_name, a.doc_string)]
        texts += [text for entry in node.metadata_props for text in (entry.key, entry.value)]
    return texts


def _check_text(texts: list[object], name: str) -> None:
    """Protobuf gives bytes where a text is not UTF-8."""
    if not all(isinstance(text, str) for text in texts):
        raise ModelError(f"'{name}' holds names that are not text in UTF-8", "export the model again")
