"""What the histograms say of activations, against the activations themselves."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from quant_core.engine import make_session, run_all, with_outputs
from quant_core.errors import PlanError
from quant_core.formats import Scheme, affine_parameters, fake_quantize, sqnr_db
from quant_core.plan import Precision, why_not
from quant_core.stats import Ranges
from quant_core.study import (
    Study,
    activation_formats,
    activation_histogram,
    activation_scheme,
    activation_summary,
    clip_losses,
    layer_activations,
    scheme_losses,
    why_no_activation,
)
from quant_core.study.activations import CLIPPING

DECIBEL = 0.1  # how far the ratio from a histogram may lie from that of the values
Values = dict[str, NDArray[np.float32]]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    from quant_core.store import Store

    cnn = "sample:digits-cnn"
    return Study.open(cnn, cnn, None, None, 60, Store(tmp_path_factory.mktemp("store")))


@pytest.fixture(scope="module")
def values(study: Study) -> Values:
    """All that enters each layer on the calibration samples."""
    data = study.calibration
    assert data is not None
    fed = {p.name for p in study.graph.model.graph.inputs}
    names = list(dict.fromkeys(x.input for x in study.graph.quantizable if x.input))
    computed = [n for n in names if n not in fed]
    session = make_session(with_outputs(study.graph.model, computed), "float")
    batches = [outputs for outputs, _ in run_all(session, data, 8, computed)]
    found = {n: np.concatenate([b[i].ravel() for b in batches]) for i, n in enumerate(computed)}
    whole = data.take(np.arange(len(data)))
    return found | {n: np.asarray(whole[n], np.float32).ravel() for n in names if n in fed}


SCHEMES = [
    Scheme("uint8", "tensor", False),
    Scheme("uint8", "tensor", False, "percentile:99.9"),
    Scheme("int8", "tensor", True, "mse"),
    Scheme("uint4", "tensor", False, "mse"),
    Scheme("uint2", "tensor", False, "percentile:99.99"),
]


@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
def test_ratio_and_clipping_are_those_of_the_values(study: Study, values: Values, scheme: Scheme) -> None:
    for layer in study.graph.quantizable:
        x = values[layer.input or ""]
        low, high = study.ranges.find(layer.input or "", scheme)
        scale, zero = affine_parameters(low, high, scheme.number, scheme.symmetric)
        seen = activation_histogram(study.ranges, layer, scheme)
        direct = sqnr_db(x, fake_quantize(x, scale, zero, scheme.number))
        assert seen.sqnr_db == pytest.approx(direct, abs=DECIBEL), layer.name
        codes = np.rint(x / scale) + zero
        clipped = np.mean((codes < scheme.number.qmin) | (codes > scheme.number.qmax))
        # Off by what lies in the bins that hold the first and the last value that keeps its code.
        ends = [(e - int(zero) + s) * float(scale) for e, s in
                ((scheme.number.qmin, -0.5), (scheme.number.qmax, 0.5))]  # fmt: skip
        near = np.mean([np.abs(x - end) <= seen.width for end in ends], axis=1).sum()
        assert seen.clipped == pytest.approx(clipped, abs=near + 1e-9), layer.name


def test_the_summary_is_that_of_the_values(study: Study, values: Values) -> None:
    for layer in study.graph.quantizable:
        x = values[layer.input or ""].astype(np.float64)
        about = activation_summary(study.ranges, layer)
        assert about["values"] == about["binned"] == x.size
        assert about["zeros"] == pytest.approx(np.mean(x == 0), abs=1e-3)
        for key, expected in (("minimum", x.min()), ("maximum", x.max()), ("mean", x.mean())):
            assert about[key] == pytest.approx(expected, rel=1e-4, abs=1e-5)
        assert about["deviation"] == pytest.approx(x.std(), rel=1e-4)


def test_the_drawing_leaves_out_the_zeros_and_nothing_else(study: Study, values: Values) -> None:
    layer = study.graph.quantizable[1]
    seen = activation_histogram(study.ranges, layer, SCHEMES[0])
    x = values[layer.input or ""]
    assert np.mean(x == 0) > 0.1
    assert seen.counts.sum() == pytest.approx(np.count_nonzero(x), rel=1e-3)
    assert seen.edges[0] <= x.min() and x.max() <= seen.edges[-1]
    assert len(seen.grid) == 256 and 0.0 in seen.grid


def test_each_range_method_has_a_row_also_that_of_the_plan(study: Study) -> None:
    layer = study.graph.quantizable[1]
    table = clip_losses(study.ranges, layer, Scheme("uint4", "tensor", False, "percentile:99"))
    assert list(table["range"]) == [*CLIPPING, "percentile:99"]
    by = table.set_index("range")
    assert by["clipped"]["minmax"] == 0.0 < by["clipped"]["percentile:99"]
    assert by["sqnr_db"].idxmax() in ("mse", "octav")  # two ways to the least mean-square error
    assert by["step"]["percentile:99"] < by["step"]["minmax"]


def test_more_bits_lose_less(study: Study) -> None:
    table = scheme_losses(study.ranges, study.graph.quantizable[2])
    best = table.groupby("format")["sqnr_db"].max()
    assert best["uint16"] > best["uint8"] > best["uint4"] > best["uint2"]


def test_all_layers_are_listed_in_order(study: Study) -> None:
    table = layer_activations(study, study.ranges, SCHEMES[0])
    assert list(table["layer"]) == [x.name for x in study.graph.quantizable]
    assert (table["minimum"] <= table["low"]).all() and (table["high"] <= table["maximum"]).all()


def test_every_format_offered_can_be_planned(study: Study) -> None:
    layer = study.graph.quantizable[0]
    for name in activation_formats():
        assert why_not(layer, Precision(activations=activation_scheme(Scheme(name, "channel")))) is None
    assert why_no_activation(layer) is None


@pytest.mark.parametrize(
    ("given", "drawn"),
    [
        (None, Scheme("uint8", "tensor", False)),
        (Scheme("fp16"), Scheme("uint8", "tensor", False)),
        (Scheme("uint8", "tensor", False, "dynamic"), Scheme("uint8", "tensor", False)),
        (Scheme("int4", "channel", True, "mse"), Scheme("int4", "tensor", True, "mse")),
    ],
)
def test_what_is_drawn_is_a_scheme_that_activations_have(given: Scheme | None, drawn: Scheme) -> None:
    assert activation_scheme(given) == drawn


def test_what_calibration_did_not_see_is_said(open_study: Callable[..., Study]) -> None:
    layer = open_study().graph.quantizable[0]
    with pytest.raises(PlanError, match="Nothing was measured"):
        activation_histogram(Ranges({}), layer, SCHEMES[0])
    assert layer_activations(open_study(), Ranges({}), SCHEMES[0]).empty
