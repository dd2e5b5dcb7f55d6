"""The user's folder: what it takes, limits on what can be had again, and deleting all of it.

Nothing outside `home()` is ever deleted, and symbolic links are neither followed nor counted."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from quant_core.store.database import home

LARGEST = 20 << 30  # bytes of what can be had again
OLDEST = 30 * 86400.0  # seconds unused
AGED = ("files", "hub", "exports", "prepared")
_OWN_FOLDERS = (*AGED, "ranges")
_DATABASES = ("quantscope", "jobs")
_PARENTS = {"files": 1, "hub": 2, "exports": 1, "prepared": 1}  # levels below which an entry goes as one


@dataclass(frozen=True)
class Entry:
    """What is deleted as one: its bytes, and when it was last used (seconds since 1970)."""

    path: Path
    bytes: int
    used: float


def workspace_bytes() -> int:
    """Bytes of everything in the user's folder."""
    return sum(stat.st_size for _, stat in _files(home()))


def touch_used(path: Path) -> None:
    """Remember that a kept file was used now. Its content and its time of change stay."""
    with contextlib.suppress(OSError):
        if _is_inside(path):
            os.utime(path, (time.time(), path.stat().st_mtime))


def enforce_limits(
    keep: Iterable[Path] = (), largest: int = LARGEST, oldest: float = OLDEST, now: float | None = None
) -> list[Path]:
    """Delete what was not used for `oldest` seconds, then the least recently used beyond `largest` bytes;
    gives what went. Entries that hold a path of `keep` stay.
    """
    protected = [Path(p).absolute() for p in keep]
    now = time.time() if now is None else now
    entries = sorted(_entries(), key=lambda e: e.used)
    total = sum(e.bytes for e in entries)
    gone = []
    for entry in entries:
        if any(p == entry.path or entry.path in p.parents for p in protected):
            continue
        if now - entry.used > oldest or total > largest:
            _delete(entry.path)
            total -= entry.bytes
            gone.append(entry.path)
    return gone


def delete_everything() -> None:
    """Delete uploads, fetched models, exports, prepared models, measurements, sessions and jobs."""
    for name in _OWN_FOLDERS:
        _delete(home() / name)
    for name in _DATABASES:
        for path in home().glob(f"{name}.*"):
            if ".sqlite" in path.name or ".damaged-" in path.name:
                _delete(path)


def _entries() -> Iterator[Entry]:
    for name, levels in _PARENTS.items():
        found = [home() / name]
        for _ in range(levels):
            found = [p for folder in found if _is_folder(folder) for p in sorted(folder.iterdir())]
        for path in found:
            held = list(_files(path))
            if held:
                used = max(max(s.st_mtime, s.st_atime) for _, s in held)
                yield Entry(path.absolute(), sum(s.st_size for _, s in held), used)


def _files(path: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """The plain files at and under `path`."""
    if path.is_symlink():
        return
    if path.is_file():
        with contextlib.suppress(OSError):
            yield path, path.lstat()
        return
    for folder, _, names in os.walk(path, followlinks=False):
        for name in names:
            file = Path(folder) / name
            with contextlib.suppress(OSError):
                if not file.is_symlink():
                    yield file, file.lstat()


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _is_inside(path: Path) -> bool:
    """Whether `path` lies in the user's folder, whatever links are on the way."""
    return home().resolve() in path.parent.resolve().parents or path.parent.resolve() == home().resolve()


def _delete(path: Path) -> None:
    """Delete a file or folder of the user's folder; a link goes, what it names stays."""
    if not _is_inside(path):
        return
    with contextlib.suppress(OSError):
        if _is_folder(path):
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
