"""A look at the samples as the network sees them, after preprocessing."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from pages.parts import text
from quant_core.study import Preview, Study, preview

_SIDES = 84, 140  # the box that a picture is drawn in, width and height in pixels
_FLAT, _STRIP = 4, (96, 60)  # so many times wider than high it is a series; and the box of one


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
            + (", a row each channel" if first.image is not None and _is_series(first.image) else "")
            + (", labels below" if first.label and first.image is not None else "")
        )
    )
    if first.image is None:
        rows = [{"sample": n, "values": p.values, "label": p.label} for n, p in enumerate(shown)]
        st.dataframe(
            pd.DataFrame(rows),
            hide_index=True,
            column_order=["sample", "values", *(["label"] if first.label else [])],
            column_config={
                "sample": st.column_config.NumberColumn("Sample", width=60),
                "values": st.column_config.TextColumn("What is fed", width="large"),
                "label": st.column_config.TextColumn("Label", width="small"),
            },
        )
        return
    with st.container(horizontal=True):
        for sample in shown:
            if sample.image is not None:
                picture, width = pixels(sample.image)
                said = f"A sample as the network sees it, label {sample.label or 'unknown'}"
                st.image(picture, caption=sample.label, width=width, alt=said)


def _is_series(image: NDArray[np.uint8]) -> bool:
    return image.shape[1] >= _FLAT * image.shape[0]


def pixels(image: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], int]:
    """`image` with each pixel as a square, so that browsers do not blur small ones, and its width on the
    page; the rows of a series are drawn high.
    """
    height, width = image.shape[:2]
    if _is_series(image):
        across, down = (max(1, round(2 * side / n)) for side, n in zip(_STRIP, (width, height), strict=True))
        return image.repeat(down, 0).repeat(across, 1), _STRIP[0]
    scale = min(_SIDES[0] / width, _SIDES[1] / height)
    times = max(1, round(2 * scale))
    return image.repeat(times, 0).repeat(times, 1), max(1, round(width * scale))
