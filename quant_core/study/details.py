"""What a user says beyond paths: task, outputs, sizes and how files are read, as plain text."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from quant_core.data import Dataset, Reading, Task, make_task, read_sizes
from quant_core.graph import ModelFile, inputs_of, outputs_of


@dataclass(frozen=True, kw_only=True)
class Details:
    """As the command line takes them, None for what is left to be guessed.

    `task` is one of `TASKS`; `outputs` a name, or `scores=NAME,boxes=NAME`; `sizes` of free dimensions
    `name=number,name=number`; `tokenizer` a tokenizer.json; `rate` of sound in Hz; `boxes` a file or folder
    of XML."""

    task: str | None = None
    outputs: str | None = None
    sizes: str | None = None
    tokenizer: str | None = None
    rate: int | None = None
    boxes: str | None = None

    def reading(self, file: ModelFile) -> Reading:
        """How data for `file` is read. ArgumentError where the sizes make no sense."""
        sizes, outputs = read_sizes(self.sizes), outputs_of(file.model)
        return Reading(self.tokenizer, self.rate, self.boxes, sizes, outputs, file.path.parent)

    def tokenizer_of(self, file: ModelFile) -> Path | None:
        """The tokenizer that is named or stands beside the model, None where there is none."""
        named = Path(self.tokenizer) if self.tokenizer else file.path.parent / "tokenizer.json"
        return named if named.is_file() else None

    def task_of(self, file: ModelFile, data: Dataset | None) -> Task:
        """What is measured. ArgumentError where the model has no such outputs."""
        return make_task(inputs_of(file.model), outputs_of(file.model), data, self.task, self.outputs)
