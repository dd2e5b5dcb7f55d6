"""The arena: the memory that the activations of one sample take at most, at the widths that a plan gives.

A tensor is as wide as its widest reader needs it: 8 bits where every layer that takes it quantizes it to 8,
its own type where anything reads it as a float. What only moves values, as a MaxPool, does so at the width
that is read after it. Weights are not in it, nor the scratch memory of kernels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from quant_core.graph import Flow, peak_alive
from quant_core.plan.plan import Plan


@dataclass(frozen=True)
class Arena:
    """Bytes of the activations that are alive at a time at most, batch 1, and the step where that is; of the
    plan, and of FP32.
    """

    bytes: int
    step: str
    bytes_fp32: int
    step_fp32: str


def arena(steps: Sequence[str], flows: Sequence[Flow], plan: Plan) -> Arena | None:
    """The arena of `plan` for the `steps` and `flows` of a graph, as `tensor_flow` gives them. None where the
    shape of some tensor is not known.
    """
    if not steps or any(flow.elements is None for flow in flows):
        return None
    widths = _widths(flows, plan)
    found = []
    for bits in (widths, {flow.name: flow.bits for flow in flows}):
        spans = [(f.made, f.last, -(-(f.elements or 0) * bits[f.name] // 8)) for f in flows]
        found.append(peak_alive(spans, len(steps)))
    (small, at), (whole, whole_at) = found
    return Arena(small, steps[at], whole, steps[whole_at])


def _widths(flows: Sequence[Flow], plan: Plan) -> dict[str, int]:
    """Bits of each value of each tensor, the last made first."""
    widths: dict[str, int] = {}
    for flow in sorted(flows, key=lambda f: -f.made):
        wanted = []
        for read in flow.reads:
            schemes = [plan[name].activations for name in read.layers]
            if schemes and all(s is not None for s in schemes):
                wanted.append(max(s.number.bits for s in schemes if s is not None))
            else:
                wanted.append(widths.get(read.moved_to or "", flow.bits))
        widths[flow.name] = min(flow.bits, max(wanted, default=flow.bits))
    return widths
