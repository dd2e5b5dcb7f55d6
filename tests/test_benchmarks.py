"""Benchmarks run, and what they compare agrees."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path


def test_a_sweep_gives_the_numbers_of_the_plain_loop(repo: Path) -> None:
    command = [sys.executable, "benchmarks/sweep.py", "sample:digits-cnn", "--samples", "20"]
    done = subprocess.run(command, cwd=repo, capture_output=True, text=True, check=True)
    for line in ("machine", "model", "L x B", "one FP32 pass", "sweep", "plain loop", "plain / sweep"):
        assert re.search(rf"^{line} +\S", done.stdout, re.M)
    apart = re.search(r"furthest apart +(\S+) dB", done.stdout)
    assert apart is not None
    assert float(apart[1]) < 0.01
