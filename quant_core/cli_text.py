"""What the command line shows a person: tables of fixed width, and progress on standard error."""

from __future__ import annotations

import sys
import time
from typing import Any


class Progress:
    """Writes a count and the time left to standard error: a line that rewrites itself, or one a second in a
    log.
    """

    def __init__(self, unit: str) -> None:
        self.unit = unit
        self._start = time.monotonic()
        self._shown = 0.0

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        live = sys.stderr.isatty()
        if done < total and now - self._shown < (0.1 if live else 5.0):
            return
        self._shown = now
        left = (now - self._start) / max(done, 1) * (total - done)
        text = f"{done} of {total} {self.unit}, {left:.0f} s left"
        sys.stderr.write(f"\r{text:<60}" + ("\n" if done >= total else "") if live else text + "\n")
        sys.stderr.flush()


def as_text(command: str, record: Any) -> str:
    """The result of `command` for a person."""
    if command == "samples":
        return _table(record)
    if command == "inspect":
        apart = ("layers", "inputs", "outputs", "savings", "quantized")
        head = {k: v for k, v in record.items() if k not in apart}
        rows = [{**layer, "shape": "x".join(map(str, layer["shape"] or []))} for layer in record["layers"]]
        ports = {
            kind: ", ".join(f"{p['name']} {p['dtype']} {list(p['shape'])}" for p in record[kind])
            for kind in ("inputs", "outputs")
        }
        parts = [_pairs(head | ports), _table(rows)]
        parts += [f"{key}\n{_table(record[key])}" for key in ("quantized", "savings") if record.get(key)]
        return "\n\n".join(parts)
    if command == "check-data":
        head = {k: record[k] for k in ("preprocess", "samples", "decided_by")}
        head["result"] = record["warning"] or "No other preprocessing fits clearly better."
        return _pairs(head) + "\n\n" + _table(record["fits"])
    if command == "sweep":
        head = {k: record[k] for k in ("samples", "calibration_samples", "execution")} | record["baseline"]
        return _pairs(head) + "\n\n" + _table(record["cells"])
    return _pairs(record)


def _pairs(record: dict[str, Any]) -> str:
    flat: dict[str, Any] = {}
    for key, value in record.items():
        if key == "more":
            flat.update({k: v["metric"] for k, v in value.items()})
        elif isinstance(value, dict):
            flat.update({f"{key} {k}": v for k, v in value.items()})
        else:
            flat[key] = value
    width = max(map(len, flat))
    return "\n".join(f"{key:<{width}}  {_cell(value)}" for key, value in flat.items())


def _table(rows: list[dict[str, Any]]) -> str:
    if not rows:
        return "(none)"
    cells = [[_cell(v) for v in row.values()] for row in rows]
    heads = list(rows[0])
    widths = [max(len(h), *(len(r[i]) for r in cells)) for i, h in enumerate(heads)]
    lines = [heads, *cells]
    return "\n".join(
        "  ".join(f"{v:<{w}}" for v, w in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    text = str(value)
    return "".join(c if c.isprintable() else "�" for c in text)[:240]
