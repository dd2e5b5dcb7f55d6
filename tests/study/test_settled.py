"""How a range settles: measured once, kept, and equal to what calibration finds."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from quant_core.errors import PlanError
from quant_core.formats import Scheme
from quant_core.study import Study, known_settling, top_samples
from quant_core.study.settled import METHODS, measure_settling

UINT8 = Scheme("uint8", "tensor", False)


def test_settling_is_measured_once_and_ends_at_the_calibrated_range(open_study: Callable[..., Study]) -> None:
    study = open_study()
    assert study.calibration is not None
    for layer in (study.graph.quantizable[0], study.graph.quantizable[-1]):
        assert known_settling(study, layer) is None
        measured = measure_settling(study, layer)
        found = known_settling(study, layer)
        assert found is not None
        table = found.table(UINT8)
        assert set(table["method"]) == set(METHODS)
        last = table[table["samples"] == len(study.calibration)].set_index("method")
        for method in METHODS:
            ends = study.ranges.find(layer.input or "", Scheme("uint8", "tensor", False, method))
            assert (last["low"][method], last["high"][method]) == pytest.approx(ends, rel=1e-5, abs=1e-6)
        assert found.table(UINT8).equals(measured.table(UINT8))
        assert found.channels.equals(measured.channels)
        drift = found.drift(UINT8)
        assert drift is not None and 0 <= drift.outside <= 1


def test_channels_are_those_of_the_tensor_that_enters(open_study: Callable[..., Study]) -> None:
    study = open_study()
    layer = study.graph.quantizable[1]
    found = measure_settling(study, layer)
    histogram = study.ranges.histograms[layer.input or ""]
    assert found.channels["low"].min() == pytest.approx(histogram.minimum)
    assert found.channels["high"].max() == pytest.approx(histogram.maximum)
    assert layer.op == "Conv" and layer.shape is not None
    assert len(found.channels) == layer.shape[1] * layer.groups


def test_the_samples_with_the_largest_values_come_first(open_study: Callable[..., Study]) -> None:
    study = open_study()
    layer = study.graph.quantizable[1]
    table = top_samples(study, study.ranges, layer)
    assert table["largest"].is_monotonic_decreasing
    histogram = study.ranges.histograms[layer.input or ""]
    assert table["largest"][0] == pytest.approx(max(-histogram.minimum, histogram.maximum))
    assert study.calibration is not None and study.calibration.labels is not None
    assert table["label"].tolist() == [int(study.calibration.labels[n]) for n in table["sample"]]
    assert len(np.unique(table["sample"])) == len(table)


def test_a_damaged_file_is_measured_anew(open_study: Callable[..., Study]) -> None:
    study = open_study()
    layer = study.graph.quantizable[0]
    measure_settling(study, layer)
    for path in (study.store.path.parent / "settling").iterdir():
        path.write_bytes(b"no archive")
    assert known_settling(study, layer) is None
    assert measure_settling(study, layer).table(UINT8)["samples"].max() == len(study.calibration or [])


def test_without_calibration_there_is_one_sentence(open_study: Callable[..., Study]) -> None:
    study = open_study(calibration="none")
    with pytest.raises(PlanError, match="nothing to calibrate"):
        measure_settling(study, study.graph.quantizable[0])
