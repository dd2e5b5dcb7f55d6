"""Which stored tensors a saving may touch, and how one is replaced."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from quant_core.graph import opset_of
from quant_core.lower.builder import Builder

_QUANTIZERS = ("QuantizeLinear", "DequantizeLinear")
_Array = NDArray[np.generic]
_Found = TypeVar("_Found")
# What was found out about a stored tensor. Copies of a graph share its tensors, which nobody changes, so that
# of the many graphs that are written of one model only the first has to look at them.
_known: WeakKeyDictionary[ir.TensorProtocol, dict[Callable[..., Any], Any]] = WeakKeyDictionary()


def stored(
    model: ir.Model, at_least: int, look: Callable[[_Array], _Found | None]
) -> Iterator[tuple[ir.Value, _Array, _Found]]:
    """The tensors of `at_least` bytes that the graph stores and in which `look`, a pure function, finds
    something: with their values and what it finds.

    Left out: what is also an input or an output, scales and zero points (kernels look for stored ones), and
    types that NumPy does not have."""
    for value in list(model.graph.initializers.values()):
        tensor = value.const_value
        if tensor is None or tensor.nbytes < at_least or not is_plain(tensor):
            continue
        if value.is_graph_input() or value.is_graph_output():
            continue
        if any(use.node.op_type in _QUANTIZERS and use.idx > 0 for use in value.uses()):
            continue
        found = looked_at(tensor, look)
        if found is not None:
            yield value, np.asarray(tensor.numpy()), found


def looked_at(tensor: ir.TensorProtocol, look: Callable[[_Array], _Found]) -> _Found:
    """What `look` finds in the values of `tensor`, which it is shown once."""
    known = _known.setdefault(tensor, {})
    if look not in known:
        known[look] = look(np.asarray(tensor.numpy()))
    found: _Found = known[look]
    return found


def is_plain(tensor: ir.TensorProtocol) -> bool:
    """Whether NumPy has the type of its values."""
    return tensor.dtype != ir.DataType.STRING and np.dtype(tensor.dtype.numpy()).kind in "fiub"


def replace(model: ir.Model, builder: Builder, old: ir.Value, new: ir.Value) -> None:
    """Let everything read `new`, which the nodes of `builder` give, instead of the stored `old`."""
    old.replace_all_uses_with(new)
    del model.graph.initializers[old.name or ""]
    builder.insert_first()


def has_opset(model: ir.Model, opset: int) -> bool:
    """Whether the default operator set is `opset` or above."""
    return opset_of(model) >= opset
