"""Open what a user gave: first in a process with hard limits, which prepares the model and proves every step;
then here, where nothing of it has to be run any more."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from quant_core.engine import ENGINE
from quant_core.jobs import SECONDS, run_guarded
from quant_core.store import Store, touch_used
from quant_core.study.hub import is_hub, kept_path
from quant_core.study.source import Source
from quant_core.study.study import Study

_FUNCTION = "quant_core.study.opening:try_open"


def open_guarded(source: Source, seconds: float = SECONDS, memory: int | None = None) -> Study:
    """The study of `source`. QuantscopeError says in one sentence what is wrong with its files, also where
    they crash, hang or exhaust what reads them.
    """
    store = Store()
    about = {"what": "opened", "source": asdict(source), "stamps": source.stamps, "engine": ENGINE}
    if not source.is_sample and store.get(about) is None:
        found = run_guarded(_FUNCTION, asdict(source), Path(source.model).name, seconds, memory)
        store.put(about, found)
    for reference in (source.model, source.data, source.calibration, source.tokenizer, source.boxes):
        if reference and not is_hub(reference):
            touch_used(Path(reference))
        elif reference:
            touch_used(kept_path(reference))
    return source.open()


def try_open(record: dict[str, Any]) -> dict[str, Any]:
    """Open the source whose fields `record` holds, and keep what was prepared. What runs in the guarded
    process; gives how many layers there are.
    """
    study = Source.from_record(record).open()
    if study.has_data:
        study.data.take(np.zeros(1, np.int64))
    return {"layers": len(study.graph.layers), "savings": len(study.savings)}
