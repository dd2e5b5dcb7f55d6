"""The steps that make a stranger's model quantizable. Each gives whether it changed the model, and changes
nothing else.
"""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes import common as passes

from quant_core.graph import every_node, opset_of, raise_opset

LOWEST_OPSET = 13  # per-channel DequantizeLinear


def counted(text: str, count: int) -> str:
    """`text` with the count for `{n}`, and for `{s}` what makes a noun plural."""
    return text.format(n=f"{count:,}", s="" if count == 1 else "s")


def inline_functions(model: ir.Model) -> int:
    """Write the functions of a model out where they are called. Returns how many there were."""
    count = len(model.functions)
    if count:
        passes.InlinePass()(model)
    return count


def lift_stored(model: ir.Model) -> int:
    """Move what bodies store into the graph around them, where they can read it. Returns how many tensors."""
    count = sum(len(graph.initializers) for graph in model.graphs() if graph is not model.graph)
    passes.LiftSubgraphInitializersToMainGraphPass()(model)
    return count - sum(len(graph.initializers) for graph in model.graphs() if graph is not model.graph)


def infer_types(model: ir.Model) -> int:
    """Write down types and shapes that can be inferred. Returns how many tensors got one."""

    def unknown() -> int:
        values = [v for node, _ in every_node(model.graph) for v in node.outputs]
        return sum(v.type is None or v.shape is None for v in values)

    before = unknown()
    if before:
        passes.ShapeInferencePass()(model)
    return before - unknown()


def name_nodes(model: ir.Model) -> int:
    """Give every node a name of its own, after its first output. Returns how many were named."""
    nodes = [node for node, _ in every_node(model.graph)]
    taken = {node.name for node in nodes if node.name}
    seen: set[str] = set()
    changed = 0
    for node in nodes:
        if node.name and node.name not in seen:
            seen.add(node.name)
            continue
        base = node.name or f"{node.op_type}_{next((o.name for o in node.outputs if o.name), 'node')}"
        name, number = base, 1
        while name in taken or name in seen:
            number += 1
            name = f"{base}_{number}"
        node.name = name
        seen.add(name)
        changed += 1
    return changed


def free_initializers(model: ir.Model) -> int:
    """Take initializers off the list of inputs (old files list them there). Returns how many."""
    listed = [v for v in model.graph.inputs if v.name in model.graph.initializers]
    passes.RemoveInitializersFromInputsPass()(model)
    model.ir_version = max(model.ir_version, 4)  # older files had to list them
    return len(listed)


def lift_constants(model: ir.Model) -> int:
    """Turn Constant nodes into initializers, where weights may hide. Returns how many."""
    count = _constants(model)
    passes.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
    return count - _constants(model)


def _constants(model: ir.Model) -> int:
    return sum(node.op_type == "Constant" for node, _ in every_node(model.graph))


def raise_old_opset(model: ir.Model) -> tuple[ir.Model, int]:
    """Raise an opset below 13. Returns the model and the old opset, 0 where nothing was to be done."""
    old = opset_of(model)
    return (raise_opset(model, LOWEST_OPSET), old) if old < LOWEST_OPSET else (model, 0)
