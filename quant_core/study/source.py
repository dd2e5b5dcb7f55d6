"""Source: what a window or a job has open, as plain text that travels between processes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quant_core.data import DEFAULT, PREFIX
from quant_core.study.details import Details
from quant_core.study.study import Study


@dataclass(frozen=True)
class Source(Details):
    """References as the command line takes them: a path or `sample:NAME`; further the fields of `Details`."""

    model: str = f"{PREFIX}{DEFAULT}"
    data: str | None = f"{PREFIX}{DEFAULT}"
    calibration: str | None = None
    preprocess: str | None = None
    samples: int | None = None

    @property
    def is_sample(self) -> bool:
        """Whether a bundled sample is open."""
        return self.model.startswith(PREFIX)

    @property
    def stamps(self) -> tuple[float, ...]:
        """When the files named were last changed: a study stays valid while these do."""
        return tuple(_stamp(p) for p in (self.model, self.data, self.calibration, self.tokenizer, self.boxes))

    def open(self) -> Study:
        """The study of this source. QuantscopeError where it cannot be opened."""
        return Study.open(
            self.model, self.data, self.calibration, self.preprocess, self.samples, details=self
        )

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Source:
        """The source whose fields `record` holds."""
        return cls(**record)


def _stamp(reference: str | None) -> float:
    if not reference or reference.startswith(PREFIX):
        return 0.0
    try:
        path = Path(reference)
        held = path.glob("*.onnx") if path.is_dir() else ()  # a folder does not change when its model does
        return max(float(p.stat().st_mtime) for p in (path, *held))
    except (OSError, ValueError):
        return 0.0
