"""The router: configuration and navigation, nothing else. `app.py` serves it."""

from pathlib import Path

import streamlit as st

from pages.parts.links import (
    ACTIVATIONS,
    ARITHMETIC,
    COMPARE,
    EXPORT,
    MIXED_PRECISION,
    MODEL,
    SENSITIVITY,
    START,
    VERIFY,
    WEIGHTS,
)
from pages.parts.ticks import drop_late_ticks

ASSETS = Path(__file__).resolve().parents[2] / "assets"

drop_late_ticks()
st.set_page_config(
    page_title="Quantscope",
    page_icon=str(ASSETS / "logo.png"),  # a local file: an icon by name would be fetched from a font host
    layout="wide",
    initial_sidebar_state=200,
    menu_items={"About": "Quantscope: quantize neural networks by eye."},
)

SECTIONS = {
    "Explore": [
        st.Page(START, title="Start", icon=":material/home:", default=True),
        st.Page(MODEL, title="Model", icon=":material/account_tree:"),
        st.Page(WEIGHTS, title="Weights", icon=":material/bar_chart:"),
        st.Page(ACTIVATIONS, title="Activations", icon=":material/show_chart:"),
        st.Page(
            ARITHMETIC, title="Integer arithmetic", icon=":material/calculate:", url_path="integer-arithmetic"
        ),
    ],
    "Decide": [
        st.Page(SENSITIVITY, title="Sensitivity", icon=":material/thermostat:"),
        st.Page(
            MIXED_PRECISION,
            title="Mixed precision",
            icon=":material/grid_on:",
            url_path="mixed-precision",
        ),
        st.Page(COMPARE, title="Compare", icon=":material/compare_arrows:"),
    ],
    "Prove": [
        st.Page(VERIFY, title="Verify", icon=":material/verified:"),
        st.Page(EXPORT, title="Export", icon=":material/download:"),
    ],
}

st.logo(str(ASSETS / "logo.svg"), size="medium")
st.navigation(SECTIONS).run()
