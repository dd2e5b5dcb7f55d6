"""Certifying: three runs of all samples, and what is said of them adds up."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from quant_core.data import Task
from quant_core.engine import KEPT_FLIPS, certify, evaluate
from quant_core.formats import Scheme
from quant_core.lower import lower, to_bytes
from quant_core.plan import Plan, preset_plan
from tests import models


def lowered(bench: Any, plan: Plan) -> bytes:
    return to_bytes(lower(bench.cache, plan, bench.ranges.find))


@pytest.mark.parametrize("size", [1, 8, 32])
def test_it_says_what_evaluating_says(bench: Any, size: int) -> None:
    model = lowered(bench, preset_plan(bench.graph, "w4a8"))
    found = certify(bench.graph.file.path, model, bench.data, size)
    for execution in ("simulated", "shipped"):
        assert found.quality[execution] == evaluate(model, bench.data, bench.reference, execution, size)
    assert found.quality["float"].agreement == 1.0


def test_counts_add_up(bench: Any) -> None:
    model = lowered(bench, preset_plan(bench.graph, "w4a8"))
    found = certify(bench.graph.file.path, model, bench.data, 8)
    (wanted,) = models.run(bench.graph.file.path.read_bytes(), bench.data.arrays)
    (actual,) = models.run(model, bench.data.arrays)
    a, b, labels = wanted.argmax(-1), actual.argmax(-1), bench.data.labels
    changed = np.flatnonzero(a != b)
    assert found.decisions == len(bench.data)
    assert found.changed["float", "shipped"] == len(changed)
    assert found.changed["float", "shipped"] <= sum(
        found.changed[p] for p in (("float", "simulated"), ("simulated", "shipped"))
    )
    assert found.lost == ((a == labels) & (b != labels)).sum()
    assert found.gained == ((a != labels) & (b == labels)).sum()
    kept = {(f.sample, f.fp32, f.shipped, f.label) for f in found.flips}
    assert kept == {(i, a[i], b[i], labels[i]) for i in changed}
    assert [f.sure for f in found.flips] == sorted((f.sure for f in found.flips), reverse=True)
    quality = found.quality
    assert quality["shipped"].metric - quality["float"].metric == pytest.approx(
        (found.gained - found.lost) / len(bench.data)
    )
    for row in found.outputs:
        assert 0 <= row.differences.differ <= row.differences.elements == actual.size


def test_a_plan_of_fp32_differs_nowhere(bench: Any) -> None:
    found = certify(bench.graph.file.path, bench.graph.file.path.read_bytes(), bench.data, 8)
    assert all(row.differences.differ == 0 for row in found.outputs)
    assert set(found.changed.values()) == {0}
    assert found.flips == ()


def test_of_many_changes_the_surest_are_kept(bench_of: Any) -> None:
    many = bench_of(models.conv_chain(), 300)
    number = preset_plan(many.graph, "int8-tensor").layers
    plan = Plan("coarse", {n: replace(p, weights=Scheme("int2", "tensor")) for n, p in number.items()})
    found = certify(many.graph.file.path, lowered(many, plan), many.data, 32)
    assert found.changed["float", "shipped"] > KEPT_FLIPS == len(found.flips)


def test_without_labels_and_without_classes_there_are_no_such_counts(bench: Any) -> None:
    model = lowered(bench, preset_plan(bench.graph, "int8"))
    plain = models.dataset(bench.data.arrays, None)
    found = certify(bench.graph.file.path, model, plain, 8)
    assert (found.gained, found.lost, found.decisions) == (None, None, 20)
    other = certify(bench.graph.file.path, model, plain, 8, Task("embedding"))
    assert (other.decisions, other.changed, other.flips) == (0, {}, ())
    assert other.outputs[0].differences.differ > 0
