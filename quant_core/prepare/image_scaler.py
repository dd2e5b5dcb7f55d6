"""Replace ImageScaler, an experimental operator that left ONNX with opset 10: no newer opset has it.

y = scale * x + bias, a number for each channel. Source: ONNX ImageScaler-1 (experimental)."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir


def replace_image_scalers(model: ir.Model) -> int:
    """Write each ImageScaler as Mul and Add; returns how many."""
    found = [n for n in model.graph if n.op_type == "ImageScaler" and n.domain in ("", "ai.onnx")]
    for node in found:
        bias = np.asarray(node.attributes.get_floats("bias", ()), np.float32).reshape(1, -1, 1, 1)
        scale = np.asarray(node.attributes.get_float("scale", 1.0), np.float32)
        name = node.outputs[0].name or "image"
        stored = []
        for part, array in (("scale", scale), ("bias", bias)):
            tensor = ir.Tensor(array, name=f"{name}.{part}")
            value = ir.Value(
                name=tensor.name, const_value=tensor, shape=tensor.shape, type=ir.TensorType(tensor.dtype)
            )
            model.graph.register_initializer(value)
            stored.append(value)
        scaled = ir.Node("", "Mul", [node.inputs[0], stored[0]], outputs=[ir.Value(name=f"{name}.scaled")])
        shifted = ir.Node(
            "", "Add", [scaled.outputs[0], stored[1]], outputs=[ir.Value(name=f"{name}.shifted")]
        )
        model.graph.insert_before(node, [scaled, shifted])
        node.outputs[0].replace_all_uses_with(shifted.outputs[0])
        model.graph.remove(node, safe=True)
    return len(found)
