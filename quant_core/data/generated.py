"""Made-up samples: without data, ranges can be measured on them. Numbers that rest on them say it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np

from quant_core.data.carried import Filled, Sizes, sized, split_inputs
from quant_core.data.dataset import ArrayDataset, Batch, Dataset
from quant_core.data.text import MASKS, POSITIONS, SEGMENTS
from quant_core.errors import DataError
from quant_core.graph import Port

GENERATED = "generated"
COUNT = 64  # samples where the user names no number
LIMIT = 4096
LENGTH = 16  # stands for a free dimension
BYTES = 1 << 30  # of all samples at most
_KINDS = "fiub"


def generated_data(
    inputs: tuple[Port, ...],
    rows: Mapping[str, int],
    count: int = COUNT,
    sizes: Sizes | None = None,
    seed: int = 0,
) -> Dataset:
    """`count` samples: standard normal noise for floats, valid indices for whole numbers (below `rows` where
    an input indexes a table, see `graph.index_rows`, else 0 or 1), ones for masks, zeros for carried state.

    DataError where an input holds text or is a single number without a size."""
    if not 1 <= count <= LIMIT:
        raise DataError(f"{count} generated samples were asked for", f"ask for 1 to {LIMIT}")
    sizes = sizes or {}
    rng = np.random.default_rng(seed)
    arrays: Batch = {}
    ports = sized(inputs, sizes)
    wanted, filled = split_inputs(ports, {}, sizes)
    for port in wanted:
        if not port.shape:
            raise DataError(
                f"no value is known for the input '{port.name}'", f"name one with --size {port.name}=number"
            )
        free = [d if isinstance(d, int) else LENGTH for d in port.shape[1:]]
        if count * np.prod(free, dtype=np.float64) * 4 > BYTES:
            raise DataError(f"{count} generated samples are too large", "ask for fewer, as generated:8")
        arrays[port.name] = _made(port, (count, *free), rows.get(port.name), rng)
    listed = " ".join(f"{p.name}:{p.dtype}:{a.shape}" for p, a in zip(wanted, arrays.values(), strict=True))
    digest = hashlib.sha256(
        f"{listed} {sorted(rows.items())} {sorted(sizes.items())} {seed}".encode()
    ).hexdigest()
    data = ArrayDataset(f"{count} generated samples", f"generated:{digest}", arrays, None)
    data.generated = True
    data.notes = ("Ranges are measured on generated inputs, not on data.",)
    return Filled(data, wanted[0], filled, sizes) if filled else data


def _made(port: Port, shape: tuple[int, ...], rows: int | None, rng: np.random.Generator) -> np.ndarray:
    kind = np.dtype(np.float32) if port.dtype == "unknown" else np.dtype(port.dtype)
    if port.dtype == "str" or kind.kind not in _KINDS:
        raise DataError(f"inputs of {port.dtype} cannot be generated ('{port.name}')", "give data")
    if port.name in MASKS:
        return np.ones(shape, kind)
    if port.name in SEGMENTS:
        return np.zeros(shape, kind)
    if port.name in POSITIONS:
        return np.broadcast_to(np.arange(shape[-1]) % (rows or shape[-1]), shape).astype(kind)
    if kind.kind == "f":
        return rng.normal(size=shape).astype(kind)
    return rng.integers(0, max(1, rows) if rows is not None else 2, size=shape).astype(kind)
