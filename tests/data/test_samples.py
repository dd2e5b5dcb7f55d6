"""The bundled samples: whole, and as their cards say."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from quant_core.data import DEFAULT, Reading, Sample, get_sample, make_task, open_data, samples
from quant_core.errors import ArgumentError, DataError
from quant_core.graph import Graph, inputs_of, outputs_of, read_model
from quant_core.prepare import prepare

every_sample = pytest.mark.parametrize("sample", samples(), ids=lambda s: s.name)


def test_the_default_comes_first() -> None:
    assert [s.name for s in samples()] == [DEFAULT, "digits-cnn", "reviews-transformer", "sensor-anomaly"]


@every_sample
def test_the_card_says_what_the_file_holds(sample: Sample) -> None:
    file = read_model(sample.model)
    assert sample.card["name"] == sample.name
    assert sample.card["bytes"] == file.bytes
    for key in ("task", "licence", "data", "metric_name"):
        assert sample.card[key]


@every_sample
def test_every_layer_is_for_us_to_quantize(sample: Sample) -> None:
    file = read_model(sample.model)
    prepared, steps = prepare(file.model)
    assert all(s.kept for s in steps)
    assert len(Graph(file, prepared).quantizable) == sample.card["layers"]


@pytest.mark.parametrize("name", ["digits-mobile", "digits-cnn", "sensor-anomaly"])
def test_batch_norm_is_left_for_us_to_fold(name: str) -> None:
    file = read_model(get_sample(name).model)
    assert sum(n.op_type == "BatchNormalization" for n in file.model.graph) >= 4
    prepared, _ = prepare(file.model)
    assert not any(n.op_type == "BatchNormalization" for n in prepared.graph)


@every_sample
def test_a_sample_is_small(sample: Sample) -> None:
    assert sample.model.stat().st_size < 2e6
    assert sum(f.stat().st_size for f in sample.folder.iterdir()) < 3e6


@every_sample
def test_inputs_are_as_the_card_says_for_any_number_of_samples(sample: Sample) -> None:
    port = inputs_of(read_model(sample.model).model)[0]
    assert [port.name, list(port.shape), port.dtype] == [
        sample.card["input"][k] for k in ("name", "shape", "dtype")
    ]
    data = open_data(sample.evaluation, inputs_of(read_model(sample.model).model))
    held = data.take(np.arange(len(data)))[port.name]
    low, high = sample.card["input"]["range"]
    assert low <= held.min() <= held.max() <= high


@every_sample
def test_the_data_lead_to_the_task_of_the_card(sample: Sample) -> None:
    model = read_model(sample.model).model
    data = open_data(sample.evaluation, inputs_of(model))
    assert make_task(inputs_of(model), outputs_of(model), data).kind == sample.card["task"]


def test_the_transformer_has_an_embedding_attention_and_gelu() -> None:
    sample = get_sample("reviews-transformer")
    file = read_model(sample.model)
    graph = Graph(file, prepare(file.model)[0])
    ops = Counter(layer.op for layer in graph.quantizable if layer.shape)
    assert ops["Gather"] == 1 and ops["MatMul"] >= 12
    held = Counter(n.op_type for n in file.model.graph)
    assert held["Softmax"] == held["Erf"] >= 2 and held["LayerNormalization"] >= 5


def test_text_gives_what_the_arrays_of_the_transformer_hold() -> None:
    """Its tokenizer.json is found beside the model, too."""
    sample = get_sample("reviews-transformer")
    inputs = inputs_of(read_model(sample.model).model)
    stored = open_data(sample.evaluation, inputs)
    rows = np.arange(len(stored))
    text = open_data(sample.folder / "evaluation.txt", inputs)
    for name, array in stored.take(rows).items():
        assert np.array_equal(array, text.take(rows)[name])
    assert np.array_equal(text.labels, stored.labels)


def test_a_text_elsewhere_is_read_by_the_tokenizer_of_the_model(tmp_path: Path) -> None:
    sample = get_sample("reviews-transformer")
    (tmp_path / "mine.txt").write_text("the battery is not great .\t0\n", encoding="utf-8")
    inputs = inputs_of(read_model(sample.model).model)
    read = open_data(tmp_path / "mine.txt", inputs, reading=Reading(folder=sample.folder))
    assert read.take(np.arange(1))["attention_mask"].sum() == 8  # six words, [CLS] and [SEP]
    with pytest.raises(DataError, match="beside the text or the model"):
        open_data(tmp_path / "mine.txt", inputs)


@every_sample
def test_calibration_and_evaluation_share_no_sample(sample: Sample) -> None:
    inputs = inputs_of(read_model(sample.model).model)
    parts = [open_data(path, inputs) for path in (sample.evaluation, sample.calibration)]
    assert [len(p) for p in parts] == [sample.card["samples"][k] for k in ("evaluation", "calibration")]
    seen = [{row.tobytes() for row in p.take(np.arange(len(p)))[inputs[0].name]} for p in parts]
    assert not seen[0] & seen[1]


def test_the_default_has_at_least_twenty_layers() -> None:
    assert get_sample(DEFAULT).card["layers"] >= 20


def test_an_unknown_sample_lists_the_known_ones() -> None:
    with pytest.raises(
        ArgumentError, match=r"'digits'.*digits-mobile, digits-cnn, reviews-transformer, sensor"
    ):
        get_sample("sample:digits")
