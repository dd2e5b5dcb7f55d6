"""Long work on a study, as the workers do it.

A worker opens the study by its source and keeps every measurement in the store at once, so what a window
shows is always what the store has; a job only says how far it is. The keys of a job are its source and what
is asked, so asking twice is asking once."""

from __future__ import annotations

import atexit
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache, lru_cache
from typing import Any

from quant_core.data import Dataset, Quality
from quant_core.engine import CellKey
from quant_core.errors import QuantscopeError
from quant_core.formats import Scheme
from quant_core.jobs import Line, Tick
from quant_core.plan import Plan
from quant_core.study.budget import BudgetSearch
from quant_core.study.certify import certify_plan
from quant_core.study.checked import keep_check
from quant_core.study.costs import measure_costs
from quant_core.study.exports import write_export
from quant_core.study.formats import measure_formats, unmeasured_formats
from quant_core.study.hub import fetch
from quant_core.study.integers import measure_integers
from quant_core.study.latency import measure_latency
from quant_core.study.settled import measure_settling
from quant_core.study.source import Source
from quant_core.study.study import Study

EVALUATE, PRESET, LATENCY, CALIBRATE = "evaluate", "preset", "latency", "calibrate"
SWEEP, SEARCH, EXPORT, SETTLE, INTEGERS = "sweep", "search", "export", "settle", "integers"
FORMATS, FETCH, CHECK = "formats", "fetch", "check"
CERTIFY, COSTS = "certify", "costs"


@cache
def line() -> Line:
    """The jobs of this process."""
    made = Line(_TASKS)
    atexit.register(made.close)
    return made


def _evaluate(spec: dict[str, Any], tick: Tick) -> dict[str, Any]:
    study, plan = _opened(spec, tick), Plan.from_json(spec["plan"])
    _calibrated(study, plan.needs_ranges, tick)
    tick(0, len(study.data), "Measuring the plan")

    def early(quality: Quality) -> None:
        said = None if quality.agreement is None else f"agreement about {100 * quality.agreement:.0f} %"
        tick(
            note=f"Measuring the plan: {said or f'SQNR about {quality.sqnr_db:.0f} dB'} on the first samples"
        )

    study.evaluate(plan, progress=tick, early=early)
    return {}


def _latency(spec: dict[str, Any], tick: Tick) -> dict[str, Any]:
    study, plan = _opened(spec, tick), Plan.from_json(spec["plan"])
    measure_latency(study, plan, tick)
    return {}


def _costs(spec: dict[str, Any], tick: Tick) -> dict[str, Any]:
    study, plan = _opened(spec, tick), Plan.from_json(spec["plan"])
    _calibrated(study, True, tick)
    measure_costs(study, plan, tick)
    return {}


def _calibrate(spec: dict[str, Any], tick: Tick) -> dict[str, Any]:
    _calibrated(_opened(spec, tick), True, tick)
    return {}


def _settle(spec: dict[str, Any], tick: Tick) -> dict[str, Any]:
    study = _opened(spec, tick)
    tick(note="")
    measure_settling(study, study.graph.layer(spec["layer"]), tick)
    return {}


def _formats(spec: dict[str, Any], tick: Tick) -> dict[str, Any]:
    study = _opened(spec, tick)
    layer = study.graph.layer(spec["layer"])
    tick(note="")
    measure_formats(study, layer, unmeasured_formats(study, layer), tick)
    return {}


def _integers(spec: dict[str, Any], tick: Tick) -> dict[str, Any]:
    study = _opened(spec, tick)
    _calibrated(study, True, tick)
    tick(note="")
    measure_integers(study, study.graph.layer(spec["layer"]), Scheme.from_json(spec["weights"]), tick)
    return {}


