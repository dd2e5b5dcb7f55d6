"""Open what lies on the machine that runs this."""

from __future__ import annotations

import streamlit as st

from pages.parts.way_fields import (
    CALIBRATION_HELP,
    GENERATED,
    absolute,
    made_up,
    path_field,
    preprocessing,
    said,
    sample_limit,
)
from quant_core.errors import QuantscopeError
from quant_core.study import KINDS, Source

_WAY = "path"


def named() -> Source | None:
    """The source made of paths, when the user says open. QuantscopeError where they make none."""
    with st.form("own", border=False):
        model = path_field(_WAY, "Model", "an .onnx file, or a folder that holds one")
        data = path_field(_WAY, "Data", "a file or folder; empty: weights only", f"Give {KINDS}.")
        preprocess = preprocessing(_WAY)
        with st.expander("Calibration and number of samples"):
            calibration = path_field(
                _WAY, "Calibration", "path, a number of samples, none, or generated", CALIBRATION_HELP
            )
            generated = made_up(_WAY)
            limit = sample_limit(_WAY)
        with st.expander("More"):
            more = said(_WAY)
            tokenizer = path_field(_WAY, "Tokenizer", "path of a tokenizer.json", "For lines of text.")
            boxes = path_field(_WAY, "Boxes", "XML file or folder of them", "The true boxes, for a detector.")
        if not st.form_submit_button("Open", type="primary"):
            return None
    if not model.strip():
        raise QuantscopeError("no model is named", "give the path of an .onnx file")
    return Source(
        absolute(model) or "",
        absolute(data),
        GENERATED if generated else absolute(calibration, ("none", GENERATED)),
        preprocess,
        limit if data.strip() else None,
        tokenizer=absolute(tokenizer),
        boxes=absolute(boxes),
        **more,
    )
