"""Raise the opset of a model, so that a newer tensor type can be stored in it."""

from __future__ import annotations

import onnx
import onnx_ir as ir
from onnx import version_converter

from quant_core.errors import ModelError
from quant_core.graph.shapes import sizes_of

_LARGE = 1024  # bytes; larger tensors do not travel through the converter


def opset_of(model: ir.Model) -> int:
    """The version of the default operator set."""
    imports = model.graph.opset_imports
    return imports.get("", imports.get("ai.onnx", 1))


def raise_opset(model: ir.Model, opset: int) -> ir.Model:
    """A copy of `model` at `opset` or above, by ONNX's version converter. ModelError where an operator has no
    successor.
    """
    if opset_of(model) >= opset:
        return model.clone()
    skeleton = model.clone()
    large = {
        name: value.const_value
        for name, value in skeleton.graph.initializers.items()
        if value.const_value is not None and value.const_value.nbytes > _LARGE
    }
    for name, tensor in large.items():
        value = skeleton.graph.initializers.pop(name)
        assert tensor is not None
        value.const_value = None
        value.shape, value.dtype = ir.Shape(sizes_of(tensor)), tensor.dtype
        skeleton.graph.inputs.append(value)
    proto = ir.to_proto(skeleton)
    try:
        converted = version_converter.convert_version(proto, opset)
        known = [o for o in converted.opset_import if o.domain in ("", "ai.onnx")]
        converted.ir_version = max(proto.ir_version, onnx.helper.find_min_ir_version_for(known))
    except Exception as error:  # the converter raises RuntimeError and others from C++
        raise ModelError(
            f"the graph cannot be raised from opset {opset_of(model)} to {opset}, which this format needs",
            "choose a format of 8 bits, or convert the model first",
        ) from error
    result = ir.from_proto(converted)
    for value in [v for v in result.graph.inputs if v.name in large]:
        result.graph.inputs.remove(value)
        value.const_value = large[value.name or ""]
        result.graph.register_initializer(value)
    return result
