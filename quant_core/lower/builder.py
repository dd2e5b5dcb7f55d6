"""Small helpers to write nodes and constants into an onnx-ir graph."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

_SMALL = (ir.DataType.INT4, ir.DataType.UINT4, ir.DataType.INT2, ir.DataType.UINT2)
_PACKED = 1 << 16  # values; NumPy has a byte for each
Attributes = dict[str, int | Sequence[int] | ir.TensorProtocol]


class Builder:
    """Collects new nodes, in order, and registers constants of a graph under names that are free."""

    def __init__(self, graph: ir.Graph) -> None:
        self.graph = graph
        self.nodes: list[ir.Node] = []
        self._serial = 0

    @cached_property
    def _taken(self) -> set[str | None]:
        return {v.name for node in self.graph.all_nodes() for v in node.outputs}

    def name(self) -> str:
        """A value name that the graph does not use."""
        while True:
            self._serial += 1
            name = f"quantscope_{self._serial}"
            if name not in self.graph.initializers and name not in self._taken:
                return name

    def constant(self, array: NDArray[np.generic], onnx_type: str | None = None) -> ir.Value:
        """An initializer that holds `array`, stored as `onnx_type` where given."""
        dtype = None if onnx_type is None else ir.DataType[onnx_type]
        name = self.name()
        shape = ir.Shape(array.shape)
        tensor: ir.TensorProtocol = ir.Tensor(
            np.ascontiguousarray(array), dtype=dtype, name=name, shape=shape
        )
        if tensor.dtype in _SMALL and array.size > _PACKED:
            packed = np.frombuffer(tensor.tobytes(), np.uint8)
            tensor = ir.PackedTensor(packed, tensor.dtype, name=name, shape=shape)
        value = ir.Value(name=name, const_value=tensor, shape=shape, type=ir.TensorType(tensor.dtype))
        self.graph.register_initializer(value)
        return value

    def node(
        self,
        op: str,
        inputs: Sequence[ir.Value | None],
        attributes: Attributes | None = None,
        outputs: int = 1,
    ) -> ir.Value:
        """A node; gives its first output."""
        attrs = ir.convenience.convert_attributes(attributes or {})
        node = ir.Node("", op, inputs, attrs, outputs=[ir.Value(name=self.name()) for _ in range(outputs)])
        self.nodes.append(node)
        return node.outputs[0]

    def insert_first(self) -> None:
        """Put the collected nodes at the top of the graph."""
        if self.nodes:
            first = next(iter(self.graph), None)
            if first is None:
                self.graph.extend(self.nodes)
            else:
                self.graph.insert_before(first, self.nodes)
        self.nodes = []

    def insert_before(self, node: ir.Node) -> None:
        """Put the collected nodes before `node`."""
        self.graph.insert_before(node, self.nodes)
        self.nodes = []

    def insert_after(self, node: ir.Node) -> None:
        """Put the collected nodes after `node`."""
        self.graph.insert_after(node, self.nodes)
        self.nodes = []

    def redirect(self, old: ir.Value, new: ir.Value, users: Sequence[tuple[ir.Node, int]]) -> None:
        """Let `users` read `new` instead of `old`; where `old` is an output of the graph, `new` takes its
        place and name.
        """
        for user, index in users:
            user.replace_input_with(index, new)
        for index, value in enumerate(self.graph.outputs):
            if value is old:
                name, old.name = old.name, self.name()
                new.name, new.shape, new.type = name, old.shape, old.type
                self.graph.outputs[index] = new
