"""The user's folder: limits on what can be had again, and deleting all of it; never anything else."""

from __future__ import annotations

import os
import time
from pathlib import Path

from quant_core.store import Store, delete_everything, enforce_limits, workspace_bytes

DAY = 86400.0


def put(path: Path, size: int = 100, days: float = 0.0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size))
    when = time.time() - days * DAY
    os.utime(path, (when, when))
    return path


def test_what_was_not_used_for_a_month_goes(home: Path) -> None:
    old = put(home / "files" / "aa" / "net" / "net.onnx", days=31)
    fetched = put(home / "hub" / "a--b" / "commit" / "model.onnx", days=40)
    new = put(home / "exports" / "x.onnx", days=2)
    gone = enforce_limits()
    assert set(gone) == {home / "files" / "aa", home / "hub" / "a--b" / "commit"}
    assert not old.exists() and not fetched.exists() and new.exists()


def test_the_least_recently_used_goes_beyond_the_limit(home: Path) -> None:
    first = put(home / "files" / "aa" / "a.onnx", 600, days=3)
    second = put(home / "prepared" / "b.onnx", 600, days=2)
    third = put(home / "exports" / "c.onnx", 600, days=1)
    enforce_limits(largest=1300)
    assert not first.exists() and second.exists() and third.exists()


def test_what_is_in_use_stays(home: Path) -> None:
    kept = put(home / "files" / "aa" / "net" / "net.onnx", days=90)
    assert enforce_limits(keep=[kept], largest=0) == []
    assert kept.exists()


def test_measurements_and_sessions_do_not_age(home: Path) -> None:
    Store().put({"a": 1}, {"b": 2})
    os.utime(home / "quantscope.sqlite", (0, 0))
    put(home / "ranges" / "r.npz", days=90)
    enforce_limits(largest=0)
    assert Store().get({"a": 1}) == {"b": 2}
    assert (home / "ranges" / "r.npz").exists()


def test_links_are_neither_followed_nor_counted(home: Path, tmp_path: Path) -> None:
    outside = put(tmp_path / "mine" / "photo.onnx", 5000, days=90)
    (home / "files").mkdir(parents=True)
    (home / "files" / "link").symlink_to(outside.parent)
    (home / "exports").symlink_to(outside.parent)
    put(home / "hub" / "a--b" / "c" / "x.onnx").with_name("y.onnx").symlink_to(outside)
    assert workspace_bytes() == 100
    enforce_limits(largest=0, oldest=0.0, now=time.time() + 1)
    delete_everything()
    assert outside.exists()
    assert not (home / "exports").is_symlink()


def test_deleting_leaves_nothing_but_what_is_not_ours(home: Path) -> None:
    Store().put({"a": 1}, {"b": 2})
    for name in ("files/aa/x.onnx", "hub/a/b/x.onnx", "exports/x.onnx", "prepared/x.onnx", "ranges/r.npz"):
        put(home / name)
    mine = put(home / "notes.txt")
    delete_everything()
    assert sorted(p.name for p in home.iterdir()) == ["notes.txt"]
    assert mine.exists()
    assert Store().get({"a": 1}) is None
