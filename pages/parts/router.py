"""The router: configuration and navigation, nothing else. `app.py` serves it."""

from pathlib import Path

import streamlit as st

from pages.parts.links import MIXED_PRECISION, START, WEIGHTS

ASSETS = Path(__file__).resolve().parents[2] / "assets"

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
        st.Page(WEIGHTS, title="Weights", icon=":material/bar_chart:"),
    ],
    "Decide": [
        st.Page(
            MIXED_PRECISION,
            title="Mixed precision",
            icon=":material/grid_on:",
            url_path="mixed-precision",
        ),
    ],
}

st.logo(str(ASSETS / "logo.svg"), size="medium")
st.navigation(SECTIONS).run()
