"""What a window asks for: each wish is a kind of work, and what it is done on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from quant_core.formats import Scheme
from quant_core.jobs import Job
from quant_core.plan import Plan
from quant_core.study import work
from quant_core.study.source import Source
from quant_core.study.work import (
    CALIBRATE,
    CERTIFY,
    CHECK,
    COSTS,
    EVALUATE,
    EXPORT,
    FETCH,
    FORMATS,
    INTEGERS,
    LATENCY,
    PRESET,
    SEARCH,
    SETTLE,
    SWEEP,
)


@dataclass(frozen=True)
class Wish:
    """Work that a window may want: what kind, on what. Earlier wishes of the kinds `over` are given up for
    it.
    """

    kind: str
    spec: dict[str, Any]
    urgent: bool = False
    over: tuple[str, ...] = ()

    def ask(self, owner: str) -> Job:
        """Have it done. Asking twice is asking once."""
        return work.line().ask(owner, self.kind, self.spec, self.urgent, self.over)

    def find(self, owner: str) -> Job | None:
        """The job if it was asked for."""
        return work.line().find(owner, self.kind, self.spec)


def evaluation_wish(source: Source, plan: Plan) -> Wish:
    """Measure the plan in hand."""
    return Wish(EVALUATE, {"source": asdict(source), "plan": plan.to_json()}, urgent=True, over=(EVALUATE,))


def preset_wish(source: Source, plan: Plan) -> Wish:
    """Measure a preset, when nothing else is more urgent."""
    return Wish(PRESET, {"source": asdict(source), "plan": plan.to_json()}, urgent=True)


def latency_wish(source: Source, plan: Plan) -> Wish:
    """Time the exported file of a plan against FP32."""
    return Wish(LATENCY, {"source": asdict(source), "plan": plan.to_json()}, urgent=True, over=(LATENCY,))


def costs_wish(source: Source, plan: Plan) -> Wish:
    """Time the layers at the precisions of a plan, so that the latency of others can be predicted."""
    return Wish(COSTS, {"source": asdict(source), "plan": plan.to_json()}, urgent=True, over=(COSTS,))


def ranges_wish(source: Source) -> Wish:
    """Calibrate: measure the activation ranges."""
    return Wish(CALIBRATE, {"source": asdict(source)}, urgent=True)


def settle_wish(source: Source, layer: str) -> Wish:
    """See how the range of what enters a layer settles, and whether it holds on held-out samples."""
    return Wish(SETTLE, {"source": asdict(source), "layer": layer}, urgent=True)


def formats_wish(source: Source, layer: str) -> Wish:
    """Quantize the weights of a layer to every format that is compared."""
    return Wish(FORMATS, {"source": asdict(source), "layer": layer}, urgent=True)


def integers_wish(source: Source, layer: str, weights: Scheme) -> Wish:
    """Compute a layer in integers, with its weights as the scheme says, and hold it against ONNX Runtime."""
    spec = {"source": asdict(source), "layer": layer, "weights": weights.to_json()}
    return Wish(INTEGERS, spec, urgent=True)


def sweep_wish(source: Source, formats: Mapping[str, Sequence[str]], exact: bool = False) -> Wish:
    """Measure every cell of a table that is not known: the formats of each part (weights, activations,
    both). On as few samples as it takes to rank them, or `exact` on all.
    """
    spec = {"source": asdict(source), "formats": {part: list(names) for part, names in formats.items()}}
    return Wish(SWEEP, spec | ({"exact": True} if exact else {}), over=(CHECK,))


def search_wish(source: Source, start: Plan, share: float) -> Wish:
    """Search the best weight formats of at most `share` of the FP32 file, and measure them."""
    spec = {"source": asdict(source), "start": start.to_json(), "share": share}
    return Wish(SEARCH, spec, over=(SEARCH, CHECK))


def export_wish(source: Source, plan: Plan, decoder: str) -> Wish:
    """Write the file of a plan, measure it simulated and shipped, and time it."""
    spec = {"source": asdict(source), "plan": plan.to_json(), "decoder": decoder}
    return Wish(EXPORT, spec, urgent=True, over=(EXPORT,))


def certify_wish(source: Source, plan: Plan, decoder: str, part: str) -> Wish:
    """Certify the file of a plan, one part at a time: its outputs, its layers, or its speed."""
    spec = {"source": asdict(source), "plan": plan.to_json(), "decoder": decoder, "part": part}
    return Wish(CERTIFY, spec, urgent=True, over=(CERTIFY,))


def fetch_wish(reference: str, calibration: str | None = None) -> Wish:
    """Fetch a model of the hub: the only wish that asks the network. `calibration` is kept for whoever opens
    it.
    """
    return Wish(FETCH, {"reference": reference, "calibration": calibration}, urgent=True, over=(FETCH,))


def check_wish(source: Source) -> Wish:
    """Try other preprocessing on the user's images, when nothing else is to do: a sweep or a search that is
    asked for takes its place.
    """
    return Wish(CHECK, {"source": asdict(source)})
