"""Your data on this machine: where it is kept, how much it takes, and how to delete it."""

from __future__ import annotations

import streamlit as st

from pages.parts import text
from pages.parts.state import State
from quant_core.study import Source, delete_everything, home, line, workspace_bytes


def workspace(state: State) -> None:
    """The folder, its size, and the button that deletes what is in it, once that is confirmed."""
    st.subheader("Your data on this machine", anchor=False)
    st.caption(
        f"{text.size(_taken(str(home())))} in {text.name(str(home()))}. Uploads, fetched models and "
        "exports that were not used for 30 days are removed when new ones come, and so are the oldest beyond "
        "20 GiB."
    )
    with st.popover("Delete my data", icon=":material/delete:"):
        st.write(
            "This removes uploads, fetched models, exports, all measurements, plans and sessions, also those "
            "of other windows. It cannot be undone. Your own files stay where they are."
        )
        st.button("Delete everything", type="primary", on_click=_delete, args=(state,), key="delete-data")


@st.cache_data(ttl=20, max_entries=4, show_spinner=False)
def _taken(folder: str) -> int:
    """Bytes of the folder; counted at most every 20 seconds."""
    return workspace_bytes()


def _delete(state: State) -> None:
    for job in line().jobs(state.id):
        line().cancel(job)
    state.open(Source())
    delete_everything()
    st.cache_resource.clear()
    st.cache_data.clear()
    state.kept.clear()
    state.notice = "Your data was deleted; a bundled sample is open."
    state.save()
