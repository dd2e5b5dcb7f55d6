"""Where error enters: each layer alone and in company, and the codes between them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from quant_core.data import Subset
from quant_core.engine import evaluate, inside, layer_errors
from quant_core.engine.inside import LayerError
from quant_core.lower import lower, to_bytes
from quant_core.plan import Plan, preset_plan
from tests import models


def errors_of(bench: Any, plan: Plan, data: Any = None, corrections: Any = None) -> dict[str, LayerError]:
    model = to_bytes(lower(bench.cache, plan, bench.ranges.find, corrections))
    found = layer_errors(
        bench.cache, plan, model, bench.ranges.find, corrections or {}, data or bench.data, plan.has_dynamic
    )
    return {e.layer: e for e in found}


@pytest.mark.parametrize("preset", ["int8", "w4a8", "int4-weights", "int8-dynamic", "fp16"])
def test_nothing_stands_before_the_first_layer(bench: Any, preset: str) -> None:
    found = errors_of(bench, preset_plan(bench.graph, preset))
    first = found["first"]
    assert first.isolated_db == pytest.approx(first.accumulated_db, abs=0.01)
    assert list(found) == ["first", "depthwise", "pointwise", "classifier"]


def test_the_last_layer_has_the_error_of_the_output(bench: Any) -> None:
    plan = preset_plan(bench.graph, "int8")
    model = to_bytes(lower(bench.cache, plan, bench.ranges.find))
    whole = evaluate(model, bench.data, bench.reference, "simulated", 20)
    assert errors_of(bench, plan)["classifier"].accumulated_db == pytest.approx(whole.sqnr_db, abs=0.01)


def test_a_layer_in_float_adds_nothing_but_passes_on(bench: Any) -> None:
    precision = preset_plan(bench.graph, "int8")["depthwise"]
    found = errors_of(bench, Plan("one", {"depthwise": precision}))
    assert found["first"].isolated_db is None
    assert found["first"].accumulated_db > 110
    assert found["depthwise"].isolated_db == pytest.approx(found["depthwise"].accumulated_db, abs=0.01)
    assert found["pointwise"].isolated_db is None
    assert found["pointwise"].accumulated_db < 60
    assert found["pointwise"].codes is None


def test_codes_add_up_and_the_first_ones_are_equal(bench: Any) -> None:
    found = errors_of(bench, preset_plan(bench.graph, "int8"))
    for error in found.values():
        for codes in (error.codes, error.shipped_codes):
            assert codes is not None
            assert 0 <= codes.beyond_one <= codes.differ <= codes.elements
            assert (codes.largest > 1) == (codes.beyond_one > 0)
    assert found["first"].codes.elements == bench.data.arrays["x"].size
    assert found["first"].codes.differ == found["first"].shipped_codes.differ == 0
    assert found["classifier"].codes.differ > 0


def test_weights_alone_store_no_codes(bench: Any) -> None:
    found = errors_of(bench, preset_plan(bench.graph, "int4-weights"))
    assert all(e.codes is None and e.shipped_codes is None for e in found.values())


def test_groups_and_batches_change_nothing(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = preset_plan(bench.graph, "w4a8")
    wanted = errors_of(bench, plan)
    monkeypatch.setattr(inside, "LIMIT", 1)
    for name, error in errors_of(bench, plan).items():
        assert error.isolated_db == pytest.approx(wanted[name].isolated_db, abs=0.01)
        assert error.accumulated_db == pytest.approx(wanted[name].accumulated_db, abs=0.01)
        assert error.codes == wanted[name].codes


def test_a_fixed_batch_is_filled_up_and_what_was_filled_in_does_not_count(bench_of: Any) -> None:
    fixed = bench_of(models.conv_chain(batch=4), 7, 4)
    free = bench_of(models.conv_chain(), 7)
    one, other = (errors_of(b, preset_plan(b.graph, "int8")) for b in (fixed, free))
    for name, error in one.items():
        assert error.signal == pytest.approx(other[name].signal, rel=1e-4)
        assert error.codes.elements == other[name].codes.elements


def test_a_correction_that_is_added_after_a_product_counts(bench_of: Any) -> None:
    """It takes the same error out of a layer alone and in company; here it puts one in."""
    chain = bench_of(models.matmul_chain(), 12)
    plan = preset_plan(chain.graph, "int8")
    shift = {"on_right": np.full(5, 3.0, np.float32)}
    plain, shifted = errors_of(chain, plan), errors_of(chain, plan, corrections=shift)
    first = shifted["on_right"]
    assert first.isolated_db == pytest.approx(first.accumulated_db, abs=0.01)
    assert first.accumulated_db < 10 < plain["on_right"].accumulated_db


def test_memory_does_not_grow_with_samples(bench: Any) -> None:
    """Only sums are kept: two halves give what the whole gives."""
    plan = preset_plan(bench.graph, "int8")
    whole = errors_of(bench, plan)
    halves = [errors_of(bench, plan, Subset(bench.data, np.arange(i, 20, 2))) for i in (0, 1)]
    for name, error in whole.items():
        assert error.signal == pytest.approx(sum(h[name].signal for h in halves), rel=1e-5)
        assert error.isolated == pytest.approx(sum(h[name].isolated for h in halves), rel=1e-2)
