"""The command line: the same Study as the pages."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NoReturn

from quant_core import cli_commands as run
from quant_core.cli_commands import Record
from quant_core.cli_options import add_data, add_execution, add_model, add_patience, add_plan, add_samples
from quant_core.cli_text import as_text
from quant_core.errors import ArgumentError, QuantscopeError
from quant_core.plan import PARTS
from quant_core.study import DECODERS


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
    try:
        print(json.dumps(record, indent=1) if options.json else as_text(options.command, record), flush=True)
    except BrokenPipeError:  # who reads has seen enough, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
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

    command("samples", run.samples, "List the bundled samples.")
    inspect = command("inspect", run.inspect, "Show what a model file holds.")
    add_model(inspect)

    sweep = command("sweep", run.sweep, "Measure every layer at every format, all others in float.")
    add_data(sweep)
    sweep.add_argument("--formats", default="int8,int4,int2", help="formats, separated by commas")
    sweep.add_argument(
        "--quantized", default=",".join(PARTS), help="weights, activations, both; separated by commas"
    )
    sweep.add_argument(
        "--adaptive", action="store_true", help="on as few samples as it takes to rank the cells"
    )
    sweep.add_argument("--out", metavar="F", help="also write the table to this JSON file")
    add_execution(sweep)

    evaluate = command("evaluate", run.evaluate, "Measure a plan on the file that export writes.")
    add_data(evaluate)
    add_plan(evaluate)
    add_execution(evaluate)

    search = command("search", run.search, "Find the best plan under a budget.")
    add_data(search)
    budget = search.add_mutually_exclusive_group(required=True)
    budget.add_argument("--max-bytes", metavar="B", help="bytes, or a share of the FP32 file such as 25%%")
    budget.add_argument("--max-drop", metavar="PP", type=float, help="percentage points the metric may lose")
    search.add_argument("--formats", default="fp16,int8,int4,int2", help="weight formats to choose from")
    search.add_argument("--out", metavar="F", required=True, help="the plan file to write")
    add_execution(search)

    export = command("export", run.export, "Write the quantized ONNX file.")
    add_data(export)
    add_plan(export)
    export.add_argument("--out", metavar="F", required=True, help="the ONNX file to write")
    export.add_argument(
        "--decoder", choices=DECODERS, default="cast", help="how weight-only layers are decoded"
    )

    both = command("compare", run.compare, "Compare two ONNX files on the same data.")
    both.add_argument("a", metavar="A", help="path of an .onnx file, or sample:NAME")
    both.add_argument("b", metavar="B", help="path of the other")
    add_samples(both, required=True)
    add_patience(both)

    check = command("check-data", run.check_data, "Check that images are prepared as the model was trained.")
    add_model(check)
    check.add_argument("--data", metavar="D", required=True, help="a folder or a zip archive of images")
    check.add_argument("--preprocess", metavar="P", required=True, help="the preprocessing to check")
    check.add_argument("--samples", metavar="N", type=int, default=64, help="images to try it on (64)")
    check.add_argument("--size", metavar="DIM=N", action="append", help="the size of a free dimension")
    return parser
