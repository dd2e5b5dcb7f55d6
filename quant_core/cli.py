"""The command line: the same Study as the pages."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from quant_core.cli_text import Progress, as_text
from quant_core.errors import ArgumentError, QuantscopeError
from quant_core.plan import PARTS, PRESETS, Plan, check_plan, preset_plan, read_plan
from quant_core.study import (
    DECODERS,
    EXECUTIONS,
    KINDS,
    PREPROCESSING,
    TASKS,
    BudgetSearch,
    Details,
    Study,
    cell_json,
    check_preprocess,
    compare_files,
    samples,
)

Record = dict[str, Any] | list[Any]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code is 0, or 2 for bad input."""
    try:
        options = _parser().parse_args(arguments)
        with _clean_output():
            record = options.run(options)
    except QuantscopeError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Stopped; what was measured is kept.", file=sys.stderr)
        return 130
    print(json.dumps(record, indent=1) if options.json else as_text(options.command, record))
    return 0


@contextmanager
def _clean_output() -> Iterator[None]:
    """Send what native libraries print to standard error: HiGHS, behind milp, prints at times."""
    sys.stdout.flush()
    saved = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        os.dup2(saved, 1)
        os.close(saved)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ArgumentError(message[:1].upper() + message[1:], f"see {self.prog} --help")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m quant_core", description="Quantize ONNX models and measure what it does to them."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_Parser)

    def command(name: str, run: Callable[[argparse.Namespace], Record], text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text)
        added.add_argument("--json", action="store_true", help="write one JSON document and nothing else")
        added.set_defaults(run=run)
        return added

    command("samples", _samples, "List the bundled samples.")
    inspect = command("inspect", _inspect, "Show what a model file holds.")
    inspect.add_argument("model", metavar="MODEL", help="path of an .onnx file, or sample:NAME")

    sweep = command("sweep", _sweep, "Measure every layer at every format, all others in float.")
    _add_data(sweep)
    sweep.add_argument("--formats", default="int8,int4,int2", help="formats, separated by commas")
    sweep.add_argument(
        "--quantized", default=",".join(PARTS), help="weights, activations, both; separated by commas"
    )
    sweep.add_argument("--out", metavar="F", help="also write the table to this JSON file")
    _add_execution(sweep)

    evaluate = command("evaluate", _evaluate, "Measure a plan on the file that export writes.")
    _add_data(evaluate)
    _add_plan(evaluate)
    _add_execution(evaluate)

    search = command("search", _search, "Find the best plan under a budget.")
    _add_data(search)
    budget = search.add_mutually_exclusive_group(required=True)
    budget.add_argument("--max-bytes", metavar="B", help="bytes, or a share of the FP32 file such as 25%%")
    budget.add_argument("--max-drop", metavar="PP", type=float, help="percentage points the metric may lose")
    search.add_argument("--formats", default="fp16,int8,int4,int2", help="weight formats to choose from")
    search.add_argument("--out", metavar="F", required=True, help="the plan file to write")
    _add_execution(search)

    export = command("export", _export, "Write the quantized ONNX file.")
    _add_data(export)
    _add_plan(export)
    export.add_argument("--out", metavar="F", required=True, help="the ONNX file to write")
    export.add_argument(
        "--decoder", choices=DECODERS, default="cast", help="how weight-only layers are decoded"
    )

    both = command("compare", _compare, "Compare two ONNX files on the same data.")
    both.add_argument("a", metavar="A", help="path of an .onnx file, or sample:NAME")
    both.add_argument("b", metavar="B", help="path of the other")
    _add_samples(both, required=True)

    check = command("check-data", _check_data, "Check that images are prepared as the model was trained.")
    check.add_argument("model", metavar="MODEL", help="path of an .onnx file, or sample:NAME")
    check.add_argument("--data", metavar="D", required=True, help="a folder or a zip archive of images")
    check.add_argument("--preprocess", metavar="P", required=True, help="the preprocessing to check")
    check.add_argument("--samples", metavar="N", type=int, default=64, help="images to try it on (64)")
    check.add_argument("--size", metavar="DIM=N", action="append", help="the size of a free dimension")
    return parser


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="path of an .onnx file, or sample:NAME")
    _add_samples(parser)


def _add_samples(parser: argparse.ArgumentParser, required: bool = False) -> None:
    parser.add_argument("--data", metavar="D", required=required, help=f"{KINDS}, or sample:NAME")
    parser.add_argument(
        "--calibration",
        metavar="none|N|PATH|generated:N",
        help="what ranges are measured on (default: a fifth of the samples); generated: made-up inputs",
    )
    parser.add_argument(
        "--preprocess",
        metavar="P",
        help=f"for images: {', '.join(PREPROCESSING)}, with +bgr or +stretch if wanted, or a JSON file",
    )
    parser.add_argument("--samples", metavar="N", type=int, help="evaluate only this many samples")
    parser.add_argument("--task", metavar="T", help=f"what is measured, unless guessed: {', '.join(TASKS)}")
    parser.add_argument(
        "--outputs", metavar="O", help="the output that decides, or scores=NAME,boxes=NAME[,format=centres]"
    )
    parser.add_argument(
        "--size",
        metavar="DIM=N",
        action="append",
        help="the size of a free dimension, by its name or as x[1]",
    )
    parser.add_argument("--tokenizer", metavar="F", help="for text: the tokenizer.json of the model")
    parser.add_argument("--rate", metavar="HZ", type=int, help="for sound: the rate the model was trained on")
    parser.add_argument("--boxes", metavar="F", help="for detectors: XML files with the boxes of the images")


