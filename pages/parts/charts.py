"""Every chart downloads as PNG (the camera in its corner) and as a page of HTML that works offline."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from pages.parts.tables import csv_button
from quant_core.figures import Figure, page_of


def chart(
    figure: Figure,
    name: str,
    key: str | None = None,
    table: pd.DataFrame | None = None,
    **options: Any,
) -> Any:
    """Draw `figure` with its downloads, that of the `table` behind it as well. `options` go to
    `st.plotly_chart`, whose answer is given back.
    """
    config = {
        "displaylogo": False,
        "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d"],
        "toImageButtonOptions": {"format": "png", "filename": name, "scale": 2},
    }
    answer = st.plotly_chart(figure, key=key or f"chart-{name}", theme=None, config=config, **options)
    with st.container(horizontal=True):
        st.download_button(
            "HTML",
            lambda: page_of(figure),
            f"{name}.html",
            "text/html",
            icon=":material/bar_chart:",
            type="tertiary",
            key=f"html-{key or name}",
            on_click="ignore",
            help="Download this chart as a page that works offline. The camera in its corner gives a PNG.",
        )
        if table is not None:
            csv_button(table, name)
    return answer
