"""What benchmarks of a study share: the options that name it, and the FP32 pass that is their unit."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.plain_loop import session_of
from quant_core.engine import batch_size, run_all
from quant_core.graph import inputs_of
from quant_core.store import Store
from quant_core.study import Study


def parser_of(description: str, samples: int | None = None) -> argparse.ArgumentParser:
    """The options of a study; without any it is the bundled sample digits-mobile."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("model", nargs="?", default="sample:digits-mobile")
    parser.add_argument("--data")
    parser.add_argument("--calibration")
    parser.add_argument("--preprocess")
    parser.add_argument("--samples", type=int, default=samples)
    return parser


@contextmanager
def opened(o: argparse.Namespace) -> Iterator[Study]:
    """The study that the options name, with a store of its own."""
    with TemporaryDirectory() as folder:
        data = o.data or o.model
        yield Study.open(o.model, data, o.calibration, o.preprocess, o.samples, Store(Path(folder)))


def float_pass_of(study: Study) -> Callable[[], None]:
    """One FP32 pass of the user's file over the samples, which are decoded once before."""
    size = batch_size(inputs_of(study.graph.file.model))
    session = session_of(study.graph.file.path.read_bytes())

    def float_pass() -> None:
        for _ in run_all(session, study.data, size):
            pass

    float_pass()
    return float_pass


def seconds(function: Callable[[], object]) -> float:
    """How long `function` takes."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start
