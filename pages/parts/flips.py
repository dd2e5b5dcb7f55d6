"""Decisions that the exported file makes in another way than FP32, with what was fed."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from pages.parts import text
from pages.parts.preview import pixels
from pages.parts.tables import csv_button
from quant_core.study import Certificate, Preview, Study, preview

_DRAWN = 24  # pictures


def flips(study: Study, certificate: Certificate) -> None:
    """Those of which FP32 was most sure: pictures where they can be drawn, and a table."""
    changed = certificate.changed["float shipped"]
    st.caption(_count(certificate, changed))
    if not changed:
        return
    shown = certificate.flips
    drawn = list(dict.fromkeys(flip.sample for flip in shown))[:_DRAWN]
    seen: dict[int, Preview] = {}  # of several inputs the first one that can be drawn, else the first
    for sample in preview(study, drawn):
        if sample.sample not in seen or seen[sample.sample].image is None is not sample.image:
            seen[sample.sample] = sample
    if any(p.image is not None for p in seen.values()):
        with st.container(horizontal=True, key="flips"):
            for flip in shown:
                fed = seen.get(flip.sample)
                if fed is None or fed.image is None:
                    continue
                image, width = pixels(fed.image)
                label = "" if flip.label is None else f", label {flip.label}"
                said = f"{flip.fp32} → {flip.shipped}{label}"
                st.image(image, said, width=width, alt=f"Sample {flip.sample}, decision {said}")
        st.caption("FP32's decision → the file's; those of which FP32 was most sure come first.")
    table = pd.DataFrame(
        {
            "sample": flip.sample,
            "place": flip.place,
            "label": flip.label,
            "fp32": flip.fp32,
            "shipped": flip.shipped,
            "sure": 100 * flip.sure,
            "sure_shipped": 100 * flip.sure_shipped,
            "values": seen[flip.sample].values if flip.sample in seen else "",
        }
        for flip in shown
    )
    _table(table, all(p.image is not None for p in seen.values()))


def _count(certificate: Certificate, changed: int) -> str:
    what = "decisions" if certificate.decisions != certificate.samples else "samples"
    if not changed:
        return f"The file decides as FP32 does on all {certificate.decisions:,} {what}."
    said = f"Decided in another way: {changed:,} of {certificate.decisions:,} {what}."
    if certificate.gained is not None and certificate.lost is not None:
        neither = changed - certificate.gained - certificate.lost
        said += (
            f" Right in FP32 only: {certificate.lost:,}, in the file only: {certificate.gained:,}; wrong in "
            f"both: {neither:,}."
        )
    if changed > len(certificate.flips):
        said += f" The {len(certificate.flips)} of which FP32 was most sure are shown."
    return said


def _table(table: pd.DataFrame, drawn: bool) -> None:
    number = st.column_config.NumberColumn
    hidden = [
        name
        for name, hide in (
            ("place", not table["place"].any()),
            ("label", table["label"].isna().all()),
            ("values", drawn),
        )
        if hide
    ]
    columns = [name for name in table.columns if name not in hidden]
    holder = st.expander("As a table") if drawn else st.container()
    with holder:
        st.dataframe(
            table,
            hide_index=True,
            column_order=columns,
            column_config={
                "sample": number("Sample", width="small"),
                "place": number(
                    "Place", width="small", help="Of several decisions in one sample, as tokens."
                ),
                "label": number("Label", width="small"),
                "fp32": number("FP32", width="small"),
                "shipped": number("File", width="small"),
                "sure": number(
                    "FP32 sure, %", format="%.1f", help="The probability that FP32 gave its own decision."
                ),
                "sure_shipped": number(
                    "File sure, %", format="%.1f", help="The probability that the file gave its own decision."
                ),
                "values": st.column_config.TextColumn("What is fed", width="large"),
            },
        )
        csv_button(table[columns], "changed-decisions")


def intervals(certificate: Certificate) -> str:
    """Where the intervals come from, in a sentence; empty where there are none."""
    if certificate.agreement is None:
        return ""
    said = "Intervals hold 95 %: Wilson's for shares, Agresti and Min's of pairs for the change."
    if certificate.decisions > certificate.samples:
        said += " Decisions in one sample depend on each other, so the true intervals are wider."
    return text.name(said)
