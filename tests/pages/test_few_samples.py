"""The pages say which cells were measured on few samples, and have them measured on all when asked."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from streamlit.testing.v1 import AppTest

from pages.parts.matrix import Frame, Look, matrix_data
from quant_core.plan import Plan
from quant_core.study import SWEEP, Source, desk_cells, desk_formats, line
from tests.pages.sessions import kept, said

SOURCE = Source("sample:digits-cnn", "sample:digits-cnn")


@pytest.mark.parametrize(
    ("page", "samples"), [("sensitivity", 90), pytest.param("mixed_precision", 100, marks=pytest.mark.slow)]
)
def test_a_table_of_few_samples_says_so_and_can_be_made_exact(
    run: Callable[..., AppTest], page: str, samples: int
) -> None:
    source = replace(SOURCE, samples=samples)
    study = source.open()
    keys = [key for part in desk_formats() for key in desk_cells(study, part)]
    list(study.sweep_adaptively(keys))
    session = kept(source)
    test = run(f"pages/decide/{page}.py", study=session)
    assert f"{len(keys)} of {len(keys)} cells are measured on a part of the samples" in said(test)
    assert "about " in said(test)
    button = next(b for b in test.button if b.label == f"Measure {len(keys)} cells on all samples")
    assert not any(job.kind == SWEEP for job in line().jobs(session))
    button.click().run()
    assert [job.spec["exact"] for job in line().jobs(session) if job.kind == SWEEP] == [True]
    assert f"All {len(keys)} cells are measured" in said(test)
    assert not any(cell.band for cell in source.open().known_cells(keys, few=True).values())


def test_a_cell_of_few_samples_carries_its_band() -> None:
    study = SOURCE.open()
    key = desk_cells(study, "weights")[0]
    *_, few = study.sweep_adaptively([key])
    frame = Frame(((key.part, key.format),), Look(), "light")
    entry = json.loads(matrix_data(study, Plan(), frame, {key: few}, key.layer)["still"])["layers"][0][
        "cells"
    ][0]
    assert entry[5].startswith(f"measured on {few.quality.samples} samples: ")
    exact = next(study.sweep([key]))
    whole = json.loads(matrix_data(study, Plan(), frame, {key: exact}, key.layer)["still"])
    assert len(whole["layers"][0]["cells"][0]) == 5
