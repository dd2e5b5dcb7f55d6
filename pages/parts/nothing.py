"""A model without a layer that can be quantized: one calm sentence in the place of empty pages."""

from __future__ import annotations

import streamlit as st

from pages.parts.links import MODEL
from quant_core.study import Study, quantized_layers


def nothing_to_quantize(study: Study, here: bool = False) -> bool:
    """Whether no layer can take a format; says so."""
    if study.graph.quantizable:
        return False
    quantized = len(quantized_layers(study.graph))
    why = "Start says why, layer by layer."
    if quantized:
        where = "below" if here else "on the page Model"
        why = f"It is quantized already: its {quantized} quantized layers are listed {where}."
    st.info(f"No layer of this model can be quantized. {why}", icon=":material/info:")
    if not here:
        st.page_link(str(MODEL), label="Model", icon=":material/account_tree:")
    return True
