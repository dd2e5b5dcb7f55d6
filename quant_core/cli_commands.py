"""What each command does: options in, a record of plain numbers out."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from quant_core.cli_options import byte_limit, formats_of, plan_of, source_of
from quant_core.cli_text import Progress
from quant_core.errors import ArgumentError
from quant_core.plan import PARTS
from quant_core.study import (
    BudgetSearch,
    Source,
    Study,
    cell_json,
    check_preprocess,
    compare_files,
    open_guarded,
    run_first,
)
from quant_core.study import samples as bundled

Record = dict[str, Any] | list[Any]


def samples(_: argparse.Namespace) -> Record:
    keys = ("name", "task", "metric_name", "metric_fp32", "bytes", "licence")
    return [{key: sample.card[key] for key in keys} for sample in bundled()]


def inspect(options: argparse.Namespace) -> Record:
    return open_guarded(Source(options.model, None), options.patience).inspect()


def sweep(options: argparse.Namespace) -> Record:
    formats = formats_of(options)
    parts = tuple(p.strip() for p in options.quantized.split(","))
    for part in parts:
        if part not in PARTS:
            raise ArgumentError(f"'{part}' cannot be quantized", f"choose from {', '.join(PARTS)}")
    study = _study(options)
    keys = study.cells(formats, parts)
    progress = Progress("cells")
    cells = {}
    if options.adaptive and options.execution != "simulated":
        raise ArgumentError("an adaptive sweep is simulated", "leave out --execution or --adaptive")
    measured = study.sweep_adaptively(keys) if options.adaptive else study.sweep(keys, options.execution)
    for cell in measured:
        cells[cell.key] = cell
        progress(sum(not c.is_first_look for c in cells.values()), len(keys))
    baseline = study.baseline(options.execution)
    record = {
        "layers": [layer.name for layer in study.graph.quantizable],
        "formats": formats,
        "samples": len(study.data),
        "calibration_samples": study.calibration_samples,
        "execution": options.execution,
        **({"generated_calibration": True} if study.calibration_is_generated else {}),
        "baseline": {
            "metric": baseline.metric,
            "metric_name": baseline.metric_name,
            "bytes": study.graph.file.bytes,
        },
        "cells": [cell_json(cells[key]) for key in keys],
    }
    if options.out:
        _write(options.out, json.dumps(record, indent=1) + "\n")
    return record


def evaluate(options: argparse.Namespace) -> Record:
    study = _study(options)
    plan = plan_of(options, study)
    return study.evaluate(plan, options.execution, Progress("samples")).to_json()


def search(options: argparse.Namespace) -> Record:
    study = _study(options)
    budget = BudgetSearch(study, tuple(formats_of(options)))
    if options.max_bytes is not None:
        limit = byte_limit(options.max_bytes, study.graph.file.bytes)
        budget.measure(Progress("cells"))
        found = budget.within_bytes(limit)
    else:
        if options.max_drop < 0:
            raise ArgumentError(f"--max-drop is {options.max_drop:g}", "give 0 or more percentage points")
        budget.measure(Progress("cells"))
        found = budget.within_drop(options.max_drop)
    evaluation = (
        found.evaluation
        if options.execution == "simulated"
        else study.evaluate(found.plan, options.execution)
    )
    _write(options.out, json.dumps(found.plan.to_json(), indent=1) + "\n")
    predicted = {"sqnr_db": found.predicted_sqnr_db, "bytes": found.predicted_bytes}
    return {**evaluation.to_json(), "plan": str(options.out), "predicted": predicted}


def export(options: argparse.Namespace) -> Record:
    study = _study(options, needs_data=False)
    plan = plan_of(options, study)
    return study.export(plan, options.out, options.decoder)


def compare(options: argparse.Namespace) -> Record:
    source = source_of(options, options.a, options.data)
    run_first((options.a, options.b), source, options.patience)
    how = (source.calibration, source.preprocess, source.samples, source)
    return compare_files(options.a, options.b, options.data, *how)


def check_data(options: argparse.Namespace) -> Record:
    if options.samples < 1:
        raise ArgumentError(f"--samples is {options.samples}", "give a number above 0")
    source = source_of(options, options.model, options.data)
    run_first((options.model,), source, options.patience)
    found = check_preprocess(
        options.model, options.data, options.preprocess, options.samples, source, Progress("preprocessings")
    )
    return found.to_json()


def _study(options: argparse.Namespace, needs_data: bool = True) -> Study:
    data = options.data
    if data is None and str(options.model).startswith("sample:"):
        data = options.model
    if data is None and needs_data:
        raise ArgumentError("No data is named", "add --data with a file, a folder, or sample:NAME")
    study = open_guarded(source_of(options, options.model, data), options.patience)
    for note in study.notes:
        print(note, file=sys.stderr)
    return study


def _write(path: str, text: str) -> None:
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise ArgumentError(
            f"'{path}' cannot be written ({error.strerror})", "choose another place"
        ) from error
