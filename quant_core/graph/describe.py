"""Inputs and outputs of a model as plain records."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from quant_core.graph.shapes import sizes_of


@dataclass(frozen=True)
class Port:
    """An input or output: `shape` has an int, a name, or None for each dimension; `dtype` is NumPy's name."""

    name: str
    dtype: str
    shape: tuple[int | str | None, ...]

    @property
    def batch(self) -> int | None:
        """The fixed size of the first dimension, None where it is free."""
        return self.shape[0] if self.shape and isinstance(self.shape[0], int) else None


def _port(value: ir.Value) -> Port:
    sizes = () if value.shape is None else tuple(d if isinstance(d, int) else d.value for d in value.shape)
    # Old exporters wrote -1 for a free dimension, and ONNX Runtime reads it so.
    dims = tuple(None if isinstance(d, int) and d < 0 else d for d in sizes)
    try:
        dtype = "str" if value.dtype == ir.DataType.STRING else np.dtype(value.dtype.numpy()).name  # type: ignore[union-attr]
    except (AttributeError, TypeError):
        dtype = "unknown"
    return Port(value.name or "", dtype, dims)


def inputs_of(model: ir.Model) -> tuple[Port, ...]:
    """The inputs that must be fed: those that are not also initializers."""
    return tuple(_port(v) for v in model.graph.inputs if v.name not in model.graph.initializers)


def outputs_of(model: ir.Model) -> tuple[Port, ...]:
    """The outputs, in order."""
    return tuple(_port(v) for v in model.graph.outputs)


def count_parameters(model: ir.Model) -> int:
    """Elements of all floating-point initializers."""
    tensors = (v.const_value for v in model.graph.initializers.values())
    return sum(math.prod(sizes_of(t)) for t in tensors if t is not None and t.dtype.is_floating_point())
