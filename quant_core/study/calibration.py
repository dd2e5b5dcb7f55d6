"""Activation ranges are measured once: the histograms are kept on disk under what they depend on."""

from __future__ import annotations

import contextlib
from pathlib import Path

from quant_core.data import Dataset
from quant_core.engine import ENGINE, Progress, calibrate
from quant_core.graph import Graph
from quant_core.stats import Ranges
from quant_core.store import measurement_key, write_whole


class KeptRanges:
    """The ranges of one model on one set of calibration samples: in memory, in a file, or still to measure.

    The file lies in `folder` under the hash of model, samples, measured tensors and engine."""

    def __init__(self, graph: Graph, data: Dataset, folder: Path) -> None:
        self._graph, self._data = graph, data
        about = {
            "what": "ranges",
            "model": graph.file.sha256,
            "tensors": [layer.input for layer in graph.quantizable],
            "calibration": data.key,
            "engine": ENGINE,
        }
        self.path = folder / f"{measurement_key(about)}.npz"
        self._ranges: Ranges | None = None

    def known(self) -> Ranges | None:
        """The ranges if they were measured before. A damaged file counts as none."""
        if self._ranges is None:
            with contextlib.suppress(OSError, ValueError):
                self._ranges = Ranges.from_bytes(self.path.read_bytes())
        return self._ranges

    def measure(self, progress: Progress | None = None) -> Ranges:
        """The ranges, measured by a pass over the samples unless they are known, and kept."""
        found = self.known()
        if found is None:
            found = self._ranges = calibrate(self._graph, self._data, progress)
            write_whole(self.path, found.to_bytes())
        return found
