"""Plan: layer -> precision, for a whole model, with its JSON file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from quant_core.errors import PlanError
from quant_core.plan.precision import Precision

VERSION = 1
_KEYS = ("quantscope", "name", "model", "layers")
_FLOAT = Precision()


@dataclass(frozen=True)
class Plan:
    """The precision of each layer; a layer that is not named stays FP32. Never changed: edits give a new
    plan.
    """

    name: str = "FP32"
    layers: Mapping[str, Precision] = field(default_factory=dict)
    model_sha256: str = ""
    model_name: str = ""

    def __getitem__(self, layer: str) -> Precision:
        return self.layers.get(layer, _FLOAT)

    def edit(self, changes: Mapping[str, Precision], name: str | None = None) -> Plan:
        """The plan with other precisions for some layers."""
        return replace(self, layers={**self.layers, **changes}, name=self.name if name is None else name)

    @property
    def quantized(self) -> dict[str, Precision]:
        """The layers of which something is quantized."""
        return {name: p for name, p in self.layers.items() if not p.is_float}

    @property
    def has_dynamic(self) -> bool:
        """Whether some range is found at run time, so that numbers depend on the batch."""
        return any(p.activations is not None and p.activations.is_dynamic for p in self.layers.values())

    @property
    def needs_ranges(self) -> bool:
        """Whether some activation range must be calibrated."""
        return any(p.activations is not None and not p.activations.is_dynamic for p in self.layers.values())

    @property
    def needs_calibration(self) -> bool:
        """Whether calibration samples have a part in the file: in its ranges or its bias corrections."""
        return self.needs_ranges or any(p.bias_correction for p in self.quantized.values())

    def with_bias_correction(self, on: bool = True) -> Plan:
        """The plan with bias correction asked for, or not, in every layer whose weights are quantized."""
        layers = {n: replace(p, bias_correction=on and p.weights is not None) for n, p in self.layers.items()}
        return replace(self, layers=layers)

    @cached_property
    def key(self) -> str:
        """Hash of what changes a number: the schemes, not names, locks and notes."""
        content = {
            name: [
                p.weights and p.weights.to_json(),
                p.activations and p.activations.to_json(),
                p.bias_correction,
            ]
            for name, p in sorted(self.quantized.items())
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    @cached_property
    def digest(self) -> str:
        """Hash of everything the plan says, names, locks and notes included."""
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """The plan as its file writes it."""
        return {
            "quantscope": VERSION,
            "name": self.name,
            "model": {"sha256": self.model_sha256, "name": self.model_name},
            "layers": {name: p.to_json() for name, p in self.layers.items()},
        }

    @classmethod
    def from_json(cls, record: object, source: str = "the plan") -> Plan:
        """The plan of a JSON document; PlanError names the key that is wrong."""
        if not isinstance(record, Mapping):
            raise PlanError(
                f"{source} is not a plan", "give a JSON object as `search` and the export page write it"
            )
        for key in record:
            if key not in _KEYS:
                raise PlanError(f"{source} has the unknown key '{key}'", f"use {', '.join(_KEYS)}")
        if record.get("quantscope") != VERSION:
            raise PlanError(f"{source} is not a plan of version {VERSION}", "its key 'quantscope' must be 1")
        layers, model = record.get("layers"), record.get("model") or {}
        if not isinstance(layers, Mapping) or not isinstance(model, Mapping):
            raise PlanError(f"{source} has no object 'layers'", "map layer names to weights and activations")
        return cls(
            name=str(record.get("name") or "plan"),
            layers={str(name): Precision.from_json(p, str(name)) for name, p in layers.items()},
            model_sha256=str(model.get("sha256") or ""),
            model_name=str(model.get("name") or ""),
        )


def read_plan(path: str | Path) -> Plan:
    """The plan file at `path`; PlanError where it is missing or malformed."""
    path = Path(path)
    if not path.is_file():
        raise PlanError(f"there is no plan file '{path}'", "check the path")
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise PlanError(f"'{path.name}' is not JSON", "give a plan file as `search` writes it") from error
    return Plan.from_json(record, f"'{path.name}'")


def write_plan(plan: Plan, path: str | Path) -> None:
    """Write `plan` as JSON."""
    Path(path).write_text(json.dumps(plan.to_json(), indent=1) + "\n", encoding="utf-8")


def diff(a: Plan, b: Plan, layers: Iterable[str]) -> dict[str, tuple[Precision, ...]]:
    """The layers whose schemes differ, with both precisions."""
    return differences([a, b], layers)


def differences(plans: Sequence[Plan], layers: Iterable[str]) -> dict[str, tuple[Precision, ...]]:
    """The layers that not all of `plans` treat alike, with the precision in each plan. Locks and notes do not
    count.
    """
    rows = {name: tuple(plan[name] for plan in plans) for name in layers}
    return {
        name: row
        for name, row in rows.items()
        if len({(p.weights, p.activations, p.bias_correction) for p in row}) > 1
    }
