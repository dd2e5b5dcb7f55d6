"""Figures of a certificate: every layer is there, and a name is never markup."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from quant_core.figures import depth_figure, times_figure

HOSTILE = '<b onclick="x">layer</b>'


@pytest.mark.parametrize("theme", ["light", "dark", None])
@pytest.mark.parametrize("count", [0, 1, 30, 200])
def test_each_layer_has_its_place(theme: str | None, count: int) -> None:
    names = [f"{HOSTILE}{i}" for i in range(count)]
    depth = pd.DataFrame({"layer": names, "accumulated_db": 20.0, "isolated_db": 30.0})
    times = pd.DataFrame({"what": names, "fp32_ms": 1.0, "ms": 0.5})
    for figure in (depth_figure(depth, theme), times_figure(times, theme)):
        assert len(figure.data) == 2
        assert all(len(trace.x) == count for trace in figure.data)
        assert "<b" not in str(figure.data[0].customdata)
        assert "<b" not in str(figure.layout.xaxis.ticktext)


def test_a_layer_in_float_and_one_that_is_equal_have_no_dot() -> None:
    table = pd.DataFrame(
        {"layer": list("abc"), "accumulated_db": [200.0, 20.0, 20.0], "isolated_db": [200.0, np.nan, 40.0]}
    )
    line, dots = depth_figure(table, "light").data
    assert np.isnan(line.y[0])
    assert np.isnan(dots.y[:2]).all()
    assert dots.y[2] == 40.0
