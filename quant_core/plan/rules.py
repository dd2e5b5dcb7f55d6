"""Why a layer cannot take a precision, and whether a plan belongs to a model."""

from __future__ import annotations

from quant_core.errors import PlanError
from quant_core.graph import Graph, Layer, Reason
from quant_core.plan.plan import Plan
from quant_core.plan.precision import Precision


def why_not(layer: Layer, precision: Precision) -> Reason | None:
    """The reason against `precision` for `layer`, None where it can be lowered."""
    if precision.is_float:
        return None
    if layer.reason is not None:
        return layer.reason
    weights, activations = precision.weights, precision.activations
    if weights is not None and weights.is_dynamic:
        return Reason("weights are constant and have no dynamic range", layer.name)
    if weights is not None and weights.range == "average":
        return Reason("the average range is one over samples, which weights do not have", layer.name)
    if activations is None:
        return None
    if layer.input is None:
        return Reason(layer.why_no_input, layer.name)
    if not activations.number.has_dequantize:
        return Reason(
            f"no runtime quantizes activations to {activations.format}: ONNX has no QuantizeLinear for it",
            layer.name,
        )
    if activations.granularity != "tensor":
        return Reason("activations share one scale for the whole tensor", layer.name)
    if activations.is_dynamic and (activations.format != "uint8" or activations.symmetric):
        return Reason("a dynamic range is asymmetric uint8 (ONNX DynamicQuantizeLinear)", layer.name)
    return None


def check_plan(graph: Graph, plan: Plan) -> None:
    """PlanError where `plan` is for another model, or a layer of it cannot take its precision."""
    if plan.model_sha256 and plan.model_sha256 != graph.file.sha256:
        raise PlanError(
            f"the plan '{plan.name}' is for another model ({plan.model_name or plan.model_sha256[:12]})",
            "give a plan made for this model",
        )
    for name, precision in plan.quantized.items():
        reason = why_not(graph.layer(name), precision)
        if reason is not None:
            raise PlanError(
                f"layer '{name}' cannot be quantized as planned: {reason}", "change that layer of the plan"
            )
