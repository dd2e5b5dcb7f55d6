"""Open files that are dropped on the window."""

from __future__ import annotations

from typing import Any

import streamlit as st

from pages.parts.way_fields import (
    CALIBRATION_HELP,
    GENERATED,
    made_up,
    preprocessing,
    said,
    sample_limit,
)
from quant_core.errors import QuantscopeError
from quant_core.study import ENDINGS, Source, keep_upload

_KINDS = [ending.removeprefix(".") for ending in ENDINGS]


def dropped() -> Source | None:
    """The source made of dropped files, when the user says open. QuantscopeError where they make none."""
    with st.form("uploads", border=False):
        model = st.file_uploader(
            "Model file",
            ["onnx"],
            help="One .onnx file. With weights in files beside it, give its path instead.",
        )
        data = st.file_uploader(
            "Data file",
            _KINDS,
            help="Arrays named after the model's inputs, a table, lines of text, or a zip archive of images, "
            "sound or arrays, with labels if there are any. Empty: weights only.",
        )
        preprocess = preprocessing("upload")
        with st.expander("Calibration and number of samples"):
            calibration = st.file_uploader("Calibration file", _KINDS, help=CALIBRATION_HELP)
            generated = made_up("upload")
            limit = sample_limit("upload")
        with st.expander("More"):
            more = said("upload")
            tokenizer = st.file_uploader("Tokenizer", ["json"], help="The tokenizer.json, for lines of text.")
            boxes = st.file_uploader("Boxes", ["xml"], help="The true boxes, for a detector: dlib's XML.")
        if not st.form_submit_button("Open files", type="primary"):
            return None
    if model is None:
        raise QuantscopeError("no model is chosen", "drop an .onnx file on the field")
    return Source(
        str(_kept(model)),
        _kept(data),
        GENERATED if generated else _kept(calibration),
        preprocess,
        limit if data is not None else None,
        tokenizer=_kept(tokenizer),
        boxes=_kept(boxes),
        **more,
    )


def _kept(file: Any) -> str | None:
    """The path under which a dropped file is kept."""
    return None if file is None else str(keep_upload(file.name, file.getbuffer()))
