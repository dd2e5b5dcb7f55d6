"""Inputs that hold no samples: state carried from step to step, which starts at zero, and single numbers.

An input that the data does not have and that looks like carried state is filled with zeros; a single number
gets the value that the user names. Free dimensions get the sizes that the user names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from quant_core.data.dataset import Batch, Dataset, Indices
from quant_core.errors import ArgumentError, DataError
from quant_core.graph import Port

Sizes = Mapping[str, int]
_CARRIED = re.compile(
    r"(^|[./])("
    r"past_key\w*|past_?\d*|pkv_?\d*|\w*cache_?\d*"
    r"|(hidden|cell|state|hidden_state|cell_state)s?(_?(in|prev|t|n|\d+))?"
    r"|[hc]_?(in|prev|n|t|\d?)"
    r")([./]|$)|_states?(_in|_?\d+)?$",
    re.IGNORECASE,
)


def looks_carried(name: str) -> bool:
    """Whether an input of this name looks like state: `past_key_values.0.key`, `state`, `h`, `c`."""
    return _CARRIED.search(name) is not None


def read_sizes(text: str | None) -> dict[str, int]:
    """The sizes in `name=value,name=value`. ArgumentError where that is not what it says."""
    sizes: dict[str, int] = {}
    for part in (text or "").split(","):
        name, equals, value = part.strip().rpartition("=")
        if not part.strip():
            continue
        if not equals or not name or not value.strip().isdecimal():
            raise ArgumentError(
                f"the size '{part.strip()}' makes no sense", "write name=number, as in length=64"
            )
        sizes[name.strip()] = int(value)
    return sizes


def sized(inputs: tuple[Port, ...], sizes: Sizes) -> tuple[Port, ...]:
    """`inputs` with the free dimensions that `sizes` names as numbers. A dimension goes by its name, or by
    `input[1]` where it has none. ArgumentError for a size that no input has."""
    known: set[str] = set()
    found = []
    for port in inputs:
        shape = list(port.shape)
        for axis, size in enumerate(port.shape):
            names = [n for n in (size, f"{port.name}[{axis}]") if isinstance(n, str)]
            known.update(names if not isinstance(size, int) else ())
            named = [sizes[n] for n in names if n in sizes]
            if named and not isinstance(size, int):
                shape[axis] = named[0]
        if not port.shape:
            known.add(port.name)
        found.append(replace(port, shape=tuple(shape)))
    wrong = [n for n in sizes if n not in known]
    if wrong:
        raise ArgumentError(
            f"no input has a free size '{wrong[0]}'", f"choose from {', '.join(sorted(known)) or 'none'}"
        )
    return tuple(found)


class Filled(Dataset):
    """Another data set, with the inputs `ports` filled in: zeros for state, a value for a single number."""

    def __init__(self, parent: Dataset, main: Port, ports: tuple[Port, ...], sizes: Sizes) -> None:
        self.parent, self.name, self.labels = parent, parent.name, parent.labels
        self._main, self._ports, self._sizes = main, ports, sizes
        self.has_boxes, self.generated = parent.has_boxes, parent.generated
        zeros = [p.name for p in ports if p.shape]
        listed = f"'{zeros[0]}'" + (f" and {len(zeros) - 1} more" if len(zeros) > 1 else "") if zeros else ""
        said = f"The input {listed} is not in the data and looks like carried state: it starts at zero."
        self.notes = (*parent.notes, said) if zeros else parent.notes
        self.key = parent.key

    def __len__(self) -> int:
        return len(self.parent)

    def take(self, indices: Indices) -> Batch:
        given = self.parent.take(indices)
        return given | {p.name: self._fill(p, len(indices), given) for p in self._ports}

    def _fill(self, port: Port, count: int, given: Batch) -> np.ndarray:
        if not port.shape:
            return np.asarray(self._sizes[port.name], port.dtype)
        batch = self._main.shape[0] if self._main.shape else None
        by_name = batch is not None and not isinstance(batch, int) and batch in port.shape
        shape = []
        for axis, size in enumerate(port.shape):
            if isinstance(size, int):
                shape.append(size)
            elif (size == batch) if by_name else (axis == 0 and not isinstance(batch, int)):
                shape.append(count)
            else:
                shape.append(self._free(size, given))
        return np.zeros(shape, port.dtype)

    def _free(self, size: str | None, given: Batch) -> int:
        """A free size of state: that of the data where the name is shared, none of the past, else 1."""
        for axis, name in enumerate(self._main.shape):
            if name is not None and name == size and axis < given[self._main.name].ndim:
                return int(given[self._main.name].shape[axis])
        return 0 if size is not None and re.search(r"past|cache", size, re.IGNORECASE) else 1


def split_inputs(
    inputs: tuple[Port, ...], held: Mapping[str, object], sizes: Sizes
) -> tuple[tuple[Port, ...], tuple[Port, ...]]:
    """The inputs that the data must have, and those that are filled in. DataError where none is left."""
    filled = tuple(
        p
        for p in inputs
        if p.name not in held and ((not p.shape and p.name in sizes) or (p.shape and looks_carried(p.name)))
    )
    wanted = tuple(p for p in inputs if p not in filled)
    if inputs and not wanted:
        names = ", ".join(f"'{p.name}'" for p in inputs)
        raise DataError(
            f"the data has none of the inputs {names}", "name the arrays after the model's inputs"
        )
    return wanted, filled
