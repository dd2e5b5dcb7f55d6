"""How the range of one layer's input settles as samples are added, and whether it holds on other samples:
measured once by a pass over both, and kept.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from quant_core.data import Dataset, Subset
from quant_core.engine import ENGINE, Progress, settle
from quant_core.errors import PlanError
from quant_core.formats import Scheme
from quant_core.graph import Layer
from quant_core.stats import Drift, Ranges, Snapshot, StreamingHistogram, drift, enough, settling
from quant_core.store import measurement_key, write_whole
from quant_core.study.study import Study

METHODS = ("minmax", "average", "percentile:99.99", "mse", "octav", "entropy")
_HELD_OUT = "held out"
_MOST = 256  # held-out samples


@dataclass(frozen=True)
class Settling:
    """What was measured of what enters a layer: snapshots at 1, 2, 4, ... samples, the held-out samples (None
    where there are none), and the channels: columns channel, low, high, mean, deviation.
    """

    checkpoints: tuple[Snapshot, ...]
    held_out: StreamingHistogram | None
    channels: pd.DataFrame

    def table(self, scheme: Scheme, methods: Sequence[str] = METHODS) -> pd.DataFrame:
        """The range and the SQNR of all calibration samples by each method at each checkpoint; columns
        samples, method, low, high, sqnr_db.
        """
        return settling(self.checkpoints, scheme, dict.fromkeys((*methods, scheme.range)))

    def enough(self, scheme: Scheme) -> int | None:
        """After how many samples the SQNR of `scheme` stays within half a decibel of the final one; None
        where it did so only at the last one.
        """
        table = self.table(scheme, (scheme.range,))
        found = enough(table[table["method"] == scheme.range])[scheme.range]
        return None if len(self.checkpoints) > 1 and found == table["samples"].max() else found

    def drift(self, scheme: Scheme) -> Drift | None:
        """The calibrated range of `scheme` on the held-out samples, None where there are none."""
        if self.held_out is None or not self.checkpoints:
            return None
        return drift(StreamingHistogram.from_snapshot(self.checkpoints[-1]), self.held_out, scheme)


def known_settling(study: Study, layer: Layer) -> Settling | None:
    """What was measured of `layer` before. A damaged file counts as none."""
    about = _about(study, layer)
    record = study.store.get(about)
    with contextlib.suppress(OSError, ValueError):
        if record is not None:
            kept = Ranges.from_bytes(_path(study, about).read_bytes()).histograms
            held_out = kept.pop(_HELD_OUT, None)
            snapshots = tuple(histogram.snapshot() for histogram in kept.values())
            return Settling(snapshots, held_out, pd.DataFrame(record["channels"]))
    return None


def measure_settling(study: Study, layer: Layer, progress: Progress | None = None) -> Settling:
    """Run the samples through the part of the model before `layer`, and keep what is seen. PlanError where
    there are no calibration samples or nothing enters that could be quantized.
    """
    found = known_settling(study, layer)
    if found is not None:
        return found
    if study.calibration is None or layer.input is None:
        raise PlanError("there is nothing to calibrate here", "open data with some set aside, choose a layer")
    axis = 1 if layer.op in ("Conv", "ConvTranspose") else -1
    seen = settle(study.graph, layer.input, study.calibration, _held_out(study), progress, axis)
    kept = {str(k.extremes.samples): StreamingHistogram.from_snapshot(k) for k in seen.checkpoints}
    if seen.held_out is not None:
        kept[_HELD_OUT] = seen.held_out
    about = _about(study, layer)
    write_whole(_path(study, about), Ranges(kept).to_bytes())
    channels = seen.channels.table()
    study.store.put(about, {"channels": channels.to_dict("list")})
    return Settling(seen.checkpoints, seen.held_out, channels)


def top_samples(study: Study, ranges: Ranges, layer: Layer) -> pd.DataFrame:
    """The calibration samples with the largest values in what enters `layer`, the largest first.

    Columns: sample (number among the calibration samples), largest (magnitude), label (None without)."""
    histogram = ranges.histograms.get(layer.input or "")
    top = [] if histogram is None else histogram.extremes.top
    labels = None if study.calibration is None else study.calibration.labels
    rows = [
        {"sample": number, "largest": value, "label": None if labels is None else _label(labels[number])}
        for value, number in top
    ]
    return pd.DataFrame(rows, columns=["sample", "largest", "label"])


def _label(label: np.generic | np.ndarray) -> int | None:
    return int(label) if np.ndim(label) == 0 and np.asarray(label).dtype.kind in "iu" else None


def _held_out(study: Study) -> Dataset | None:
    """Samples that calibration has not seen, spread over all there are."""
    if not study.has_data:
        return None
    count = len(study.data)
    return Subset(study.data, np.unique(np.linspace(0, count - 1, min(count, _MOST)).astype(np.int64)))


def _about(study: Study, layer: Layer) -> dict[str, object]:
    held_out = _held_out(study)
    return {
        "what": "settling",
        "model": study.graph.file.sha256,
        "tensor": layer.input,
        "op": layer.op,
        "calibration": None if study.calibration is None else study.calibration.key,
        "held_out": None if held_out is None else held_out.key,
        "engine": ENGINE,
    }


def _path(study: Study, about: dict[str, object]) -> Path:
    return study.store.path.parent / "settling" / f"{measurement_key(about)}.npz"
