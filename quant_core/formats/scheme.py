"""Scheme: format, granularity, symmetry and range method of one tensor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from quant_core.errors import FormatError
from quant_core.formats.number import Format, get_format

_KEYS = ("format", "granularity", "symmetric", "range")


RANGES = ("minmax", "average", "mse", "octav", "entropy")  # beside percentile:P and dynamic
CODEBOOKS = ("kmeans", "lloyd")  # how a table is learned


@dataclass(frozen=True)
class Scheme:
    """How a tensor is quantized.

    `granularity` is `tensor`, `channel` or `group:N`, for a codebook `tensor`, `channel` or `channels:N` (N
    output channels share a table). `range` is `minmax`, `mse`, `octav`, `entropy`, `percentile:P` or, for
    activations, `average` and `dynamic` (the range of each batch, found at run time); for a codebook it says
    how the table is learned: `kmeans` (the best one) or `lloyd` (from a random start).

    What a format leaves no choice about takes fixed values, so that equal schemes compare equal: a float
    has neither scale nor range, a block format its own blocks, binary the mean magnitude, and only integers
    can be asymmetric."""

    format: str
    granularity: str = "tensor"
    symmetric: bool = True
    range: str = "minmax"

    def __post_init__(self) -> None:
        number = get_format(self.format)
        fixed: dict[str, object] = {}
        if number.kind == "float":
            fixed = {"granularity": "tensor", "range": "minmax"}
        elif number.block:
            fixed = {"granularity": f"group:{number.block}", "range": "minmax"}
        elif number.kind == "codebook":
            _check_granularity(self.granularity, ("tensor", "channel", "channels"))
            if self.range not in CODEBOOKS:
                _check_range(self.range)  # one of another format gives way, a misspelt one does not
                fixed = {"range": CODEBOOKS[0]}
        else:
            _check_granularity(self.granularity, ("tensor", "channel", "group"))
            if number.name != "binary" or self.range != "mean":  # the mean magnitude is binary's alone
                _check_range(self.range)
            if number.name == "binary":
                fixed = {"range": "mean"}
        if not number.has_zero_point:
            fixed["symmetric"] = True
        for key, value in fixed.items():
            object.__setattr__(self, key, value)

    @property
    def number(self) -> Format:
        """The number format."""
        return get_format(self.format)

    @property
    def group_size(self) -> int | None:
        """Weights that share one scale, where the granularity is `group:N`."""
        return self._shared("group:")

    @property
    def table_channels(self) -> int | None:
        """Output channels that share one table, where the granularity is `channels:N`."""
        return self._shared("channels:")

    def _shared(self, head: str) -> int | None:
        return int(self.granularity.removeprefix(head)) if self.granularity.startswith(head) else None

    @property
    def is_dynamic(self) -> bool:
        """Whether the range is found at run time."""
        return self.range == "dynamic"

    def to_json(self) -> dict[str, Any]:
        """The scheme as the plan file writes it."""
        return {key: getattr(self, key) for key in _KEYS}

    @classmethod
    def from_json(cls, record: object, where: str = "scheme") -> Scheme:
        """The scheme of a plan file; FormatError names the key that is wrong."""
        if not isinstance(record, Mapping) or "format" not in record:
            raise FormatError(f"{where} is not a scheme", "write an object with at least the key 'format'")
        for key, value in record.items():
            if key not in _KEYS:
                raise FormatError(f"{where} has the unknown key '{key}'", f"use {', '.join(_KEYS)}")
            kind = bool if key == "symmetric" else str
            if not isinstance(value, kind):
                raise FormatError(f"'{key}' of {where} is {value!r}", f"give a {kind.__name__}")
        return cls(**record)

    def __str__(self) -> str:
        number = self.number
        if number.kind == "float" or number.block:
            return self.format
        if number.kind != "integer" or number.levels == 3:
            return f"{self.format} per {self.granularity}, {self.range}"
        symmetry = "symmetric" if self.symmetric else "asymmetric"
        return f"{self.format} per {self.granularity}, {symmetry}, {self.range}"


def _check_granularity(text: str, known: tuple[str, ...]) -> None:
    name, _, size = text.partition(":")
    if text in ("tensor", "channel"):
        return
    if name in known[2:] and size.isdecimal() and len(size) < 7 and int(size) >= 2:
        return
    raise FormatError(
        f"'{text}' is not a granularity of this format",
        f"choose tensor, channel or {known[-1]}:N with N at least 2",
    )


def _check_range(text: str) -> None:
    name, _, share = text.partition(":")
    if text in (*RANGES, "dynamic"):
        return
    if name == "percentile":
        try:
            if 50 < float(share) <= 100:
                return
        except ValueError:
            pass
        raise FormatError(
            f"'{text}' is not a percentile", "write percentile:P with P above 50 and at most 100"
        )
    raise FormatError(
        f"'{text}' is not a range method", f"choose {', '.join(RANGES)}, percentile:P or dynamic"
    )
