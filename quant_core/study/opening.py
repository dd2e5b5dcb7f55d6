"""Open what a user gave: first in a process with hard limits, which prepares the model and proves every step;
then here, where nothing of it has to be run any more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from quant_core.data import PREFIX
from quant_core.engine import ENGINE, batch_size, make_session, run_whole
from quant_core.graph import inputs_of
from quant_core.jobs import SECONDS, run_guarded
from quant_core.store import Store, touch_used
from quant_core.study.hub import is_hub, kept_path
from quant_core.study.open import open_model, open_samples
from quant_core.study.source import Source
from quant_core.study.study import Study

_OPEN, _RUN = (f"quant_core.study.opening:{name}" for name in ("try_open", "try_run"))


def open_guarded(source: Source, seconds: float = SECONDS, memory: int | None = None) -> Study:
    """The study of `source`. QuantscopeError says in one sentence what is wrong with its files, also where
    they crash, hang or exhaust what reads them.
    """
    store = Store()
    about = {"what": "opened", "source": asdict(source), "stamps": source.stamps, "engine": ENGINE}
    about["folder"] = str(Path.cwd())  # which paths may be relative to
    if not source.is_sample and store.get(about) is None:
        found = run_guarded(_OPEN, asdict(source), Path(source.model).name, seconds, memory)
        store.put(about, found)
    for reference in (source.model, source.data, source.calibration, source.tokenizer, source.boxes):
        if reference and not is_hub(reference):
            touch_used(Path(reference))
        elif reference:
            touch_used(kept_path(reference))
    return source.open()


def run_first(models: Sequence[str], source: Source, seconds: float = SECONDS) -> None:
    """Run the files `models` as they are on a batch of the data of `source` in a process with hard limits,
    before they are run here. QuantscopeError says in one sentence what goes wrong.
    """
    for model in models:
        if not model.startswith(PREFIX):
            given = {"model": model, "of": models[0], "source": asdict(source)}
            run_guarded(_RUN, given, Path(model).name, seconds)


def try_open(record: dict[str, Any]) -> dict[str, Any]:
    """Open the source whose fields `record` holds, and keep what was prepared. What runs in the guarded
    process; gives how many layers there are.
    """
    study = Source.from_record(record).open()
    if study.has_data:
        study.data.take(np.zeros(1, np.int64))
    return {"layers": len(study.graph.layers), "savings": len(study.savings)}


def try_run(record: dict[str, Any]) -> dict[str, Any]:
    """Run a file on a batch of data made for the inputs of the file `of`. What runs in the guarded process;
    gives how many outputs there are.
    """
    file, of = open_model(record["model"]), open_model(record["of"])
    inputs, source = inputs_of(of.model), Source.from_record(record["source"])
    data = open_samples(source.data, inputs, "none", source.preprocess, None, source.reading(of)).evaluation
    session = make_session(file.path, "float")
    wanted = {port.name for port in session.get_inputs()}
    if data is None or wanted != {port.name for port in inputs}:
        return {"outputs": 0}  # whoever compares the two says what is wrong
    feeds = data.take(np.arange(batch_size(inputs)) % len(data))
    return {"outputs": len(run_whole(session, feeds))}
