"""Long work on a study: a worker's numbers are those of the study itself, and nothing is measured twice."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import onnx
import pytest

from quant_core.jobs import Board, Job, Line
from quant_core.plan import Plan, preset_plan
from quant_core.study import (
    CHECK,
    Source,
    Wish,
    cells_of,
    desk_formats,
    evaluation_wish,
    export_wish,
    known_latency,
    search_wish,
    sweep_wish,
    work,
)
from tests.jobs.conftest import end_host, wait

SOURCE = Source("sample:digits-cnn", "sample:digits-cnn", samples=64)


@pytest.fixture
def line(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    made = Line(work._TASKS)
    monkeypatch.setattr(work, "line", lambda: made)
    yield made
    made.close()
    end_host(home)


def done(wish: Wish) -> Job:
    job = wait(wish.ask("me"))
    assert job.state == "done", job.note
    return job


def test_workers_measure_what_the_study_measures(
    line: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = SOURCE.open()
    plan = preset_plan(study.graph, "int8")
    swept = done(sweep_wish(SOURCE, desk_formats()))
    done(evaluation_wish(SOURCE, plan))
    exported = done(export_wish(SOURCE, plan, "cast")).result
    assert exported is not None
    keys = cells_of(study, desk_formats())
    assert swept.result == {"kept": 0, "measured": len(keys), "failed": []}
    outside, evaluation = study.known_cells(keys), study.known(plan)
    assert len(outside) == len(keys)
    latency = known_latency(study, plan)
    assert latency is not None and 0 < latency.low <= latency.ratio <= latency.high

    # The same in this process, in a store of its own.
    monkeypatch.setenv("QUANTSCOPE_HOME", str(tmp_path / "other"))
    alone = SOURCE.open()
    assert {cell.key: cell for cell in alone.sweep(keys)} == outside
    assert alone.evaluate(plan) == evaluation
    assert Path(exported["path"]).read_bytes() == alone.lowered(plan)
    assert exported["shipped"]["agreement"] == alone.evaluate(plan, "shipped").agreement


@pytest.mark.slow
def test_a_second_sweep_measures_only_what_is_new(line: Line) -> None:
    first = done(sweep_wish(SOURCE, {"weights": ("int8",)})).result
    second = done(sweep_wish(SOURCE, {"weights": ("int8", "int4")})).result
    assert first is not None and second is not None
    assert second["kept"] == first["measured"] > 0
    assert second["measured"] == first["measured"]


@pytest.mark.slow
def test_a_search_gives_a_plan_under_its_budget(line: Line) -> None:
    result = done(search_wish(SOURCE, Plan(), 0.2)).result
    assert result is not None
    study = SOURCE.open()
    plan = Plan.from_json(result["plan"])
    assert study.bytes_of(plan) <= 0.2 * study.graph.file.bytes
    assert study.known(plan) is not None


def test_a_cell_that_fails_is_told_and_the_others_are_measured(
    line: Line, tmp_path: Path, repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = SOURCE.open()
    broken = study.graph.quantizable[1].name
    lowered = work.Study.sweep

    def failing(self: object, keys: list, *arguments: object, failed: object = None, **options: object):  # type: ignore[no-untyped-def]
        from quant_core.errors import ModelError

        for key in keys:
            if key.layer == broken:
                failed(key, ModelError("this layer does not run", "leave it out"))  # type: ignore[operator]
        yield from lowered(self, [k for k in keys if k.layer != broken], *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(work.Study, "sweep", failing)
    monkeypatch.setattr(
        Line, "_look_after", lambda self, job: _perform(self, job)
    )  # in this process, where the sweep is broken
    result = done(sweep_wish(SOURCE, {"weights": ("int8",)})).result
    assert result is not None
    assert [entry[0] for entry in result["failed"]] == [broken]
    assert "does not run" in result["failed"][0][3]
    assert result["measured"] == len(study.graph.quantizable) - 1


def _perform(line: Line, identity: str) -> None:
    from quant_core.jobs.worker import perform

    board = Board()
    job = board.get(identity)
    if job is not None and (attempt := board.begin_attempt(identity)):
        perform(line._tasks[job.kind], job.spec, identity, attempt)


@pytest.mark.slow
def test_a_model_that_is_gone_is_one_sentence(line: Line, tmp_path: Path, repo: Path) -> None:
    path = tmp_path / "mine.onnx"
    onnx.save(onnx.load(repo / "assets/samples/digits-cnn/model.onnx"), path)
    source = replace(SOURCE, model=str(path))
    plan = preset_plan(source.open().graph, "int8-weights")
    path.unlink()
    job = wait(evaluation_wish(source, plan).ask("me"))
    assert job.state == "failed"
    assert "There is no model file" in job.note


@pytest.mark.slow
def test_asking_again_after_a_failure_tries_again(line: Line, tmp_path: Path, repo: Path) -> None:
    path = tmp_path / "late.onnx"
    source = replace(SOURCE, model=str(path))
    wish = sweep_wish(source, {"weights": ("int8",)})
    failed = wait(wish.ask("me"))
    assert failed.state == "failed"
    onnx.save(onnx.load(repo / "assets/samples/digits-cnn/model.onnx"), path)
    time.sleep(0.01)
    assert wait(line.again(failed)).state == "done"


def test_a_sweep_takes_the_place_of_a_check_that_nobody_waits_for() -> None:
    assert sweep_wish(SOURCE, {}).over == (CHECK,)
    assert CHECK in search_wish(SOURCE, Plan({}), 0.5).over
