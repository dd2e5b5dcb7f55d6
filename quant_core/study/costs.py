"""A model of latency: what layers take in the kernels they get, measured once on a machine, predicts plans.

Which kernels a layer gets depends on its formats and on its neighbours: an integer convolution hands integers
on only where the next layer takes integers too. So each layer is timed twice at a precision, by ONNX
Runtime's profiler: in company, where all layers have it, and alone, where every other layer is in float. Its
time is kept under its operator and shape, so that equal layers of other models are known too. A plan takes
the sum of its layers, of each the one time or the other, or their mean where one neighbour agrees, and what
runs beside the layers by the share of layers of each kind. It is a prediction: how far off it is, measuring
says (`benchmarks/latency.py`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from quant_core.engine import batch_size, layer_times, machine, runtime
from quant_core.graph import Layer, inputs_of
from quant_core.lower import lower
from quant_core.plan import Plan, Precision, uniform_plan, why_not
from quant_core.store import measurement_key
from quant_core.study.study import Study

FLOAT = "float"
_BUDGET = 8.0  # seconds of runs for one precision
_RUNS = 20

About = dict[str, Any]


@dataclass(frozen=True)
class _Cost:
    """Milliseconds a run: among layers of the same precision, and between layers in float."""

    company: float
    alone: float


def kernels_of(precision: Precision) -> str:
    """What decides the kernels of a layer: the formats of weights and activations. Where activations are
    float so are the kernels, since weights are decoded when a file is loaded.
    """
    if precision.activations is None:
        return FLOAT
    weights = "fp32" if precision.weights is None else precision.weights.format
    dynamic = ", dynamic" if precision.activations.range == "dynamic" else ""
    return f"{weights} x {precision.activations.format}{dynamic}"


def unmeasured_kernels(study: Study, plan: Plan) -> dict[str, Precision]:
    """The precisions of `plan` whose kernels were not timed for its layers on this machine, one of each
    kind.
    """
    kinds = {kernels_of(precision): precision for precision in plan.quantized.values()}
    return {k: p for k, p in kinds.items() if k != FLOAT and _known(study, k) is None}


def measure_costs(study: Study, plan: Plan, tick: Callable[..., None] = lambda *_, **__: None) -> None:
    """Time the layers at the precisions of `plan` that were not timed, and keep it."""
    feeds, _ = next(study.data.batches(_batch(study)))
    for kind, precision in unmeasured_kernels(study, plan).items():
        tick(0, 0, f"Timing layers as {kind}")
        plans = [_plan(study, precision, taken) for taken in ((0, 1), (0,), (1,))]
        models = [lower(study.cache, p, study.ranges.find) for p in plans]
        before, company, *alone = layer_times(
            study.graph, (study.graph.model, *models), feeds, _RUNS, lambda: tick(), _BUDGET
        )
        records = {}
        for number, layer in enumerate(study.graph.quantizable):
            node, other = layer.node, alone[number % 2]
            records[_about(study, kind, layer)] = {
                "company": company.layers.get(node, 0.0) + company.quantizers.get(node, 0.0),
                "alone": other.layers.get(node, 0.0) + other.quantizers.get(node, 0.0),
            }
            time = before.layers.get(node, 0.0)
            records[_about(study, FLOAT, layer)] = {"company": time, "alone": time}
        records[_about(study, kind, None)] = {"company": company.beside, "alone": company.beside}
        records[_about(study, FLOAT, None)] = {"company": before.beside, "alone": before.beside}
        for about, record in records.items():
            study.store.put(dict(about), record)


def predicted_latency(study: Study, plan: Plan) -> float | None:
    """The time of the exported file of `plan` over that of FP32, predicted; None where its kernels were not
    timed on this machine.
    """
    layers = study.graph.quantizable
    kinds = [kernels_of(plan[layer.name]) for layer in layers]
    if set(kinds) <= {FLOAT}:
        return 1.0
    costs = {kind: _known(study, kind) for kind in {FLOAT, *kinds}}
    if not layers or any(cost is None for cost in costs.values()):
        return None
    spent = plain = 0.0
    for number, (layer, kind) in enumerate(zip(layers, kinds, strict=True)):
        of_kind, of_float = costs[kind], costs[FLOAT]
        assert of_kind is not None and of_float is not None
        cost = of_kind[0][layer.name]
        around = kinds[max(number - 1, 0) : number] + kinds[number + 1 : number + 2]
        agree = sum(other == kind for other in around) / max(len(around), 1)
        spent += cost.company * agree + cost.alone * (1.0 - agree) + of_kind[1] / len(layers)
        plain += of_float[0][layer.name].company + of_float[1] / len(layers)
    return spent / plain if plain > 0 else None


def _known(study: Study, kind: str) -> tuple[dict[str, _Cost], float] | None:
    """The costs of all layers at a kind, and what runs beside them; None where something is not known."""
    layers = study.graph.quantizable
    abouts: Iterable[tuple[tuple[str, Any], ...]] = [_about(study, kind, x) for x in (*layers, None)]
    records = study.store.get_named([measurement_key(dict(about)) for about in abouts])
    if any(record is None for record in records):
        return None
    *costs, beside = (_Cost(r["company"], r["alone"]) for r in records if r is not None)
    return {layer.name: cost for layer, cost in zip(layers, costs, strict=True)}, beside.company


def _plan(study: Study, precision: Precision, taken: tuple[int, ...]) -> Plan:
    """`precision` for the layers at the places `taken`: even ones (0), odd ones (1). Those that cannot have
    it stay in float.
    """
    place = {layer.name: number % 2 for number, layer in enumerate(study.graph.quantizable)}

    def choice(layer: Layer) -> Precision:
        here = place[layer.name] in taken and layer.input is not None
        return precision if here and why_not(layer, precision) is None else Precision()

    return uniform_plan(study.graph, "costs", choice)


def _batch(study: Study) -> int:
    return batch_size(inputs_of(study.graph.file.model), dynamic=True)


def _about(study: Study, kind: str, layer: Layer | None) -> tuple[tuple[str, Any], ...]:
    """The key of a layer's time; of what runs beside the layers of a model where it is None."""
    what: About = {"what": "cost", "kernels": kind, "batch": _batch(study), "runtime": runtime()}
    what["machine"] = machine()
    if layer is None:
        what["beside"] = study.graph.file.sha256
    else:
        what |= {"op": layer.op, "kind": layer.kind, "shape": str(layer.shape), "macs": layer.macs}
    return tuple(what.items())
