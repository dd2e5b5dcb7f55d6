"""The table of everything stored: every byte once, and what of it can be saved."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from quant_core.plan import Plan, preset_plan
from quant_core.study import Study, everything_stored
from tests.bodies import branching, looping
from tests.models import build, conv_chain, file_of, node, normal, port, recurrent, run, tied_language_model

COLUMNS = ["name", "what", "saving", "bytes", "bytes_after", "share", "used_by"]


def wasteful() -> onnx.ModelProto:
    """A mask, an even table, one value, copies, a wide table, an unused tensor and notes.

    `x` [64, 64] to `y` [64, 64]."""
    weights = {
        "mask": np.where(np.tri(64, dtype=bool), 0, -1e9).astype(np.float32),
        "even": np.arange(64, dtype=np.float32),
        "one": np.full((64, 64), 2.0, np.float32),
        "a": normal(1, 64, 64),
        "b": normal(1, 64, 64),
        "wide": normal(3, 64, 64).astype(np.float64),
        "nothing": normal(4, 100),
    }
    nodes = [
        node("Add", ["x", "mask"], ["n1"], name="hide"),
        node("Mul", ["n1", "even"], ["n2"], name="place"),
        node("Mul", ["n2", "one"], ["n3"], name="double"),
        node("MatMul", ["n3", "a"], ["n4"], name="first"),
        node("MatMul", ["n4", "b"], ["n5"], name="second"),
        node("Cast", ["wide"], ["narrow"], name="cast", to=onnx.TensorProto.FLOAT),
        node("Add", ["n5", "narrow"], ["y"], name="shift"),
    ]
    model = build(nodes, [port("x", 64, 64)], [port("y", 64, 64)], weights)
    model.doc_string = "notes " * 100
    model.graph.value_info.extend(port(f"n{i}", 64, 64) for i in range(1, 6))
    helper.set_model_props(model, {"author": "somebody"})
    return model


@pytest.mark.parametrize("make", [conv_chain, tied_language_model, branching, looping, recurrent, wasteful])
def test_the_bytes_of_the_table_are_those_of_the_file(make, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    study = Study.open(file_of(make(), tmp_path).path)
    table = everything_stored(study)
    assert list(table.columns) == COLUMNS
    assert table["bytes"].sum() == study.graph.file.bytes
    assert table["share"].sum() == pytest.approx(1)
    assert (table["bytes_after"] <= table["bytes"]).all()


def test_every_kind_of_waste_is_found_and_proven(tmp_path: Path) -> None:
    study = Study.open(file_of(wasteful(), tmp_path).path)
    table = everything_stored(study).set_index("name")
    assert table["what"][["mask", "even", "one", "wide", "nothing"]].to_dict() == {
        "mask": "causal mask",
        "even": "even table",
        "one": "one value",
        "wide": "wide table",
        "nothing": "unused",
    }
    assert [table["saving"][n] for n in ("a", "b")] == ["", "duplicates"]
    assert table["bytes_after"]["mask"] < 900
    assert table["used_by"]["mask"] == "hide"
    assert {"shape information", "names", "documentation"} <= set(table.index)
    kinds = {s.kind: s for s in study.savings}
    assert set(kinds) == {"unused", "masks", "fills", "ranges", "narrow", "duplicates", "notes"}
    assert all(s.kept and s.proven_db == 200 and s.bytes > 0 for s in kinds.values())


def test_the_exported_file_takes_them_and_gives_the_same_outputs(tmp_path: Path) -> None:
    study = Study.open(file_of(wasteful(), tmp_path).path)
    made = study.lowered(Plan())
    assert len(made) < study.graph.file.bytes - sum(s.bytes for s in study.savings) * 0.9
    feeds = {"x": normal(9, 64, 64)}
    np.testing.assert_array_equal(run(made, feeds)[0], run(wasteful(), feeds)[0])
    assert study.bytes_of(Plan()) == len(made)


def test_a_saving_that_moves_outputs_is_undone_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from quant_core.lower import SAVINGS

    def wrong(model) -> int:  # type: ignore[no-untyped-def]
        """Drops a node that matters."""
        last = next(n for n in model.graph if n.op_type == "Relu")
        last.outputs[0].replace_all_uses_with(last.inputs[0])
        model.graph.remove(last, safe=True)
        return 1

    monkeypatch.setitem(SAVINGS, "ranges", (wrong, "{n} table{s} broken"))  # type: ignore[arg-type]
    study = Study.open(file_of(conv_chain(), tmp_path).path)
    broken = next(s for s in study.savings if s.kind == "ranges")
    assert not broken.kept
    assert broken.what.startswith("undone")
    assert study.graph.refused == {"ranges"}
    feeds = {"x": normal(1, 2, 3, 8, 8)}
    np.testing.assert_allclose(
        run(study.lowered(Plan()), feeds)[0], run(conv_chain(), feeds)[0], rtol=1e-4, atol=1e-5
    )


def test_the_causal_mask_of_stories_is_half_of_the_file_and_goes(models: Path) -> None:
    folder = models / "stories"
    study = Study.open(folder / "model.onnx", folder / "data.npz", str(folder / "calibration.npz"))
    first = everything_stored(study).iloc[0]
    assert (first["name"], first["what"], round(first["share"], 2)) == ("mask", "causal mask", 0.49)
    assert first["bytes_after"] < 1000
    plan = preset_plan(study.graph, "int8")
    assert study.bytes_of(plan) < 0.2 * study.graph.file.bytes
    assert all(s.proven_db == 200 for s in study.savings)
    found = study.evaluate(plan)
    assert found.metric is not None and found.metric > 0.59
    assert found.sqnr_db == pytest.approx(30.82, abs=0.1)  # as before the mask was computed
