"""Edits of a plan keep locks, ties and what cannot be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from quant_core.formats import Scheme
from quant_core.plan import Plan
from quant_core.store import Store
from quant_core.study import Study, choose_scheme, toggle_lock
from tests.models import tied_language_model

INT4 = Scheme("int4", "group:32", False, "mse")


@pytest.fixture
def tied(tmp_path: Path) -> Study:
    """A model whose embedding and output layer read the same weights."""
    path = tmp_path / "tied.onnx"
    onnx.save(tied_language_model(), path)
    return Study.open(path, store=Store(tmp_path / "store"))


def test_any_scheme_goes_into_the_plan(open_study: Callable[..., Study]) -> None:
    study = open_study()
    first, second = (x.name for x in study.graph.quantizable[:2])
    plan, refused = choose_scheme(study, Plan(), first, "weights", INT4)
    assert (plan[first].weights, plan[second].weights, refused) == (INT4, None, [])
    plan, _ = choose_scheme(study, plan, [second], "activations", Scheme("uint8", "tensor", False))
    assert plan[first].weights == INT4
    assert plan[second].weights is None
    back, _ = choose_scheme(study, plan, first, "weights", None)
    assert set(back.quantized) == {second}


def test_a_locked_layer_keeps_what_it_has(open_study: Callable[..., Study]) -> None:
    study = open_study()
    first = study.graph.quantizable[0].name
    locked = toggle_lock(Plan(), first)
    plan, refused = choose_scheme(study, locked, first, "weights", INT4)
    assert plan is locked
    assert refused == [f"{first}: it is locked"]


def test_what_a_layer_cannot_take_is_refused_with_the_reason(open_study: Callable[..., Study]) -> None:
    study = open_study()
    first = study.graph.quantizable[0].name
    plan, refused = choose_scheme(study, Plan(), first, "activations", Scheme("int8", "channel"))
    assert not plan.quantized
    assert refused == [f"{first}: activations share one scale for the whole tensor"]


def test_layers_that_share_weights_change_together(tied: Study) -> None:
    layer = next(x for x in tied.graph.quantizable if x.tied)
    plan, _ = choose_scheme(tied, Plan(), layer.name, "weights", INT4)
    assert set(plan.quantized) == {layer.name, *layer.tied}


def test_choosing_again_changes_nothing(open_study: Callable[..., Study]) -> None:
    study = open_study()
    first = study.graph.quantizable[0].name
    plan, _ = choose_scheme(study, Plan(), first, "weights", INT4)
    assert choose_scheme(study, plan, first, "weights", INT4)[0] is plan
