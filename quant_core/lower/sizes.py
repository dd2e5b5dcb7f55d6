"""Sizes of the files of plans that change few layers, by the difference that these make.

The file with one layer quantized differs from the float one in the messages of that layer alone: tensors have
the same short names in both, and what is written around them has the same length. So the layer is lowered by
itself, with the plan and without, and the difference is added to the float file. Where more may differ (an
added tensor that is stored already, another operator set, names that grow), the whole file is written."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import islice

import onnx_ir as ir

from quant_core.graph import Graph, around, opset_of, short_names
from quant_core.lower.lower import FindRange, WeightCache, lower, lowered_opset
from quant_core.lower.savings.duplicates import likeness
from quant_core.lower.written import parts_of, size_of, whole_size
from quant_core.plan import Plan

_ADDED = 300  # tensors, more than a layer brings


@dataclass
class _Whole:
    """The float graph at one opset: its file, what it stores before and after the savings, and what is known
    of the layers by themselves.
    """

    graph: Graph
    around: int
    content: int
    stored: Counter[tuple[object, ...]]
    lean: frozenset[tuple[object, ...]]
    alone: dict[tuple[str, ...], _Alone | None] = field(default_factory=dict)


@dataclass
class _Alone:
    """Layers by themselves: their part of the graph and its file."""

    graph: Graph
    model: ir.Model
    content: int


class Sizes:
    """Sizes of the files of plans of one graph, `cache` its weights."""

    def __init__(self, cache: WeightCache) -> None:
        self._cache = cache
        self._wholes: dict[int, _Whole] = {}

    def of(self, plan: Plan, find_range: FindRange) -> int:
        """`size_of(lower(cache, plan, find_range))`."""
        whole = self._whole(lowered_opset(self._cache.graph, plan))
        names = tuple(layer.name for layer in whole.graph.layers if layer.name in plan.quantized)
        alone = self._alone(whole, names)
        if alone is not None:
            changed = lower(WeightCache(alone.graph, self._cache.kept), plan, find_range)
            if _only_differs_inside(whole, alone.model, changed):
                _rename_ports(alone.graph, changed)
                return whole_size(whole.around, whole.content + parts_of(changed)[1] - alone.content)
        return size_of(lower(self._cache, plan, find_range))

    def _whole(self, opset: int) -> _Whole:
        if opset not in self._wholes:
            graph = self._cache.graph.raised(opset)
            model = lower(WeightCache(graph, self._cache.kept), Plan(), _no_range)
            stored = Counter(_likenesses(graph.model))
            self._wholes[opset] = _Whole(graph, *parts_of(model), stored, frozenset(_likenesses(model)))
        return self._wholes[opset]

    def _alone(self, whole: _Whole, names: tuple[str, ...]) -> _Alone | None:
        if names not in whole.alone:
            whole.alone[names] = None
            short = list(islice(short_names(_count(whole.graph)), _ADDED))
            part = around(whole.graph, names) if names and len(short[0]) == len(short[-1]) else None
            if part is not None:
                model = lower(WeightCache(part, self._cache.kept), Plan(), _no_range)
                _rename_ports(part, model)
                whole.alone[names] = _Alone(part, model, parts_of(model)[1])
        return whole.alone[names]


def _only_differs_inside(whole: _Whole, before: ir.Model, after: ir.Model) -> bool:
    """Whether a layer that changes from `before` to `after` changes nothing else of the file: what it stored
    nobody else stores, what it stores now is new, and both use the same operator sets.
    """
    if before.graph.opset_imports != after.graph.opset_imports:
        return False
    olds = {id(v.const_value): v.const_value for v in before.graph.initializers.values()}
    news = {id(v.const_value): v.const_value for v in after.graph.initializers.values()}
    removed = [tensor for key, tensor in olds.items() if key not in news and tensor is not None]
    added = [tensor for key, tensor in news.items() if key not in olds and tensor is not None]
    return all(whole.stored[likeness(tensor)] == 1 for tensor in removed) and not any(
        likeness(tensor) in whole.lean for tensor in added
    )


def _rename_ports(part: Graph, model: ir.Model) -> None:
    """Call what enters and leaves a part by its short name, as the whole does."""
    names = part.names_at(opset_of(model))
    for value in (*model.graph.inputs, *model.graph.outputs):
        value.name = names.get(value.name or "", value.name)


def _count(graph: Graph) -> int:
    return len(graph.names_at(opset_of(graph.model)))


def _likenesses(model: ir.Model) -> list[tuple[object, ...]]:
    stored = [value.const_value for value in model.graph.initializers.values()]
    return [likeness(t) for t in stored if t is not None and t.dtype != ir.DataType.STRING]


def _no_range(tensor: str, scheme: object) -> tuple[float, float]:
    raise AssertionError(f"a float plan quantizes nothing, asked for {tensor}")
