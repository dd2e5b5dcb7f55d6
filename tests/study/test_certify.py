"""Certificates: made once, kept in parts, and known to whoever asks next."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from quant_core.engine import runtime
from quant_core.errors import DataError
from quant_core.plan import preset_plan
from quant_core.study import Study, certify_plan, known_certificate, known_layers, known_speed
from quant_core.study import certify as module


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """digits-cnn with 48 samples, its int8 plan certified."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QUANTSCOPE_HOME", str(tmp_path_factory.mktemp("home")))
        study = Study.open("sample:digits-cnn", "sample:digits-cnn", samples=48)
        certify_plan(study, preset_plan(study.graph, "int8"))
    return study


def test_the_certificate_is_of_the_exported_file(certified: Study, tmp_path: Path) -> None:
    plan = preset_plan(certified.graph, "int8")
    found = known_certificate(certified, plan)
    assert found is not None
    record = certified.export(plan, tmp_path / "out.onnx")
    assert (found.bytes, found.opset, found.sha256) == (record["bytes"], record["opset"], record["sha256"])
    evaluation = certified.evaluate(plan, "shipped")
    assert found.quality["shipped"].metric == evaluation.metric
    assert found.quality["float"].metric == evaluation.metric_fp32
    assert found.quality["shipped"].sqnr_db == pytest.approx(evaluation.sqnr_db)
    assert found.samples == 48


def test_intervals_hold_what_was_measured(certified: Study) -> None:
    found = known_certificate(certified, preset_plan(certified.graph, "int8"))
    assert found is not None
    for run in ("float", "simulated", "shipped"):
        low, high = found.interval(run) or (1.0, 0.0)
        assert low <= (found.quality[run].metric or 0.0) <= high
    assert found.agreement is not None
    share, (low, high) = found.agreement
    assert low <= share <= high
    assert share == found.quality["shipped"].agreement
    assert found.change is not None
    change, (low, high) = found.change
    assert low <= change <= high


def test_layers_and_speed_are_kept_too(certified: Study) -> None:
    plan = preset_plan(certified.graph, "int8")
    layers, speed = known_layers(certified, plan), known_speed(certified, plan)
    assert layers is not None
    assert speed is not None
    assert list(layers.table["layer"]) == [x.name for x in certified.graph.quantizable]
    first = layers.table.iloc[0]
    assert first["isolated_db"] == pytest.approx(first["accumulated_db"], abs=0.05)
    assert [t.batch for t in speed.timings] == [1, 8]
    assert speed.memory.peak >= speed.memory.before
    assert speed.runtime == runtime()
    joined = speed.layers[speed.layers["layer"] != ""]
    assert (joined[["fp32_ms", "ms"]] > 0).all().all()


def test_asking_again_runs_nothing(certified: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        pytest.fail("it was measured again")

    for name in ("certify", "layer_errors"):
        monkeypatch.setattr(module, name, never)
    monkeypatch.setattr("quant_core.study.speed.Speed.is_noisy", False)
    monkeypatch.setattr(module, "measure_speed", never)
    certify_plan(certified, preset_plan(certified.graph, "int8"))


def test_another_plan_and_another_decoder_are_not_known(certified: Study) -> None:
    assert known_certificate(certified, preset_plan(certified.graph, "int4-weights")) is None
    assert known_certificate(certified, preset_plan(certified.graph, "int8"), "dequantize") is None


def test_a_metric_that_counts_nothing_has_no_interval() -> None:
    study = Study.open("sample:sensor-anomaly", "sample:sensor-anomaly", samples=40)
    plan = preset_plan(study.graph, "int8-weights")
    certify_plan(study, plan)
    found = known_certificate(study, plan)
    assert found is not None
    assert found.metric_name == "ROC AUC"
    assert found.interval("shipped") is found.agreement is found.change is None


def test_without_data_there_is_nothing_to_certify_on() -> None:
    study = Study.open("sample:digits-cnn")
    with pytest.raises(DataError):
        certify_plan(study, preset_plan(study.graph, "int8-weights"))


@pytest.mark.parametrize(
    "name", ["keywords", *(pytest.param(name, marks=pytest.mark.slow) for name in ("stories", "faces"))]
)
def test_real_models_are_certified(models: Path, name: str) -> None:
    folder = models / name
    pictures = (folder / "images").is_dir()
    data = folder / ("images" if pictures else "data.npz")
    how = "centred" if pictures else None
    study = Study.open(folder / "model.onnx", data, preprocess=how, samples=5)
    plan = preset_plan(study.graph, "int8")
    certify_plan(study, plan)
    found, layers = known_certificate(study, plan), known_layers(study, plan)
    assert found is not None
    assert layers is not None
    assert len(layers.table) == len({x.node for x in study.graph.quantizable})
    assert np.isfinite(layers.table["accumulated_db"]).all()
    assert (layers.coded["shipped_differ"] <= layers.coded["codes"]).all()
