"""A process that runs cases, one a line of standard input (`models 17`), and answers each with a line of
JSON.

    python -m tests.fuzz.worker FOLDER SEED SHARE MEMORY

It has a limit on memory, and works in an empty folder of its own, which must stay empty."""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import hashlib
import json
import os
import shutil
import sys
import traceback
from pathlib import Path

LIMIT = 20.0  # seconds of a case


def main(root: Path, seed: int, share: float, memory: int) -> None:
    """Answer until standard input ends."""
    import resource

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    from tests.fuzz import targets

    shared = root / f"shared-{os.getpid()}"
    empty = root / f"cwd-{os.getpid()}"
    for folder in (shared, empty):
        folder.mkdir()
    targets.graph(shared)
    os.chdir(empty)
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    print(json.dumps({"what": "ready"}), file=answers, flush=True)
    canary = fingerprint(root / "canary")
    for line in sys.stdin:
        kind, number = line.split()
        folder = root / "cases" / f"{kind}-{number}"
        folder.mkdir(parents=True)
        faulthandler.dump_traceback_later(LIMIT - 2, exit=False)
        try:
            outcome = targets.run_case(kind, int(number), seed, folder, shared, share)
        except MemoryError:  # in the window and the jobs, run_guarded makes a sentence of it
            outcome = targets.Outcome("out of memory")
        except BaseException as error:
            if isinstance(error, (KeyboardInterrupt, SystemExit)):
                raise
            outcome = targets.Outcome("finding", describe(error))
        faulthandler.cancel_dump_traceback_later()
        if fingerprint(root / "canary") != canary or list(empty.iterdir()):
            outcome = targets.Outcome(
                "finding", f"files outside of the case were touched: {list(empty.iterdir())}"
            )
            for left in empty.iterdir():
                left.unlink()
        if outcome.what != "finding":
            shutil.rmtree(folder, ignore_errors=True)
        print(json.dumps({"what": outcome.what, "text": outcome.text}), file=answers, flush=True)
        gc.collect(1)


def describe(error: BaseException) -> str:
    """The exception and where it came from, innermost last."""
    text = ""
    with contextlib.suppress(Exception):
        text = str(error)[:300]
    frames = traceback.extract_tb(error.__traceback__)[-8:]
    where = " < ".join(f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in reversed(frames))
    return f"{type(error).__name__}: {text} | {where}"


def fingerprint(folder: Path) -> str:
    """A hash of all names, contents and times below `folder`."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        stat = path.lstat()
        digest.update(f"{path} {stat.st_size} {stat.st_mtime_ns} {stat.st_mode}".encode())
        if path.is_file():
            digest.update(path.read_bytes())
    return digest.hexdigest()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]))
