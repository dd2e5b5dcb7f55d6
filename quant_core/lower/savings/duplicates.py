"""Tensors of equal type, shape and bytes, stored once."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from quant_core.graph import sizes_of
from quant_core.lower.savings.tensors import looked_at

_SAMPLE = 64  # elements compared first, so that tensors that differ are not read whole


def merge_duplicates(model: ir.Model) -> int:
    """Store equal tensors once; returns how many copies were dropped."""
    groups: dict[object, list[ir.Value]] = {}
    dropped = 0
    for name, value in list(model.graph.initializers.items()):
        tensor = value.const_value
        if tensor is None or value.is_graph_input() or value.is_graph_output():
            continue
        if tensor.dtype == ir.DataType.STRING:
            continue
        alike = groups.setdefault(likeness(tensor), [])
        same = next((other for other in alike if _equal(other, tensor)), None)
        if same is None:
            alike.append(value)
            continue
        value.replace_all_uses_with(same)
        del model.graph.initializers[name]
        dropped += 1
    return dropped


def likeness(tensor: ir.TensorProtocol) -> tuple[object, ...]:
    """What equal tensors have in common, and others rarely."""
    return tensor.dtype, sizes_of(tensor), looked_at(tensor, _sample)


def _sample(array: NDArray[np.generic]) -> bytes:
    flat = array.reshape(-1)
    return flat[:: max(1, flat.size // _SAMPLE)].tobytes()


def _equal(value: ir.Value, tensor: ir.TensorProtocol) -> bool:
    other = value.const_value
    assert other is not None
    return other is tensor or np.asarray(other.numpy()).tobytes() == np.asarray(tensor.numpy()).tobytes()
