"""Figures draw what their tables say, in both themes, and take names as text."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from quant_core.figures import (
    activation_figure,
    channel_figure,
    histogram_figure,
    layer_ranges_figure,
    palette,
    panels_figure,
    shares_figure,
)
from quant_core.figures.style import Figure

EDGES = np.linspace(-1.0, 3.0, 9)
COUNTS = np.array([0, 1, 5, 900, 40, 7, 2, 1])
HOSTILE = "<b>x</b><img src=x>"
CLIPS = pd.DataFrame(
    {
        "range": ["minmax", "mse"],
        "low": [-1.0, -0.5],
        "high": [3.0, 1.0],
        "clipped": [0.0, 0.02],
    }
)


def traces(figure: Figure, kind: str) -> list:
    return [trace for trace in figure.data if trace.type == kind]


@pytest.mark.parametrize("theme", ["light", "dark", None])
@pytest.mark.parametrize("log", [False, True])
def test_every_range_method_is_drawn_and_labelled(theme: str | None, log: bool) -> None:
    labels = {"minmax": "Min-max", "mse": "Least MSE"}
    figure = activation_figure(EDGES, COUNTS, np.arange(-1.0, 4.0), 4, CLIPS, labels, "mse", log, theme)
    lines = {t.y[0]: tuple(t.x) for t in traces(figure, "scatter") if t.y[0] in labels.values()}
    assert lines == {"Min-max": (-1.0, 3.0), "Least MSE": (-0.5, 1.0)}
    ends = [(s.x0, s.line.dash) for s in figure.layout.shapes]
    assert sorted(ends) == [(-1.0, "dot"), (-0.5, "dash"), (1.0, "dash"), (3.0, "dot")]
    assert (figure.layout.yaxis2.type == "log") is log


@pytest.mark.parametrize(("levels", "points"), [(16, 48), (256, 768), (65536, 4)])
def test_a_fine_grid_does_not_travel_line_by_line(levels: int, points: int) -> None:
    figure = histogram_figure(EDGES, COUNTS, np.linspace(-1, 3, levels), 8, False, "light")
    (grid,) = traces(figure, "scatter")
    assert len(grid.x) == points
    assert grid.x[0] == pytest.approx(-1) and np.nanmax(grid.x) == pytest.approx(3)


@pytest.mark.parametrize("log", [False, True])
def test_on_logarithmic_counts_nothing_starts_at_zero(log: bool) -> None:
    figure = activation_figure(EDGES, COUNTS, np.linspace(-1, 3, 256), 8, CLIPS, {}, "mse", log, "light")
    heights = [y for t in traces(figure, "scatter") if t.name == "grid" for y in t.y if np.isfinite(y)]
    assert (min(heights) > 0) == log


def ranges_of(names: list[str]) -> pd.DataFrame:
    count = len(names)
    return pd.DataFrame(
        {
            "layer": names,
            "minimum": -np.arange(count, dtype=float),
            "maximum": np.arange(count) + 1.0,
            "low": -0.5 * np.arange(count),
            "high": 0.5 * np.arange(count) + 1,
            "sqnr_db": 40.0,
        }
    )


def test_a_bar_carries_the_row_of_its_layer_and_the_chosen_one_the_accent() -> None:
    figure = layer_ranges_figure(ranges_of(["a", "b", "c"]), "b", "light")
    for bars in traces(figure, "bar"):
        assert [row[0] for row in bars.customdata] == [0, 1, 2]
        accent = palette("light").accent
        assert [c == accent for c in bars.marker.color] == [False, True, False]
    thin, thick = traces(figure, "bar")
    assert thin.width < thick.width
    assert list(np.add(thin.base, thin.y)) == [1.0, 2.0, 3.0]


def test_names_are_text() -> None:
    drawn = [
        layer_ranges_figure(ranges_of([HOSTILE]), HOSTILE, "light"),
        shares_figure(
            pd.DataFrame({"plan": [0], "bits": [8], "layers": [1], "weights": [9], "share": [1.0]}),
            [HOSTILE],
            "light",
        ),
    ]
    for figure in drawn:
        written = str(figure.to_dict())
        assert "<img" not in written
        assert "&lt;img" in written


def test_channels_stand_in_the_order_of_the_rows_with_outliers_marked() -> None:
    table = pd.DataFrame(
        {
            "channel": [7, 2, 5],
            "low": [-1.0, -2.0, -9.0],
            "high": [1.0, 2.0, 9.0],
            "outlier": [False, False, True],
            "sqnr_db": [30.0, 20.0, 10.0],
        }
    )
    figure = channel_figure(table, 2, "dark")
    (bars,), (marks,) = traces(figure, "bar"), traces(figure, "scatter")
    assert [row[0] for row in bars.customdata] == [7, 2, 5]
    assert list(figure.layout.xaxis.ticktext) == ["7", "2", "5"]
    assert list(marks.x) == [2]
    assert [c == palette("dark").accent for c in bars.marker.color] == [False, True, False]
    assert not traces(channel_figure(table.assign(outlier=False), None, "dark"), "scatter")


def test_each_panel_has_its_title_and_grid() -> None:
    panels = [(f"panel {i}", EDGES, COUNTS, np.linspace(-1, 3, 4 + i), 4) for i in range(5)]
    figure = panels_figure(panels, "light")
    assert [a.text for a in figure.layout.annotations] == [f"panel {i}" for i in range(5)]
    assert [len(t.x) for t in traces(figure, "scatter")] == [3 * (4 + i) for i in range(5)]
    assert len({t.xaxis for t in traces(figure, "bar")}) == 5


def test_shares_of_bits_have_the_colour_of_the_bits() -> None:
    table = pd.DataFrame(
        {
            "plan": [0, 0, 1],
            "bits": [32, 4, 8],
            "layers": [1, 2, 3],
            "weights": [2, 98, 100],
            "share": [0.02, 0.98, 1.0],
        }
    )
    bars = {bar.name: bar for bar in traces(shares_figure(table, ["a", "b"], "light"), "bar")}
    assert {name: bar.marker.color for name, bar in bars.items()} == {
        f"{bits} bit": palette("light").bits[bits] for bits in (32, 8, 4)
    }
    assert bars["32 bit"].text == ("",)  # no room for a label
    assert list(bars["4 bit"].x) == [98.0]
