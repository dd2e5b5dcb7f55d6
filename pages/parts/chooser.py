"""Open something else: a bundled sample, or a model of your own."""

from __future__ import annotations

import streamlit as st

from pages.parts import text
from pages.parts.opening import calm, open_study
from pages.parts.state import State
from quant_core.errors import QuantscopeError
from quant_core.study import Source, samples

_PREPROCESS = {
    None: "The data is .npz, as the model takes it",
    "torchvision": "torchvision: 0..1, then mean and deviation of ImageNet",
    "tensorflow": "tensorflow: -1..1",
    "unit": "unit: 0..1",
    "raw": "raw: 0..255",
}


def gallery(state: State) -> None:
    """The bundled samples."""
    st.subheader("Samples", anchor=False)
    for sample in samples():
        reference = f"sample:{sample.name}"
        with st.container(border=True):
            st.markdown(f"**{text.name(sample.card['title'])}**")
            numbers = f"{sample.card['metric_name']} {text.percent(sample.card['metric_fp32'])}"
            st.caption(f"{sample.name}, {text.size(sample.card['bytes'])}, {numbers}")
            is_open = state.source.model == reference
            if st.button("Open" if not is_open else "Is open", key=f"open-{sample.name}", disabled=is_open):
                state.open(Source(reference, reference))
                st.rerun()


def own_model(state: State) -> None:
    """A model by its path, with its data. What cannot be opened is said, and what was open stays."""
    st.subheader("Your own model", anchor=False)
    with st.form("own", border=True):
        model = st.text_input("Model", placeholder="path of an .onnx file on this machine")
        data = st.text_input("Data", placeholder=".npz file or folder of images; empty: weights only")
        preprocess = st.selectbox(
            "Preprocessing of images", list(_PREPROCESS), format_func=_PREPROCESS.__getitem__
        )
        calibration = st.text_input(
            "Calibration",
            placeholder="path, a number of samples, or none",
            help="Empty sets a fifth of the samples aside.",
        )
        limit = st.number_input("Samples to evaluate", 1, None, 256, help="Drawn evenly over the labels.")
        if not st.form_submit_button("Open", type="primary"):
            return
    if not model.strip():
        st.warning("No model is named; give the path of an .onnx file.", icon=":material/info:")
        return
    source = Source(
        model.strip(),
        data.strip() or None,
        calibration.strip() or None,
        preprocess,
        int(limit) if data.strip() else None,
    )
    try:
        open_study(source)
    except QuantscopeError as error:
        calm(error)
        return
    state.open(source)
    st.rerun()
