"""The README tells the truth: CI runs its commands, its examples run, its links lead somewhere."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from quant_core.data import samples

EXAMPLE = "python -m quant_core "


@pytest.fixture(scope="module")
def readme(repo: Path) -> str:
    return (repo / "README.md").read_text(encoding="utf-8")


def code_lines(text: str) -> list[str]:
    """The lines of all fenced code blocks."""
    return [
        line for block in re.findall(r"^```\w*\n(.*?)^```", text, re.M | re.S) for line in block.splitlines()
    ]


def test_ci_runs_the_two_commands_as_written(readme: str, repo: Path) -> None:
    script = (repo / ".ci" / "run").read_text(encoding="utf-8")
    in_readme = [line for line in code_lines(readme) if line.startswith("python3 -m venv")]
    in_ci = re.findall(r"^(?:START|TEST)='(.*)'$", script, re.M)
    assert len(in_readme) == 2
    assert in_readme == in_ci


def test_the_windows_spelling_installs_and_runs_the_same(readme: str) -> None:
    """`.venv/bin/` becomes `.venv\\Scripts\\`, and each part is a line, which every Windows shell takes."""
    lines = code_lines(readme)
    for command in [line for line in lines if line.startswith("python3 -m venv")]:
        for part in command.split(" && "):
            spelled = part.replace("python3 ", "py ", 1).replace(".venv/bin/", ".venv\\Scripts\\")
            assert spelled in lines


def test_every_link_of_the_readme_leads_to_a_file(readme: str, repo: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)", readme)
    assert links
    assert [link for link in links if not (repo / link).exists()] == []


def test_the_list_of_samples_is_that_of_the_cards(readme: str) -> None:
    listed = re.findall(r"^\| `([\w-]+)` \| .* \| ([\w -]+) \|$", readme, re.M)
    assert listed == [(s.name, s.card["metric_name"]) for s in samples()]


def test_the_examples_of_the_command_line_run_in_their_order(readme: str, repo: Path, tmp_path: Path) -> None:
    """In an empty folder, with what the examples before have written."""
    examples = [line for line in code_lines(readme) if line.startswith(EXAMPLE)]
    assert len({shlex.split(e)[3] for e in examples}) == 7, "one example a command"
    env = os.environ | {"PYTHONPATH": str(repo)}
    for example in examples:
        command = [sys.executable, *shlex.split(example)[1:]]
        done = subprocess.run(
            command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0, f"{example}\n{done.stderr}"
        if "--json" in command:
            json.loads(done.stdout)
