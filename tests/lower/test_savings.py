"""Savings: smaller, equal to the bit, and nothing is touched that is not what it looks like."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper

from quant_core.graph import Graph
from quant_core.lower import SAVINGS, WeightCache, drop_notes, lower, to_bytes
from quant_core.lower.savings.masks import causal_diagonal
from quant_core.lower.savings.narrow import narrowed
from quant_core.lower.savings.ranges import even_step
from quant_core.plan import Plan, preset_plan
from tests.models import Array, build, file_of, fixed_range, graph_of, node, normal, port, proto_of, run

KINDS = {
    np.float32: TensorProto.FLOAT,
    np.float64: TensorProto.DOUBLE,
    np.float16: TensorProto.FLOAT16,
    np.int64: TensorProto.INT64,
    np.int32: TensorProto.INT32,
    np.uint8: TensorProto.UINT8,
    np.bool_: TensorProto.BOOL,
}


def holding(*arrays: Array, opset: int = 17) -> onnx.ModelProto:
    """A model that gives each of `arrays` back, sliced by the input `n` [1]."""
    nodes, outputs, weights = [], [], {"zero": np.array([0]), "axis": np.array([0])}
    for i, array in enumerate(arrays):
        weights[f"t{i}"] = array
        nodes.append(node("Slice", [f"t{i}", "zero", "n", "axis"], [f"y{i}"], name=f"cut{i}"))
        outputs.append(port(f"y{i}", *["a"] * array.ndim, kind=KINDS[array.dtype.type]))
    return build(nodes, [port("n", 1, kind=TensorProto.INT64)], outputs, weights, opset)


def saved(kind: str, *arrays: Array, opset: int = 17) -> tuple[int, int]:
    """How many tensors the saving changed, and by how many bytes, names short before and after; holds the
    outputs to the bit.
    """
    proto = holding(*arrays, opset=opset)
    model = ir.from_proto(proto_of(proto.SerializeToString()))
    drop_notes(model)
    before_bytes = len(to_bytes(model))
    count = SAVINGS[kind][0](model)
    drop_notes(model)
    made = to_bytes(model)
    feeds = {"n": np.array([99999])}
    for wanted, before, after in zip(arrays, run(proto, feeds), run(made, feeds), strict=True):
        assert before.tobytes() == after.tobytes() == wanted.tobytes()
        assert before.dtype == after.dtype
    return count, before_bytes - len(made)


def mask(
    rows: int, columns: int, low: float, high: float, diagonal: int = 1, kind: type = np.float32
) -> Array:
    below = np.tri(rows, columns, diagonal - 1, dtype=bool)
    return np.where(below, np.array(low, kind), np.array(high, kind))


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.float16, np.int64, np.int32, np.uint8, np.bool_])
@pytest.mark.parametrize("opset", [13, 17, 21])
def test_a_causal_mask_is_computed(kind: type, opset: int) -> None:
    count, fewer = saved("masks", mask(96, 96, 1, 0, kind=kind), opset=opset)
    assert count == 1
    assert fewer > 96 * 96 * np.dtype(kind).itemsize - 500


@pytest.mark.parametrize(
    ("shape", "diagonal"), [((64, 64), 0), ((64, 64), 1), ((40, 64), 25), ((64, 40), 1), ((64, 64), 30)]
)
@pytest.mark.parametrize("batch", [(), (1,), (1, 1), (3, 2)])
def test_masks_of_any_shape_and_diagonal(
    shape: tuple[int, int], diagonal: int, batch: tuple[int, ...]
) -> None:
    plane = mask(*shape, 0.0, float(np.finfo(np.float32).min), diagonal)
    assert saved("masks", np.broadcast_to(plane, (*batch, *shape)).copy())[0] == 1


def test_infinite_masks(tmp_path: Path) -> None:
    assert saved("masks", mask(64, 64, 0.0, -np.inf))[0] == 1


def test_what_is_nearly_a_mask_stays() -> None:
    nearly = mask(64, 64, 0.0, -1e9)
    nearly[40, 3] = -1e9
    third = np.stack([mask(64, 64, 0.0, -1e9)] * 2)
    third[1, 63, 63] = -1.0
    for array in (
        nearly,
        third,
        normal(1, 64, 64),
        np.zeros((64, 64), np.float32),
        np.tri(64, dtype=np.float32)[::-1],
    ):
        assert causal_diagonal(array) is None
    assert saved("masks", nearly, third)[0] == 0


@pytest.mark.parametrize("value", [0.0, -0.0, 1.5, np.inf])
def test_a_tensor_of_one_value_is_computed(value: float) -> None:
    count, fewer = saved("fills", np.full((30, 20), value, np.float32))
    assert count == 1
    assert fewer > 2400 - 150


def test_what_is_nearly_of_one_value_stays() -> None:
    array = np.zeros((30, 20), np.float32)
    array[3, 3] = -0.0
    other = np.full((30, 20), np.nan, np.float32)
    assert saved("fills", array, other) == (0, 0)


@pytest.mark.parametrize("kind", [np.int64, np.int32, np.float32, np.float64])
@pytest.mark.parametrize(("start", "step", "shape"), [(0, 1, (512,)), (5, -3, (1, 400)), (-7, 2, (300, 1))])
def test_a_table_of_even_steps_is_computed(kind: type, start: int, step: int, shape: tuple[int, ...]) -> None:
    size = int(np.prod(shape))
    assert saved("ranges", (start + step * np.arange(size)).astype(kind).reshape(shape))[0] == 1


def test_what_is_no_even_table_stays() -> None:
    bumpy = np.arange(512)
    bumpy[100] += 1
    assert even_step(bumpy) is None
    assert even_step(np.arange(512, dtype=np.float32) * np.float32(0.1)) is None
    assert even_step(np.arange(4) + (1 << 40)) is None
    assert saved("ranges", bumpy, np.linspace(0, 1, 512, dtype=np.float32))[0] == 0


def test_wide_tables_are_stored_narrow() -> None:
    rng = np.random.default_rng(0)
    table = rng.integers(0, 200, 500)
    exact = normal(1, 500).astype(np.float64)
    count, fewer = saved("narrow", table, exact)
    assert count == 2
    assert fewer > 7 * 500 + 4 * 500 - 200


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([0, 255], np.uint8),
        ([-128, 127], np.int8),
        ([0, 65535], np.uint16),
        ([-1, 255], np.int16),
        ([-1, 70000], np.int32),
        ([0, 1 << 40], None),
    ],
)
def test_the_narrowest_type_that_holds_all(values: list[int], kind: type | None) -> None:
    smaller = narrowed(np.array(values))
    assert (None if smaller is None else smaller.dtype.type) == kind


def test_doubles_that_float32_does_not_hold_stay() -> None:
    assert narrowed(np.array([0.1])) is None
    assert narrowed(np.array([1e300])) is None
    assert narrowed(np.array([0.5, np.nan, -np.inf])) is not None


def test_equal_tensors_are_stored_once() -> None:
    weights = normal(1, 50, 40)
    other = weights.copy()
    other[49, 39] += 1
    count, fewer = saved("duplicates", weights, weights.copy(), other, weights.reshape(40, 50))
    assert count == 2  # and the two arguments of Slice
    assert fewer > 50 * 40 * 4


def test_what_nothing_reads_is_dropped() -> None:
    proto = holding(normal(1, 4, 4))
    proto.graph.initializer.append(onnx.numpy_helper.from_array(normal(2, 100), "left over"))
    model = ir.from_proto(proto)
    assert SAVINGS["unused"][0](model) == 1
    assert "left over" not in model.graph.initializers


def test_outputs_inputs_and_scales_are_left_alone() -> None:
    """A stored tensor may be an output itself, or the default of an input."""
    model = build(
        [node("Identity", ["x"], ["y"], name="copy")],
        [port("x", 100), port("given", 100)],
        [port("y", 100), port("stored", 100)],
        {"stored": np.ones(100, np.float32), "given": np.ones(100, np.float32)},
    )
    made = ir.from_proto(proto_of(model.SerializeToString()))
    for change, _ in SAVINGS.values():
        change(made)
    feeds = {"x": normal(1, 100), "given": normal(2, 100)}
    for a, b in zip(run(model, feeds), run(to_bytes(made), feeds), strict=True):
        np.testing.assert_array_equal(a, b)


def masked() -> onnx.ModelProto:
    """A product, then a causal mask on the scores. `x` [N, 64, 8] to `y` [N, 64, 64]."""
    nodes = [
        node("MatMul", ["x", "w"], ["q"], name="query"),
        node("Transpose", ["x"], ["t"], name="turn", perm=[0, 2, 1]),
        node("MatMul", ["q", "t"], ["s"], name="scores"),
        node("Add", ["s", "mask"], ["y"], name="hide"),
    ]
    weights = {"w": normal(1, 8, 8), "mask": mask(64, 64, 0.0, -1e9)}
    return build(nodes, [port("x", "N", 64, 8)], [port("y", "N", 64, 64)], weights)


def content(graph: Graph, plan: Plan) -> bytes:
    return to_bytes(lower(WeightCache(graph), plan, fixed_range()))


def test_an_exported_file_takes_the_savings(tmp_path: Path) -> None:
    graph = graph_of(masked(), tmp_path)
    empty, eight = content(graph, Plan()), content(graph, preset_plan(graph, "int8-weights"))
    assert len(empty) < 2000
    assert len(eight) < 2000
    feeds = {"x": normal(2, 3, 64, 8)}
    np.testing.assert_array_equal(run(empty, feeds)[0], run(masked(), feeds)[0])


def test_a_refused_saving_is_not_taken(tmp_path: Path) -> None:
    file = graph_of(masked(), tmp_path)
    graph = Graph(file.file, file.model, lambda: {"masks"})
    assert len(content(graph, Plan())) > 64 * 64 * 4


def test_onnx_runtime_folds_the_mask_at_load(tmp_path: Path) -> None:
    import onnxruntime as ort

    graph = graph_of(masked(), tmp_path)
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.optimized_model_filepath = str(tmp_path / "loaded.onnx")
    ort.InferenceSession(content(graph, Plan()), options, ["CPUExecutionProvider"])
    left = {n.op_type for n in onnx.load(tmp_path / "loaded.onnx").graph.node}
    assert not left & {"Range", "Less", "Where"}


def test_a_mask_inside_a_body_is_computed_too(tmp_path: Path) -> None:
    stored = onnx.numpy_helper.from_array(mask(64, 64, 0.0, -1e9), "mask")
    then = helper.make_graph([node("Add", ["x", "mask"], ["t"])], "then", [], [port("t", 64, 64)], [stored])
    otherwise = helper.make_graph([node("Relu", ["x"], ["o"])], "else", [], [port("o", 64, 64)])
    choice = node("If", ["flag"], ["y"], name="choice", then_branch=then, else_branch=otherwise)
    model = build([choice], [port("x", 64, 64), port("flag", kind=TensorProto.BOOL)], [port("y", 64, 64)], {})
    graph = graph_of(model, tmp_path)
    made = content(graph, Plan())
    assert len(made) < 1500
    for flag in (True, False):
        feeds = {"x": normal(1, 64, 64), "flag": np.array(flag)}
        np.testing.assert_array_equal(run(made, feeds)[0], run(model, feeds)[0])


def test_weights_of_one_value_take_next_to_nothing_when_quantized(tmp_path: Path) -> None:
    model = build(
        [node("MatMul", ["x", "w"], ["y"], name="product")],
        [port("x", "N", 200)],
        [port("y", "N", 100)],
        {"w": np.full((200, 100), 0.02, np.float32)},
    )
    graph = graph_of(model, tmp_path)
    for preset in ("int8-weights", "int8", "fp16"):
        made = content(graph, preset_plan(graph, preset))
        assert len(made) < 1500
        assert np.isfinite(run(made, {"x": normal(1, 2, 200)})[0]).all()
    assert proto_of(made).graph.output[0].name == "y"


@pytest.mark.parametrize("make", [masked], ids=lambda f: f.__name__)
def test_the_users_file_stays(make: Callable[[], onnx.ModelProto], tmp_path: Path) -> None:
    file = file_of(make(), tmp_path)
    before = file.path.read_bytes()
    content(graph_of(make(), tmp_path), Plan())
    assert file.path.read_bytes() == before
