"""The files of pages that others lead to."""

from pathlib import Path

_PAGES = Path(__file__).resolve().parents[1]

START = _PAGES / "explore" / "start.py"
WEIGHTS = _PAGES / "explore" / "weights.py"
MIXED_PRECISION = _PAGES / "decide" / "mixed_precision.py"
