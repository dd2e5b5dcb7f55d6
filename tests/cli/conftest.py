"""Commands run inside the test, on a store that the tests of this folder share."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from quant_core.cli import main


@dataclass(frozen=True)
class Done:
    """What a command gave."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.code == 0, self.err
        return json.loads(self.out)


@pytest.fixture(scope="session")
def shared_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One store for all commands: what was measured once is measured."""
    return tmp_path_factory.mktemp("cli")


@pytest.fixture
def cli(
    shared_home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., Done]:
    """`cli("evaluate", ...)` runs a command in an empty folder. Whatever any library writes is caught too."""
    monkeypatch.setenv("QUANTSCOPE_HOME", str(shared_home))
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str | Path) -> Done:
        capfd.readouterr()
        code = main([str(a) for a in arguments])
        return Done(code, *capfd.readouterr())

    return call
