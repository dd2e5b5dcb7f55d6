"""In how many lanes a model runs fastest here: measured once on a machine, and kept."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np

from quant_core.data import Dataset
from quant_core.engine import Lanes, batch_size, machine, measure_lanes, runtime
from quant_core.graph import ModelFile, inputs_of, runnable
from quant_core.store import Store


def lanes_of(file: ModelFile, data: Dataset, store: Store) -> Lanes:
    """The lanes for batches of `data`."""
    size = batch_size(inputs_of(file.model))
    about: dict[str, object] = {"what": "lanes", "model": file.sha256, "batch": size}
    about |= {"machine": machine(), "runtime": runtime()}
    record = store.get(about)
    if record is None:
        batch = data.take(np.arange(min(size, len(data))))
        record = asdict(measure_lanes(runnable(file), batch, file.bytes))
        store.put(about, record)
    return Lanes(**record)
