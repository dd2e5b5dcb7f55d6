"""The sweep of a study: which cells apply, which are known, and the measuring of the rest."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

from quant_core.data import Dataset
from quant_core.engine import (
    STRATA,
    Cell,
    CellKey,
    Failed,
    Lanes,
    Pulse,
    Reference,
    Sweeper,
    adaptive_sweep,
    batch_size,
    can_adapt,
    cell_plan,
    fixed_batch,
)
from quant_core.errors import FormatError
from quant_core.formats import get_format
from quant_core.graph import Graph, inputs_of
from quant_core.jobs import cluster_address
from quant_core.lower import WeightCache
from quant_core.plan import PARTS
from quant_core.stats import Ranges
from quant_core.store import Store, measurement_key
from quant_core.study.far import Order, sweep_far
from quant_core.study.keys import Keys
from quant_core.study.records import cell_of, cell_record

_QUICK = 4e9  # multiplications


class Sweeps(ABC):
    """The part of a study that measures cells. Each is kept in the store as soon as it is measured."""

    graph: Graph
    store: Store
    cache: WeightCache
    reference: Reference
    keys: Keys

    def __init__(self) -> None:
        self._applicable: dict[tuple[tuple[str, ...], tuple[str, ...]], list[CellKey]] = {}
        self._found: dict[tuple[str, str], dict[CellKey, Cell]] = {}
        self._names: dict[tuple[str, str], dict[CellKey, str]] = {}

    @property
    @abstractmethod
    def data(self) -> Dataset:
        """The samples evaluated."""

    @property
    @abstractmethod
    def lanes(self) -> Lanes:
        """How many cells are measured at once on this machine."""

    @property
    @abstractmethod
    def calibration(self) -> Dataset | None:
        """The samples that ranges are measured on."""

    @property
    @abstractmethod
    def ranges(self) -> Ranges:
        """Activation ranges over the calibration samples."""

    def cells(self, formats: list[str], parts: tuple[str, ...] = PARTS) -> list[CellKey]:
        """The cells that apply, in the order of execution. FormatError for an unknown format."""
        if not formats:
            raise FormatError("no format is named", "name some, as in int8,int4")
        for name in formats:
            if get_format(name).name == "fp32":
                raise FormatError("a sweep of fp32 measures nothing", "choose lower formats")
        if self.calibration is None:
            parts = tuple(p for p in parts if p == "weights")
        asked = tuple(formats), parts
        if asked not in self._applicable:
            keys = [CellKey(x.name, f, p) for x in self.graph.quantizable for f in formats for p in parts]
            self._applicable[asked] = [key for key in keys if cell_plan(self.graph, key) is not None]
        return list(self._applicable[asked])

    def known_cells(
        self,
        keys: list[CellKey],
        execution: str = "simulated",
        data: Dataset | None = None,
        few: bool = False,
    ) -> dict[CellKey, Cell]:
        """Those of `keys` that were measured before on all samples, with `few` also those measured on some.
        What was found once on all is remembered.
        """
        data = data or self.data
        found = self._found.setdefault((execution, data.key), {})
        names = self._names.setdefault((execution, data.key), {})
        asked = [key for key in keys if key not in found]
        for key in asked:
            if key not in names:
                names[key] = measurement_key(self.keys.cell(key, execution, data))
        records = self.store.get_named([names[key] for key in asked])
        found.update({k: cell_of(k, r) for k, r in zip(asked, records, strict=True) if r is not None})
        known = {key: found[key] for key in keys if key in found}
        if not few or execution != "simulated":
            return known
        left = [key for key in asked if key not in known]
        records = self.store.get_named([measurement_key(self._few(key, data)) for key in left])
        some = {key: cell_of(key, r) for key, r in zip(left, records, strict=True) if r is not None}
        return {key: cell for key in keys if (cell := known.get(key) or some.get(key)) is not None}

    def sweep(
        self,
        keys: list[CellKey],
        execution: str = "simulated",
        data: Dataset | None = None,
        pulse: Pulse = lambda: None,
        failed: Failed | None = None,
    ) -> Iterator[Cell]:
        """The cells of `keys` on all samples: first those known, then the others as they are measured and
        kept. See `Sweeper` for `pulse` and `failed`.
        """
        data = data or self.data
        known = self.known_cells(keys, execution, data)
        yield from known.values()
        missing = [key for key in keys if key not in known]
        if not missing:
            return
        address = cluster_address()
        if address is not None:
            cells = self._far(address, missing, execution, data, False, pulse, failed)
        else:
            size, find = batch_size(inputs_of(self.graph.file.model)), self._ranges_of(missing).find
            sweeper = Sweeper(
                self.cache, data, self.reference, find, size, execution, pulse, lanes=self.lanes
            )
            cells = sweeper.measure(missing, failed)
        for cell in cells:
            self.store.put(self.keys.cell(cell.key, execution, data), cell_record(cell))
            yield cell

    def sweep_adaptively(
        self, keys: list[CellKey], pulse: Pulse = lambda: None, failed: Failed | None = None
    ) -> Iterator[Cell]:
        """The cells of `keys`, simulated: first those known, then the others on as few samples as it takes to
        rank them, each once after a first look and once when it has enough. On few samples as `sweep`.
        """
        known = self.known_cells(keys, few=True)
        yield from known.values()
        looked = [key for key, cell in known.items() if cell.is_first_look]
        missing = [key for key in keys if key not in known or key in looked]
        if not missing:
            return
        if not self.can_adapt:
            yield from self.sweep(missing, pulse=pulse, failed=failed)
            return
        address = cluster_address()
        if address is not None:
            cells = self._far(address, missing, "simulated", self.data, True, pulse, failed)
        else:
            find = self._ranges_of(missing).find
            cells = adaptive_sweep(
                self.cache, missing, self.data, self.reference, find, pulse, failed, looked, self.lanes
            )
        for cell in cells:
            about = self.keys.cell(cell.key, "simulated", self.data)
            self.store.put(about if cell.band is None else self._few(cell.key), cell_record(cell))
            yield cell

    @property
    def can_adapt(self) -> bool:
        """Whether there are enough samples for few of them to speak for all."""
        return can_adapt(len(self.data), fixed_batch(inputs_of(self.graph.file.model)))

    @property
    def is_quick(self) -> bool:
        """Whether a pass over all samples takes so little that a cell costs more in sessions than in runs."""
        macs = sum(layer.macs or 0 for layer in self.graph.layers)
        return macs * len(self.data) < _QUICK

    def _ranges_of(self, keys: list[CellKey]) -> Ranges:
        """The ranges that cells need: none where only weights are quantized."""
        return Ranges({}) if all(key.part == "weights" for key in keys) else self.ranges

    def _far(
        self,
        address: str,
        keys: list[CellKey],
        execution: str,
        data: Dataset,
        few: bool,
        pulse: Pulse,
        failed: Failed | None,
    ) -> Iterator[Cell]:
        """The cells from the workers of a cluster, in the order in which they come."""
        task, ranges = self.reference.task, self._ranges_of(keys)
        return sweep_far(address, Order(self.graph, task, data, ranges, execution, few), keys, pulse, failed)

    def _few(self, key: CellKey, data: Dataset | None = None) -> dict[str, object]:
        about = self.keys.cell(key, "simulated", data or self.data)
        return about | {"what": f"few {about['what']}", "strata": STRATA}
