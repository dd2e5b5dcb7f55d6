"""Files that were dropped on the window: kept once under their content, so that a study opens them by
path.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from pathlib import Path

from quant_core.errors import DataError
from quant_core.store import enforce_limits, home, touch_used

_NAME = 80  # characters of a file name that are kept


def keep_upload(name: str, content: bytes | memoryview) -> Path:
    """The path under which `content` is kept: `files/HASH/STEM/NAME` in the user's folder. The name is text
    from outside and is reduced to letters, digits, dots, dashes and underscores. DataError where the disk
    does not take it.
    """
    safe = _safe(name)
    folder = home() / "files" / hashlib.sha256(content).hexdigest()[:32] / Path(safe).stem
    target = folder / safe  # in a folder of its name: a file called model.onnx takes the name of its folder
    if target.is_file():
        touch_used(target)
        return target
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle, part = tempfile.mkstemp(dir=folder)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(part).replace(target)
    except OSError as error:
        raise DataError(
            f"'{name}' cannot be kept ({error.strerror})", "free some space on the disk"
        ) from error
    enforce_limits([target])
    return target


def _safe(name: str) -> str:
    clean = re.sub(r"[^A-Za-z0-9._-]+", "_", Path(name.replace("\\", "/")).name).lstrip("._")
    stem, dot, ending = clean.rpartition(".")
    return f"{stem[:_NAME]}{dot}{ending[:10]}" if stem else clean[:_NAME] or "file"
