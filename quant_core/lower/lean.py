"""Make a lowered graph as small as it can be without changing what it computes."""

from __future__ import annotations

import string
from collections.abc import Collection, Iterable

import onnx_ir as ir
from onnx_ir.passes import common as passes

from quant_core.lower.savings import apply_savings

_DIGITS = string.ascii_lowercase + string.digits


def make_lean(model: ir.Model, keep: Iterable[str], refused: Collection[str] = ()) -> None:
    """Apply the savings but those `refused`, then drop notes and shape information, and shorten inner names.

    Inputs and outputs keep their names, nodes only those in `keep`: the layers, so that they can be found
    again."""
    passes.RemoveUnusedNodesPass()(model)
    model.graph.sort()
    apply_savings(model, {*refused, "unused"})
    drop_notes(model, keep)


def drop_notes(model: ir.Model, keep: Iterable[str] = ()) -> None:
    """Drop shape information, documentation and metadata, shorten inner names but of nodes in `keep`."""
    passes.RemoveUnusedOpsetsPass()(model)
    passes.ClearMetadataAndDocStringPass()(model)
    graph = model.graph
    ports = {id(v) for v in (*graph.inputs, *graph.outputs)}
    taken = {v.name for v in (*graph.inputs, *graph.outputs)}
    for body in model.graphs():
        if body is not graph:  # what a body calls its own must not hide a tensor of the graph around it
            taken |= {v.name for v in (*body.inputs, *body.initializers.values())}
    kept = set(keep)
    names = (n for n in _short_names() if n not in taken)
    inner = [value for value in graph.initializers.values() if id(value) not in ports]
    for value in inner:  # all of them first: a new name may be the old one of another
        del graph.initializers[value.name or ""]
    for value in inner:
        value.name = next(names)
        graph.register_initializer(value)
        _forget_shape(value)
    for node in graph.all_nodes():
        if node.name not in kept:
            node.name = ""
        for value in node.outputs:
            if id(value) not in ports and value.name:
                value.name = next(names)
                _forget_shape(value)


def _forget_shape(value: ir.Value) -> None:
    value.shape = None
    value.type = None


def _short_names() -> Iterable[str]:
    """a, b, ... z, a0, a1, ..."""
    yield from string.ascii_lowercase
    length = 1
    while True:
        for number in range(len(_DIGITS) ** length):
            tail = ""
            for _ in range(length):
                number, digit = divmod(number, len(_DIGITS))
                tail = _DIGITS[digit] + tail
            for head in string.ascii_lowercase:
                yield head + tail
        length += 1
