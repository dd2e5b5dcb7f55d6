"""Search: plans under a budget, with a measured size and quality."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from quant_core.errors import SearchError
from quant_core.formats import Scheme
from quant_core.plan import Plan, Precision, default_scheme, uniform_plan
from quant_core.store import Store
from quant_core.study import BudgetSearch, Study

CNN = "sample:digits-cnn"
Open = Callable[..., Study]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """One store for this file: each cell is measured once."""
    return Store(tmp_path_factory.mktemp("search"))


@pytest.fixture
def open_study(store: Store) -> Open:
    """`open_study()` opens digits-cnn with 60 samples."""
    return lambda samples=60: Study.open(CNN, CNN, None, None, samples, store)


def test_the_plan_fits_and_says_what_it_takes(open_study: Open) -> None:
    study = open_study()
    limit = study.graph.file.bytes // 4
    found = BudgetSearch(study).within_bytes(limit)
    assert found.evaluation.bytes <= limit
    assert found.evaluation.bytes == study.bytes_of(found.plan) == len(study.lowered(found.plan))
    assert abs(found.predicted_bytes - found.evaluation.bytes) < 0.02 * limit
    assert abs(found.predicted_sqnr_db - found.evaluation.sqnr_db) < 12


def test_it_beats_one_format_for_all_of_the_same_size(open_study: Open) -> None:
    study = open_study()
    uniform = uniform_plan(study.graph, "int4", lambda _: Precision(default_scheme("int4")))
    rival = study.evaluate(uniform)
    found = BudgetSearch(study).within_bytes(rival.bytes)
    assert found.evaluation.bytes <= rival.bytes
    assert found.evaluation.sqnr_db >= rival.sqnr_db - 0.01


def test_only_the_formats_named_are_used(open_study: Open) -> None:
    study = open_study()
    plan, _, _ = BudgetSearch(study, ("int8", "int2")).under(study.graph.file.bytes // 6)
    assert {p.weights.format for p in plan.quantized.values() if p.weights} <= {"int8", "int2"}


def test_an_impossible_budget_says_the_smallest_there_is(open_study: Open) -> None:
    study = open_study()
    search = BudgetSearch(study, ("int8",))
    with pytest.raises(SearchError) as error:
        search.within_bytes(20_000)
    smallest = study.bytes_of(uniform_plan(study.graph, "int8", lambda _: Precision(default_scheme("int8"))))
    assert "at most 20000 bytes" in str(error.value)
    assert f"smallest has {smallest}" in str(error.value)
    assert search.within_bytes(smallest).evaluation.bytes == smallest


def test_a_locked_layer_keeps_its_precision(open_study: Open) -> None:
    study = open_study()
    name = study.graph.quantizable[2].name
    for kept in (Precision(locked=True), Precision(Scheme("fp16"), locked=True)):
        start = Plan("mine", {name: kept}, study.graph.file.sha256)
        limit = study.graph.file.bytes // 2
        found = BudgetSearch(study, start=start).within_bytes(limit)
        assert found.plan[name].weights == kept.weights
        assert found.plan[name].locked
        assert found.evaluation.bytes <= limit


def test_the_samples_evaluated_have_no_part_in_the_choice(open_study: Open) -> None:
    """The same plan comes out whatever samples it is then measured on."""
    plans = [BudgetSearch(s).under(20_000)[0] for s in (open_study(samples=60), open_study(samples=30))]
    assert plans[0].layers == plans[1].layers


@pytest.mark.slow
def test_a_drop_is_kept_and_a_larger_one_gives_a_smaller_file(open_study: Open) -> None:
    search = BudgetSearch(open_study(samples=200))
    found = {points: search.within_drop(points).evaluation for points in (0.5, 10.0)}
    for points, e in found.items():
        assert e.metric is not None and e.metric_fp32 is not None
        assert 100 * (e.metric_fp32 - e.metric) <= points + 1e-9
    assert found[10.0].bytes < found[0.5].bytes
