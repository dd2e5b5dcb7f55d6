"""Runs cases in worker processes; one that crashes or hangs is a finding, and a new worker goes on
behind it. A model that hangs is no finding where the command line, which opens it in a process with a time
limit, says so in one sentence."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import selectors
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from tests.fuzz.models import write_model
from tests.fuzz.targets import draw_for
from tests.fuzz.worker import LIMIT

_ROOT = Path(__file__).resolve().parents[2]
MEMORY = 5 << 30  # bytes of address space of a worker
_STARTS_WITHIN = 120.0  # seconds
_PATIENCE = 10  # seconds that the command line gives a model
_CASES = 400  # of one worker: ONNX Runtime and the allocator keep some address space of each


@dataclass
class Tally:
    """Outcomes by kind of case, `models success` and so on, and the findings: case and what is wrong."""

    outcomes: Counter[str] = field(default_factory=Counter)
    findings: dict[str, str] = field(default_factory=dict)


def make_workspace(root: Path) -> None:
    """A folder for the cases, and beside it the canary that nothing may read or touch."""
    canary = root / "canary"
    canary.mkdir(parents=True)
    (root / "cases").mkdir()
    (canary / "secret.bin").write_bytes(bytes(range(256)) * 64)
    Image.new("RGB", (6, 6)).save(canary / "x.png")
    np.save(canary / "x.npy", np.zeros((4, 3), np.float32))


def run_cases(
    cases: Iterable[tuple[str, int]], seed: int, root: Path, workers: int = 1, share: float = 0.5
) -> Tally:
    """Run the cases (kind and number) below `root`, made by `make_workspace`. Files of findings stay in
    its folder `cases`."""
    todo: queue.SimpleQueue[tuple[str, int]] = queue.SimpleQueue()
    for case in cases:
        todo.put(case)
    tally, lock = Tally(), threading.Lock()

    def serve() -> None:
        worker: _Worker | None = None
        try:
            while True:
                try:
                    kind, number = todo.get_nowait()
                except queue.Empty:
                    return
                if worker is not None and worker.done >= _CASES:
                    worker.end()
                    worker = None
                worker = worker or _Worker(root, seed, share)
                what, text = worker.run(f"{kind} {number}")
                if what in ("crash", "hang"):
                    worker.end()
                    given_up = what == "hang" and kind == "models" and _is_given_up(number, seed, root)
                    worker, text, what = None, f"{what}: {text}", "given up" if given_up else "finding"
                with lock:
                    tally.outcomes[f"{kind} {what}"] += 1
                    if what == "finding":
                        tally.findings[f"{kind} {number}"] = text
                        print(f"finding: {kind} {number}: {text[-1500:]}", file=sys.stderr, flush=True)
                    done = tally.outcomes.total()
                if done % 500 == 0:
                    print(f"{done} cases, {len(tally.findings)} findings", file=sys.stderr, flush=True)
        finally:
            if worker is not None:
                worker.end()

    with ThreadPoolExecutor(workers) as threads:
        for done in [threads.submit(serve) for _ in range(workers)]:
            done.result()
    return tally


def _is_given_up(number: int, seed: int, root: Path) -> bool:
    """Whether the command line ends with one sentence for a model that never does."""
    with tempfile.TemporaryDirectory(dir=root / "cases") as folder:
        path = write_model(draw_for("models", number, seed), Path(folder))
        done = subprocess.run(
            [sys.executable, "-m", "quant_core", "inspect", str(path), "--patience", str(_PATIENCE)],
            capture_output=True,
            text=True,
            cwd=_ROOT,
            env=os.environ | {"QUANTSCOPE_HOME": str(root / "home")},
            timeout=_STARTS_WITHIN,
        )
    said = done.stderr.strip().splitlines()
    return done.returncode == 2 and not done.stdout and len(said) == 1 and "was given up" in said[0]


class _Worker:
    """A process of `tests.fuzz.worker`, and what it complained of."""

    def __init__(self, root: Path, seed: int, share: float) -> None:
        self.done = 0
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115
        env = os.environ | {
            "PYTHONPATH": str(_ROOT),
            "OMP_NUM_THREADS": "1",
            "QUANTSCOPE_HOME": str(root / "home"),
        }
        command = [sys.executable, "-m", "tests.fuzz.worker", str(root), str(seed), str(share), str(MEMORY)]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            cwd=_ROOT,
            env=env,
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._in, self._out = self._process.stdin, self._process.stdout
        self._watch = selectors.DefaultSelector()
        self._watch.register(self._out, selectors.EVENT_READ)
        what, text = self._answer(_STARTS_WITHIN)
        if what != "ready":
            raise RuntimeError(f"the worker did not start: {text}")

    def run(self, case: str) -> tuple[str, str]:
        """What came of the case, and its text; `crash` and `hang` with the end of what the process said."""
        self.done += 1
        self._in.write(f"{case}\n".encode())
        self._in.flush()
        return self._answer(LIMIT)

    def _answer(self, seconds: float) -> tuple[str, str]:
        if not self._watch.select(seconds):
            return "hang", self._said()
        line = self._out.readline()
        if not line:
            return "crash", f"code {self._process.wait(10)} {self._said()}"
        record = json.loads(line)
        return record["what"], record.get("text", "")

    def _said(self) -> str:
        size = self._complaints.seek(0, os.SEEK_END)
        self._complaints.seek(max(0, size - 1500))
        return self._complaints.read().decode(errors="replace")

    def end(self) -> None:
        """End the process."""
        self._watch.close()
        with contextlib.suppress(OSError):
            self._in.close()
        self._process.kill()
        self._process.wait(10)
        self._out.close()
        self._complaints.close()
