"""What was understood of a model: how it was prepared, what was filled in, what stays as it is."""

from __future__ import annotations

from collections import Counter

import pandas as pd
import streamlit as st

from pages.parts import metrics, text
from pages.parts.tables import csv_button
from quant_core.study import Study

_EQUAL = 200.0  # dB that stand for equal to the bit


def understood(study: Study) -> None:
    """Steps of preparation, notes, and layers that are not quantized, counted by reason."""
    if study.steps or study.notes or study.calibration_is_generated:
        st.markdown("**What was understood**")
    for step in study.steps:
        icon, tail = "check", _proof(step.proof_db)
        if not step.kept:
            icon, tail = "undo", f"undone{'' if step.proof_db is None else ': ' + _proof(step.proof_db)}"
        st.caption(f":material/{icon}: {text.name(f'{step.done}; {tail}' if tail else step.done)}")
    for note in study.notes:
        st.caption(f":material/info: {text.name(note)}")
    if study.calibration_is_generated:
        st.caption(f":material/casino: **{metrics.MADE_UP.capitalize()}.** {metrics.MADE_UP_HELP}")
    refused = [layer for layer in study.graph.layers if layer.reason is not None]
    if not refused:
        return
    reasons = Counter(str(layer.reason.text) for layer in refused if layer.reason is not None)
    said = f"{len(refused)} layers are" if len(refused) > 1 else "1 layer is"
    with st.expander(f"{said} not quantized, and why"):
        for reason, count in reasons.most_common():
            st.caption(text.name(f"{count} x {reason}"))
        rows = [{"layer": x.name, "operator": x.op, "why": str(x.reason)} for x in refused]
        table = pd.DataFrame(rows)
        names = {"layer": "Layer", "operator": "Operator", "why": "Why"}
        st.dataframe(table, hide_index=True, column_config=names)
        csv_button(table, "not-quantized")


def _proof(decibel: float | None) -> str:
    if decibel is None:
        return ""
    return "outputs are equal" if decibel >= _EQUAL else f"outputs agree to {decibel:.0f} dB"
