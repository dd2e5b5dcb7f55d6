"""What the Weights page shows of a layer: each channel's error, outliers, and the panels."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from quant_core.formats import Scheme, sqnr_db
from quant_core.study import Study, channel_errors, channel_ranges, panels

SCHEMES = [Scheme("int4", "channel", True, "mse"), Scheme("int4", "tensor"), Scheme("fp16")]


@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
def test_the_error_of_each_channel_is_its_own(open_study: Callable[..., Study], scheme: Scheme) -> None:
    study = open_study()
    for layer in study.graph.quantizable:
        table = channel_errors(study, layer, scheme)
        weights, decoded = study.graph.weights(layer), study.quantized(layer, scheme).decode()
        for channel in range(len(table)):
            mine, other = (np.take(x, channel, axis=layer.axis) for x in (weights, decoded))
            assert table["sqnr_db"][channel] == pytest.approx(sqnr_db(mine, other), abs=1e-3)
        assert table["share"].sum() == pytest.approx(1.0)
        worst = int(table["share"].idxmax())
        errors = [
            float(np.square(np.take(decoded - weights, c, axis=layer.axis)).sum()) for c in table["channel"]
        ]
        assert errors[worst] == pytest.approx(max(errors))


def test_a_channel_twice_as_wide_as_the_median_is_an_outlier(
    open_study: Callable[..., Study], monkeypatch: pytest.MonkeyPatch
) -> None:
    study = open_study()
    layer = study.graph.quantizable[0]
    weights = np.ones(layer.shape or (), np.float32)
    flat = np.moveaxis(weights, layer.axis, 0).reshape(weights.shape[layer.axis], -1)
    flat[:, 0] = 0.0
    flat[2, 0] = -1.5
    monkeypatch.setattr(study.graph, "weights", lambda _: weights)
    assert np.flatnonzero(channel_ranges(study, layer)["outlier"]).tolist() == [2]
    flat[2, 0] = -0.9
    assert not channel_ranges(study, layer)["outlier"].any()


def test_panels_show_one_channel_with_one_grid_each(open_study: Callable[..., Study]) -> None:
    study = open_study()
    layer = study.graph.quantizable[1]
    weights = np.take(study.graph.weights(layer), 3, axis=layer.axis)
    found = panels(study, layer, 3)
    assert len({p.scheme for p in found}) == len(found) >= 4
    for panel in found:
        assert not panel.seen.steps
        assert panel.seen.counts.sum() == weights.size
        expected = len(panel.scheme.number.grid()) or panel.scheme.number.levels
        assert panel.seen.grid is not None and len(panel.seen.grid) == expected
    assert found[0].seen.error > found[-1].seen.error
