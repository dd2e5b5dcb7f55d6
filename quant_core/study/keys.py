"""Keys of measurements: everything that a number depends on."""

from __future__ import annotations

from quant_core.data import Dataset, Task
from quant_core.engine import ENGINE, CellKey, batch_size, cell_plan
from quant_core.graph import Graph, inputs_of
from quant_core.plan import Plan

About = dict[str, object]


class Keys:
    """The keys of one graph's measurements. `calibration` has a part in those of plans that need it, `task`
    where it is another one than classes decided by the first output.
    """

    def __init__(self, graph: Graph, calibration: Dataset | None, task: Task | None = None) -> None:
        self._graph, self._calibration, self._task = graph, calibration, (task or Task()).key

    def fp32(self, execution: str, size: int, data: Dataset) -> About:
        """The FP32 file on `data`, `size` samples at a time."""
        return self._about("fp32", execution, size, data, None)

    def plan(self, plan: Plan, execution: str, data: Dataset, decoder: str = "cast") -> About:
        """The exported file of `plan` on `data`."""
        size = batch_size(inputs_of(self._graph.file.model), plan.has_dynamic)
        calibration = self._calibration if plan.needs_calibration else None
        about = self._about(f"plan {plan.key}", execution, size, data, calibration)
        return about if decoder == "cast" else about | {"decoder": decoder}

    def cell(self, key: CellKey, execution: str, data: Dataset) -> About:
        """A cell of the sensitivity table."""
        plan = cell_plan(self._graph, key)
        assert plan is not None
        return self.plan(plan, execution, data) | {"what": f"cell {plan.key}"}

    def _about(
        self, what: str, execution: str, size: int, data: Dataset, calibration: Dataset | None
    ) -> About:
        task = {} if self._task is None else {"task": self._task}
        return task | {
            "what": what,
            "model": self._graph.file.sha256,
            "data": data.key,
            "calibration": None if calibration is None else calibration.key,
            "execution": execution,
            "batch": size,
            "engine": ENGINE,
        }
