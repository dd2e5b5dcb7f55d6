"""A metric is written as its field writes it, everywhere alike."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pages.parts import metrics
from quant_core.plan import preset_plan
from quant_core.study import METRICS, Study

SAMPLE = "sample:sensor-anomaly"


@pytest.mark.parametrize(
    ("name", "value", "shown", "head"),
    [
        ("top-1", 0.98675, "98.7 %", "Top-1, %"),
        ("mAP@0.5", 0.5, "50.0 %", "mAP@0.5, %"),
        ("ROC AUC", 0.98675, "0.987", "ROC AUC"),
        ("ROC AUC", 0.5, "0.500", "ROC AUC"),
        ("cosine", 0.99976, "0.99976", "Cosine"),
        ("mean squared error", 0.01234, "0.0123", "Mean squared error (less is better)"),
        ("perplexity", 12.345, "12.3", "Perplexity (less is better)"),
    ],
)
def test_a_metric_is_written_as_its_field_writes_it(name: str, value: float, shown: str, head: str) -> None:
    assert metrics.shown(name, value) == shown
    assert metrics.column(name) == head
    in_percent = metrics.scaled(name, value) == pytest.approx(100 * value)
    assert in_percent == ("%" in head) == METRICS[name].percent


def test_what_became_of_roc_auc_is_a_difference() -> None:
    study = Study.open(SAMPLE, SAMPLE, samples=64)
    found = study.evaluate(preset_plan(study.graph, "int8-weights"))
    assert found.metric_name == "ROC AUC"
    changed = replace(found, metric=0.75, metric_fp32=0.8125)
    assert metrics.change(changed) == "-0.0625"
    assert metrics.change(replace(changed, metric_name="top-1")) == "-6.25 points"


def test_what_a_layer_leaves_is_told_by_the_metric_where_outputs_do_not_agree() -> None:
    study = Study.open(SAMPLE, SAMPLE, samples=64)
    key = study.cells(["int4"], ("weights",))[0]
    quality = replace(next(iter(study.sweep([key]))).quality, sqnr_db=22.0, metric=0.75)
    assert metrics.left(quality) == "22.0 dB, ROC AUC 0.750"
    assert metrics.left(replace(quality, agreement=0.5), " and ") == "22.0 dB and 50.0 % agreement"
    assert metrics.left(replace(quality, metric=None)) == "22.0 dB"
