"""Thousands of hostile files, given to the real entry points in processes with limits.

    python -m tests.fuzz --models 5000 --data 2000 --plans 2000 --seed 1
    python -m tests.fuzz --only "models 17" --seed 1

Each ends in a result or in one sentence; whatever else happens is a finding, named with the command that
repeats it. The exit code is 1 if there is one."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.fuzz.pool import make_workspace, run_cases


def main() -> int:
    """Run, and print the outcomes by kind and every finding."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    for kind in ("models", "data", "plans"):
        parser.add_argument(f"--{kind}", type=int, default=0, help=f"how many {kind} to try")
    parser.add_argument("--seed", type=int, default=1, help="other seeds make other files")
    parser.add_argument("--workers", type=int, default=1, help="processes at a time")
    parser.add_argument("--share", type=float, default=0.5, help="share of models that ONNX Runtime runs")
    parser.add_argument("--only", help="one case: its kind and number")
    parser.add_argument("--keep", type=Path, help="empty folder for the files of findings")
    options = parser.parse_args()
    counts = {kind: getattr(options, kind) for kind in ("models", "data", "plans")}
    cases = [(kind, number) for kind, count in counts.items() for number in range(count)]
    if options.only:
        kind, number = options.only.split()
        cases = [(kind, int(number))]
    root = options.keep or Path(tempfile.mkdtemp(prefix="fuzz-"))
    make_workspace(root)
    began = time.monotonic()
    tally = run_cases(cases, options.seed, root, options.workers, options.share)
    for what, count in sorted(tally.outcomes.items()):
        print(f"{what:<24}{count:>7,}")
    for case, text in sorted(tally.findings.items()):
        print(f"\n--only '{case}' --seed {options.seed}\n{text}")
    seconds = time.monotonic() - began
    found = len(tally.findings)
    print(
        f"\n{tally.outcomes.total():,} cases in {seconds:.0f} s, {found} findings, files in {root / 'cases'}"
    )
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
