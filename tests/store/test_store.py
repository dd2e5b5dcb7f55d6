"""The store: what was measured once stays, whatever happens to the process or the file."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from quant_core.store import Store, home, measurement_key

ABOUT: dict[str, object] = {"what": "cell", "model": "ab", "data": "cd", "batch": 32, "calibration": None}


def test_a_record_comes_back_as_it_was(tmp_path: Path) -> None:
    store = Store(tmp_path)
    record = {"metric": 0.8135, "sqnr_db": 29.0, "kl": None, "bytes": 12, "name": "é ' \" ;--"}
    assert store.get(ABOUT) is None
    store.put(ABOUT, record)
    assert store.get(ABOUT) == record
    assert Store(tmp_path).get(ABOUT) == record


def test_a_float_comes_back_to_the_bit(tmp_path: Path) -> None:
    store = Store(tmp_path)
    value = 0.1 + 0.2
    store.put(ABOUT, {"sqnr_db": value})
    found = store.get(ABOUT)
    assert found is not None and found["sqnr_db"] == value


def test_a_later_record_takes_the_place_of_an_earlier_one(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.put(ABOUT, {"n": 1})
    store.put(ABOUT, {"n": 2})
    assert store.get(ABOUT) == {"n": 2}


@pytest.mark.parametrize("field", ABOUT)
def test_any_other_field_is_another_key(tmp_path: Path, field: str) -> None:
    store = Store(tmp_path)
    store.put(ABOUT, {"n": 1})
    other = ABOUT | {field: "different"}
    assert measurement_key(other) != measurement_key(ABOUT)
    assert store.get(other) is None
    assert store.get({k: v for k, v in ABOUT.items() if k != field}) is None


def test_the_order_of_fields_does_not_matter() -> None:
    assert measurement_key(dict(reversed(ABOUT.items()))) == measurement_key(ABOUT)


def test_many_are_given_in_their_order(tmp_path: Path) -> None:
    store = Store(tmp_path)
    abouts = [ABOUT | {"batch": n} for n in range(40)]
    for n in range(0, 40, 2):
        store.put(abouts[n], {"n": n})
    found = store.get_many(abouts)
    assert [r and r["n"] for r in found] == [n if n % 2 == 0 else None for n in range(40)]


@pytest.mark.parametrize("damage", [b"this is no database", b"SQLite format 3\x00" + bytes(500)])
def test_a_damaged_file_is_set_aside_and_a_new_one_begun(tmp_path: Path, damage: bytes) -> None:
    Store(tmp_path).put(ABOUT, {"n": 1})
    path = tmp_path / "quantscope.sqlite"
    for tail in ("-wal", "-shm"):
        path.with_name(path.name + tail).unlink(missing_ok=True)
    path.write_bytes(damage)
    store = Store(tmp_path)
    assert store.get(ABOUT) is None
    store.put(ABOUT, {"n": 2})
    assert store.get(ABOUT) == {"n": 2}
    assert store.set_aside is not None
    assert store.set_aside.read_bytes() == damage


def test_two_stores_share_a_file(tmp_path: Path) -> None:
    first, second = Store(tmp_path), Store(tmp_path)
    first.put(ABOUT, {"n": 1})
    second.put(ABOUT | {"batch": 1}, {"n": 2})
    assert second.get(ABOUT) == {"n": 1}
    assert first.get(ABOUT | {"batch": 1}) == {"n": 2}


def test_many_writers_lose_nothing(tmp_path: Path) -> None:
    Store(tmp_path)

    def write(worker: int) -> None:
        store = Store(tmp_path)
        for n in range(15):
            store.put(ABOUT | {"worker": worker, "n": n}, {"n": n})

    threads = [threading.Thread(target=write, args=(w,)) for w in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    abouts = [ABOUT | {"worker": w, "n": n} for w in range(4) for n in range(15)]
    assert None not in Store(tmp_path).get_many(abouts)


def test_what_was_put_survives_a_killed_process(tmp_path: Path, repo: Path) -> None:
    script = (
        "import os, signal, sys\n"
        "from quant_core.store import Store\n"
        "from pathlib import Path\n"
        "store = Store(Path(sys.argv[1]))\n"
        "store.put({'a': 1}, {'n': 1})\n"
        "os.kill(os.getpid(), getattr(signal, 'SIGKILL', signal.SIGTERM))\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], cwd=repo, check=False)
    assert done.returncode != 0
    assert Store(tmp_path).get({"a": 1}) == {"n": 1}


def test_the_home_is_the_one_named_by_the_environment(home_folder: Path) -> None:
    assert home() == home_folder == Path(os.environ["QUANTSCOPE_HOME"])
    assert Store().path.parent == home_folder


@pytest.fixture
def home_folder(request: pytest.FixtureRequest) -> Path:
    """The QUANTSCOPE_HOME of the test, under a name that the function `home` does not hide."""
    folder: Path = request.getfixturevalue("home")
    return folder
