"""Metrics against NumPy by hand, and the same however the batches fall."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import log_softmax, rel_entr, softmax

from quant_core.data import Quality, QualityMeter, has_classes
from tests.models import normal


def measured(
    outputs: list[np.ndarray], reference: list[np.ndarray], labels: np.ndarray | None, size: int = 1000
) -> Quality:
    meter = QualityMeter()
    for start in range(0, len(outputs[0]), size):
        part = slice(start, start + size)
        meter.add(
            [o[part] for o in outputs],
            [r[part] for r in reference],
            None if labels is None else labels[part].astype(np.int64),
        )
    return meter.result()


def test_top_1_and_agreement_by_hand() -> None:
    reference = np.array([[3, 1, 0], [0, 2, 1], [1, 0, 5], [4, 3, 0]], np.float32)  # 0 1 2 0
    outputs = np.array([[3, 1, 0], [2, 0, 1], [1, 0, 5], [3, 4, 0]], np.float32)  # 0 0 2 1
    quality = measured([outputs], [reference], np.array([0, 1, 2, 1]))
    assert quality.metric == 3 / 4
    assert quality.metric_name == "top-1"
    assert quality.agreement == 2 / 4
    assert (quality.samples, quality.decisions) == (4, 4)


def test_tokens_that_do_not_count_are_left_out_of_the_metric() -> None:
    outputs = np.eye(4, dtype=np.float32)[np.array([[0, 1, 2], [3, 3, 1]])]
    labels = np.array([[0, -100, 2], [3, 0, -100]])
    quality = measured([outputs], [outputs], labels)
    assert quality.metric == 3 / 4
    assert quality.metric_name == "token accuracy"
    assert quality.agreement == 1.0
    assert (quality.samples, quality.decisions) == (2, 6)


def test_sqnr_is_over_all_elements() -> None:
    reference, noise = normal(1, 50, 7), normal(2, 50, 7, scale=0.01)
    quality = measured([reference + noise], [reference], None, size=8)
    noise = (reference + noise).astype(np.float64) - reference
    expected = 10 * np.log10(np.square(reference, dtype=np.float64).sum() / np.square(noise).sum())
    assert quality.sqnr_db == pytest.approx(expected, abs=1e-9)


def test_equal_outputs_have_the_highest_sqnr_and_no_divergence() -> None:
    reference = normal(1, 9, 5)
    quality = measured([reference], [reference], None)
    assert (quality.sqnr_db, quality.kl, quality.agreement) == (200.0, 0.0, 1.0)


def test_several_outputs_count_the_same_whatever_their_size() -> None:
    """The SQNR is that of the mean noise-to-signal ratio: 20 and 40 dB."""
    large, small = normal(1, 10, 1000) * 100, normal(2, 10, 3)
    quality = measured([large * 1.1, small * 1.01], [large, small], None)
    assert quality.sqnr_db == pytest.approx(-10 * np.log10((0.01 + 0.0001) / 2), abs=1e-3)


def test_divergence_of_logits_by_scipy() -> None:
    reference, outputs = normal(1, 40, 6), normal(1, 40, 6) + normal(2, 40, 6, scale=0.2)
    p, q = log_softmax(reference.astype(np.float64), -1), log_softmax(outputs.astype(np.float64), -1)
    expected = float((np.exp(p) * (p - q)).sum(axis=-1).mean())
    assert measured([outputs], [reference], None, size=7).kl == pytest.approx(expected, rel=1e-6)


def test_divergence_of_probabilities_by_scipy() -> None:
    reference = softmax(normal(1, 40, 6), -1)
    outputs = softmax(normal(1, 40, 6) + normal(2, 40, 6, scale=0.2), -1)
    expected = float(rel_entr(reference.astype(np.float64), outputs).sum(axis=-1).mean())
    assert measured([outputs], [reference], None).kl == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("size", [1, 3, 8, 100])
def test_batches_do_not_matter(size: int) -> None:
    reference, outputs = normal(1, 20, 6), normal(1, 20, 6) + normal(2, 20, 6)
    labels = np.arange(20) % 6
    whole, parts = measured([outputs], [reference], labels), measured([outputs], [reference], labels, size)
    assert (whole.metric, whole.agreement, whole.samples) == (parts.metric, parts.agreement, parts.samples)
    assert parts.sqnr_db == pytest.approx(whole.sqnr_db, abs=1e-9)
    assert parts.kl == pytest.approx(whole.kl, rel=1e-9)


def test_without_labels_there_is_no_metric() -> None:
    quality = measured([normal(1, 4, 3)], [normal(1, 4, 3)], None)
    assert (quality.metric, quality.metric_name) == (None, None)
    assert quality.agreement == 1.0


def test_labels_of_another_shape_give_no_metric() -> None:
    quality = measured([normal(1, 4, 3)], [normal(1, 4, 3)], np.zeros((4, 2)))
    assert quality.metric is None


def test_outputs_without_classes_have_sqnr_alone() -> None:
    reference = normal(1, 6)
    quality = measured([reference * 1.1], [reference], np.zeros(6))
    assert (quality.metric, quality.agreement, quality.kl, quality.decisions) == (None, None, None, 0)
    assert quality.sqnr_db == pytest.approx(20, abs=1e-4)


def test_outputs_that_are_not_finite_are_the_worst_there_is() -> None:
    reference = normal(1, 4, 3)
    broken = reference.copy()
    broken[2, 1] = np.nan
    assert measured([broken], [reference], None).sqnr_db == -200.0


def test_outputs_that_are_whole_numbers_do_not_count_in_the_sqnr() -> None:
    logits, chosen = normal(1, 4, 3), np.arange(4)
    quality = measured([logits * 1.1, chosen + 1], [logits, chosen], None)
    assert quality.sqnr_db == pytest.approx(20, abs=1e-4)


@pytest.mark.parametrize(
    ("shape", "kind", "expected"),
    [
        ((4, 3), "float32", True),
        ((4, 2, 3), "float32", True),
        ((4, 1), "float32", False),
        ((4,), "float32", False),
        ((4, 3), "int64", False),
    ],
)
def test_a_choice_among_classes_is_the_last_axis(shape: tuple[int, ...], kind: str, expected: bool) -> None:
    assert has_classes(np.zeros(shape, kind)) is expected
