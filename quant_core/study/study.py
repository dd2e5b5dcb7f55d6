"""Study: one model, one data set and what was measured on them. The facade of pages and command line."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

from quant_core.data import Batch, Dataset, Quality, Task
from quant_core.engine import (
    Chain,
    Lanes,
    Progress,
    Reference,
    batch_size,
    evaluate,
    evaluate_outputs,
)
from quant_core.errors import DataError, ModelError
from quant_core.formats import QuantizedTensor, Scheme
from quant_core.graph import Flow, Graph, Layer, index_rows, inputs_of, runnable, tensor_flow
from quant_core.lower import SAVINGS, WeightCache, lowered_opset
from quant_core.plan import Arena, Plan, arena
from quant_core.prepare import Saving, Step, may_save
from quant_core.stats import Ranges
from quant_core.store import Store
from quant_core.study.calibration import KeptRanges
from quant_core.study.details import Details
from quant_core.study.files import Files
from quant_core.study.inspection import inspection
from quant_core.study.keys import Keys
from quant_core.study.lanes import lanes_of
from quant_core.study.open import OpenedData, open_model, open_samples, proof_samples
from quant_core.study.preparation import Preparation
from quant_core.study.records import Evaluation
from quant_core.study.sweeps import Sweeps


class Study(Sweeps):
    """A model opened with its data. Measurements are kept in the store as soon as they exist."""

    def __init__(
        self,
        graph: Graph,
        steps: tuple[Step, ...],
        preparation: Preparation,
        data: OpenedData | None,
        store: Store,
        task: Task | None = None,
    ) -> None:
        super().__init__()
        self.graph, self.steps, self.store, self.task = graph, steps, store, task or Task()
        self._data, self._preparation = data, preparation
        self.tokenizer: Path | None = None  # of the text that the samples were, to show it
        graph.refuse = self._refused_savings
        self.cache = WeightCache(graph)
        self.reference = Reference(runnable(graph.file), task=self.task)
        self.keys = Keys(graph, self.calibration, self.task)
        self.files = Files(graph, self.cache, self.calibration, lambda: self.ranges)

    @classmethod
    def open(
        cls,
        model: str | Path,
        data: str | Path | None = None,
        calibration: str | None = None,
        preprocess: str | None = None,
        samples: int | None = None,
        store: Store | None = None,
        details: Details | None = None,
    ) -> Study:
        """Open a model (a path or `sample:NAME`) and its data, and prepare the model. See `open_samples`, and
        `Details` for what is guessed unless it is said.
        """
        file = open_model(model)
        inputs, said = inputs_of(file.model), details or Details()
        rows = index_rows(file.model)
        if file.is_large:
            data, calibration = None, None
        opened = open_samples(data, inputs, calibration, preprocess, samples, said.reading(file), rows)
        known, store = opened.evaluation or opened.calibration, store or Store()

        def proof() -> Batch | None:
            return None if known is None else proof_samples(known, inputs)

        key = None if known is None else known.key
        preparation = Preparation(file, key, proof, store.path.parent / "prepared")
        prepared, steps = preparation.graph()
        repairs = tuple(Step("repair", text, None, True) for text in file.repairs)
        task = said.task_of(file, opened.evaluation)
        study = cls(Graph(file, prepared), (*repairs, *steps), preparation, opened, store, task)
        study.tokenizer = said.tokenizer_of(file)
        return study

    @cached_property
    def lanes(self) -> Lanes:
        """How many batches or cells run at once on this machine."""
        return lanes_of(self.graph.file, self.data, self.store)

    @cached_property
    def chain(self) -> Chain:
        """The graph in segments, with what was computed at the cuts."""
        return Chain(self.cache, lanes=self.lanes)

    @property
    def data(self) -> Dataset:
        """The samples evaluated. DataError where the study has none."""
        if self._data is None or self._data.evaluation is None:
            raise DataError("no data is given", "name samples with --data")
        return self._data.evaluation

    @property
    def has_data(self) -> bool:
        """Whether anything can be measured."""
        return self._data is not None and self._data.evaluation is not None

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on what was filled in or chosen for the user."""
        sets = () if self._data is None else (self._data.evaluation, self._data.calibration)
        notes = [note for data in sets if data is not None for note in data.notes]
        if self.graph.file.is_large:
            size = f"{self.graph.file.bytes / 1e9:.1f} GB"
            notes.append(
                f"A model of {size} is not run as a whole here: its weights are shown and quantized layer by "
                "layer, without data, and sizes are forecasts until the file is written."
            )
        return tuple(dict.fromkeys(notes))

    @property
    def calibration_is_generated(self) -> bool:
        """Whether ranges rest on made-up samples; numbers of plans that need them carry that mark."""
        return self.calibration is not None and self.calibration.generated

    @property
    def calibration(self) -> Dataset | None:
        """The samples that ranges are measured on."""
        return None if self._data is None else self._data.calibration

    @property
    def calibration_samples(self) -> int:
        """How many samples calibrate."""
        return 0 if self.calibration is None else len(self.calibration)

    @cached_property
    def _kept_ranges(self) -> KeptRanges | None:
        if self.calibration is None:
            return None
        return KeptRanges(self.graph, self.calibration, self.store.path.parent / "ranges")

    @property
    def has_ranges(self) -> bool:
        """Whether the activation ranges are known without measuring: in memory or in their file."""
        return self._kept_ranges is None or self._kept_ranges.known() is not None

    @property
    def ranges(self) -> Ranges:
        """Activation ranges over the calibration samples; measured where they are not known, and kept."""
        return self.calibrate()

    def calibrate(self, progress: Progress | None = None) -> Ranges:
        """As `ranges`, with progress in samples."""
        return Ranges({}) if self._kept_ranges is None else self._kept_ranges.measure(progress)

    # ---- what the file holds

    def inspect(self) -> dict[str, Any]:
        """What the file holds: the record of the command `inspect`."""
        return inspection(self.graph, self.savings)

    @cached_property
    def savings(self) -> tuple[Saving, ...]:
        """What can be saved of the user's file without changing what it computes, each proven. Exported files
        take those that are kept.
        """
        return self._preparation.savings()

    def _refused_savings(self) -> frozenset[str]:
        if self.graph.file.is_large:
            return frozenset(SAVINGS)  # none is proven without a run
        if not may_save(self.graph.file.model):
            return frozenset()
        return frozenset(s.kind for s in self.savings if not s.kept)

    def quantized(self, layer: Layer, scheme: Scheme) -> QuantizedTensor:
        """The weights of `layer` quantized by `scheme`."""
        return self.cache.get(layer, scheme)

    # ---- plans

    def lowered(self, plan: Plan, decoder: str = "cast") -> bytes:
        """The exported file of `plan`. PlanError where the model cannot take it."""
        return self.files.lowered(plan, decoder)

    def bytes_of(self, plan: Plan) -> int:
        """The size of the exported file of `plan`, to the byte."""
        return self.files.bytes_of(plan)

    def bytes_at_once(self, plan: Plan) -> tuple[int, bool]:
        """The size of the exported file without measuring anything, and whether it is exact: it is, unless
        activation ranges are needed and not known yet.
        """
        exact = not plan.needs_ranges or self.has_ranges
        return self.files.bytes_of(plan, measured=exact), exact and not self.graph.file.is_large

    def arena(self, plan: Plan) -> Arena | None:
        """The bytes of activations that `plan` needs at a time; None where not all shapes are known before
        the model runs.
        """
        ports = inputs_of(self.graph.file.model)
        free = any(not isinstance(size, int) for port in ports for size in port.shape[1:])
        return None if free else arena(*self._flow, plan)

    @cached_property
    def _flow(self) -> tuple[tuple[str, ...], tuple[Flow, ...]]:
        return tensor_flow(self.graph)

    def baseline(
        self, execution: str = "simulated", dynamic: bool = False, data: Dataset | None = None
    ) -> Quality:
        """The quality of the user's FP32 file on the same samples, with the same options."""
        data = data or self.data
        size = batch_size(inputs_of(self.graph.file.model), dynamic)
        about = self.keys.fp32(execution, size, data)
        record = self.store.get(about)
        if record is None:
            record = asdict(self.reference.quality(data, execution, size))
            self.store.put(about, record)
        return Quality.from_record(record)

    def known_baseline(self) -> float | None:
        """The metric of FP32 on the same samples if it was measured."""
        about = self.keys.fp32("simulated", batch_size(inputs_of(self.graph.file.model)), self.data)
        record = self.store.get(about)
        return None if record is None else record["metric"]

    def known(
        self,
        plan: Plan,
        execution: str = "simulated",
        data: Dataset | None = None,
        decoder: str = "cast",
    ) -> Evaluation | None:
        """The evaluation of `plan` if it was measured before."""
        data = data or self.data
        record = self.store.get(self.keys.plan(plan, execution, data, decoder))
        if record is None:
            return None
        baseline = self.baseline(execution, plan.has_dynamic, data)
        return self._evaluation(plan, Quality.from_record(record), record["bytes"], baseline, execution)

    def evaluate(
        self,
        plan: Plan,
        execution: str = "simulated",
        progress: Progress | None = None,
        data: Dataset | None = None,
        decoder: str = "cast",
        early: Callable[[Quality], None] | None = None,
    ) -> Evaluation:
        """Measure `plan` by running the graph that export writes, unless it was measured before: shipped the
        file itself, simulated the same arithmetic segment by segment, from the last one whose input is kept
        (see `engine.Chain`). `early` is told what the first samples say.
        """
        data = data or self.data
        found = self.known(plan, execution, data, decoder)
        if found is not None:
            return found
        size = batch_size(inputs_of(self.graph.file.model), plan.has_dynamic)
        baseline = self.baseline(execution, plan.has_dynamic, data)  # first: who sees the record needs it
        if execution == "simulated" and decoder == "cast" and not plan.has_dynamic:
            find_range, corrections = self.files.ingredients(plan)
            outputs = self.chain.outputs(plan, data, size, find_range, corrections)
            quality = evaluate_outputs(outputs, data, self.reference, execution, size, progress, early)
            written = self.bytes_of(plan)
        else:
            model = self.lowered(plan, decoder)
            quality = evaluate(model, data, self.reference, execution, size, progress)
            written = len(model)
        about = self.keys.plan(plan, execution, data, decoder)
        self.store.put(about, {"bytes": written, **asdict(quality)})
        return self._evaluation(plan, quality, written, baseline, execution)

    def export(self, plan: Plan, path: str | Path, decoder: str = "cast") -> dict[str, Any]:
        """Write the quantized ONNX file; the record of the command `export`. ModelError where it cannot be
        written.
        """
        model = self.lowered(plan, decoder)
        try:
            Path(path).write_bytes(model)
        except OSError as error:
            raise ModelError(
                f"'{path}' cannot be written ({error.strerror})", "choose another place"
            ) from error
        made_up = plan.needs_calibration and self.calibration_is_generated
        return {
            "path": str(path),
            "bytes": len(model),
            "opset": lowered_opset(self.graph, plan, decoder),
            "sha256": hashlib.sha256(model).hexdigest(),
            **({"generated_calibration": True} if made_up else {}),
        }

    def _evaluation(
        self, plan: Plan, quality: Quality, size: int, baseline: Quality, execution: str
    ) -> Evaluation:
        return Evaluation(
            bytes=size,
            bytes_fp32=self.graph.file.bytes,
            metric=quality.metric,
            metric_fp32=baseline.metric,
            metric_name=quality.metric_name,
            agreement=quality.agreement,
            sqnr_db=quality.sqnr_db,
            kl=quality.kl,
            decisions=quality.decisions,
            samples=quality.samples,
            calibration_samples=self.calibration_samples,
            execution=execution,
            more=quality.more,
            more_fp32=baseline.more,
            generated_calibration=plan.needs_calibration and self.calibration_is_generated,
        )
