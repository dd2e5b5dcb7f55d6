"""The bundled samples: whole, and as their cards say."""

from __future__ import annotations

import numpy as np
import pytest

from quant_core.data import DEFAULT, Sample, get_sample, open_data, samples
from quant_core.errors import ArgumentError
from quant_core.graph import Graph, inputs_of, read_model
from quant_core.prepare import prepare

every_sample = pytest.mark.parametrize("sample", samples(), ids=lambda s: s.name)


def test_the_default_comes_first() -> None:
    assert [s.name for s in samples()] == [DEFAULT, "digits-cnn"]


@every_sample
def test_the_card_says_what_the_file_holds(sample: Sample) -> None:
    file = read_model(sample.model)
    assert sample.card["name"] == sample.name
    assert sample.card["bytes"] == file.bytes
    for key in ("task", "licence", "data", "metric_name"):
        assert sample.card[key]


@every_sample
def test_batch_norm_is_left_for_us_to_fold(sample: Sample) -> None:
    file = read_model(sample.model)
    assert sum(n.op_type == "BatchNormalization" for n in file.model.graph) >= 4
    prepared, steps = prepare(file.model)
    assert not any(n.op_type == "BatchNormalization" for n in prepared.graph)
    assert all(s.kept for s in steps)
    assert len(Graph(file, prepared).quantizable) == sample.card["layers"]


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
    with pytest.raises(ArgumentError, match=r"'digits'.*digits-mobile, digits-cnn"):
        get_sample("sample:digits")
