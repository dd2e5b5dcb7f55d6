"""Mean average precision: laws, and cases worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quant_core.data import QualityMeter, Task, open_data
from quant_core.data.detection import average_precision, corners, match, overlaps, suppress
from quant_core.errors import DataError
from quant_core.graph import Port

TASK = Task("detection", 0, 1)


def boxes_of(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Boxes that do not overlap: each has a cell of a grid of 10 by 10 for its own."""
    cells = np.stack([rng.permutation(100)[: shape[-1]] for _ in range(int(np.prod(shape[:-1])))])
    low = np.stack([cells % 10, cells // 10], axis=-1) / 10.0
    return np.concatenate([low, low + 0.08], axis=-1).reshape(*shape, 4)


def scored(
    scores: np.ndarray, boxes: np.ndarray, labels: np.ndarray, task: Task = TASK, size: int = 2
) -> float:
    meter = QualityMeter(task)
    for i in range(0, len(scores), size):
        part = [scores[i : i + size].astype(np.float32), boxes[i : i + size].astype(np.float32)]
        meter.add(part, part, labels[i : i + size])
    found = meter.result()
    assert found.metric_name == "mAP@0.5"
    assert found.metric is not None
    return found.metric


def perfect(rng: np.random.Generator, images: int, count: int, classes: int) -> tuple[np.ndarray, ...]:
    """Scores, boxes and labels of a detector that makes no mistake."""
    boxes, kinds = boxes_of(rng, images, count), rng.integers(0, classes, (images, count))
    scores = 0.5 * rng.random((images, count, classes)) * 0.1
    np.put_along_axis(scores, kinds[..., None], 0.6 + 0.4 * rng.random((images, count, 1)), -1)
    return scores, boxes, np.concatenate([boxes, kinds[..., None]], axis=-1).astype(np.float32)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(1, 6), st.integers(1, 3))
def test_a_perfect_detector_scores_one_in_any_order(seed: int, images: int, count: int, classes: int) -> None:
    rng = np.random.default_rng(seed)
    scores, boxes, labels = perfect(rng, images, count, classes)
    assert scored(scores, boxes, labels) == pytest.approx(1.0)
    within, order = rng.permutation(count), rng.permutation(images)
    assert scored(scores[:, within], boxes[:, within], labels) == pytest.approx(1.0)
    noisy = scores + 0.3 * rng.random(scores.shape)
    there, elsewhere = scored(noisy, boxes, labels), scored(noisy[order], boxes[order], labels[order], size=1)
    assert there == pytest.approx(elsewhere)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_scores_count_by_their_order_alone(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores, boxes, labels = perfect(rng, 3, 5, 2)
    noisy = scores + rng.random(scores.shape)
    assert scored(noisy, boxes, labels) == pytest.approx(scored(np.exp(3 * noisy) - 50, boxes, labels))


def test_a_missed_box_and_a_false_one_by_hand() -> None:
    """Four true boxes; found are 1 right, 1 wrong, 2 right in that order: recalls 1/4, 2/4, 3/4 with the best
    precisions 1, 3/4, 3/4. Of 101 recalls, 26 lie at or below 1/4, 50 above and at or below 3/4."""
    right = np.array([True, False, True, True])
    found = average_precision(np.array([0.9, 0.8, 0.7, 0.6]), right, 4)
    assert found == pytest.approx((26 * 1.0 + 50 * 0.75) / 101)


def test_nothing_found_scores_zero() -> None:
    assert average_precision(np.zeros(0), np.zeros(0, bool), 3) == 0.0
    labels = np.array([[[0.1, 0.1, 0.2, 0.2, 0]]], np.float32)
    assert scored(np.ones((1, 1, 1)), np.array([[[0.7, 0.7, 0.9, 0.9]]]), labels) == 0.0


def test_overlaps_by_hand() -> None:
    a = np.array([[0.0, 0.0, 2.0, 2.0]])
    b = np.array([[1.0, 1.0, 3.0, 3.0], [0.0, 0.0, 2.0, 1.0], [5.0, 5.0, 6.0, 6.0], [1.0, 1.0, 0.0, 0.0]])
    np.testing.assert_allclose(overlaps(a, b)[0], [1 / 7, 1 / 2, 0, 0])


def test_of_two_boxes_on_one_face_the_better_stays() -> None:
    boxes = np.array([[0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 1.0, 0.9], [2.0, 2.0, 3.0, 3.0]])
    assert suppress(np.array([0.5, 0.9, 0.1]), boxes).tolist() == [1, 2]


def test_a_true_box_is_found_once() -> None:
    found = np.array([[0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 1.0, 0.9]])
    assert match(found, found[:1]).tolist() == [True, False]


def test_padding_and_unknown_classes_do_not_count() -> None:
    scores, boxes, labels = perfect(np.random.default_rng(0), 2, 3, 2)
    padded = np.concatenate([labels, np.full((2, 4, 5), -1, np.float32)], axis=1)
    assert scored(scores, boxes, padded) == scored(scores, boxes, labels) == pytest.approx(1.0)


def test_centres_and_sizes_are_turned_into_corners() -> None:
    scores, boxes, labels = perfect(np.random.default_rng(0), 2, 3, 2)
    middle = np.concatenate([(boxes[..., :2] + boxes[..., 2:]) / 2, boxes[..., 2:] - boxes[..., :2]], axis=-1)
    np.testing.assert_allclose(corners(middle), boxes)
    assert scored(scores, middle, labels, Task("detection", 0, 1, True)) == pytest.approx(1.0)


def test_boxes_come_with_an_npz(tmp_path) -> None:  # type: ignore[no-untyped-def]
    inputs = (Port("x", "float32", ("N", 2)),)
    boxes, classes = np.arange(16.0).reshape(2, 2, 4), np.array([[1, -1], [0, 1]])
    np.savez(tmp_path / "x.npz", x=np.zeros((2, 2), np.float32), boxes=boxes, classes=classes)
    data = open_data(tmp_path / "x.npz", inputs)
    assert data.has_boxes and data.labels is not None
    np.testing.assert_array_equal(data.labels[..., :4], boxes)
    np.testing.assert_array_equal(data.labels[..., 4], classes)
    np.savez(tmp_path / "y.npz", x=np.zeros((2, 2), np.float32), boxes=boxes, classes=classes[:, :1])
    with pytest.raises(DataError, match="boxes"):
        open_data(tmp_path / "y.npz", inputs)
