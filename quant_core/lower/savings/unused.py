"""Tensors and nodes that no output depends on."""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes import common as passes


def drop_unused(model: ir.Model) -> int:
    """Drop nodes that no output depends on and what only they read; returns how many tensors were dropped."""
    before = len(model.graph.initializers)
    passes.RemoveUnusedNodesPass()(model)
    return before - len(model.graph.initializers)
