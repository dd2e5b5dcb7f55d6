"""The bundled samples: a model, its data and its card."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quant_core.errors import ArgumentError

PREFIX = "sample:"
DEFAULT = "digits-mobile"
_FOLDER = Path(__file__).resolve().parents[2] / "assets" / "samples"


@dataclass(frozen=True)
class Sample:
    """A bundled sample; `card` is what its card.json says."""

    name: str
    folder: Path
    card: dict[str, Any]

    @property
    def model(self) -> Path:
        """The ONNX file as exported."""
        return self.folder / "model.onnx"

    @property
    def evaluation(self) -> Path:
        """The samples that numbers are measured on."""
        return self.folder / "evaluation.npz"

    @property
    def calibration(self) -> Path:
        """The samples that ranges are measured on."""
        return self.folder / "calibration.npz"


def samples() -> tuple[Sample, ...]:
    """All bundled samples, the default first."""
    cards = sorted(_FOLDER.glob("*/card.json"), key=lambda p: (p.parent.name != DEFAULT, p.parent.name))
    return tuple(Sample(c.parent.name, c.parent, json.loads(c.read_text(encoding="utf-8"))) for c in cards)


def get_sample(reference: str) -> Sample:
    """The sample called `NAME` or `sample:NAME`; ArgumentError names the known ones."""
    name = reference.removeprefix(PREFIX)
    for sample in samples():
        if sample.name == name:
            return sample
    raise ArgumentError(
        f"there is no sample '{name}'", f"choose one of {', '.join(s.name for s in samples())}"
    )
