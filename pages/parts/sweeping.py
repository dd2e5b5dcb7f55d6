"""Ask for a sweep, and say what it lacks: shared by the sensitivity table and the desk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import streamlit as st

from pages.parts.links import START
from pages.parts.state import State
from quant_core.study import DONE, CellKey, Job, Study, cells_of, sweep_wish

Formats = Mapping[str, Sequence[str]]


def needs_data(why: str) -> None:
    """Say that something needs data, and where data is opened."""
    st.info(f"No data is open: {why}.", icon=":material/info:")
    st.page_link(str(START), label="Open data", icon=":material/home:")


def sweep_job(state: State, study: Study, formats: Formats) -> Job | None:
    """The sweep of these formats, if it was asked for. A sample's is asked for without a word."""
    if not study.has_data:
        return None
    wish = sweep_wish(state.source, formats)
    job = wish.find(state.id)
    keys = cells_of(study, formats)
    if job is None and state.source.is_sample and len(study.known_cells(keys)) < len(keys):
        job = wish.ask(state.id)
    return job


def failures(job: Job | None) -> dict[CellKey, str]:
    """The cells that a sweep could not measure, and why."""
    found = (job.result or {}).get("failed", []) if job is not None else []
    return {CellKey(layer, name, part): why for layer, name, part, why in found}


def sweep_status(
    state: State, study: Study, formats: Formats, job: Job | None, missing: int, total: int
) -> None:
    """A line that says how complete the table is, with the button that measures the rest."""
    if not study.has_data:
        needs_data("what a format does to the output needs samples")
    elif job is not None and job.alive:
        st.caption(f"{total - missing} of {total} cells are measured; the others appear as they come.")
    elif missing:
        left = "are left" if job is not None and job.state == "cancelled" else "are not measured"
        with st.container(horizontal=True, vertical_alignment="center"):
            st.caption(f"{missing} of {total} cells {left}.", width="content")
            if st.button(
                f"Measure {missing} cells",
                key="measure-missing",  # the same button, whatever number it says by the time of the click
                icon=":material/play_arrow:",
                type="primary",
                help="Finished cells are kept, whatever you do meanwhile.",
            ):
                sweep_wish(state.source, formats).ask(state.id)
                st.rerun()  # the whole page: it follows what runs
    elif job is not None and job.state == DONE and job.result:
        kept, new = job.result["kept"], job.result["measured"]
        st.caption(f"All {total} cells are measured: {new} in the last run, {kept} were known before.")
    elif total:
        st.caption(f"All {total} cells are measured.")
