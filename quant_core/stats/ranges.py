"""Activation ranges by each range method, from streaming histograms."""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Mapping

import numpy as np

from quant_core.errors import PlanError
from quant_core.formats import Scheme, find_range
from quant_core.stats.histogram import Snapshot, StreamingHistogram

_NO_EXPONENT = np.iinfo(np.int64).min


class Ranges:
    """What calibration found: a histogram per activation. Ranges are computed once per (tensor, scheme)."""

    def __init__(self, histograms: Mapping[str, StreamingHistogram]) -> None:
        self.histograms = dict(histograms)
        self._found: dict[tuple[str, Scheme], tuple[float, float]] = {}

    def find(self, tensor: str, scheme: Scheme) -> tuple[float, float]:
        """Low and high end of `tensor` by the method of `scheme`. PlanError where it was not calibrated."""
        histogram = self.histograms.get(tensor)
        if histogram is None or histogram.count == 0:
            raise PlanError(
                "the plan quantizes activations whose ranges were not measured",
                "give calibration data, or a plan that quantizes weights only",
            )
        key = (tensor, scheme)
        if key not in self._found:
            self._found[key] = _range_of(histogram, scheme)
        return self._found[key]

    def to_bytes(self) -> bytes:
        """The histograms as a file (`.npz`): nothing is lost, and empty bins take no room."""
        kept = [h.snapshot() for h in self.histograms.values()]
        widths = [_NO_EXPONENT if k.exponent is None else k.exponent for k in kept]
        whole = [
            [k.bins, width, k.count, k.zeros, k.not_finite, k.index.size]
            for k, width in zip(kept, widths, strict=True)
        ]
        held = [np.stack([k.counts, k.sums, k.squares]) for k in kept]
        file = io.BytesIO()
        np.savez_compressed(
            file,
            # As JSON in bytes: NumPy's own strings drop trailing zero characters.
            names=np.frombuffer(json.dumps(list(self.histograms)).encode(), np.uint8),
            whole=np.array(whole, np.int64).reshape(-1, 6),
            ends=np.array([[k.minimum, k.maximum] for k in kept], np.float64).reshape(-1, 2),
            index=np.concatenate([np.zeros(0, np.int64), *(k.index for k in kept)]),
            held=np.concatenate([np.zeros((3, 0)), *held], axis=1),
        )
        return file.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> Ranges:
        """The ranges that `to_bytes` wrote. ValueError where the file is damaged."""
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as file:
                return cls(_histograms({key: file[key] for key in file.files}))
        except (OSError, EOFError, KeyError, TypeError, IndexError, zipfile.BadZipFile, zlib.error) as error:
            raise ValueError("the file of ranges is damaged") from error


def _histograms(file: Mapping[str, np.ndarray]) -> dict[str, StreamingHistogram]:
    names, wholes, ends = json.loads(file["names"].tobytes()), file["whole"].tolist(), file["ends"].tolist()
    found, start = {}, 0
    for name, whole, (low, high) in zip(names, wholes, ends, strict=True):
        bins, exponent, count, zeros, not_finite, used = whole
        part = slice(start, start := start + used)
        width = None if exponent == _NO_EXPONENT else exponent
        kept = Snapshot(
            bins, width, low, high, count, zeros, not_finite, file["index"][part], *file["held"][:, part]
        )
        found[str(name)] = StreamingHistogram.from_snapshot(kept)
    return found


def _range_of(histogram: StreamingHistogram, scheme: Scheme) -> tuple[float, float]:
    if scheme.range == "minmax":
        return histogram.minimum, histogram.maximum
    values, counts = histogram.occupied()
    values = np.clip(values, histogram.minimum, histogram.maximum)
    low, high = find_range(values[None], scheme.range, scheme.number, scheme.symmetric, counts[None])
    return float(low[0]), float(high[0])
