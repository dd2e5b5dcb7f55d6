"""Open something else: a bundled sample, files dropped on the window, or paths on this machine."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from pages.parts import text
from pages.parts.opening import calm, open_study
from pages.parts.state import State
from quant_core.errors import QuantscopeError
from quant_core.study import Source, keep_upload, samples

_PREPROCESS = {
    None: "The data is .npz, as the model takes it",
    "torchvision": "torchvision: 0..1, then mean and deviation of ImageNet",
    "tensorflow": "tensorflow: -1..1",
    "unit": "unit: 0..1",
    "raw": "raw: 0..255",
}
_LIMIT = "At most so many are drawn, evenly over the labels. Fewer are faster, more are surer."
_CALIBRATION = "Samples that ranges are measured on. Empty sets a fifth of the samples aside."


def gallery(state: State) -> None:
    """The bundled samples."""
    st.subheader("Samples", anchor=False)
    for sample in samples():
        reference = f"sample:{sample.name}"
        with st.container(border=True, horizontal=True, vertical_alignment="center"):
            with st.container(gap=None):
                st.markdown(f"**{text.name(sample.card['title'])}**")
                numbers = f"{sample.card['metric_name']} {text.percent(sample.card['metric_fp32'])}"
                st.caption(text.name(f"{sample.name}, {text.size(sample.card['bytes'])}, {numbers}"))
            is_open = state.source.model == reference
            if st.button("Open" if not is_open else "Is open", key=f"open-{sample.name}", disabled=is_open):
                state.open(Source(reference, reference))
                st.rerun()


def own_model(state: State) -> None:
    """A model of the user's own. What cannot be opened is said, and what was open stays."""
    st.subheader("Your own model", anchor=False)
    problem = st.empty()
    dropped, named = st.tabs(["Upload", "Path on this machine"])
    with dropped:
        source = _uploads(problem)
    with named:
        source = _paths(problem) or source
    if source is None:
        return
    try:
        open_study(source)
    except QuantscopeError as error:
        with problem:
            calm(error)
        return
    state.open(source)
    st.rerun()


def _uploads(problem: st.delta_generator.DeltaGenerator) -> Source | None:
    """The source made of dropped files, when the user says open."""
    with st.form("uploads", border=False):
        model = st.file_uploader(
            "Model file",
            ["onnx"],
            help="One .onnx file. With weights in files beside it, give its path instead.",
        )
        data = st.file_uploader(
            "Data file",
            ["npz"],
            help="Arrays named after the model's inputs, and labels if there are any. Empty: weights only.",
        )
        with st.expander("Calibration and number of samples"):
            calibration = st.file_uploader("Calibration file", ["npz"], help=_CALIBRATION)
            limit = st.number_input("Samples to evaluate", 1, None, 256, help=_LIMIT)
        if not st.form_submit_button("Open files", type="primary"):
            return None
    try:
        if model is None:
            raise QuantscopeError("no model is chosen", "drop an .onnx file on the field")
        kept = [
            None if f is None else str(keep_upload(f.name, f.getbuffer())) for f in (model, data, calibration)
        ]
    except QuantscopeError as error:
        with problem:
            calm(error)
        return None
    return Source(str(kept[0]), kept[1], kept[2], None, int(limit) if data is not None else None)


def _paths(problem: st.delta_generator.DeltaGenerator) -> Source | None:
    """The source made of paths, when the user says open."""
    with st.form("own", border=False):
        model = st.text_input("Model", placeholder="path of an .onnx file on this machine")
        data = st.text_input("Data", placeholder=".npz file or folder of images; empty: weights only")
        preprocess = st.selectbox(
            "Preprocessing of images", list(_PREPROCESS), format_func=_PREPROCESS.__getitem__
        )
        calibration = st.text_input(
            "Calibration", placeholder="path, a number of samples, or none", help=_CALIBRATION
        )
        limit = st.number_input("Samples to evaluate", 1, None, 256, help=_LIMIT)
        if not st.form_submit_button("Open", type="primary"):
            return None
    if not model.strip():
        with problem:
            calm("No model is named; give the path of an .onnx file.")
        return None
    return Source(
        _absolute(model) or "",
        _absolute(data),
        _absolute(calibration),
        preprocess,
        int(limit) if data.strip() else None,
    )


def _absolute(reference: str) -> str | None:
    """A path that means the same in every process; sample names, numbers and `none` stay as they are."""
    given = reference.strip()
    if not given or given == "none" or given.isdecimal() or given.startswith("sample:"):
        return given or None
    return str(Path(given).expanduser().absolute())
