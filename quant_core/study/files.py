"""The exported file of a plan, and its size: with what was measured, or at once with stand-ins of the same
size.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable

import numpy as np

from quant_core.data import Dataset, draw
from quant_core.engine import batch_size
from quant_core.errors import PlanError
from quant_core.formats import Scheme, layout_of, stored_bits
from quant_core.graph import Graph, inputs_of
from quant_core.improve import can_correct, correct_bias
from quant_core.lower import Corrections, WeightCache, lower, size_of, to_bytes, to_bytes_once
from quant_core.plan import Plan
from quant_core.stats import Ranges

_SIZES_KEPT = 512
_CORRECTIONS_KEPT = 64
_CORRECTION_SAMPLES = 128

FindRange = Callable[[str, Scheme], tuple[float, float]]


class Files:
    """Lowers plans of one graph. `ranges` gives the activation ranges, measuring them where they are not
    known.
    """

    def __init__(
        self, graph: Graph, cache: WeightCache, calibration: Dataset | None, ranges: Callable[[], Ranges]
    ) -> None:
        self.graph, self.cache, self.calibration, self._ranges = graph, cache, calibration, ranges
        self._sizes: dict[tuple[str, bool], int] = {}
        self._corrected: dict[str, Corrections] = {}

    def lowered(self, plan: Plan, decoder: str = "cast") -> bytes:
        """The exported file of `plan`. PlanError where the model cannot take it."""
        self.check(plan)
        write = to_bytes_once if self.graph.file.is_large else to_bytes
        return write(lower(self.cache, plan, self._find(plan), self._corrections(plan), decoder))

    def ingredients(self, plan: Plan) -> tuple[FindRange, Corrections]:
        """What the file of `plan` holds that was measured: its ranges and bias corrections. PlanError where
        the model cannot take it.
        """
        self.check(plan)
        return self._find(plan), self._corrections(plan)

    def bytes_of(self, plan: Plan, measured: bool = True) -> int:
        """The size of the exported file of `plan`, to the byte; without `measured`, with stand-ins for
        ranges, which may share a few bytes more or less than the true ones. Of a large model it is a
        forecast: its file is not written to know it.
        """
        if self.graph.file.is_large:
            return self._forecast(plan)
        key = (plan.key, measured or not plan.needs_ranges)
        if key not in self._sizes:
            self.check(plan)
            if len(self._sizes) >= _SIZES_KEPT:
                self._sizes.clear()
            find = self._find(plan) if measured else _stand_in_range
            self._sizes[key] = size_of(lower(self.cache, plan, find, self._stand_ins(plan)))
        return self._sizes[key]

    def _forecast(self, plan: Plan) -> int:
        """The size of the user's file with the weights of each stored tensor as `plan` stores them."""
        total, seen = float(self.graph.file.bytes), set[str]()
        for layer in self.graph.quantizable:
            scheme = plan[layer.name].weights
            if scheme is not None and layer.shape is not None and layer.tensor not in seen:
                seen.add(layer.tensor or "")
                total += stored_bits(layout_of(layer.shape, layer.axis, scheme), scheme) / 8 - layer.bytes
        return round(total)

    def constants(self, plan: Plan) -> tuple[FindRange, Corrections]:
        """The activation ranges and the bias corrections that the file of `plan` holds."""
        return self._find(plan), self._corrections(plan)

    def check(self, plan: Plan) -> None:
        """PlanError where `plan` needs calibration samples and there are none."""
        if plan.needs_calibration and self.calibration is None:
            raise PlanError(
                "the plan quantizes activations or corrects biases, and no calibration samples are given",
                "give calibration data, or a plan of weights only",
            )

    def _find(self, plan: Plan) -> FindRange:
        return (self._ranges() if plan.needs_ranges else Ranges({})).find

    def _stand_ins(self, plan: Plan) -> Corrections:
        """Corrections that take the bytes of the true ones, without measuring them: all different, as those
        are.
        """
        rng = np.random.default_rng(0)
        layers = [x for x in self.graph.quantizable if plan[x.name].bias_correction and can_correct(x)]
        return {x.name: rng.normal(size=x.shape[x.axis] if x.shape else 1).astype(np.float32) for x in layers}

    def _corrections(self, plan: Plan) -> Corrections:
        """The bias corrections of `plan`, measured on calibration samples once."""
        if self.calibration is None or not any(p.bias_correction for p in plan.quantized.values()):
            return {}
        if plan.key not in self._corrected:
            data = draw(self.calibration, _CORRECTION_SAMPLES)
            size = batch_size(inputs_of(self.graph.file.model), plan.has_dynamic)
            while len(self._corrected) >= _CORRECTIONS_KEPT:
                self._corrected.pop(next(iter(self._corrected)))
            self._corrected[plan.key] = correct_bias(self.cache, plan, self._find(plan), data, size)
        return self._corrected[plan.key]


def _stand_in_range(tensor: str, scheme: Scheme) -> tuple[float, float]:
    """A range for size only: another one for each tensor, from zero, as after a ReLU."""
    return 0.0, 1.0 + zlib.crc32(tensor.encode()) / 2.0**32