def _add_plan(parser: argparse.ArgumentParser) -> None:
    chosen = parser.add_mutually_exclusive_group(required=True)
    chosen.add_argument("--preset", help=", ".join(PRESETS))
    chosen.add_argument("--plan", metavar="F", help="a plan file")
    parser.add_argument(
        "--bias-correction", action="store_true", help="correct the bias of every quantized layer"
    )


def _add_execution(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--execution", choices=EXECUTIONS, default="simulated", help="arithmetic in float, or as shipped"
    )


def _study(options: argparse.Namespace, needs_data: bool = True) -> Study:
    data = options.data
    if data is None and str(options.model).startswith("sample:"):
        data = options.model
    if data is None and needs_data:
        raise ArgumentError("No data is named", "add --data with a file, a folder, or sample:NAME")
    study = Study.open(
        options.model,
        data,
        options.calibration,
        options.preprocess,
        options.samples,
        details=_details(options),
    )
    for note in study.notes:
        print(note, file=sys.stderr)
    return study


def _details(options: argparse.Namespace) -> Details:
    sizes = ",".join(options.size) if options.size else None
    return Details(options.task, options.outputs, sizes, options.tokenizer, options.rate, options.boxes)


def _plan(options: argparse.Namespace, study: Study) -> Plan:
    plan = preset_plan(study.graph, options.preset) if options.preset else read_plan(options.plan)
    check_plan(study.graph, plan)
    return plan.with_bias_correction() if options.bias_correction else plan


def _formats(options: argparse.Namespace) -> list[str]:
    return list(dict.fromkeys(name.strip() for name in options.formats.split(",") if name.strip()))


def _samples(_: argparse.Namespace) -> Record:
    keys = ("name", "task", "metric_name", "metric_fp32", "bytes", "licence")
    return [{key: sample.card[key] for key in keys} for sample in samples()]


def _inspect(options: argparse.Namespace) -> Record:
    return Study.open(options.model).inspect()


def _sweep(options: argparse.Namespace) -> Record:
    formats = _formats(options)
    parts = tuple(p.strip() for p in options.quantized.split(","))
    for part in parts:
        if part not in PARTS:
            raise ArgumentError(f"'{part}' cannot be quantized", f"choose from {', '.join(PARTS)}")
    study = _study(options)
    keys = study.cells(formats, parts)
    progress = Progress("cells")
    for done, _ in enumerate(study.sweep(keys, options.execution), start=1):
        progress(done, len(keys))
    cells = {cell.key: cell for cell in study.sized(keys, options.execution)}
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


def _evaluate(options: argparse.Namespace) -> Record:
    study = _study(options)
    plan = _plan(options, study)
    return study.evaluate(plan, options.execution, Progress("samples")).to_json()


def _search(options: argparse.Namespace) -> Record:
    study = _study(options)
    search = BudgetSearch(study, tuple(_formats(options)))
    if options.max_bytes is not None:
        limit = _budget(options.max_bytes, study.graph.file.bytes)
        search.measure(Progress("cells"))
        found = search.within_bytes(limit)
    else:
        if options.max_drop < 0:
            raise ArgumentError(f"--max-drop is {options.max_drop:g}", "give 0 or more percentage points")
        search.measure(Progress("cells"))
        found = search.within_drop(options.max_drop)
    evaluation = (
        found.evaluation
        if options.execution == "simulated"
        else study.evaluate(found.plan, options.execution)
    )
    _write(options.out, json.dumps(found.plan.to_json(), indent=1) + "\n")
    predicted = {"sqnr_db": found.predicted_sqnr_db, "bytes": found.predicted_bytes}
    return {**evaluation.to_json(), "plan": str(options.out), "predicted": predicted}


def _export(options: argparse.Namespace) -> Record:
    study = _study(options, needs_data=False)
    plan = _plan(options, study)
    return study.export(plan, options.out, options.decoder)


def _compare(options: argparse.Namespace) -> Record:
    return compare_files(
        options.a,
        options.b,
        options.data,
        options.calibration,
        options.preprocess,
        options.samples,
        _details(options),
    )


def _check_data(options: argparse.Namespace) -> Record:
    if options.samples < 1:
        raise ArgumentError(f"--samples is {options.samples}", "give a number above 0")
    details = Details(sizes=",".join(options.size) if options.size else None)
    found = check_preprocess(
        options.model, options.data, options.preprocess, options.samples, details, Progress("preprocessings")
    )
    return found.to_json()


def _budget(text: str, bytes_fp32: int) -> int:
    share = text.strip().endswith("%")
    try:
        number = float(text.strip().rstrip("%"))
    except ValueError:
        number = -1.0
    if not 0 < number < 1e15:
        raise ArgumentError(f"--max-bytes is '{text}'", "give bytes such as 100000, or a share such as 25%")
    return int(bytes_fp32 * number / 100) if share else int(number)


def _write(path: str, text: str) -> None:
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise ArgumentError(
            f"'{path}' cannot be written ({error.strerror})", "choose another place"
        ) from error
