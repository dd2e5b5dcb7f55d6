"""A file that is quantized already, beside what would be chosen here for the same weights."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quant_core.errors import FormatError
from quant_core.formats import quantize_tensor, sqnr_db
from quant_core.graph import Graph, QuantizedLayer, read_quantized
from quant_core.plan import default_scheme

_OURS = "int8"


def quantized_layers(graph: Graph) -> tuple[QuantizedLayer, ...]:
    """The quantized layers of a prepared graph with their scales, zero points and codes."""
    return read_quantized(graph.model)


def quantized_records(graph: Graph, original: Graph | None = None) -> list[dict[str, Any]]:
    """A record of plain numbers for each quantized layer; empty for a float model.

    Keys: name, op, style (QDQ, QOperator, dynamic, blocks), shape, format, granularity, symmetric, scales
    (how many), scale_low, scale_high, zero_point_low, zero_point_high, activation_format, activation_scale,
    activation_zero_point (None where found at run time or float); our_scheme, our_scale_low, our_scale_high:
    int8 per channel on the weights that the file stands for. With the float `original`: sqnr_db of its
    weights and our_sqnr_db, where a layer has the name, or the place and shape, of a float one; else None."""
    found = quantized_layers(graph)
    pairs = _matched(found, original)
    return [_record(layer, pairs[i]) for i, layer in enumerate(found)]


def _record(layer: QuantizedLayer, exact: NDArray[np.float32] | None) -> dict[str, Any]:
    weights, entering = layer.weights, layer.activations
    record: dict[str, Any] = {"name": layer.name, "op": layer.op, "style": layer.style}
    record["shape"] = None if weights is None else list(weights.codes.shape)
    record["format"] = None if weights is None else weights.format
    record["granularity"] = None if weights is None else weights.granularity
    record["symmetric"] = None if weights is None else weights.symmetric
    record["scales"] = 0 if weights is None else int(weights.scale.size)
    for key, array in (("scale", "scale"), ("zero_point", "zero_point")):
        values = None if weights is None else getattr(weights, array)
        record[f"{key}_low"] = None if values is None else values.min().item()
        record[f"{key}_high"] = None if values is None else values.max().item()
    record["activation_format"] = None if entering is None else entering.format
    record["activation_scale"] = None if entering is None else entering.scale
    record["activation_zero_point"] = None if entering is None else entering.zero_point
    return {key: _finite(value) for key, value in (record | _ours(layer, exact)).items()}


def _finite(value: Any) -> Any:
    """`value`, None for a float that JSON does not have."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _ours(layer: QuantizedLayer, exact: NDArray[np.float32] | None) -> dict[str, Any]:
    scheme = default_scheme(_OURS)
    record: dict[str, Any] = {"our_scheme": str(scheme), "our_scale_low": None, "our_scale_high": None}
    record |= {"sqnr_db": None, "our_sqnr_db": None}
    if layer.weights is None:
        return record
    theirs = layer.weights.values()
    axis = min(layer.channel, theirs.ndim - 1)
    try:
        ours = quantize_tensor(theirs if exact is None else exact, axis, scheme)
    except FormatError:  # scales that are no finite numbers
        return record
    if ours.scale is not None:
        record["our_scale_low"], record["our_scale_high"] = ours.scale.min().item(), ours.scale.max().item()
    if exact is not None:
        record["sqnr_db"], record["our_sqnr_db"] = sqnr_db(exact, theirs), sqnr_db(exact, ours.decode())
    return record


def _matched(found: tuple[QuantizedLayer, ...], original: Graph | None) -> list[NDArray[np.float32] | None]:
    """The float weights of each layer in the shape of its codes: by place where every shape fits, else by
    name.
    """
    if original is None:
        return [None] * len(found)
    if len(found) == len(original.quantizable):
        pairs = zip(found, original.quantizable, strict=True)
        placed = [_shaped(layer, original.weights(x)) for layer, x in pairs]
        if all(x is not None for x in placed):
            return placed
    named = {x.node: x for x in original.quantizable}
    chosen = [named.get(x.name) or named.get(x.name.removesuffix("_quant")) for x in found]
    pairs_by_name = zip(found, chosen, strict=True)
    return [None if x is None else _shaped(layer, original.weights(x)) for layer, x in pairs_by_name]


def _shaped(layer: QuantizedLayer, exact: NDArray[np.float32]) -> NDArray[np.float32] | None:
    shape = None if layer.weights is None else layer.weights.codes.shape
    if exact.shape == shape:
        return exact
    return np.ascontiguousarray(exact.T) if exact.T.shape == shape else None
