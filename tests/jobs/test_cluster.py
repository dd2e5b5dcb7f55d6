"""A sweep on a cluster that was started by hand, as `QUANTSCOPE_CLUSTER` names it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from distributed import Security

from quant_core.errors import QuantscopeError
from quant_core.jobs import spread, workers_of
from quant_core.study import CellKey, Source, Study

SOURCE = Source("sample:digits-cnn", "sample:digits-cnn", samples=200)
WITHIN = 60.0
Start = Callable[..., str]


@pytest.fixture
def start(tmp_path: Path, repo: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """`start(workers)` runs `dask scheduler` and that many times `dask worker`; gives the address. The
    process ids of the workers stand in `start.workers`."""
    dask = str(Path(sys.executable).with_name("dask"))
    running: list[subprocess.Popen[bytes]] = []

    def process(*command: str) -> subprocess.Popen[bytes]:
        made = subprocess.Popen(
            [dask, *command],
            env=os.environ | {"PYTHONPATH": str(repo), "QUANTSCOPE_HOME": str(tmp_path / "elsewhere")},
            cwd=tmp_path,
            stdout=subprocess.DEVNULL,
            stderr=(tmp_path / "dask.log").open("ab"),
        )
        running.append(made)
        return made

    def go(workers: int, scheme: str = "tcp") -> str:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        address = f"{scheme}://127.0.0.1:{port}"
        at = ["--protocol", scheme, "--host", "127.0.0.1"]
        process("scheduler", *at, "--port", str(port), "--no-dashboard")
        go.workers = [  # type: ignore[attr-defined]
            process(
                "worker", address, *at, "--nthreads", "1", "--no-nanny", "--no-dashboard",
                "--local-directory", str(tmp_path / f"space{number}"),
            ).pid
            for number in range(workers)
        ]  # fmt: skip
        end = time.monotonic() + WITHIN
        while time.monotonic() < end:
            try:
                if workers_of(address) == workers:
                    break
            except QuantscopeError:
                time.sleep(0.2)
        else:
            pytest.fail((tmp_path / "dask.log").read_text())
        monkeypatch.setenv("QUANTSCOPE_CLUSTER", address)
        return address

    yield go
    for each in running:
        each.kill()
        each.wait(20)


def keys_of(study: Study) -> list[CellKey]:
    return study.cells(["int8", "int4"], ("weights", "activations"))


def alone(home: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    """The same study, in a store of its own, on this machine."""
    monkeypatch.delenv("QUANTSCOPE_CLUSTER")
    monkeypatch.setenv("QUANTSCOPE_HOME", str(home / "alone"))
    return SOURCE.open()


def test_a_sweep_of_three_workers_survives_one_and_gives_the_whole_table(
    start: Start, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start(3)
    study = SOURCE.open()
    keys = keys_of(study)
    cells = {}
    for cell in study.sweep(keys):
        if not cells:
            os.kill(start.workers[0], signal.SIGKILL)  # type: ignore[attr-defined]
        cells[cell.key] = cell
    assert set(cells) == set(keys)
    assert SOURCE.open().known_cells(keys) == cells, "results come home to the store"
    assert not (home / "jobs" / "host.json").exists()
    assert not (tmp_path / "elsewhere").exists(), "a worker needs no folder of ours"
    sent = [path.name for path in tmp_path.glob("space*/**/quantscope/*")]
    assert len(set(sent)) >= 6
    assert not any(name.endswith(".part") for name in sent)
    here = alone(home, monkeypatch)
    assert {cell.key: cell for cell in here.sweep(keys)} == cells


def test_an_adaptive_sweep_and_cells_that_fail(
    start: Start, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start(1)
    study = SOURCE.open()
    keys = keys_of(study)[:6]
    found = {cell.key: cell for cell in study.sweep_adaptively(keys)}
    here = alone(home, monkeypatch)
    assert found == {cell.key: cell for cell in here.sweep_adaptively(keys)}


@pytest.mark.slow
def test_a_cluster_with_certificates(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Security.temporary()
    content = {"ca": made.tls_ca_file, "cert": made.tls_scheduler_cert, "key": made.tls_scheduler_key}
    for name, text in content.items():
        (tmp_path / f"{name}.pem").write_text(text)
    monkeypatch.setenv("DASK_DISTRIBUTED__COMM__TLS__CA_FILE", str(tmp_path / "ca.pem"))
    for role in ("SCHEDULER", "WORKER", "CLIENT"):
        monkeypatch.setenv(f"DASK_DISTRIBUTED__COMM__TLS__{role}__CERT", str(tmp_path / "cert.pem"))
        monkeypatch.setenv(f"DASK_DISTRIBUTED__COMM__TLS__{role}__KEY", str(tmp_path / "key.pem"))
    import dask

    dask.config.refresh()
    try:
        start(1, "tls")
        study = SOURCE.open()
        keys = keys_of(study)[:2]
        assert {cell.key for cell in study.sweep(keys)} == set(keys)
    finally:
        monkeypatch.undo()
        dask.config.refresh()


def test_one_that_does_not_answer_is_said_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUANTSCOPE_CLUSTER", "tcp://127.0.0.1:9")
    monkeypatch.setattr("quant_core.jobs.cluster._ANSWERS_WITHIN", 0.5)
    study = SOURCE.open()
    with pytest.raises(QuantscopeError, match=r"workers at tcp://127\.0\.0\.1:9 do not answer"):
        list(study.sweep(keys_of(study)[:1]))
    with pytest.raises(QuantscopeError, match="do not answer"):
        list(spread("nonsense", print, {}, [1], lambda: None))