def _sweep(spec: dict[str, Any], tick: Tick) -> dict[str, Any]:
    study = _opened(spec, tick)
    keys = cells_of(study, spec["formats"])
    exact = spec.get("exact", False) or study.is_quick or not study.can_adapt
    known = {k: c for k, c in study.known_cells(keys, few=not exact).items() if not c.is_first_look}
    missing = [key for key in keys if key not in known]
    if missing:
        _calibrated(study, any(key.part != "weights" for key in missing), tick)
    done, failures = 0, []
    note = f"{len(known)} were known" if known else ""
    tick(done, len(missing), note)

    def failed(key: CellKey, error: QuantscopeError) -> None:
        failures.append([key.layer, key.format, key.part, str(error)])

    sweep = study.sweep if exact else study.sweep_adaptively
    for cell in sweep(missing, pulse=tick, failed=failed):
        done += not cell.is_first_look
        tick(done, len(missing), "A first look at every cell" if cell.is_first_look else note)
    return {"kept": len(known), "measured": done, "failed": failures}


def _search(spec: dict[str, Any], tick: Tick) -> dict[str, Any]:
    study, start = _opened(spec, tick), Plan.from_json(spec["start"])
    _calibrated(study, start.needs_ranges, tick)
    search = BudgetSearch(study, start=start, pulse=tick)
    search.measure(lambda done, total: tick(done, total, "Measuring damage on calibration samples"))
    tick(note="Trying plans on calibration samples")
    found = search.within_bytes(int(study.graph.file.bytes * spec["share"]))
    plan = replace(found.plan, name=f"Search, {100 * spec['share']:g} %")
    return {"plan": plan.to_json(), "predicted_sqnr_db": found.predicted_sqnr_db}


def _export(spec: dict[str, Any], tick: Tick) -> dict[str, Any]:
    study, plan = _opened(spec, tick), Plan.from_json(spec["plan"])
    _calibrated(study, plan.needs_ranges, tick)
    return write_export(study, plan, spec["decoder"], tick)


def _certify(spec: dict[str, Any], tick: Tick) -> dict[str, Any]:
    study, plan = _opened(spec, tick), Plan.from_json(spec["plan"])
    _calibrated(study, plan.needs_ranges, tick)
    certify_plan(study, plan, spec["decoder"], [spec["part"]], tick)
    return {}


def _fetch(spec: dict[str, Any], tick: Tick) -> dict[str, Any]:
    return {"reference": fetch(spec["reference"], tick)}


def _check(spec: dict[str, Any], tick: Tick) -> dict[str, Any]:
    tick(note="Trying other preprocessing")
    keep_check(Source.from_record(spec["source"]), tick)
    return {}


_TASKS = {
    CHECK: _check,
    FETCH: _fetch,
    EVALUATE: _evaluate,
    PRESET: _evaluate,
    LATENCY: _latency,
    COSTS: _costs,
    CALIBRATE: _calibrate,
    SETTLE: _settle,
    INTEGERS: _integers,
    FORMATS: _formats,
    SWEEP: _sweep,
    SEARCH: _search,
    EXPORT: _export,
    CERTIFY: _certify,
}


def cells_of(study: Study, formats: Mapping[str, Sequence[str]]) -> list[CellKey]:
    """The cells of a sensitivity table, in the order of execution; without calibration only those of
    weights.
    """
    parts = [p for p in formats if p == "weights" or study.calibration is not None]
    cells = [key for part in parts for key in study.cells(list(formats[part]), (part,))]
    order = {layer.name: number for number, layer in enumerate(study.graph.quantizable)}
    return sorted(cells, key=lambda key: order[key.layer])


def _opened(spec: dict[str, Any], tick: Tick) -> Study:
    source = Source.from_record(spec["source"])
    tick(note="Opening the model and its data")
    return _study(source, source.stamps)


@lru_cache(maxsize=2)
def _study(source: Source, stamps: tuple[float, ...]) -> Study:
    return source.open()


def _calibrated(study: Study, needed: bool, tick: Tick) -> None:
    if needed and not study.has_ranges:
        calibration: Dataset | None = study.calibration
        tick(0, 0 if calibration is None else len(calibration), "Calibrating")
        study.calibrate(tick)
