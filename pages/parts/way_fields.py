"""Fields that the ways to open a model share: preprocessing, calibration, and what is else guessed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import streamlit as st

from quant_core.study import TASKS

GENERATED = "generated"
LIMIT_HELP = "At most so many are drawn, evenly over the labels. Fewer are faster, more are surer."
CALIBRATION_HELP = "Samples that ranges are measured on. Empty sets a fifth of the samples aside."
_PREPROCESS = {
    None: "The data holds no images",
    "torchvision": "torchvision: 0..1, then mean and deviation of ImageNet",
    "tensorflow": "tensorflow: -1..1",
    "unit": "unit: 0..1",
    "raw": "raw: 0..255",
    "centred": "centred: (pixel - 127) / 128",
    "caffe": "caffe: means taken off, blue first",
}
_OPTIONS = {
    "stretch": "Stretch to the input",
    "crop": "Resize and crop the centre",
    "bgr": "Blue first",
}
_TASKS = {None: "As labels and outputs suggest"}


def preprocessing(way: str) -> str | None:
    """How images become numbers, as the command line writes it: `torchvision+stretch+bgr`."""
    preset = st.selectbox(
        "Preprocessing of images",
        list(_PREPROCESS),
        format_func=_PREPROCESS.__getitem__,
        key=f"{way}-preprocess",
        persist_state="session",
        help="For a folder or a zip archive of images.",
    )
    chosen = st.pills(
        "Size and colours of images",
        list(_OPTIONS),
        selection_mode="multi",
        format_func=_OPTIONS.__getitem__,
        key=f"{way}-options",
        persist_state="session",
        help="Without a choice images of another size are resized and cropped, red first.",
        wrap=True,
    )
    return None if preset is None else "+".join([preset, *(o for o in _OPTIONS if o in chosen)])


def made_up(way: str) -> bool:
    """Whether ranges come from made-up inputs."""
    return st.checkbox(
        "Calibrate on made-up inputs",
        key=f"{way}-made-up",
        persist_state="session",
        help="For a model without data that would calibrate it: ranges are measured on random inputs. Every "
        "number that rests on them is marked.",
    )


def sample_limit(way: str) -> int:
    """How many samples are evaluated at most."""
    return int(
        st.number_input(
            "Samples to evaluate",
            1,
            None,
            256,
            key=f"{way}-limit",
            persist_state="session",
            help=LIMIT_HELP,
        )
    )


def said(way: str) -> dict[str, Any]:
    """Task, outputs, sizes and sample rate: fields of a `Source`, None for what is left to be guessed."""
    task = st.selectbox(
        "Task",
        [None, *TASKS],
        format_func=lambda name: _TASKS.get(name, str(name).capitalize()),
        key=f"{way}-task",
        persist_state="session",
        help="What is measured against the labels.",
    )
    outputs = _text(way, "Outputs", "name, or scores=NAME,boxes=NAME", "Which output decides.")
    sizes = _text(way, "Sizes of free dimensions", "length=64,batch=1", "A number for each name.")
    rate = st.number_input(
        "Sample rate of sound, Hz",
        1,
        None,
        None,
        key=f"{way}-rate",
        persist_state="session",
        help="The rate that the model was trained on.",
    )
    return {"task": task, "outputs": outputs, "sizes": sizes, "rate": None if rate is None else int(rate)}


def _text(way: str, label: str, example: str, help_text: str) -> str | None:
    given = st.text_input(
        label, placeholder=example, key=f"{way}-{label}", persist_state="session", help=help_text
    )
    return given.strip() or None


def path_field(way: str, label: str, example: str, help_text: str | None = None) -> str:
    """A path, as it was typed."""
    return st.text_input(
        label, placeholder=example, key=f"{way}-{label}", persist_state="session", help=help_text
    )


def absolute(reference: str, words: Sequence[str] = ()) -> str | None:
    """A path that means the same in every process; sample names, numbers and `words` stay as they are."""
    given = reference.strip()
    if not given or given.isdecimal() or given.startswith("sample:") or given.partition(":")[0] in words:
        return given or None
    return str(Path(given).expanduser().absolute())
