"""A treemap of the bytes that a model file holds."""

from __future__ import annotations

import html

import pandas as pd
import plotly.graph_objects as go

from quant_core.figures.palette import palette, text_on
from quant_core.figures.style import styled

_SMALLEST = 9  # pixels of a letter: a label that has no room for it is told by the pointer alone


def bytes_figure(stored: pd.DataFrame, title: str, theme: str | None) -> go.Figure:
    """What a file stores, sized by bytes.

    Columns: name, group, bytes, size (with its unit), bits (of weights in the plan, 0 for others), note.
    """
    colors = palette(theme)
    groups = stored.groupby("group", sort=False)["bytes"].sum()
    total = int(stored["bytes"].sum())
    fills = [colors.bits.get(int(bits), colors.line) for bits in stored["bits"]]
    plain = [colors.panel] * (1 + len(groups))
    inks = [colors.text] * len(plain) + [text_on(fill) for fill in fills]
    names = [html.escape(" ".join(str(n).split()), quote=False) for n in stored["name"]]
    notes = [html.escape(str(n), quote=False) for n in stored["note"]]
    figure = go.Figure()
    figure.add_treemap(
        ids=["file", *(f"g{i}" for i in range(len(groups))), *(f"t{i}" for i in range(len(stored)))],
        labels=[html.escape(title, quote=False), *groups.index, *names],
        parents=["", *["file"] * len(groups), *(f"g{groups.index.get_loc(g)}" for g in stored["group"])],
        values=[total, *groups, *stored["bytes"]],
        branchvalues="total",
        customdata=[*[["", ""]] * len(plain), *zip(stored["size"], notes, strict=True)],
        texttemplate="%{label}<br>%{customdata[0]}",
        hovertemplate="%{label}<br>%{customdata[0]}, %{percentRoot:.1%} of the file<br>%{customdata[1]}"
        "<extra></extra>",
        marker={
            "colors": [*plain, *fills],
            "line": {"color": colors.background, "width": 1},
            "pad": {"t": 20},
        },
        textfont={"color": inks, "size": 11},
        pathbar={"visible": False},
        tiling={"pad": 1},
    )
    styled(figure, theme, 420, "", "")
    return figure.update_layout(uniformtext={"minsize": _SMALLEST, "mode": "hide"})
