"""Precision: the schemes of one layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from quant_core.errors import PlanError
from quant_core.formats import Scheme

_FLAGS = {"bias_correction": bool, "locked": bool, "note": str}


@dataclass(frozen=True)
class Precision:
    """How one layer is quantized: its weights and the activation that enters it. None leaves that part in
    FP32.
    """

    weights: Scheme | None = None
    activations: Scheme | None = None
    bias_correction: bool = False
    locked: bool = False
    note: str = ""

    @property
    def is_float(self) -> bool:
        """Whether nothing of the layer is quantized."""
        return self.weights is None and self.activations is None

    @property
    def bits(self) -> int:
        """Bits of one weight."""
        return 32 if self.weights is None else self.weights.number.bits

    def to_json(self) -> dict[str, Any]:
        """The precision as the plan file writes it."""
        return {
            "weights": None if self.weights is None else self.weights.to_json(),
            "activations": None if self.activations is None else self.activations.to_json(),
            **{key: getattr(self, key) for key in _FLAGS},
        }

    @classmethod
    def from_json(cls, record: object, layer: str) -> Precision:
        """The precision of a plan file; PlanError names the layer and the key that is wrong."""
        if not isinstance(record, Mapping):
            raise PlanError(f"layer '{layer}' of the plan is not an object", "write weights and activations")
        fields: dict[str, Any] = {}
        for key, value in record.items():
            if key in ("weights", "activations"):
                fields[key] = (
                    None if value is None else Scheme.from_json(value, f"'{key}' of layer '{layer}'")
                )
            elif key in _FLAGS:
                if not isinstance(value, _FLAGS[key]):
                    raise PlanError(
                        f"'{key}' of layer '{layer}' is {value!r}", f"give a {_FLAGS[key].__name__}"
                    )
                fields[key] = value
            else:
                raise PlanError(
                    f"layer '{layer}' of the plan has the unknown key '{key}'",
                    f"use weights, activations, {', '.join(_FLAGS)}",
                )
        return cls(**fields)
