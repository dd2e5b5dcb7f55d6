"""Quantscope: quantize neural networks by eye. The router: configuration and navigation, nothing else."""

from pathlib import Path

import streamlit as st

ROOT = Path(__file__).parent

st.set_page_config(
    page_title="Quantscope",
    page_icon=str(
        ROOT / "assets" / "logo.png"
    ),  # a local file: an icon by name would be fetched from a font host
    layout="wide",
    initial_sidebar_state=200,
    menu_items={"About": "Quantscope: quantize neural networks by eye."},
)

PAGES = {
    "Explore": [
        st.Page(
            "pages/explore/start.py", title="Start", icon=":material/home:", url_path="start", default=True
        ),
        st.Page("pages/explore/weights.py", title="Weights", icon=":material/bar_chart:", url_path="weights"),
    ],
    "Decide": [
        st.Page(
            "pages/decide/mixed_precision.py",
            title="Mixed precision",
            icon=":material/grid_on:",
            url_path="mixed-precision",
        ),
    ],
}

st.logo(str(ROOT / "assets" / "logo.svg"), size="medium", link=None)
st.navigation(PAGES).run()
