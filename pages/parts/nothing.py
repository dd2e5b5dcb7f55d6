"""Nothing to quantize, or nothing quantized: one calm sentence in the place of an empty page."""

from __future__ import annotations

import streamlit as st

from pages.parts.links import MIXED_PRECISION, MODEL
from pages.parts.opening import calm
from pages.parts.state import State
from quant_core.errors import QuantscopeError
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


def nothing_to_write(state: State, study: Study) -> bool:
    """Whether the plan in hand gives no file that differs from the one opened; says why."""
    if nothing_to_quantize(study):
        return True
    if not state.plan.quantized:
        st.info("Nothing is quantized yet: the plan in hand is the model as opened.", icon=":material/info:")
        st.page_link(str(MIXED_PRECISION), label="Choose formats", icon=":material/grid_on:")
        return True
    try:
        study.files.check(state.plan)
        study.bytes_at_once(state.plan)
    except QuantscopeError as error:
        calm(error)
        return True
    return False
