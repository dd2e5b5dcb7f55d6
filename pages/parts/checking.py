"""Does the preprocessing fit the model? Asked for images of the user's own, and said on Start."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from pages.parts import text
from pages.parts.measuring import known_preprocessing
from pages.parts.state import State
from pages.parts.tables import csv_button
from quant_core.study import DataCheck, Study, with_better

_COLUMNS = {
    "preprocess": st.column_config.TextColumn("Preprocessing"),
    "chosen": st.column_config.CheckboxColumn("Chosen"),
    "metric": st.column_config.NumberColumn("Top-1, %", format="%.1f"),
    "distance": st.column_config.NumberColumn(
        "From training, nats",
        format="%.3g",
        help="How far what enters the BatchNormalizations is from what they saw in training; less is better.",
    ),
    "confidence": st.column_config.NumberColumn(
        "Confidence, %", format="%.1f", help="Mean probability of the class chosen. It decides nothing."
    ),
}


def check(state: State, study: Study) -> None:
    """The verdict, with a button that opens the study with the better preprocessing."""
    found = known_preprocessing(state, study)
    if found is None:
        return
    if found.warning is not None:
        st.warning(
            f"**Another preprocessing fits better.** {text.name(found.warning)}", icon=":material/image:"
        )
        better = with_better(state.source, found)
        if better is not None:
            st.button(
                f"Open with {better.preprocess}",
                icon=":material/refresh:",
                on_click=state.begin,
                args=(better,),
                help="The same model and images; what was measured before is kept.",
            )
    elif found.decided_by is not None:
        st.caption(
            f":material/check: The preprocessing {text.name(found.preprocess)} was checked on "
            f"{found.samples} images by {found.decided_by}: fits."
        )
    else:
        st.caption(
            ":material/info: Whether the preprocessing fits cannot be told: there are neither labels nor "
            "statistics of training."
        )
    with st.expander("How well each preprocessing fits"):
        table = _table(found)
        shown = table.dropna(axis="columns", how="all")
        st.dataframe(
            shown.assign(**{c: 100 * shown[c] for c in ("metric", "confidence") if c in shown}),
            hide_index=True,
            column_config=_COLUMNS,
        )
        csv_button(table, "preprocessing")


def _table(found: DataCheck) -> pd.DataFrame:
    return pd.DataFrame([vars(fit) for fit in found.fits])
