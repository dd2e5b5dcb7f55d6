"""A look at the samples as the network sees them, after preprocessing."""

from __future__ import annotations

import streamlit as st

from pages.parts import text
from quant_core.study import Preview, Study, preview


def seen_by_the_network(study: Study) -> None:
    """The first samples: pictures where they can be drawn, numbers otherwise."""
    if not study.has_data:
        return
    st.subheader("What the network sees", anchor=False)
    shown = preview(study)
    for name in dict.fromkeys(p.input for p in shown):
        _input([p for p in shown if p.input == name])
    if study.calibration is not None:
        st.caption(f"{len(study.data)} samples evaluate, {study.calibration_samples} others calibrate.")


def _input(shown: list[Preview]) -> None:
    first = shown[0]
    st.caption(
        text.name(
            f"Input {first.input}, {text.shape(first.shape) or 'one number'} for each sample, "
            f"values from {first.low:.4g} to {first.high:.4g}"
        )
    )
    with st.container(horizontal=True):
        for sample in shown:
            label = f"label {sample.label}" if sample.label else ""
            if sample.image is not None:
                st.image(
                    sample.image, caption=label, width=104, alt=f"A sample as the network sees it, {label}"
                )
            else:
                st.code(f"{sample.values} ...\n{label}", None, width=220, wrap_lines=True)
