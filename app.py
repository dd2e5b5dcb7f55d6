"""Quantscope: quantize neural networks by eye. Start it with `streamlit run app.py`.

The router lies in a folder that has no `pages/` beside it. Streamlit takes a `pages/` beside the first script
for the pages of an app, until that script has run once: a deep link to a freshly started server would be
answered by "Page not found" (seen with 1.67).
"""

import streamlit as st

app = st.App("pages/parts/router.py")
