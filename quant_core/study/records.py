"""What a study gives: evaluations and cells, with the JSON the command line writes."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any

from quant_core.data import Measure, Quality, measure_of
from quant_core.engine import Band, Cell, CellKey


@dataclass(frozen=True)
class Evaluation:
    """A measured plan. Bytes are of the exported file; shares are 0..1; `sqnr_db` in dB, `kl` in nats.

    `measure` says how the metric is read: more or less is better, a share or not. `more` and `more_fp32` are
    further metrics of the same runs by name. `generated_calibration`: the plan's ranges or bias corrections
    rest on made-up samples."""

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
    more: dict[str, float] = field(default_factory=dict, hash=False)
    more_fp32: dict[str, float] = field(default_factory=dict, hash=False)
    generated_calibration: bool = False

    def to_json(self) -> dict[str, Any]:
        """The keys of the command line."""
        hidden = ("kl", "decisions", "more", "more_fp32", "generated_calibration")
        shown = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in hidden}
        more = {k: {"metric": v, "metric_fp32": self.more_fp32.get(k)} for k, v in self.more.items()}
        mark = {"generated_calibration": True} if self.generated_calibration else {}
        return {**shown, "more": more, **mark}

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Evaluation:
        """The evaluation whose fields `record` holds."""
        later = ("more", "more_fp32", "generated_calibration")  # missing in records of older versions
        return cls(**{f.name: record[f.name] for f in fields(cls) if f.name in record or f.name not in later})

    @property
    def measure(self) -> Measure:
        """How the metric is read."""
        return measure_of(self.metric_name)

    @property
    def lost(self) -> float | None:
        """How much worse than FP32 the metric is: percentage points of a share, else per cent of FP32's
        error. None without a metric.
        """
        if self.metric is None or self.metric_fp32 is None:
            return None
        worse = (
            self.metric_fp32 - self.metric if self.measure.more_is_better else self.metric - self.metric_fp32
        )
        return 100.0 * (worse if self.measure.share else worse / max(abs(self.metric_fp32), 1e-12))

    @property
    def share(self) -> float:
        """Bytes as a share of the user's FP32 file."""
        return self.bytes / self.bytes_fp32

    @property
    def standard_error(self) -> float | None:
        """Standard error of the metric: sqrt(p (1 - p) / n), of a share over n decisions; None for metrics
        that do not count decisions.
        """
        if self.metric is None or not self.decisions or not self.measure.counted:
            return None
        return float((self.metric * (1 - self.metric) / self.decisions) ** 0.5)


def cell_record(cell: Cell) -> dict[str, Any]:
    """A cell as the store keeps it."""
    band = {} if cell.band is None else {"band": asdict(cell.band)}
    return {"bytes": cell.bytes, **asdict(cell.quality), **band}


def cell_of(key: CellKey, record: dict[str, Any]) -> Cell:
    """A cell from the store."""
    return Cell(key, Quality.from_record(record), int(record["bytes"]), _band_of(record.get("band")))


_MEASURED = ("sqnr_db", "agreement", "metric")


def _band_of(record: dict[str, Any] | None) -> Band | None:
    if record is None:
        return None
    pair: dict[str, Any] = {name: None if record[name] is None else tuple(record[name]) for name in _MEASURED}
    return Band(**pair, final=record["final"])


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
        **({} if cell.band is None else {"samples": cell.quality.samples, **band_ends(cell)}),
    }


def band_ends(cell: Cell) -> dict[str, float | None]:
    """The 95 % interval of each measure, as `NAME_low` and `NAME_high`; both are the value where it was
    measured on all samples.
    """
    found: dict[str, float | None] = {}
    for name in _MEASURED:
        value = getattr(cell.quality, name)
        pair = (value, value) if cell.band is None else getattr(cell.band, name)
        found[f"{name}_low"], found[f"{name}_high"] = pair or (None, None)
    return found
