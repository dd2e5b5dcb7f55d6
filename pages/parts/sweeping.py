"""Ask for a sweep, and say what it lacks: shared by the sensitivity table and the desk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import streamlit as st

from pages.parts.links import START
from pages.parts.state import State
from quant_core.study import DONE, Cell, CellKey, Job, Study, Wish, cells_of, sweep_wish

Formats = Mapping[str, Sequence[str]]
_ABOUT = "≈ marks what was measured on few samples; its tooltip says how far off it may be."


def needs_data(why: str) -> None:
    """Say that something needs data, and where data is opened."""
    st.info(f"No data is open: {why}.", icon=":material/info:")
    st.page_link(str(START), label="Open data", icon=":material/home:")


def sweep_job(state: State, study: Study, formats: Formats) -> Job | None:
    """The sweep of these formats, if it was asked for. A sample's is asked for without a word."""
    if not study.has_data:
        return None
    wish, exact = sweep_wish(state.source, formats), sweep_wish(state.source, formats, exact=True)
    job, later = wish.find(state.id), exact.find(state.id)
    if later is not None and (later.alive or job is None or later.updated > job.updated):
        return later
    keys = cells_of(study, formats)
    if job is None and state.source.is_sample and len(study.known_cells(keys, few=True)) < len(keys):
        job = wish.ask(state.id)
    return job


def failures(job: Job | None) -> dict[CellKey, str]:
    """The cells that a sweep could not measure, and why."""
    found = (job.result or {}).get("failed", []) if job is not None else []
    return {CellKey(layer, name, part): why for layer, name, part, why in found}


def sweep_status(
    state: State, study: Study, formats: Formats, job: Job | None, cells: Mapping[CellKey, Cell], total: int
) -> None:
    """A line that says how complete the table is, with the button that measures the rest."""
    missing = total - sum(not cell.is_first_look for cell in cells.values())
    few = sum(cell.band is not None for cell in cells.values())
    if not study.has_data:
        needs_data("what a format does to the output needs samples")
    elif job is not None and job.alive:
        said = f"{total - missing} of {total} cells are measured; the others appear as they come."
        st.caption(f"{said} {_ABOUT}" if few else said)
    elif missing:
        left = "are left" if job is not None and job.state == "cancelled" else "are not measured"
        with st.container(horizontal=True, vertical_alignment="center"):
            st.caption(f"{missing} of {total} cells {left}.", width="content")
            _ask_button(state, f"Measure {missing} cells", sweep_wish(state.source, formats), "primary")
    elif few:
        with st.container(horizontal=True, vertical_alignment="center"):
            said = f"{few} of {total} cells are measured on a part of the samples."
            st.caption(f"{said} {_ABOUT}", width="content")
            wish = sweep_wish(state.source, formats, exact=True)
            _ask_button(state, f"Measure {few} cells on all samples", wish, "secondary")
    elif job is not None and job.state == DONE and job.result:
        kept, new = job.result["kept"], job.result["measured"]
        st.caption(f"All {total} cells are measured: {new} in the last run, {kept} were known before.")
    elif total:
        st.caption(f"All {total} cells are measured.")


def _ask_button(state: State, label: str, wish: Wish, kind: Literal["primary", "secondary"]) -> None:
    if st.button(
        label,
        key=f"measure-{kind}",  # the same button, whatever number it says by the time of the click
        icon=":material/play_arrow:",
        type=kind,
        help="Finished cells are kept, whatever you do meanwhile.",
    ):
        wish.ask(state.id)
        st.rerun()  # the whole page: it follows what runs
