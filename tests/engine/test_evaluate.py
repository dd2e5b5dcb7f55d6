"""Evaluating a graph gives what running it by hand gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from quant_core.engine import Reference, batch_size, evaluate, make_session, run, run_all, run_whole
from quant_core.errors import ModelError
from quant_core.formats import sqnr_db
from quant_core.graph import Port, inputs_of
from quant_core.lower import lower, to_bytes
from quant_core.plan import preset_plan
from tests import models


def lowered(bench: Any, preset: str) -> bytes:
    return to_bytes(lower(bench.cache, preset_plan(bench.graph, preset), bench.ranges.find))


@pytest.mark.parametrize("size", [1, 8, 20, 32])
@pytest.mark.parametrize(("execution", "by_hand"), [("simulated", models.simulate), ("shipped", models.run)])
def test_it_equals_one_pass_by_hand(
    bench: Any, execution: str, by_hand: Callable[..., Any], size: int
) -> None:
    model = lowered(bench, "int8")
    quality = evaluate(model, bench.data, bench.reference, execution, size)
    (outputs,), (wanted,) = (
        by_hand(m, bench.data.arrays) for m in (model, bench.graph.file.path.read_bytes())
    )
    choice = outputs.argmax(-1)
    assert quality.metric == (choice == bench.data.labels).mean()
    assert quality.agreement == (choice == wanted.argmax(-1)).mean()
    assert quality.sqnr_db == pytest.approx(sqnr_db(wanted, outputs), abs=0.01)
    assert quality.samples == 20


def test_the_reference_is_the_users_file_on_the_same_samples(bench: Any) -> None:
    quality = bench.reference.quality(bench.data, "simulated", 8)
    (wanted,) = models.simulate(bench.graph.file.path.read_bytes(), bench.data.arrays)
    assert quality.metric == (wanted.argmax(-1) == bench.data.labels).mean()
    assert (quality.agreement, quality.sqnr_db, quality.kl) == (1.0, 200.0, 0.0)


@pytest.mark.parametrize("limit", [0, 200, 1 << 20])
def test_a_reference_that_keeps_less_gives_the_same(bench: Any, limit: int) -> None:
    """20 samples of 5 float32 outputs are 400 bytes."""
    model, reference = lowered(bench, "w4a8"), Reference(bench.graph.file.path, limit)
    wanted = evaluate(model, bench.data, bench.reference, "simulated", 8)
    for _ in range(2):
        assert evaluate(model, bench.data, reference, "simulated", 8) == wanted
    assert bool(reference._kept) is (limit > 400)


def test_what_a_reference_keeps_stays_under_its_limit(bench: Any) -> None:
    reference = Reference(bench.graph.file.path, 1000)
    for size in (1, 2, 4, 8):
        list(reference.outputs(bench.data, "simulated", size))
    kept = sum(o.nbytes for batches in reference._kept.values() for b in batches for o in b)
    assert 400 <= kept <= 1000


def test_a_reference_that_is_left_half_way_is_not_kept(bench: Any) -> None:
    reference = Reference(bench.graph.file.path)
    next(reference.outputs(bench.data, "simulated", 8))
    assert len(list(reference.outputs(bench.data, "simulated", 8))) == 3


def test_progress_counts_samples(bench: Any) -> None:
    seen: list[tuple[int, int]] = []
    evaluate(lowered(bench, "fp16"), bench.data, bench.reference, "simulated", 8, lambda *p: seen.append(p))
    assert seen == [(8, 20), (16, 20), (20, 20)]


@pytest.mark.parametrize("samples", [4, 6, 7])
def test_a_model_with_a_fixed_batch_takes_any_number_of_samples(
    bench_of: Callable[..., Any], bench: Any, samples: int
) -> None:
    """The last batch is filled up, and what was filled in does not count."""
    fixed = bench_of(models.conv_chain(batch=4), samples, 4)
    size = batch_size(inputs_of(fixed.graph.model))
    assert size == 4
    quality = evaluate(lowered(fixed, "int8"), fixed.data, fixed.reference, "simulated", size)
    free = bench_of(models.conv_chain(), samples)
    np.testing.assert_array_equal(free.data.arrays["x"], fixed.data.arrays["x"])
    wanted = evaluate(lowered(free, "int8"), free.data, free.reference, "simulated", 4)
    assert (quality.metric, quality.agreement) == (wanted.metric, wanted.agreement)
    assert quality.samples == samples
    assert quality.sqnr_db == pytest.approx(wanted.sqnr_db, abs=0.05)


def test_the_batch_is_what_the_model_fixes_or_one_for_dynamic_ranges() -> None:
    free, fixed = Port("x", "float32", ("N", 3)), Port("x", "float32", (4, 3))
    assert batch_size((free,)) == 16
    assert batch_size((free,), dynamic=True) == 1
    assert batch_size((fixed,)) == batch_size((fixed,), dynamic=True) == 4


def test_a_short_batch_is_filled_up_and_what_was_filled_in_cut_off(
    bench_of: Callable[..., Any], bench: Any
) -> None:
    fixed = bench_of(models.conv_chain(batch=4), 4, 4)
    feeds = {"x": fixed.data.arrays["x"][:3]}
    (short,) = run_whole(make_session(fixed.graph.file.path, "float"), feeds)
    (plain,) = run_whole(make_session(bench.graph.file.path, "float"), feeds)
    assert short.shape == plain.shape == (3, 5)
    np.testing.assert_allclose(short, plain, rtol=1e-5, atol=1e-6)


def test_all_batches_come_in_order(bench: Any) -> None:
    session = make_session(bench.graph.file.path, "float")
    outputs = np.concatenate([o[0] for o, _ in run_all(session, bench.data, 6)])
    np.testing.assert_allclose(outputs, run(session, bench.data.arrays)[0], rtol=1e-4, atol=1e-5)


def test_what_onnx_runtime_refuses_is_one_plain_sentence(bench: Any) -> None:
    with pytest.raises(ModelError) as error:
        make_session(b"not a model", "float")
    assert "\n" not in str(error.value)
    session = make_session(bench.graph.file.path, "float")
    with pytest.raises(ModelError, match="failed while running") as error:
        run(session, {"x": np.zeros((1, 2, 8, 8), np.float32)})
    assert "\n" not in str(error.value)


def test_outputs_that_are_no_tensors_are_refused() -> None:
    sequence = models.node("SequenceConstruct", ["x", "x"], ["s"])
    out = models.onnx.helper.make_tensor_sequence_value_info("s", 1, None)
    model = models.build([sequence], [models.port("x", "N")], [out], {})
    session = make_session(model.SerializeToString(), "float")
    with pytest.raises(ModelError, match="not plain tensors"):
        run(session, {"x": np.zeros(2, np.float32)})
