"""The files of pages, for the navigation and for links from one to another."""

from pathlib import Path

_PAGES = Path(__file__).resolve().parents[1]

START = _PAGES / "explore" / "start.py"
MODEL = _PAGES / "explore" / "model.py"
WEIGHTS = _PAGES / "explore" / "weights.py"
ACTIVATIONS = _PAGES / "explore" / "activations.py"
ARITHMETIC = _PAGES / "explore" / "arithmetic.py"
SENSITIVITY = _PAGES / "decide" / "sensitivity.py"
MIXED_PRECISION = _PAGES / "decide" / "mixed_precision.py"
COMPARE = _PAGES / "decide" / "compare.py"
VERIFY = _PAGES / "prove" / "verify.py"
EXPORT = _PAGES / "prove" / "export.py"
