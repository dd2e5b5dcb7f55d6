"""The sweep of a study: which cells apply, which are known, and the measuring of the rest."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

from quant_core.data import Dataset
from quant_core.engine import Cell, CellKey, Failed, Pulse, Reference, Sweeper, batch_size, cell_plan
from quant_core.errors import FormatError
from quant_core.formats import get_format
from quant_core.graph import Graph, inputs_of
from quant_core.lower import WeightCache
from quant_core.plan import PARTS
from quant_core.stats import Ranges
from quant_core.store import Store, measurement_key
from quant_core.study.keys import Keys
from quant_core.study.records import cell_of, cell_record


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
        self, keys: list[CellKey], execution: str = "simulated", data: Dataset | None = None
    ) -> dict[CellKey, Cell]:
        """Those of `keys` that were measured before. What was found once is remembered."""
        data = data or self.data
        found = self._found.setdefault((execution, data.key), {})
        names = self._names.setdefault((execution, data.key), {})
        asked = [key for key in keys if key not in found]
        for key in asked:
            if key not in names:
                names[key] = measurement_key(self.keys.cell(key, execution, data))
        records = self.store.get_named([names[key] for key in asked])
        found.update({k: cell_of(k, r) for k, r in zip(asked, records, strict=True) if r is not None})
        return {key: found[key] for key in keys if key in found}

    def sweep(
        self,
        keys: list[CellKey],
        execution: str = "simulated",
        data: Dataset | None = None,
        pulse: Pulse = lambda: None,
        failed: Failed | None = None,
    ) -> Iterator[Cell]:
        """The cells of `keys`: first those known, then the others as they are measured and kept. See
        `Sweeper` for `pulse` and `failed`.
        """
        data = data or self.data
        known = self.known_cells(keys, execution, data)
        yield from known.values()
        missing = [key for key in keys if key not in known]
        if not missing:
            return
        size = batch_size(inputs_of(self.graph.file.model))
        find = Ranges({}).find if all(key.part == "weights" for key in missing) else self.ranges.find
        sweeper = Sweeper(self.cache, data, self.reference, find, size, execution, pulse)
        for cell in sweeper.measure(missing, failed):
            self.keep_cell(cell.key, cell_record(cell), execution, data)
            yield cell

    def keep_cell(
        self,
        key: CellKey,
        record: dict[str, Any],
        execution: str = "simulated",
        data: Dataset | None = None,
    ) -> None:
        """Keep what was measured of a cell."""
        self.store.put(self.keys.cell(key, execution, data or self.data), record)
