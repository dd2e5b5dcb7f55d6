"""Scheme: format, granularity, symmetry and range method of one tensor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from quant_core.errors import FormatError
from quant_core.formats.number import Format, get_format

_KEYS = ("format", "granularity", "symmetric", "range")


@dataclass(frozen=True)
class Scheme:
    """How a tensor is quantized.

    `granularity` is `tensor`, `channel` or `group:N`; `range` is `minmax`, `mse`, `percentile:P` or, for
    activations, `dynamic` (the range of each batch, found at run time). A float format has neither scale nor
    range: granularity, symmetry and range then take fixed values, so that equal schemes compare equal."""

    format: str
    granularity: str = "tensor"
    symmetric: bool = True
    range: str = "minmax"

    def __post_init__(self) -> None:
        number = get_format(self.format)
        if number.kind == "float":
            for key, value in (("granularity", "tensor"), ("symmetric", True), ("range", "minmax")):
                object.__setattr__(self, key, value)
            return
        _check_granularity(self.granularity)
        _check_range(self.range)

    @property
    def number(self) -> Format:
        """The number format."""
        return get_format(self.format)

    @property
    def group_size(self) -> int | None:
        """Weights that share one scale, where the granularity is `group:N`."""
        return int(self.granularity.split(":")[1]) if self.granularity.startswith("group:") else None

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
        if self.number.kind == "float":
            return self.format
        symmetry = "symmetric" if self.symmetric else "asymmetric"
        return f"{self.format} per {self.granularity}, {symmetry}, {self.range}"


def _check_granularity(text: str) -> None:
    name, _, size = text.partition(":")
    if text in ("tensor", "channel"):
        return
    if name == "group" and size.isdecimal() and len(size) < 7 and int(size) >= 2:
        return
    raise FormatError(f"'{text}' is not a granularity", "choose tensor, channel or group:N with N at least 2")


def _check_range(text: str) -> None:
    name, _, share = text.partition(":")
    if text in ("minmax", "mse", "dynamic"):
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
    raise FormatError(f"'{text}' is not a range method", "choose minmax, mse, percentile:P or dynamic")
