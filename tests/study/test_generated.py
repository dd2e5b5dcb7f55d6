"""Without data: ranges may be measured on made-up inputs, and every number that rests on them says so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from quant_core.errors import ArgumentError, DataError
from quant_core.graph import index_rows, read_model
from quant_core.plan import preset_plan
from quant_core.store import Store
from quant_core.study import Details, Evaluation, Source, Study
from tests.models import build, conv_chain, node, normal, port

CNN = "sample:digits-cnn"


def saved(folder: Path, model: onnx.ModelProto) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "m.onnx").write_bytes(model.SerializeToString())
    return folder / "m.onnx"


def embedding() -> onnx.ModelProto:
    """ids [N, T] -> a table of 7 rows -> [N, T, 3]; an index of 7 or more fails."""
    nodes = [
        node("Cast", ["ids"], ["wide"], name="cast", to=TensorProto.INT64),
        node("Gather", ["table", "wide"], ["e"], name="table_of_words"),
        node("MatMul", ["e", "w"], ["y"], name="head"),
    ]
    weights = {"table": normal(1, 7, 5), "w": normal(2, 5, 3)}
    return build(nodes, [port("ids", "N", "T", kind=TensorProto.INT32)], [port("y", "N", "T", 3)], weights)


def test_int8_is_exported_without_data(tmp_path: Path) -> None:
    study = Study.open(saved(tmp_path, conv_chain()), None, "generated:16", store=Store(tmp_path))
    assert (study.has_data, study.calibration_samples, study.calibration_is_generated) == (False, 16, True)
    record = study.export(preset_plan(study.graph, "int8"), tmp_path / "q.onnx")
    assert record["generated_calibration"] is True
    assert record["bytes"] == (tmp_path / "q.onnx").stat().st_size
    plain = study.export(preset_plan(study.graph, "int8-weights"), tmp_path / "w.onnx")
    assert "generated_calibration" not in plain


def test_made_up_indices_stay_within_the_table(tmp_path: Path) -> None:
    path = saved(tmp_path, embedding())
    assert index_rows(read_model(path).model) == {"ids": 7}
    study = Study.open(path, None, "generated", store=Store(tmp_path))
    assert study.ranges.histograms
    assert study.export(preset_plan(study.graph, "int8"), tmp_path / "q.onnx")["bytes"] > 0


def test_numbers_that_rest_on_made_up_inputs_carry_the_mark(tmp_path: Path) -> None:
    made, real = (Study.open(CNN, CNN, c, None, 40, Store(tmp_path)) for c in ("generated:16", None))
    plan, weights = preset_plan(made.graph, "int8"), preset_plan(made.graph, "int8-weights")
    found = made.evaluate(plan)
    assert found.generated_calibration and found.to_json()["generated_calibration"] is True
    assert not made.evaluate(weights).generated_calibration
    known = real.evaluate(plan)  # another measurement, under another key
    assert not known.generated_calibration and "generated_calibration" not in known.to_json()
    assert known.sqnr_db != found.sqnr_db
    again = made.known(plan)
    assert again is not None and again.generated_calibration
    assert any("generated" in note for note in made.notes)


@pytest.mark.parametrize("text", ["generated:", "generated:x", "generated:-3"])
def test_a_number_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(ArgumentError, match="generated"):
        Study.open(CNN, None, text)


def test_further_metrics_come_with_the_run_and_old_records_still_load(tmp_path: Path) -> None:
    store = Store(tmp_path)
    study = Study.open(CNN, CNN, None, None, 40, store)
    plan = preset_plan(study.graph, "int8")
    found = study.evaluate(plan)
    assert set(found.more) == set(found.more_fp32) == {"top-5", "cosine"}
    assert found.more_fp32["cosine"] == pytest.approx(1.0)
    about = study.keys.plan(plan, "simulated", study.data)
    assert "task" not in about
    record = store.get(about)
    assert record is not None
    del record["more"]
    store.put(about, record)
    old = study.known(plan)
    assert old is not None and (old.metric, old.more) == (found.metric, {})
    kept = {k: v for k, v in vars(found).items() if k not in ("more", "more_fp32", "generated_calibration")}
    assert Evaluation.from_record(kept).metric == found.metric


def test_another_task_is_another_measurement(tmp_path: Path) -> None:
    store = Store(tmp_path)
    plain = Study.open(CNN, CNN, None, None, 40, store)
    other = Study.open(CNN, CNN, None, None, 40, store, details=Details(task="embedding"))
    plan = preset_plan(plain.graph, "int8")
    assert plain.evaluate(plan).metric_name == "top-1"
    assert other.known(plan) is None
    found = other.evaluate(plan)
    assert (found.metric_name, found.metric_fp32) == ("cosine", pytest.approx(1.0))
    assert found.standard_error is None and found.lost is not None and found.lost > 0


def test_a_source_of_an_older_session_still_opens() -> None:
    old = {"model": CNN, "data": CNN, "calibration": None, "preprocess": None, "samples": 40}
    source = Source.from_record(old)
    assert source == Source(CNN, CNN, samples=40)
    assert Source(CNN, CNN, samples=40, task="embedding").open().task.kind == "embedding"


def stateful(batch: int | str) -> onnx.ModelProto:
    """x [N, 4] and state [2, N, 4]: y = (x + sum of the state) w."""
    nodes = [
        node("ReduceSum", ["state", "axis"], ["s"], name="sum", keepdims=0),
        node("Add", ["x", "s"], ["a"], name="add"),
        node("MatMul", ["a", "w"], ["y"], name="head"),
    ]
    weights = {"axis": np.array([0]), "w": normal(2, 4, 3)}
    return build(nodes, [port("state", 2, batch, 4), port("x", batch, 4)], [port("y", batch, 3)], weights)


@pytest.mark.parametrize("batch", ["N", 1, 2, 4])
def test_a_model_with_state_is_calibrated_swept_and_evaluated(tmp_path: Path, batch: int | str) -> None:
    x = normal(3, 11, 4)
    np.savez(tmp_path / "x.npz", x=x, labels=(x @ normal(2, 4, 3)).argmax(-1))
    path = saved(tmp_path, stateful(batch))
    study = Study.open(path, tmp_path / "x.npz", "3", store=Store(tmp_path))
    assert "starts at zero" in study.notes[0]
    found = study.evaluate(preset_plan(study.graph, "int8"))
    assert (found.metric_fp32, found.samples) == (1.0, 8)
    assert found.agreement == 1.0
    assert study.evaluate(preset_plan(study.graph, "int8-weights")).sqnr_db > 30
    cells = list(study.sweep(study.cells(["int8"])))
    assert {c.key.part for c in cells} == {"weights", "activations", "both"}


def test_a_recurrent_model_runs_from_zero_state_at_the_rate_the_user_names(
    models: Path, tmp_path: Path
) -> None:
    np.savez(tmp_path / "x.npz", input=normal(1, 12, 512, scale=0.1))
    path = models / "odd" / "voice_activity_lstm_if.onnx"
    with pytest.raises(DataError, match="'sr'"):
        Study.open(path, tmp_path / "x.npz", store=Store(tmp_path))
    study = Study.open(path, tmp_path / "x.npz", store=Store(tmp_path), details=Details(sizes="sr=16000"))
    assert any("'state'" in note for note in study.notes)
    found = study.evaluate(preset_plan(study.graph, "int8-weights"))
    assert found.samples == 10 and found.sqnr_db > 5
