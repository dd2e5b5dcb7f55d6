"""Every format side by side: measured once for each layer, from its own weights."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from quant_core.formats import Scheme, sqnr_db
from quant_core.study import Study, format_errors, measure_formats, panels, unmeasured_formats
from quant_core.study.weights import weight_histogram

SCHEMES = (Scheme("int4", "channel", True, "mse"), Scheme("int8", "tensor"), Scheme("codebook4", "tensor"))


def test_each_format_is_measured_once(open_study: Callable[..., Study]) -> None:
    study = open_study()
    layer = study.graph.quantizable[1]
    assert format_errors(study, layer, SCHEMES).empty
    # The quickest first, so that a page has something to show.
    assert unmeasured_formats(study, layer, SCHEMES)[0] == SCHEMES[1]
    measure_formats(study, layer, SCHEMES[:2])
    assert unmeasured_formats(study, layer, SCHEMES) == SCHEMES[2:]
    measure_formats(study, layer, SCHEMES[2:])
    table = format_errors(study, layer, SCHEMES)
    weights = study.graph.weights(layer)
    for scheme, (_, row) in zip(SCHEMES, table.iterrows(), strict=True):
        tensor = study.quantized(layer, scheme)
        assert row["format"] == scheme.format
        assert row["sqnr_db"] == pytest.approx(sqnr_db(weights, tensor.decode()))
        assert row["worst_error"] == pytest.approx(float(np.abs(tensor.decode() - weights).max()))
        assert row["bytes"] == -(-tensor.bits // 8)
    assert unmeasured_formats(open_study(), layer, SCHEMES) == ()


def test_the_panels_of_a_channel_are_those_of_the_whole_layer(open_study: Callable[..., Study]) -> None:
    study = open_study()
    layer = study.graph.quantizable[2]
    for panel in panels(study, layer, 3):
        whole = weight_histogram(study, layer, panel.scheme, 3)
        assert panel.seen.error == pytest.approx(whole.error, abs=1e-6)
        assert np.array_equal(panel.seen.counts, whole.counts)
        if panel.seen.grid is not None:
            np.testing.assert_allclose(panel.seen.grid, whole.grid, rtol=1e-6)
