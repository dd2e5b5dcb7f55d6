"""Where the bytes are: everything a file stores, and what can be saved without changing what it computes."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from pages.parts import text
from pages.parts.tables import csv_button
from quant_core.errors import QuantscopeError
from quant_core.study import Study, everything_stored

_EQUAL = 200.0  # dB that stand for equal to the bit
_STORED = {
    "name": st.column_config.TextColumn("Name"),
    "what": st.column_config.TextColumn("What", help="What it is, or why it can be smaller."),
    "bytes": st.column_config.NumberColumn("Bytes", format="localized", help="They add up to the file."),
    "bytes_after": st.column_config.NumberColumn("After saving", format="localized"),
    "share": st.column_config.ProgressColumn("% of the file", format="%.1f", min_value=0, max_value=100),
    "used_by": st.column_config.TextColumn("Used by", help="The first three nodes that read it."),
}
_SAVINGS = {
    "what": st.column_config.TextColumn("What", width="large"),
    "bytes": st.column_config.NumberColumn("Bytes saved", format="localized"),
    "proof": st.column_config.TextColumn("Proof", help="Outputs with it against those without."),
}


@st.cache_data(max_entries=8, show_spinner="Looking at everything the file stores")
def _tables(model: str, _study: Study) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Everything stored and the savings, kept by the hash of the model."""
    rows = [{"what": s.what, "bytes": s.bytes, "proof": _proof(s.proven_db, s.kept)} for s in _study.savings]
    return everything_stored(_study), pd.DataFrame(rows, columns=["what", "bytes", "proof"])


def stored_section(study: Study) -> None:
    """The savings, then a row for everything stored."""
    st.subheader("Where the bytes are", anchor=False)
    try:
        stored, savings = _tables(study.graph.file.sha256, study)
    except QuantscopeError as error:
        st.caption(text.name(str(error)))
        return
    total = sum(s.bytes for s in study.savings if s.kept)
    if total:
        st.caption(
            f"{text.size(total)} of the opened file can be saved without changing what it computes; exported "
            "files leave them out."
        )
    if len(savings):
        st.dataframe(savings, hide_index=True, height="content", column_config=_SAVINGS)
        csv_button(savings, "savings")
    else:
        st.caption("Nothing is stored twice, unused or wider than it has to be.")
    st.dataframe(
        stored.assign(share=100 * stored["share"]).drop(columns="saving"),
        hide_index=True,
        height=320 if len(stored) > 8 else "content",
        column_config=_STORED,
        alt="Everything the opened file stores, the largest first",
    )
    csv_button(stored, "stored")


def _proof(decibel: float | None, kept: bool) -> str:
    if decibel is None:
        return "could not be run; changes no number" if kept else "could not be run; not taken"
    said = "outputs are equal to the bit" if decibel >= _EQUAL else f"outputs agree to {decibel:.0f} dB"
    return said if kept else f"{said}; not taken"
