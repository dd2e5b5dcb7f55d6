"""Raising the opset moves no output."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from quant_core.errors import ModelError
from quant_core.graph import inputs_of, opset_of, raise_opset
from quant_core.prepare import generate_inputs
from tests.bodies import branching
from tests.models import conv_chain, file_of, graph_of, simulate, tied_language_model, zoo


@pytest.mark.parametrize("target", [18, 21, 25])
@pytest.mark.parametrize("make", [conv_chain, tied_language_model, branching, zoo], ids=lambda f: f.__name__)
def test_outputs_stay_the_same(make: Callable[[], onnx.ModelProto], target: int, tmp_path: Path) -> None:
    model = file_of(make(), tmp_path).model
    feeds = generate_inputs(inputs_of(model))
    raised = raise_opset(model, target)
    assert opset_of(raised) == target
    for got, wanted in zip(simulate(raised, feeds), simulate(model, feeds), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-5)
    assert opset_of(model) == 17


def test_initializers_survive_with_names_and_values(tmp_path: Path) -> None:
    model = file_of(zoo(), tmp_path).model
    raised = raise_opset(model, 21)
    assert set(raised.graph.initializers) == set(model.graph.initializers)
    for name, value in model.graph.initializers.items():
        kept = raised.graph.initializers[name].const_value
        assert kept is not None and value.const_value is not None
        np.testing.assert_array_equal(kept.numpy(), value.const_value.numpy())
    assert [v.name for v in raised.graph.inputs] == [v.name for v in model.graph.inputs]


def test_an_opset_that_is_high_enough_stays(tmp_path: Path) -> None:
    model = file_of(conv_chain(), tmp_path).model
    assert opset_of(raise_opset(model, 13)) == 17


def test_an_operator_without_a_successor_is_one_plain_sentence(tmp_path: Path) -> None:
    model = file_of(conv_chain(), tmp_path).model
    with pytest.raises(ModelError, match="opset 17 to 999"):
        raise_opset(model, 999)


def test_a_graph_gives_copies_that_may_be_changed(tmp_path: Path) -> None:
    graph = graph_of(conv_chain(), tmp_path)
    first = graph.at_opset(21)
    first.graph.remove(first.graph[-1])
    second = graph.at_opset(21)
    assert len(list(second.graph)) == len(list(graph.model.graph))
