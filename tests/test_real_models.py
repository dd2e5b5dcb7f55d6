"""Networks that other people trained: the FP32 figures known for them, and what quantization must reach.

Skipped where the folder of real models is absent. What takes minutes is marked slow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from quant_core.engine import make_session
from quant_core.errors import ModelError
from quant_core.graph import read_model
from quant_core.plan import Precision, default_scheme, preset_plan, uniform_plan
from quant_core.store import Store
from quant_core.study import INTEGER_WEIGHTS, BudgetSearch, Evaluation, Study, why_no_integers
from quant_core.study.integers import measure_integers


@dataclass(frozen=True)
class Real:
    """A model, its data, and the FP32 figure of all samples."""

    name: str
    data: str
    calibration: str
    preprocess: str | None
    metric: float
    metric_name: str
    layers: int


REAL = {
    r.name: r
    for r in (
        Real("keywords", "data.npz", "calibration.npz", None, 0.8975, "top-1", 10),
        Real("stories", "data.npz", "calibration.npz", None, 0.6016, "token accuracy", 37),
        Real("resnet20", "images", "calibration", "torchvision", 0.8135, "top-1", 20),
        Real("mobilenet_v1", "images", "calibration", "tensorflow", 0.832, "top-1", 28),
    )
}
Open = Callable[..., Study]


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """One store for this file: tests share what they measure."""
    return Store(tmp_path_factory.mktemp("real"))


@pytest.fixture
def opened(models: Path, store: Store) -> Open:
    """`opened("keywords", samples=100)` opens a real model with its own calibration data."""

    def study(name: str, samples: int | None = None) -> Study:
        real, folder = REAL[name], models / name
        calibration = str(folder / real.calibration)
        return Study.open(
            folder / "model.onnx", folder / real.data, calibration, real.preprocess, samples, store
        )

    return study


def preset(study: Study, name: str, execution: str = "simulated") -> Evaluation:
    return study.evaluate(preset_plan(study.graph, name), execution)


slow = pytest.mark.slow


@pytest.mark.parametrize(
    "name", ["keywords", "stories", *(pytest.param(n, marks=slow) for n in ("resnet20", "mobilenet_v1"))]
)
def test_the_fp32_figure_is_the_known_one(opened: Open, name: str) -> None:
    baseline = opened(name).baseline()
    assert baseline.metric == pytest.approx(REAL[name].metric, abs=0.005)
    assert baseline.metric_name == REAL[name].metric_name


@pytest.mark.parametrize("name", REAL)
def test_every_layer_is_found_and_batch_norm_folded_with_proof(opened: Open, name: str) -> None:
    study = opened(name)
    assert len(study.graph.quantizable) == REAL[name].layers
    assert not any(n.op_type == "BatchNormalization" for n in study.graph.model.graph)
    assert all(s.kept for s in study.steps)
    proofs = [s.proof_db for s in study.steps if s.name == "batch norm"]
    assert all(p is not None and p > 100 for p in proofs)


@pytest.mark.parametrize("name", ["keywords", pytest.param("resnet20", marks=slow)])
def test_shipped_int8_is_close_to_simulated(opened: Open, name: str) -> None:
    """Kernels of 8-bit products must not saturate."""
    study = opened(name, 200)
    simulated, shipped = preset(study, "int8"), preset(study, "int8", "shipped")
    assert simulated.agreement is not None and shipped.agreement is not None
    assert simulated.agreement > 0.95
    assert abs(simulated.agreement - shipped.agreement) <= 0.03
    assert abs(simulated.sqnr_db - shipped.sqnr_db) < 2


@pytest.mark.parametrize("name", ["keywords", "stories", "resnet20"])
def test_8_bit_weights_change_next_to_nothing(opened: Open, name: str) -> None:
    found = preset(opened(name, 200), "int8-weights")
    assert found.agreement is not None and found.agreement > 0.97
    assert found.sqnr_db > 25


@pytest.mark.parametrize("name", ["keywords", "stories"])
def test_sizes_are_those_of_the_file(opened: Open, name: str, tmp_path: Path) -> None:
    study = opened(name, 20)
    for chosen in ("int8-weights", "int4-weights"):
        plan = preset_plan(study.graph, chosen)
        study.export(plan, tmp_path / "q.onnx")
        assert study.evaluate(plan).bytes == (tmp_path / "q.onnx").stat().st_size


def test_the_tied_table_of_a_language_model_is_quantized_as_one(opened: Open) -> None:
    study = opened("stories", 4)
    (table,) = [x for x in study.graph.quantizable if x.op == "Gather"]
    assert len(table.tied) == 1
    plan = preset_plan(study.graph, "int8-weights")
    assert study.bytes_of(plan) < 0.75 * study.graph.file.bytes


@slow
def test_mobilenet_survives_8_bits_per_channel_and_not_per_tensor(opened: Open) -> None:
    study = opened("mobilenet_v1")
    channel, tensor = preset(study, "int8"), preset(study, "int8-tensor")
    assert channel.agreement is not None and channel.agreement >= 0.92
    assert channel.sqnr_db >= 16.5
    assert tensor.metric is not None and tensor.metric <= 0.4


@slow
@pytest.mark.parametrize("share", [0.25, 0.20])
def test_search_on_resnet20_beats_4_bits_for_all(opened: Open, share: float) -> None:
    study = opened("resnet20")
    limit = int(share * study.graph.file.bytes)
    found = BudgetSearch(study).within_bytes(limit).evaluation
    uniform = uniform_plan(study.graph, "int4", lambda _: Precision(default_scheme("int4")))
    rivals = [study.evaluate(uniform), preset(study, "int4-weights")]
    assert found.bytes <= limit
    assert found.agreement is not None
    assert all(r.agreement is not None and found.agreement > r.agreement for r in rivals)


ODD = [
    "bert_toy_3_int_inputs_shared",
    "conv_fp16",
    "dynamic_quantize",
    "keywords_int8_qdq",
    "if_outer_initializer",
    "nested_if_loop",
    "voice_activity_lstm_if",
    "mobilenetv1_external",
    pytest.param("light_resnet50", marks=slow),
    pytest.param("gpt2_past_13_inputs", marks=slow),
    "lr_sklearn_no_initializers",
    "squeezenet_opset7_zipmap_string",
]
# Layers that can be quantized, and the share of the file that 8-bit weights take at most.
OPENED = {
    "bert_toy_3_int_inputs_shared": (37, 0.32),
    "conv_fp16": (1, 1.05),
    "voice_activity_lstm_if": (10, 0.27),
    "light_resnet50": (54, 0.30),
    "gpt2_past_13_inputs": (50, 0.60),
    "squeezenet_opset7_zipmap_string": (26, 0.27),
    "mobilenetv1_external": (28, 0.26),
    "dynamic_quantize": (0, 1.0),
    "keywords_int8_qdq": (0, 1.0),
    "if_outer_initializer": (0, 1.0),
    "nested_if_loop": (0, 1.0),
    "lr_sklearn_no_initializers": (0, 1.0),
}


@pytest.mark.parametrize("name", ODD)
def test_an_odd_file_opens_with_a_reason_for_each_layer_that_is_left(
    models: Path, store: Store, name: str
) -> None:
    study = Study.open(models / "odd" / f"{name}.onnx", store=store)
    for layer in study.graph.layers:
        assert layer.name
        assert layer.reason is None or layer.reason.text
    names = [layer.name for layer in study.graph.layers]
    assert len(names) == len(set(names))
    assert all(step.kept for step in study.steps)
    quantizable, share = OPENED[name]
    assert len(study.graph.quantizable) == quantizable
    if quantizable:
        plan = preset_plan(study.graph, "int8-weights")
        made = study.lowered(plan)
        assert study.bytes_of(plan) == len(made) < share * study.graph.file.bytes
        make_session(made, "shipped")


def test_a_file_that_is_no_model_is_one_plain_sentence(models: Path) -> None:
    with pytest.raises(ModelError) as error:
        read_model(models / "odd" / "corrupt.onnx")
    assert str(error.value) == "'corrupt.onnx' is not a readable ONNX file; give a model saved as .onnx."


def test_the_weights_of_a_shared_recurrent_layer_are_stored_once(models: Path, store: Store) -> None:
    """Two branches of an If hold the same LSTM, whose weights are reordered while the model runs."""
    study = Study.open(models / "odd" / "voice_activity_lstm_if.onnx", store=store)
    recurrent = [x for x in study.graph.quantizable if x.op == "LSTM"]
    assert len(recurrent) == 4
    assert len({x.tensor for x in recurrent}) == 2
    assert all(x.body == "If" for x in recurrent)


@pytest.mark.parametrize(
    "name", ["resnet20", pytest.param("mobilenet_v1", marks=slow), "keywords", "stories"]
)
def test_a_layer_in_integers_equals_the_runtime(opened: Open, name: str) -> None:
    study = opened(name, 20)
    layers = [x for x in study.graph.quantizable if why_no_integers(study, x) is None]
    for layer in layers[:: max(1, len(layers) // 4)]:
        for weights in INTEGER_WEIGHTS:
            known = measure_integers(study, layer, weights)
            assert known.found.differ == 0, (layer.name, str(weights))
            assert known.found.fixed_most <= 1
