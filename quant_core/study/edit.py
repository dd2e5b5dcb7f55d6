"""Edits of a plan: a scheme for some layers, locks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from quant_core.formats import Scheme
from quant_core.plan import Plan, Precision, why_not
from quant_core.study.study import Study


def choose_scheme(
    study: Study, plan: Plan, layers: str | Iterable[str], part: str, scheme: Scheme | None
) -> tuple[Plan, list[str]]:
    """The plan with `scheme` (None: FP32) for the `part`, weights or activations, of a layer or several; and
    those left as they were with the reason.

    Locked layers keep their precision. Layers that share stored weights take the same weights.
    """
    changes: dict[str, Precision] = {}
    refused: list[str] = []
    for layer_name in [layers] if isinstance(layers, str) else layers:
        layer = study.graph.layer(layer_name)
        names = (layer_name, *layer.tied) if part == "weights" else (layer_name,)
        for target in names:
            old = plan[target]
            new = replace(old, weights=scheme) if part == "weights" else replace(old, activations=scheme)
            reason = "it is locked" if old.locked else why_not(study.graph.layer(target), new)
            if reason is not None:
                refused.append(f"{target}: {reason}")
            elif new != old:
                changes[target] = new
    return plan.edit(changes, "custom") if changes else plan, refused


def toggle_lock(plan: Plan, layer: str) -> Plan:
    """The plan with the lock of `layer` set or released."""
    return plan.edit({layer: replace(plan[layer], locked=not plan[layer].locked)})
