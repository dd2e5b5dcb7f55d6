"""Graph: a prepared model with its layers, ready to be lowered."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from functools import cached_property

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from quant_core.errors import PlanError
from quant_core.graph.file import ModelFile
from quant_core.graph.layers import Layer, find_layers
from quant_core.graph.names import names_of
from quant_core.graph.operators import every_node
from quant_core.graph.opset import opset_of, raise_opset


class Graph:
    """A model whose layers are known. `file` is the user's, `model` the graph that lowering starts from.
    `refuse` gives the savings that must not be applied to it; it is asked once, when one is about to be.
    `whole` is the graph that this one was cut from, by `cut`: what is known of that need not be found anew.
    """

    def __init__(
        self,
        file: ModelFile,
        model: ir.Model,
        refuse: Callable[[], Collection[str]] = frozenset,
        whole: Graph | None = None,
        cut: Callable[[ir.Model], ir.Model] | None = None,
    ) -> None:
        self.file = file
        self.model = model
        self.refuse = refuse
        self._whole, self._cut = whole, cut
        self._raised: dict[int, ir.Model] = {}
        self._names: dict[int, Mapping[str, str]] = {}

    @cached_property
    def refused(self) -> frozenset[str]:
        """The savings that are not proven to change nothing."""
        return frozenset(self.refuse())

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        """All layers in the order of execution, also those that cannot be quantized."""
        if self._whole is None:
            return find_layers(self.model)
        here = {node.name for node, _ in every_node(self.model.graph)}
        return tuple(layer for layer in self._whole.layers if layer.node in here)

    @cached_property
    def quantizable(self) -> tuple[Layer, ...]:
        """The layers without a reason against quantizing them."""
        return tuple(x for x in self.layers if x.reason is None)

    @cached_property
    def _by_name(self) -> dict[str, Layer]:
        return {x.name: x for x in self.layers}

    def layer(self, name: str) -> Layer:
        """The layer called `name`; PlanError if there is none."""
        if name not in self._by_name:
            raise PlanError(f"the model has no layer '{name}'", "run inspect to see the names of its layers")
        return self._by_name[name]

    def weights(self, layer: Layer) -> NDArray[np.float32]:
        """The stored weights of `layer` as float32, in the shape `layer.shape`. Of external data the part
        that holds them is mapped, and nothing is copied.
        """
        tensor = self.model.graph.initializers[layer.tensor or ""].const_value
        assert tensor is not None
        if isinstance(tensor, ir.ExternalTensor) and tensor.dtype == ir.DataType.FLOAT and tensor.size:
            shape = layer.shape or ()
            return np.asarray(np.memmap(tensor.path, "<f4", "r", tensor.offset or 0, shape), np.float32)
        return np.asarray(tensor.numpy(), np.float32).reshape(layer.shape or ())

    def at_opset(self, opset: int) -> ir.Model:
        """A copy of the model at `opset` or above, free to be changed. The conversion is done once."""
        return self._at(max(opset, opset_of(self.model))).clone()

    def names_at(self, opset: int) -> Mapping[str, str]:
        """A short name for each inner tensor of the model at `opset`; in a part, that which it has in the
        whole.
        """
        if self._whole is not None:
            return self._whole.names_at(opset)
        if opset not in self._names:
            self._names[opset] = names_of(self._at(opset))
        return self._names[opset]

    def raised(self, opset: int) -> Graph:
        """The same graph at `opset` or above."""
        return Graph(self.file, self._at(max(opset, opset_of(self.model))), lambda: self.refused, self)

    def _at(self, opset: int) -> ir.Model:
        if opset == opset_of(self.model):
            return self.model
        if opset not in self._raised:
            self._raised[opset] = self._raise(opset)
        return self._raised[opset]

    def _raise(self, opset: int) -> ir.Model:
        if self._whole is not None and self._cut is not None:
            with suppress(ValueError):  # where the converter made other tensors of those at the cut
                return self._cut(self._whole._at(opset))
        return raise_opset(self.model, opset)
