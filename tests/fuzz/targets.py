"""One case: write a hostile file from its seed, give it to the real entry points, say what came of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

import numpy as np

from quant_core.cli_text import as_text
from quant_core.data import guess_task, open_data
from quant_core.errors import ModelError, QuantscopeError
from quant_core.graph import Graph, inputs_of, outputs_of, read_model
from quant_core.lower import WeightCache, lower, to_bytes
from quant_core.plan import Plan, check_plan, preset_plan, read_plan
from quant_core.prepare import prepare
from quant_core.stats import Ranges
from quant_core.study.inspection import inspection
from tests.fuzz.data import Case, write_data
from tests.fuzz.models import write_model
from tests.fuzz.plans import graph, write_plan_file

KINDS = ("models", "data", "plans")
LONGEST = 1200  # characters of an error


@dataclass(frozen=True)
class Outcome:
    """`what` is `success`, the kind of the QuantscopeError, or `finding`; `text` is the error or what is
    wrong."""

    what: str
    text: str = ""


class Findings(Exception):  # noqa: N818
    """Something that a stranger's file must not bring about."""


def draw_for(kind: str, number: int, seed: int) -> Random:
    """The generator of a case: the same for the same case, whatever ran before."""
    return Random(f"{seed} {kind} {number}")


def run_case(kind: str, number: int, seed: int, folder: Path, shared: Path, share: float) -> Outcome:
    """Write and open the case in `folder`. ONNX Runtime runs on a `share` of the models. Any exception
    that is no QuantscopeError is the caller's to catch."""
    draw = draw_for(kind, number, seed)
    try:
        if kind == "models":
            path = write_model(draw, folder)
            written = _listing(folder)
            try:
                _open_model(path, draw.random() < share)
            finally:
                _unchanged(folder, written)
        elif kind == "data":
            case = write_data(draw, folder)
            written = _listing(folder)
            try:
                _open_data(case)
            finally:
                _unchanged(folder, written)
        else:
            _open_plan(write_plan_file(draw, folder, shared), shared)
    except QuantscopeError as error:
        said = str(error)
        if not said.isprintable() or not said.strip() or len(said) > LONGEST:
            raise Findings(f"an error of {len(said)} characters that is no line: {said[:200]!r}") from error
        return Outcome(type(error).__name__, said)
    return Outcome("success")


def _open_model(path: Path, with_runtime: bool) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise ModelError("ONNX Runtime is left out of this case")

    file = read_model(path)
    _inside(path)
    inputs_of(file.model), outputs_of(file.model)
    if with_runtime:
        prepared, _ = prepare(file.model)
    else:
        with mock.patch("quant_core.prepare.prepare.make_session", refuse):
            prepared, _ = prepare(file.model)
    held = Graph(file, prepared)
    record = inspection(held, ())
    json.dumps(record, allow_nan=False)
    _plain(as_text("inspect", record))
    plan = preset_plan(held, "int8-weights")
    check_plan(held, plan)
    to_bytes(lower(WeightCache(held), plan, Ranges({}).find, {}, "cast"))


def _inside(path: Path) -> None:
    """A model that was read has nothing to do with the canary."""
    if b"canary" in path.read_bytes():
        import onnx

        model = onnx.load(path, load_external_data=False)
        for tensor in model.graph.initializer:
            for entry in tensor.external_data:
                if entry.key == "location" and "canary" in entry.value:
                    raise Findings("data outside the folder was accepted")


def _plain(text: str) -> None:
    for line in text.split("\n"):
        if not line.isprintable():
            raise Findings(f"control characters on the terminal: {line[:200]!r}")


def _open_data(case: Case) -> None:
    data = open_data(case.path, case.inputs, case.preprocess, case.reading)
    count = 0
    for batch, labels in data.batches(3):
        rows = {len(array) for array in batch.values()}
        if len(rows) != 1 or (labels is not None and {len(labels)} != rows):
            raise Findings(f"a batch of {rows} samples")
        for port in case.inputs:
            array = batch[port.name]
            if array.dtype != np.dtype(port.dtype) or array.ndim != len(port.shape):
                raise Findings(f"{port.name} is {array.dtype} {array.shape}")
        count += rows.pop()
    if count != len(data):
        raise Findings(f"{count} samples of {len(data)}")
    guess_task(case.inputs, (), data)
    _plain(data.name)
    _plain(" ".join(data.notes))


def _open_plan(path: Path, shared: Path) -> None:
    plan = read_plan(path)
    record: Any = json.loads(json.dumps(plan.to_json()))
    if Plan.from_json(record).digest != plan.digest:
        raise Findings("the plan is another one when it is written and read")
    _ = plan.key
    held = graph(shared)
    check_plan(held, plan)
    if not plan.needs_calibration:
        to_bytes(lower(WeightCache(held), plan, Ranges({}).find, {}, "cast"))


def _listing(folder: Path) -> dict[str, tuple[int, int]]:
    found = {}
    for path in sorted(folder.rglob("*")):
        stat = path.lstat()
        found[str(path)] = (stat.st_size, stat.st_mtime_ns)
    return found


def _unchanged(folder: Path, before: dict[str, tuple[int, int]]) -> None:
    after = _listing(folder)
    if after != before:
        raise Findings(f"files were touched: {sorted(set(after.items()) ^ set(before.items()))[:3]}")
