"""Every table downloads as CSV."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import streamlit as st


def csv_button(table: pd.DataFrame | Callable[[], pd.DataFrame], name: str) -> None:
    """A quiet button that downloads `table` as `name`.csv; it is made when it is asked for."""
    st.download_button(
        "CSV",
        lambda: (table() if callable(table) else table).to_csv(index=False),
        f"{name}.csv",
        "text/csv",
        icon=":material/table:",
        type="tertiary",
        key=f"csv-{name}",
        on_click="ignore",
        help="Download this table.",
    )
