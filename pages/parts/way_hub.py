"""Fetch a model of the Hugging Face hub. Only the job that the button starts asks the network."""

from __future__ import annotations

import streamlit as st

from pages.parts.state import State
from pages.parts.way_fields import GENERATED, made_up, path_field
from quant_core.errors import QuantscopeError
from quant_core.study import FETCH, HUB, HubModel, fetch_wish, line

_WAY = "hub"
_SITE = "https://huggingface.co/"


def fetched(state: State) -> None:
    """Fields of a model of the hub, and the button that fetches it. QuantscopeError where they name none."""
    with st.form("hub", border=False):
        st.caption(
            "Fetching asks huggingface.co over the network, once; the model is kept on this machine and "
            "opens without data."
        )
        model = path_field(_WAY, "Model of the hub", "owner/name")
        left, right = st.columns(2)
        with left:
            revision = path_field(_WAY, "Revision", "branch, tag or commit", "Empty: the latest.")
        with right:
            file = path_field(_WAY, "File", "onnx/model.onnx", "Empty: model.onnx, or the only one there is.")
        generated = made_up(_WAY)
        busy = any(job.kind == FETCH and job.alive for job in line().jobs(state.id))
        if not st.form_submit_button("Fetching" if busy else "Fetch and open", type="primary", disabled=busy):
            return
    reference = _reference(model, revision, file)
    fetch_wish(reference, GENERATED if generated else None).ask(state.id)
    state.opening, state.problem = None, ""
    st.rerun()


def _reference(model: str, revision: str, file: str) -> str:
    """As `hf:OWNER/NAME@REVISION:FILE`. A model may be given as its address or as such a reference too."""
    name = model.strip().removeprefix(_SITE).strip("/")
    if not name:
        raise QuantscopeError("no model is named", "write its owner and name, as in owner/name")
    given = HubModel.parse(name if name.startswith(HUB) else f"{HUB}{name}")
    return str(
        HubModel.parse(
            str(HubModel(given.repo, revision.strip() or given.revision, file.strip() or given.file))
        )
    )
