"""Ready-made plans, and the scheme that a bare format name stands for."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from quant_core.errors import PlanError
from quant_core.formats import Scheme, get_format
from quant_core.graph import Graph, Layer
from quant_core.plan.plan import Plan
from quant_core.plan.precision import Precision

PARTS = ("weights", "activations", "both")

_INT8 = Scheme("int8", "channel", True, "minmax")
_INT8_TENSOR = Scheme("int8", "tensor", True, "minmax")
_INT4_GROUP = Scheme("int4", "group:32", True, "mse")
_UINT8_STATIC = Scheme("uint8", "tensor", False, "minmax")
_UINT8_DYNAMIC = Scheme("uint8", "tensor", False, "dynamic")
_UINT16_STATIC = Scheme("uint16", "tensor", False, "minmax")

PRESETS: Mapping[str, Precision] = {
    "fp16": Precision(Scheme("fp16")),
    "int8": Precision(_INT8, _UINT8_STATIC),
    "int8-tensor": Precision(_INT8_TENSOR, _UINT8_STATIC),
    "int8-dynamic": Precision(_INT8, _UINT8_DYNAMIC),
    "int8-weights": Precision(_INT8),
    "int4-weights": Precision(_INT4_GROUP),
    "w8a16": Precision(_INT8, _UINT16_STATIC),
    "w4a8": Precision(_INT4_GROUP, _UINT8_STATIC),
}


def default_scheme(name: str) -> Scheme:
    """The weight scheme that the bare format `name` stands for in tables.

    Integers per channel. Eight bits and more: symmetric over the full range, which integer kernels like.
    Fewer: asymmetric with the least mean-square error, since at few levels both matter more than speed.
    Minifloats, ternary and binary per channel; NF4 in groups of 64 as its paper has it; block formats in
    their blocks; one table for a whole tensor."""
    number = get_format(name)
    if number.kind in ("float", "codebook") or number.block:
        return Scheme(name)
    if name == "nf4":
        return Scheme(name, "group:64")
    few = number.bits < 8
    return Scheme(name, "channel", not few and number.signed, "mse" if few else "minmax")


def default_activation_scheme(name: str) -> Scheme | None:
    """The activation scheme for the bare format `name`: unsigned of the same bits, one scale, asymmetric; a
    minifloat as it is. None for a format that activations cannot have.
    """
    number = get_format(name)
    if not number.has_dequantize:
        return None
    if number.kind == "minifloat":
        return Scheme(name, "tensor", True, "minmax")
    unsigned = name if name.startswith("u") else f"u{name}"
    return Scheme(unsigned, "tensor", False, "minmax" if number.bits >= 8 else "mse")


def precision_for(layer: Layer, weights: Scheme | None, activations: Scheme | None) -> Precision:
    """The precision with these schemes, its activations left in FP32 where the layer has none to quantize."""
    return Precision(weights, activations if layer.input is not None else None)


def cell_precision(layer: Layer, format_name: str, part: str) -> Precision | None:
    """The precision that a sweep measures in one cell, None where it does not apply to the layer."""
    weights = default_scheme(format_name) if part in ("weights", "both") else None
    activations = default_activation_scheme(format_name) if part in ("activations", "both") else None
    if part in ("activations", "both") and (activations is None or layer.input is None):
        return None
    return Precision(weights, activations)


def preset_plan(graph: Graph, preset: str) -> Plan:
    """The plan of a preset for every layer that can be quantized. PlanError names the known presets."""
    if preset not in PRESETS:
        raise PlanError(f"'{preset}' is not a preset", f"choose one of {', '.join(PRESETS)}")
    chosen = PRESETS[preset]
    return uniform_plan(graph, preset, lambda layer: precision_for(layer, chosen.weights, chosen.activations))


def uniform_plan(graph: Graph, name: str, precision: Callable[[Layer], Precision]) -> Plan:
    """The plan that `precision` gives layer by layer."""
    layers = {layer.name: precision(layer) for layer in graph.quantizable}
    return Plan(name, layers, graph.file.sha256, graph.file.name)
