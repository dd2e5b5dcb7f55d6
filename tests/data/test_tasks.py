"""Tasks: what is guessed, what can be said, and each metric against a definition of its own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax
from sklearn.metrics import roc_auc_score

from quant_core.data import METRICS, ArrayDataset, Quality, QualityMeter, Task, make_task, measure_of
from quant_core.data.scores import roc_auc
from quant_core.errors import ArgumentError, DataError
from quant_core.graph import Port
from tests.models import normal

X = Port("x", "float32", ("N", 8))
LOGITS, SCALAR, SAME = (Port("y", "float32", ("N", n)) for n in (5, 1, 8))
TOKENS = Port("y", "float32", ("N", "T", 9))


def data_of(labels: Any, boxes: bool = False) -> ArrayDataset:
    data = ArrayDataset("d", "k", {"x": np.zeros((len(labels), 8), np.float32)}, np.asarray(labels))
    data.has_boxes = boxes
    return data


@pytest.mark.parametrize(
    ("output", "labels", "kind"),
    [
        (LOGITS, [0, 1, 4], "classification"),
        (LOGITS, [0, 1, 1], "classification"),
        (TOKENS, [[1, 2], [3, 4]], "classification"),
        (SCALAR, [0, 1, 1], "anomaly"),
        (SAME, [0, 1, 1], "anomaly"),
        (SAME, [0, 1, 7], "classification"),
        (SCALAR, [0.5, 1.5], "regression"),
        (SCALAR, [0.0, 1.0], "regression"),
    ],
)
def test_a_task_is_guessed_by_labels_and_outputs(output: Port, labels: list[Any], kind: str) -> None:
    assert make_task((X,), (output,), data_of(labels)).kind == kind


def test_without_labels_the_first_output_decides() -> None:
    task = make_task((X,), (LOGITS,), None)
    assert task == Task()
    assert task.key is None


def test_the_key_of_what_was_always_measured_does_not_change() -> None:
    for kind in (None, "classification", "tokens"):
        assert make_task((X,), (LOGITS,), data_of([0, 1, 2]), kind).key is None
    others = [
        make_task((X,), (SAME,), None, "regression"),
        make_task((X,), (SAME,), None, "embedding"),
        make_task((X,), (SAME,), None, "anomaly"),
        make_task((X,), (LOGITS, Port("z", "float32", ("N", 3))), None, None, "z"),
    ]
    assert len({t.key for t in others} - {None}) == 4


def test_outputs_of_a_detector_are_named_or_found() -> None:
    named = (Port("boxes", "float32", ("N", 9, 4)), Port("scores", "float32", ("N", 9, 2)))
    other = (Port("a", "float32", ("N", 9, 4)), Port("b", "float32", ("N", 9, 4)))
    assert make_task((X,), named, None, "detection") == Task("detection", 1, 0)
    assert make_task((X,), other, None, None, "scores=b,boxes=a,format=centres") == Task(
        "detection", 1, 0, True
    )
    with pytest.raises(ArgumentError, match="not clear"):
        make_task((X,), other, None, "detection")


@pytest.mark.parametrize(
    ("kind", "named", "said"),
    [
        ("magic", None, "'magic'"),
        (None, "z", "'z'"),
        (None, "output=z", "'z'"),
        (None, "thing=y", "make no sense"),
        (None, "scores=y,boxes=y,format=x", "make no sense"),
    ],
)
def test_what_does_not_exist_is_named(kind: str | None, named: str | None, said: str) -> None:
    with pytest.raises(ArgumentError, match=said):
        make_task((X,), (LOGITS,), None, kind, named)


def measured(task: Task, output: np.ndarray, labels: Any, size: int = 7, **given: Any) -> Quality:
    meter, reference = QualityMeter(task), given.get("reference", output)
    feeds = given.get("feeds")
    for start in range(0, len(output), size):
        part = slice(start, start + size)
        fed = None if feeds is None else {k: a[part] for k, a in feeds.items()}
        meter.add([output[part]], [reference[part]], None if labels is None else labels[part], fed)
    return meter.result()


@pytest.mark.parametrize("size", [1, 5, 100])
def test_top_5_by_sorting(size: int) -> None:
    logits, labels = normal(1, 60, 20), np.arange(60) % 20
    found = measured(Task(), logits, labels, size)
    best = np.argsort(-logits, axis=1)[:, :5]
    assert found.metric_name == "top-1"
    assert found.more["top-5"] == (best == labels[:, None]).any(axis=1).mean()
    assert found.metric is not None and found.metric <= found.more["top-5"]


def test_top_5_of_a_dead_network_is_that_of_five_classes() -> None:
    found = measured(Task(), np.zeros((40, 20), np.float32), np.arange(40) % 20)
    assert found.more["top-5"] == 5 / 20
    assert "top-5" not in measured(Task(), normal(1, 9, 5), np.arange(9) % 5).more


@pytest.mark.parametrize("size", [1, 3, 100])
def test_perplexity_by_scipy(size: int) -> None:
    logits, labels = normal(1, 6, 4, 9), np.arange(24).reshape(6, 4) % 9
    labels[0, :2] = -100
    likelihood = np.take_along_axis(
        log_softmax(logits.astype(np.float64), -1), np.maximum(labels, 0)[..., None], -1
    )
    wanted = np.exp(-likelihood[..., 0][labels != -100].mean())
    found = measured(Task(), logits, labels, size)
    assert found.metric_name == "token accuracy"
    assert found.more["perplexity"] == pytest.approx(wanted, rel=1e-9)


def test_a_uniform_language_model_is_as_perplexed_as_it_has_words() -> None:
    found = measured(Task(), np.zeros((3, 4, 9), np.float32), np.ones((3, 4), np.int64))
    assert found.more["perplexity"] == pytest.approx(9)


def test_squared_and_absolute_error_by_hand() -> None:
    output, labels = (
        np.array([[1.0, 2.0], [3.0, 4.0]], np.float32),
        np.array([[1.0, 0.0], [0.0, 4.0]], np.float32),
    )
    found = measured(Task("regression"), output, labels, 1)
    assert (found.metric, found.metric_name) == (13 / 4, "mean squared error")
    assert found.more["mean absolute error"] == 5 / 4
    assert found.agreement is None
    broken = measured(Task("regression"), output * np.nan, labels)
    assert broken.metric is not None and 1e20 < broken.metric < np.inf


def test_targets_of_another_size_are_refused() -> None:
    with pytest.raises(DataError, match=r"1 numbers for each sample, the output 2"):
        measured(Task("regression"), normal(1, 4, 2), np.zeros(4, np.float32))


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=2, max_size=40))
def test_the_area_under_the_curve_is_that_of_scikit_learn(drawn: list[tuple[int, bool]]) -> None:
    scores, positive = (np.array(part) for part in zip(*drawn, strict=True))
    found = roc_auc(scores.astype(np.float64), positive)
    if positive.all() or not positive.any():
        assert found is None
    else:
        assert found == pytest.approx(roc_auc_score(positive, scores))


@pytest.mark.parametrize("size", [1, 8, 100])
def test_an_autoencoder_is_measured_by_its_reconstruction(size: int) -> None:
    x, output, labels = normal(1, 30, 8), normal(2, 30, 8), np.arange(30) % 2
    found = measured(Task("anomaly", input="x"), output, labels, size, feeds={"x": x})
    wanted = roc_auc_score(labels, np.square(x.astype(np.float64) - output).mean(axis=1))
    assert (found.metric_name, found.metric) == ("ROC AUC", pytest.approx(wanted))


def test_an_anomaly_score_may_be_an_output() -> None:
    output, labels = normal(1, 30, 1), np.arange(30) % 2
    assert measured(Task("anomaly"), output, labels).metric == pytest.approx(
        roc_auc_score(labels, output[:, 0])
    )
    with pytest.raises(DataError, match=r"0 \(normal\) and 1"):
        measured(Task("anomaly"), output, np.arange(30))


def test_embeddings_are_measured_by_their_cosine_to_fp32() -> None:
    reference, output = normal(1, 30, 8), normal(2, 30, 8)
    found = measured(Task("embedding"), output, None, reference=reference)
    norms = np.linalg.norm(reference, axis=1) * np.linalg.norm(output, axis=1)
    assert found.metric_name == "cosine"
    assert found.metric == pytest.approx(((reference * output).sum(axis=1) / norms).mean(), rel=1e-5)
    assert measured(Task("embedding"), output, None).metric == pytest.approx(1.0)


def test_every_metric_says_how_it_is_read() -> None:
    assert not measure_of("perplexity").more_is_better and not measure_of("mean squared error").share
    assert measure_of("top-1").counted and not measure_of("ROC AUC").counted
    assert all(name == m.name for name, m in METRICS.items())


def test_records_of_older_versions_still_load() -> None:
    old = {"metric": 0.5, "metric_name": "top-1", "agreement": 1.0, "sqnr_db": 9.0, "kl": 0.1, "samples": 4}
    quality = Quality.from_record({**old, "decisions": 4, "bytes": 12})
    assert (quality.metric, quality.more) == (0.5, {})
