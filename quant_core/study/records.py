"""What a study gives: evaluations and cells, with the JSON the command line writes."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from quant_core.data import Quality
from quant_core.engine import Cell, CellKey


@dataclass(frozen=True)
class Evaluation:
    """A measured plan. Bytes are of the exported file; shares are 0..1; `sqnr_db` in dB, `kl` in nats."""

    bytes: int
    bytes_fp32: int
    metric: float | None
    metric_fp32: float | None
    metric_name: str | None
    agreement: float | None
    sqnr_db: float
    kl: float | None
    decisions: int
    samples: int
    calibration_samples: int
    execution: str

    def to_json(self) -> dict[str, Any]:
        """The keys of the command line."""
        hidden = ("kl", "decisions")
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name not in hidden}

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Evaluation:
        """The evaluation whose fields `record` holds."""
        return cls(**{f.name: record[f.name] for f in fields(cls)})

    @property
    def share(self) -> float:
        """Bytes as a share of the user's FP32 file."""
        return self.bytes / self.bytes_fp32

    @property
    def standard_error(self) -> float | None:
        """Standard error of the metric: sqrt(p (1 - p) / n), of a share over n decisions."""
        if self.metric is None or not self.decisions:
            return None
        return float((self.metric * (1 - self.metric) / self.decisions) ** 0.5)


def cell_record(cell: Cell) -> dict[str, Any]:
    """A cell as the store keeps it."""
    return {"bytes": cell.bytes, **asdict(cell.quality)}


def cell_of(key: CellKey, record: dict[str, Any]) -> Cell:
    """A cell from the store."""
    quality = {f.name: record[f.name] for f in fields(Quality)}
    return Cell(key, Quality(**quality), int(record["bytes"]))


def cell_json(cell: Cell) -> dict[str, Any]:
    """A cell as the command line writes it."""
    return {
        "layer": cell.key.layer,
        "format": cell.key.format,
        "quantized": cell.key.part,
        "metric": cell.quality.metric,
        "sqnr_db": cell.quality.sqnr_db,
        "agreement": cell.quality.agreement,
        "bytes": cell.bytes,
    }
