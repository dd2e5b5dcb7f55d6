"""The command line: the keys of each command, and numbers and files that agree with each other."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from quant_core.cli import main
from quant_core.data import get_sample, samples
from quant_core.plan import PRESETS
from tests.models import build, node, port, run, simulate

CNN = "sample:digits-cnn"
EVALUATE = (
    "bytes bytes_fp32 metric metric_fp32 metric_name more agreement sqnr_db samples"
    " calibration_samples execution"
)


Command = Callable[..., Any]


def has(record: dict[str, Any], keys: str) -> bool:
    """Whether `record` has exactly these keys."""
    return set(record) == set(keys.split())


def top_1(outputs: np.ndarray) -> float:
    """The metric of `digits-cnn` by hand."""
    labels = np.load(get_sample("digits-cnn").evaluation)["labels"]
    return float((outputs.argmax(-1) == labels).mean())


def images() -> dict[str, np.ndarray]:
    return {"input": np.load(get_sample("digits-cnn").evaluation)["input"]}


def test_samples_and_evaluate_agree_on_the_fp32_metric(cli: Command) -> None:
    listed = cli("samples", "--json").json
    assert [r["name"] for r in listed] == [s.name for s in samples()]
    for record in listed:
        assert has(record, "name task metric_name metric_fp32 bytes licence")
        measured = cli("evaluate", f"sample:{record['name']}", "--preset", "fp16", "--json").json
        assert measured["metric_fp32"] == pytest.approx(record["metric_fp32"], abs=1e-9)
        assert measured["metric_name"] == record["metric_name"]
        assert measured["bytes_fp32"] == record["bytes"]


def test_inspect_says_what_the_file_holds(cli: Command) -> None:
    record = cli("inspect", CNN, "--json").json
    assert has(record, "name sha256 opset inputs outputs parameters macs bytes layers quantized savings")
    assert record["quantized"] == []
    assert all(has(saving, "what bytes proven_db") for saving in record["savings"])
    assert all(saving["bytes"] > 0 and saving["proven_db"] == 200 for saving in record["savings"])
    assert record["name"] == "digits-cnn"
    stored = onnx.load(get_sample("digits-cnn").model).graph.initializer
    assert record["parameters"] == sum(math.prod(t.dims) for t in stored if t.data_type == 1)
    assert record["bytes"] == get_sample("digits-cnn").model.stat().st_size
    assert [p["name"] for p in record["inputs"]] == ["input"]
    for layer in record["layers"]:
        assert has(layer, "name op weights shape parameters macs reason")
        assert layer["reason"] is None
    assert record["macs"] == sum(layer["macs"] for layer in record["layers"])


def test_sweep_has_a_cell_for_every_layer_format_and_part(cli: Command) -> None:
    record = cli(
        "sweep", CNN, "--formats", "int8,int2", "--samples", "40", "--out", "table.json", "--json"
    ).json
    assert has(record, "layers formats samples calibration_samples execution baseline cells")
    assert (record["samples"], record["calibration_samples"]) == (40, 200)
    assert (record["formats"], record["execution"]) == (["int8", "int2"], "simulated")
    keys = [(c["layer"], c["format"], c["quantized"]) for c in record["cells"]]
    parts = ("weights", "activations", "both")
    assert keys == [(x, f, p) for x in record["layers"] for f in ("int8", "int2") for p in parts]
    for cell in record["cells"]:
        assert has(cell, "layer format quantized metric sqnr_db agreement bytes")
    damage = {k: c["sqnr_db"] for k, c in zip(keys, record["cells"], strict=True)}
    assert all(damage[x, "int2", p] < damage[x, "int8", p] for x in record["layers"] for p in parts)
    assert json.loads(Path("table.json").read_text()) == record


def test_parts_and_execution_can_be_chosen(cli: Command) -> None:
    options = ("--formats", "int8", "--samples", "40", "--quantized", "weights", "--execution", "shipped")
    record = cli("sweep", CNN, *options, "--json").json
    assert {c["quantized"] for c in record["cells"]} == {"weights"}
    assert record["execution"] == "shipped"


@pytest.mark.parametrize("preset", PRESETS)
def test_evaluate_gives_the_keys_and_the_size_of_the_exported_file(cli: Command, preset: str) -> None:
    record = cli("evaluate", CNN, "--preset", preset, "--samples", "100", "--json").json
    assert has(record, EVALUATE)
    assert (record["samples"], record["calibration_samples"]) == (100, 200)
    written = cli("export", CNN, "--preset", preset, "--out", "q.onnx", "--json").json
    assert has(written, "path bytes opset sha256")
    assert record["bytes"] == written["bytes"] == Path("q.onnx").stat().st_size
    onnx.checker.check_model("q.onnx", full_check=True)
    assert record["agreement"] > 0.9


@pytest.mark.parametrize("preset", ["int8", "int8-tensor", "int4-weights", "w8a16"])
def test_the_exported_file_gives_the_simulated_and_the_shipped_metric(cli: Command, preset: str) -> None:
    """By ONNX Runtime alone: with `session.disable_quant_qdq=1`, and with its default options."""
    cli("export", CNN, "--preset", preset, "--out", "q.onnx")
    content = Path("q.onnx").read_bytes()
    for execution, by_hand in (("simulated", simulate), ("shipped", run)):
        record = cli("evaluate", CNN, "--preset", preset, "--execution", execution, "--json").json
        assert record["execution"] == execution
        (outputs,) = by_hand(content, images())
        assert record["metric"] == pytest.approx(top_1(outputs), abs=1e-9)
        (wanted,) = by_hand(get_sample("digits-cnn").model.read_bytes(), images())
        noise = np.square(outputs.astype(np.float64) - wanted).sum()
        sqnr = 10 * np.log10(np.square(wanted.astype(np.float64)).sum() / noise)
        assert record["sqnr_db"] == pytest.approx(sqnr, abs=0.05)


def test_search_obeys_the_budget(cli: Command) -> None:
    record = cli("search", CNN, "--max-bytes", "25%", "--out", "plan.json", "--json").json
    assert has(record, f"{EVALUATE} plan predicted")
    assert record["plan"] == "plan.json"
    assert record["bytes"] <= 0.25 * record["bytes_fp32"]
    assert record["agreement"] > 0.95
    again = cli("evaluate", CNN, "--plan", "plan.json", "--json").json
    assert again == {k: v for k, v in record.items() if k in EVALUATE.split()}
    cli("export", CNN, "--plan", "plan.json", "--out", "q.onnx")
    assert Path("q.onnx").stat().st_size == record["bytes"]


def test_search_uses_the_room_there_is(cli: Command) -> None:
    found = [
        cli("search", CNN, "--max-bytes", b, "--out", "p.json", "--json").json for b in ("14%", "25%", "60%")
    ]
    sizes, quality = [r["bytes"] for r in found], [r["sqnr_db"] for r in found]
    assert sizes == sorted(sizes)
    assert quality == sorted(quality)


def test_search_takes_bytes_too(cli: Command) -> None:
    record = cli("search", CNN, "--max-bytes", "20000", "--out", "p.json", "--json").json
    assert 15000 < record["bytes"] <= 20000


def test_search_for_a_drop_finds_a_small_plan_that_keeps_it(cli: Command) -> None:
    record = cli("search", CNN, "--max-drop", "1", "--out", "p.json", "--json").json
    assert 100 * (record["metric_fp32"] - record["metric"]) <= 1
    assert record["bytes"] < 0.2 * record["bytes_fp32"]


def test_compare_measures_two_files(cli: Command) -> None:
    cli("export", CNN, "--preset", "int8", "--out", "q.onnx")
    record = cli("compare", CNN, "q.onnx", "--data", CNN, "--json").json
    assert has(record, "a b metric_name agreement sqnr_db latency_ratio samples")
    assert has(record["a"], "bytes metric") and has(record["b"], "bytes metric")
    shipped = cli("evaluate", CNN, "--preset", "int8", "--execution", "shipped", "--json").json
    assert record["b"] == {"bytes": shipped["bytes"], "metric": shipped["metric"]}
    assert record["a"]["metric"] == pytest.approx(shipped["metric_fp32"], abs=1e-9)
    assert record["sqnr_db"] == pytest.approx(shipped["sqnr_db"], abs=0.01)
    assert record["latency_ratio"] > 0


def test_data_and_calibration_can_be_named(cli: Command) -> None:
    sample = get_sample("digits-cnn")
    given = ("--data", sample.evaluation, "--calibration", sample.calibration)
    by_path = cli("evaluate", sample.model, *given, "--preset", "int8", "--json").json
    assert by_path == cli("evaluate", CNN, "--preset", "int8", "--json").json


@pytest.mark.parametrize(
    ("calibration", "samples", "aside"),
    [(None, 480, 120), ("50", 550, 50), ("none", 600, 0), (CNN, 600, 200)],
)
def test_what_calibrates_is_not_evaluated(
    cli: Command, calibration: str | None, samples: int, aside: int
) -> None:
    sample = get_sample("digits-cnn")
    options = () if calibration is None else ("--calibration", calibration)
    data = ("--data", sample.evaluation)
    record = cli("evaluate", sample.model, *data, *options, "--preset", "fp16", "--json").json
    assert (record["samples"], record["calibration_samples"]) == (samples, aside)


def test_metrics_are_null_without_labels(cli: Command, tmp_path: Path) -> None:
    np.savez(tmp_path / "bare.npz", **{k: v[:50] for k, v in images().items()})
    record = cli("evaluate", CNN, "--data", "bare.npz", "--preset", "int8", "--json").json
    assert (record["metric"], record["metric_fp32"], record["metric_name"]) == (None, None, None)
    assert record["agreement"] > 0.9
    record = cli("compare", CNN, CNN, "--data", "bare.npz", "--json").json
    assert (record["a"]["metric"], record["metric_name"], record["sqnr_db"]) == (None, None, 200.0)


def test_weights_alone_need_no_data_to_export(cli: Command) -> None:
    sample = get_sample("digits-cnn")
    written = cli("export", sample.model, "--preset", "int4-weights", "--out", "q.onnx", "--json").json
    assert written["opset"] == 21


def test_the_other_decoder_gives_the_same_weights(cli: Command) -> None:
    for decoder in ("cast", "dequantize"):
        name = f"{decoder}.onnx"
        cli("export", CNN, "--preset", "int8-weights", "--decoder", decoder, "--out", name)
    files = [Path(f"{d}.onnx").read_bytes() for d in ("cast", "dequantize")]
    assert any(n.op_type == "DequantizeLinear" for n in onnx.load("dequantize.onnx").graph.node)
    assert not any(n.op_type == "DequantizeLinear" for n in onnx.load("cast.onnx").graph.node)
    np.testing.assert_array_equal(simulate(files[0], images())[0], simulate(files[1], images())[0])


def test_standard_output_is_one_document_and_progress_goes_to_standard_error(cli: Command) -> None:
    done = cli("sweep", CNN, "--formats", "int8", "--samples", "30", "--quantized", "weights", "--json")
    json.loads(done.out)
    assert "cells" in done.err
    assert "cells," not in done.out


@pytest.mark.parametrize(
    "arguments",
    [
        ("samples",),
        ("inspect", CNN),
        ("evaluate", CNN, "--preset", "int8", "--samples", "30"),
        ("sweep", CNN, "--formats", "int8", "--samples", "30", "--quantized", "weights"),
    ],
    ids=lambda a: a[0],
)
def test_without_json_a_person_can_read_it(cli: Command, arguments: tuple[str, ...]) -> None:
    done = cli(*arguments)
    assert done.code == 0
    assert not done.out.lstrip().startswith(("{", "["))
    assert len(done.out.splitlines()) >= 3


def test_hostile_names_reach_no_terminal_as_they_are(cli: Command, tmp_path: Path) -> None:
    name = "evil\x1b[31m\nname"
    weights = {"w": np.ones((3, 3), np.float32)}
    nodes = [node("MatMul", ["x", "w"], ["y"], name=name)]
    model = build(nodes, [port("x", "N", 3)], [port("y", "N", 3)], weights)
    (tmp_path / "evil.onnx").write_bytes(model.SerializeToString())
    done = cli("inspect", "evil.onnx")
    assert done.code == 0
    assert "\x1b" not in done.out and "evil" in done.out
    assert len(cli("inspect", "evil.onnx", "--json").json["layers"]) == 1


def test_the_module_is_a_program(repo: Path) -> None:
    command = [sys.executable, "-m", "quant_core", "inspect", "nowhere.onnx", "--json"]
    done = subprocess.run(command, cwd=repo, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1


def test_a_reader_that_has_seen_enough_is_no_error(repo: Path) -> None:
    command = [sys.executable, "-m", "quant_core", "samples"]
    process = subprocess.Popen(command, cwd=repo, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    assert (process.stderr.read(), process.wait(60)) == ("", 0)
    process.stderr.close()


@pytest.mark.parametrize(
    "command", ["samples", "inspect", "sweep", "evaluate", "search", "export", "compare"]
)
def test_every_command_has_help(capsys: pytest.CaptureFixture[str], command: str) -> None:
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    assert stop.value.code == 0
    assert len(capsys.readouterr().out.splitlines()) > 3
