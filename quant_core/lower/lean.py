"""Make a lowered graph as small as it can be without changing what it computes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import onnx_ir as ir
from onnx_ir.passes import common as passes

from quant_core.graph import kept_names, names_of, short_names
from quant_core.lower.savings import apply_savings


def make_lean(
    model: ir.Model,
    keep: Iterable[str],
    refused: Collection[str] = (),
    names: Mapping[str, str] | None = None,
) -> None:
    """Apply the savings but those `refused`, then drop notes and shape information, and shorten inner names.

    Inputs and outputs keep their names, nodes only those in `keep`: the layers, so that they can be found
    again. What has one in `names` gets that, so that equal tensors of different plans are called alike."""
    passes.RemoveUnusedNodesPass()(model)
    model.graph.sort()
    apply_savings(model, {*refused, "unused"})
    drop_notes(model, keep, names)


def drop_notes(model: ir.Model, keep: Iterable[str] = (), names: Mapping[str, str] | None = None) -> None:
    """Drop shape information, documentation and metadata, shorten inner names but of nodes in `keep`."""
    passes.RemoveUnusedOpsetsPass()(model)
    passes.ClearMetadataAndDocStringPass()(model)
    graph = model.graph
    names = names_of(model) if names is None else names
    ports, taken = {id(v) for v in (*graph.inputs, *graph.outputs)}, kept_names(model)
    kept, given = set(keep), set[str]()
    used = {*taken, *names.values()}
    free = (n for n in short_names(len(names)) if n not in used)

    def rename(value: ir.Value) -> None:
        name = names.get(value.name or "", "")
        value.name = name if name and name not in taken and name not in given else next(free)
        given.add(value.name)
        value.shape = None
        value.type = None

    inner = [value for value in graph.initializers.values() if id(value) not in ports]
    for value in inner:  # all of them first: a new name may be the old one of another
        del graph.initializers[value.name or ""]
    for value in inner:
        rename(value)
        graph.register_initializer(value)
    for node in graph.all_nodes():
        if node.name not in kept:
            node.name = ""
        for value in node.outputs:
            if id(value) not in ports and value.name:
                rename(value)
