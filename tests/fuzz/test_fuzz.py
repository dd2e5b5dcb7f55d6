"""A few hundred hostile files, in a process with limits. `python -m tests.fuzz` tries thousands."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.mutate import NAMES
from tests.fuzz.pool import make_workspace, run_cases
from tests.fuzz.targets import draw_for, run_case


def test_hostile_files_end_in_a_result_or_in_one_sentence(tmp_path: Path) -> None:
    root = tmp_path / "work"
    make_workspace(root)
    counts = {"models": 120, "data": 100, "plans": 80}
    tally = run_cases(
        [(kind, number) for kind, count in counts.items() for number in range(count)], 1000, root, share=0.2
    )
    assert tally.findings == {}
    for kind, count in counts.items():
        assert sum(n for what, n in tally.outcomes.items() if what.startswith(kind)) == count
        assert tally.outcomes[f"{kind} success"] > 0, "files that are well enough must be among them"


def test_a_case_is_the_same_whatever_ran_before(tmp_path: Path) -> None:
    for kind in ("models", "data", "plans"):
        first, again = draw_for(kind, 3, 1), draw_for(kind, 3, 1)
        assert first.random() == again.random() != draw_for(kind, 4, 1).random()
    (tmp_path / "shared").mkdir()
    said = []
    for name in ("a", "b"):
        (tmp_path / name / "x").mkdir(parents=True)
        said.append(run_case("plans", 5, 1, tmp_path / name / "x", tmp_path / "shared", 0.0))
    assert said[0] == said[1]


@pytest.mark.slow
def test_a_worker_that_is_lost_is_a_finding(tmp_path: Path) -> None:
    """`end of 0` is no case, so the process that gets it ends; the next one goes on."""
    root = tmp_path / "work"
    make_workspace(root)
    tally = run_cases([("end of", 0), ("plans", 1)], 1, root, share=0.0)
    assert list(tally.findings) == ["end of 0"]
    assert tally.findings["end of 0"].startswith("crash")
    assert sum(tally.outcomes.values()) == 2


def test_names_hold_markup_and_control_characters() -> None:
    assert any("<script" in name for name in NAMES) and any("\x1b" in name for name in NAMES)
    assert max(map(len, NAMES)) == 10_000
