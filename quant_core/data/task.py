"""Task: what a model does, which of its outputs say so, and how it is scored. Guessed, and correctable."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from quant_core.data.dataset import Dataset, Labels
from quant_core.errors import ArgumentError
from quant_core.graph import Port

TASKS = ("classification", "tokens", "regression", "anomaly", "detection", "embedding")
CLASSES = "classification"  # tokens are classes too: the shape of the labels tells them apart
_LAYOUTS = ("corners", "centres")


@dataclass(frozen=True)
class Task:
    """What is measured, on the outputs at these positions.

    `output` is the one that decides (of a detector its scores), `boxes` those of a detector, whose four
    numbers are corners x1 y1 x2 y2, or centre and size where `centred`. `input` names what an autoencoder
    reconstructs, None where an anomaly score is an output of its own."""

    kind: str = CLASSES
    output: int = 0
    boxes: int | None = None
    centred: bool = False
    input: str | None = None

    @property
    def key(self) -> str | None:
        """The task in the key of a measurement. None for classes decided by the first output, which is what
        was measured before there were tasks: those measurements stay valid."""
        if self == Task():
            return None
        return f"{self.kind} {self.output} {self.boxes} {self.centred} {self.input}"


def read_outputs(text: str | None) -> dict[str, str]:
    """The parts of `scores=NAME,boxes=NAME,format=centres`, or of the name of one output alone."""
    parts: dict[str, str] = {}
    for part in (text or "").split(","):
        role, equals, name = part.strip().partition("=")
        if part.strip():
            parts[role.strip() if equals else "output"] = (name if equals else role).strip()
    wrong = set(parts) - {"output", "scores", "boxes", "format"}
    if wrong or parts.get("format", "corners") not in _LAYOUTS:
        raise ArgumentError(
            f"the outputs '{text}' make no sense",
            "write a name, or scores=NAME,boxes=NAME,format=corners|centres",
        )
    return parts


def make_task(
    inputs: tuple[Port, ...],
    outputs: tuple[Port, ...],
    data: Dataset | None,
    kind: str | None = None,
    named: str | None = None,
) -> Task:
    """The task of a model on `data`: what the user says by `kind` (one of `TASKS`) and `named` (see
    `read_outputs`), and a guess for what is not said. ArgumentError for what does not exist."""
    parts = read_outputs(named)
    if kind is not None and kind not in TASKS:
        raise ArgumentError(f"there is no task '{kind}'", f"choose from {', '.join(TASKS)}")
    positions = {p.name: i for i, p in enumerate(outputs)}
    for role, name in parts.items():
        if role != "format" and name not in positions:
            raise ArgumentError(f"the model has no output '{name}'", f"choose from {', '.join(positions)}")
    at = positions[parts["output"]] if "output" in parts else 0
    if kind is None and ("scores" in parts or "boxes" in parts):
        kind = "detection"
    kind = kind or guess_task(inputs, outputs, data, at)
    if kind == "detection":
        pair = _scores_and_boxes(outputs, positions, parts)
        return Task(kind, pair[0], pair[1], parts.get("format") == "centres")
    if kind == "anomaly":
        return Task(kind, at, input=_reconstructed(inputs, outputs[at]))
    return Task(CLASSES if kind == "tokens" else kind, at)


def guess_task(inputs: tuple[Port, ...], outputs: tuple[Port, ...], data: Dataset | None, at: int = 0) -> str:
    """One of `TASKS`, by the labels and the shape of the output at position `at`."""
    labels = None if data is None else data.labels
    if data is not None and data.has_boxes:
        return "detection"
    if labels is None or not outputs:
        return CLASSES
    if labels.dtype.kind == "f":
        return "regression"
    output = outputs[at]
    if labels.ndim == 1 and _is_binary(labels):
        scalar = len(output.shape) == 1 or (len(output.shape) == 2 and output.shape[1] == 1)
        if scalar or _reconstructed(inputs, output) is not None:
            return "anomaly"
    return "tokens" if labels.ndim > 1 else CLASSES


def _is_binary(labels: Labels) -> bool:
    return set(np.unique(labels).tolist()) <= {0, 1}


def _reconstructed(inputs: tuple[Port, ...], output: Port) -> str | None:
    """The input that an output has the type and shape of, the first dimension aside."""
    for port in inputs:
        same = len(port.shape) == len(output.shape) and port.shape[1:] == output.shape[1:]
        if same and len(port.shape) > 1 and port.dtype == output.dtype and np.dtype(port.dtype).kind == "f":
            return port.name
    return None


def _scores_and_boxes(
    outputs: tuple[Port, ...], positions: dict[str, int], parts: dict[str, str]
) -> tuple[int, int]:
    """The positions of a detector's scores and boxes: as named, else by their names, else by their shapes."""
    boxes = positions.get(parts.get("boxes", "boxes"))
    scores = positions.get(parts.get("scores", parts.get("output", "scores")))
    if boxes is None:
        fours = [i for i, p in enumerate(outputs) if len(p.shape) == 3 and p.shape[2] == 4 and i != scores]
        boxes = fours[0] if len(fours) == 1 else None
    if scores is None:
        rest = [i for i, p in enumerate(outputs) if len(p.shape) == 3 and i != boxes]
        scores = rest[0] if len(rest) == 1 else None
    if scores is None or boxes is None or scores == boxes:
        raise ArgumentError(
            "the outputs of the detector are not clear", "name them with --outputs scores=NAME,boxes=NAME"
        )
    return scores, boxes
