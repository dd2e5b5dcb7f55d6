"""The rules of the house that no linter knows: how long a file is, what lies in pages/, who imports what."""

from __future__ import annotations

import ast
import subprocess
from pathlib import Path

import pytest

LONGEST_FILE = 400
# What the pages and the command line may import of quant_core, and by which names.
FACADE = {"study", "figures", "formats", "plan", "errors"}


@pytest.fixture(scope="module")
def sources(repo: Path) -> list[Path]:
    """All Python files that git tracks or would track."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"]
    listed = subprocess.run(command, cwd=repo, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [file for name in listed.stdout.splitlines() if (file := repo / name).is_file()]


def test_no_file_is_too_long(sources: list[Path], repo: Path) -> None:
    lengths = {str(f.relative_to(repo)): len(f.read_text(encoding="utf-8").splitlines()) for f in sources}
    assert lengths
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST_FILE} == {}


def test_pages_holds_no_python_file_directly(repo: Path) -> None:
    """Streamlit would serve it as a page of its own, without the router."""
    assert [f.name for f in (repo / "pages").glob("*.py")] == []


def test_pages_import_the_facade_only(sources: list[Path], repo: Path) -> None:
    pages = [f for f in sources if f.is_relative_to(repo / "pages") or f == repo / "app.py"]
    assert pages
    found = [
        f"{f.relative_to(repo)}: {name}" for f in pages for name in imported(f, repo) if _is_behind(name)
    ]
    assert found == []


def test_the_command_line_imports_the_facade_only(repo: Path) -> None:
    files = sorted((repo / "quant_core").glob("cli*.py"))
    assert files
    own = {f"quant_core.{f.stem}" for f in files}
    found = [f"{f.name}: {n}" for f in files for n in imported(f, repo) if _is_behind(n) and n not in own]
    assert found == []


def test_pages_leave_plotly_to_the_figures(sources: list[Path], repo: Path) -> None:
    pages = [f for f in sources if f.is_relative_to(repo / "pages") or f == repo / "app.py"]
    found = [
        f"{f.relative_to(repo)}: {name}"
        for f in pages
        for name in imported(f, repo)
        if name.split(".")[0] == "plotly"
    ]
    assert found == []


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_every_requirement_has_a_range_and_a_reason(repo: Path, name: str) -> None:
    lines = (repo / name).read_text(encoding="utf-8").splitlines()
    requirements = [line for line in lines if line and not line.startswith(("#", "-r "))]
    assert requirements
    assert [line for line in requirements if not (">=" in line and ",<" in line and " # " in line)] == []


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("import quant_core.graph", ["quant_core.graph"]),
        ("from quant_core import study, graph", ["quant_core.study", "quant_core.graph"]),
        ("from quant_core.study import Study", ["quant_core.study"]),
        ("from quant_core.formats.affine import x", ["quant_core.formats.affine"]),
        ("from .graph import x", ["quant_core.graph"]),
        ("from . import graph", ["quant_core.graph"]),
        ("def f():\n    import plotly.express as px", ["plotly.express"]),
    ],
)
def test_every_spelling_of_an_import_is_seen(tmp_path: Path, text: str, names: list[str]) -> None:
    file = tmp_path / "quant_core" / "cli.py"
    file.parent.mkdir()
    file.write_text(text, encoding="utf-8")
    assert imported(file, tmp_path) == names


@pytest.mark.parametrize(
    ("name", "behind"),
    [
        ("quant_core.study", False),
        ("quant_core.plan", False),
        ("streamlit", False),
        ("quant_core", True),
        ("quant_core.graph", True),
        ("quant_core.plan.presets", True),
    ],
)
def test_the_facade_is_whole_rooms_by_their_public_names(name: str, behind: bool) -> None:
    assert _is_behind(name) is behind


def imported(file: Path, repo: Path) -> list[str]:
    """The absolute names of the modules that `file` imports anywhere; of `from quant_core import x`, x."""
    package = file.relative_to(repo).parent.parts
    names: list[str] = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*above, *([node.module] if node.module else [])))
            names += [f"{module}.{a.name}" for a in node.names] if module == "quant_core" else [module]
    return names


def _is_behind(name: str) -> bool:
    """Whether `name` is a module of quant_core behind the facade."""
    room = name.partition("quant_core.")[2]
    return name.split(".")[0] == "quant_core" and room not in FACADE
