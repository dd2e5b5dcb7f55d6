"""Ways through an ONNX file as it was read. They are loops, so a deep file cannot exhaust the stack."""

from __future__ import annotations

from collections.abc import Iterator

import onnx
from onnx import AttributeProto, GraphProto, TensorProto

_SHOWN = 80  # characters of a name in a sentence


def shown(name: str) -> str:
    """A name from a file, cut so that a sentence with it stays one."""
    return name if len(name) <= _SHOWN else name[: _SHOWN - 1] + "…"


def walk(graph: GraphProto) -> Iterator[GraphProto]:
    """The graph and the bodies of its nodes, outer ones first."""
    stack = [graph]
    while stack:
        current = stack.pop()
        yield current
        stack += [body for node in current.node for body in bodies(node)]


def bodies(node: onnx.NodeProto) -> list[GraphProto]:
    """The graphs in the attributes of a node."""
    found: list[GraphProto] = []
    for attribute in node.attribute:
        if attribute.type == AttributeProto.GRAPH:
            found.append(attribute.g)
        elif attribute.type == AttributeProto.GRAPHS:
            found += attribute.graphs
    return found


def tensors(graph: GraphProto) -> Iterator[TensorProto]:
    """The tensors stored in one graph: initializers and attributes, without its bodies."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == AttributeProto.TENSOR:
                yield attribute.t
            yield from attribute.tensors
