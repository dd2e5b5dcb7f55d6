"""Activation ranges by each range method, from streaming histograms."""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Iterator, Mapping

import numpy as np

from quant_core.errors import PlanError
from quant_core.formats import Scheme, find_range
from quant_core.stats.extremes import ExtremesSnapshot
from quant_core.stats.histogram import Snapshot, StreamingHistogram

_NO_EXPONENT = np.iinfo(np.int64).min
_FILE = 2  # version of the file; 1 knew nothing of samples
_NOTHING = StreamingHistogram(1)
_WITHOUT_ZEROS = ("octav", "entropy")  # which leave out what is exactly zero


class Ranges:
    """What calibration found: a histogram per activation. Ranges are computed once per (tensor, scheme)."""

    def __init__(self, histograms: Mapping[str, StreamingHistogram]) -> None:
        self.histograms = dict(histograms)
        self._found: dict[tuple[str, Scheme], tuple[float, float]] = {}

    def find(self, tensor: str, scheme: Scheme) -> tuple[float, float]:
        """Low and high end of `tensor` by the method of `scheme`. PlanError where it was not calibrated."""
        key = (tensor, scheme)
        if key not in self._found:
            self._found[key] = range_of(self.histograms.get(tensor, _NOTHING), scheme)
        return self._found[key]

    def to_bytes(self) -> bytes:
        """The histograms as a file (`.npz`): nothing is lost, and empty bins take no room."""
        kept = [h.snapshot() for h in self.histograms.values()]
        widths = [_NO_EXPONENT if k.exponent is None else k.exponent for k in kept]
        whole = [
            [k.bins, width, k.count, k.zeros, k.zeros_binned, k.not_finite, k.index.size]
            for k, width in zip(kept, widths, strict=True)
        ]
        held = [np.stack([k.counts, k.sums, k.squares]) for k in kept]
        extremes = [k.extremes for k in kept]
        file = io.BytesIO()
        np.savez_compressed(
            file,
            # As JSON in bytes: NumPy's own strings drop trailing zero characters.
            names=np.frombuffer(json.dumps(list(self.histograms)).encode(), np.uint8),
            whole=np.array(whole, np.int64).reshape(-1, 7),
            ends=np.array([[k.minimum, k.maximum] for k in kept], np.float64).reshape(-1, 2),
            index=np.concatenate([np.zeros(0, np.int64), *(k.index for k in kept)]),
            held=np.concatenate([np.zeros((3, 0)), *held], axis=1),
            version=np.array(_FILE),
            samples=np.array([[e.samples, e.measured, e.top_samples.size] for e in extremes]).reshape(-1, 3),
            sums=np.array([[e.minima, e.maxima] for e in extremes], np.float64).reshape(-1, 2),
            top_values=np.concatenate([np.zeros(0), *(e.top_values for e in extremes)]),
            top_samples=np.concatenate([np.zeros(0, np.int64), *(e.top_samples for e in extremes)]),
        )
        return file.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> Ranges:
        """The ranges that `to_bytes` wrote. ValueError where the file is damaged or of an older version."""
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as file:
                return cls(_histograms({key: file[key] for key in file.files}))
        except (OSError, EOFError, KeyError, TypeError, IndexError, zipfile.BadZipFile, zlib.error) as error:
            raise ValueError("the file of ranges is damaged") from error


def _histograms(file: Mapping[str, np.ndarray]) -> dict[str, StreamingHistogram]:
    if int(file["version"]) != _FILE:
        raise ValueError("the file of ranges is of another version")
    names, wholes, ends = json.loads(file["names"].tobytes()), file["whole"].tolist(), file["ends"].tolist()
    found, start = {}, 0
    for name, whole, (low, high), extremes in zip(names, wholes, ends, _extremes(file), strict=True):
        bins, exponent, count, zeros, zeros_binned, not_finite, used = whole
        part = slice(start, start := start + used)
        width = None if exponent == _NO_EXPONENT else exponent
        counts, sums, squares = file["held"][:, part]
        held = (file["index"][part], counts, sums, squares)
        kept = Snapshot(bins, width, low, high, count, zeros, zeros_binned, not_finite, *held, extremes)
        found[str(name)] = StreamingHistogram.from_snapshot(kept)
    return found


def _extremes(file: Mapping[str, np.ndarray]) -> Iterator[ExtremesSnapshot]:
    start = 0
    for (samples, measured, top), (minima, maxima) in zip(
        file["samples"].tolist(), file["sums"].tolist(), strict=True
    ):
        part = slice(start, start := start + top)
        yield ExtremesSnapshot(
            samples, measured, minima, maxima, file["top_values"][part], file["top_samples"][part]
        )


def range_of(histogram: StreamingHistogram, scheme: Scheme) -> tuple[float, float]:
    """Low and high end of the values of `histogram` by the range method of `scheme`; a dynamic range is drawn
    as that of everything. PlanError where nothing was measured.
    """
    if histogram.count == 0:
        raise PlanError(
            "the plan quantizes activations whose ranges were not measured",
            "give calibration data, or a plan that quantizes weights only",
        )
    if scheme.range in ("minmax", "dynamic"):
        return histogram.minimum, histogram.maximum
    if scheme.range == "average":
        return histogram.extremes.average
    values, counts = histogram.occupied(zeros=scheme.range not in _WITHOUT_ZEROS)
    values = np.clip(values, histogram.minimum, histogram.maximum)
    low, high = find_range(values[None], scheme.range, scheme.number, scheme.symmetric, counts[None])
    return float(low[0]), float(high[0])
