"""The least that a click in the window can cost: a component that draws nothing, in a fragment of its own.

Started by benchmarks/repaint.py, beside the app."""

import streamlit as st

_JS = """
export default function ({ data, parentElement, setTriggerValue }) {
  const button = parentElement.querySelector("button");
  button.dataset.plan = data.count;
  button.onclick = () => setTriggerValue("event", { at: Date.now() });
}
"""
_component = st.components.v2.component("empty", html="<button>click</button>", js=_JS)


@st.fragment
def empty() -> None:
    """A component that only counts."""

    def clicked() -> None:
        st.session_state["count"] = st.session_state.get("count", 0) + 1

    _component(data={"count": st.session_state.get("count", 0)}, key="empty", on_event_change=clicked)


empty()
