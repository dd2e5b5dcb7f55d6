"""Benchmarks run, and what they compare agrees."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from quant_core.data import get_sample


def test_a_sweep_gives_the_numbers_of_the_plain_loop(repo: Path) -> None:
    command = [sys.executable, "benchmarks/sweep.py", "sample:digits-cnn", "--samples", "20"]
    done = subprocess.run(command, cwd=repo, capture_output=True, text=True, check=True)
    for line in ("machine", "model", "L x B", "one FP32 pass", "sweep", "plain loop", "plain / sweep"):
        assert re.search(rf"^{line} +\S", done.stdout, re.M)
    apart = re.search(r"furthest apart +(\S+) dB", done.stdout)
    assert apart is not None
    assert float(apart[1]) < 0.01


@pytest.mark.slow
def test_calibration_is_measured_for_each_number_of_samples(repo: Path) -> None:
    sample = get_sample("digits-cnn")
    command = [sys.executable, "benchmarks/calibration.py", "--samples", "8,16", "--passes", "1"]
    command += ["--model", str(sample.model), "--data", str(sample.calibration)]
    done = subprocess.run(command, cwd=repo, capture_output=True, text=True, check=True)
    assert len(re.findall(r"^N = \d+ +peak \d+ MiB", done.stdout, re.M)) == 2
    last = re.search(r"peak, last/first +(\S+)", done.stdout)
    assert last is not None
    assert 0.5 < float(last[1]) < 1.5


@pytest.mark.slow
def test_an_adaptive_sweep_is_judged_within_each_format(repo: Path) -> None:
    command = [sys.executable, "benchmarks/adaptive.py", "sample:digits-cnn", "--formats", "int4,int2"]
    done = subprocess.run(command, cwd=repo, capture_output=True, text=True, check=True)
    ranks = re.findall(r"sqnr_db (\S+), (\d+) of \d+, .*; agreement (\S+), ", done.stdout)
    assert len(ranks) == 4
    assert all(float(sqnr) > 0.7 and float(agreement) > 0.7 for sqnr, _, agreement in ranks)


@pytest.mark.slow
@pytest.mark.parametrize("script", ["certify.py", "sweep_memory.py"])
def test_more_samples_need_no_more_memory(repo: Path, script: str) -> None:
    sample = get_sample("digits-cnn")
    command = [sys.executable, f"benchmarks/{script}", "--samples", "16,64"]
    command += ["--model", str(sample.model), "--data", str(sample.evaluation)]
    done = subprocess.run(command, cwd=repo, capture_output=True, text=True, check=True)
    last = re.search(r"peak, last/first +(\S+)", done.stdout)
    assert last is not None
    assert 0.5 < float(last[1]) < 1.5
