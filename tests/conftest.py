"""What all tests share: a home of their own, the real models, and the app in a real Chromium."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from filelock import FileLock

from quant_core.plan import PRESETS, preset_plan
from quant_core.study import DEFAULT, Study, desk_cells

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page
    from xdist.remote import Producer
    from xdist.scheduler import LoadFileScheduling

ROOT = Path(__file__).resolve().parents[1]
HOME, MODELS = "QUANTSCOPE_HOME", "QUANTSCOPE_MODELS"
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM_OPTIONS = [
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-gpu",
]
RUNNING = "[data-testid=stApp][data-test-script-state=running], [data-testid=stStatusWidget]"
EXCEPTION = "[data-testid=stException]"
SERVER_STARTS_WITHIN = 60.0
STILL_FOR, STILL_WITHIN = 0.5, 60.0
TOGETHER = {"browser": ("tests/browser/",), "jobs": ("tests/jobs/", "tests/study/test_work.py")}
LONG = ("browser/", "test_readme", "jobs/", "study/test_work", "pages/", "study/", "real_models")
REPORT = pytest.StashKey[pytest.TestReport]()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadFileScheduling:
    """Of several processes (`pytest -n 3 --dist loadfile`) one drives the browser and one the workers of
    jobs; the tests of any other file stay together.
    """
    from xdist.scheduler import LoadFileScheduling

    class Together(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.split("::")[0]
            return next((name for name, places in TOGETHER.items() if file.startswith(places)), file)

    return Together(config, log)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever needs a Chromium carries the marker `browser`. What takes long begins first."""
    for item in items:
        if "chromium" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.browser)
    items.sort(key=lambda item: next((i for i, s in enumerate(LONG) if s in item.nodeid), len(LONG)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Keeps the outcome, so that `page` can photograph a failure."""
    report = yield
    if report.when == "call":
        item.stash[REPORT] = report
    return report


@pytest.fixture(scope="session")
def repo() -> Path:
    """The folder of the repository."""
    return ROOT


@pytest.fixture(scope="session", autouse=True)
def _home_of_the_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Fixtures that outlive a test leave the user's folder alone too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(HOME, str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty QUANTSCOPE_HOME for each test."""
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setenv(HOME, str(folder))
    return folder


@pytest.fixture(scope="session")
def models() -> Path:
    """The folder of real models; skips where there is none."""
    folder = Path(os.environ.get(MODELS) or ROOT.parent / "shared" / "models").resolve()
    if not folder.is_dir():
        pytest.skip(f"no real models here: {MODELS} names no folder that exists")
    return folder


@pytest.fixture(scope="session")
def chromium() -> str:
    """The installed Chromium; skips where there is none, and fails in CI."""
    for name in CHROMIUM_NAMES:
        if path := shutil.which(name):
            return path
    message = "no Chromium here: install the package chromium to run the browser tests"
    if os.environ.get("CI") == "true":
        pytest.fail(message, pytrace=False)
    pytest.skip(message)


@pytest.fixture(scope="session")
def visited(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A home in which the default sample's presets and sensitivity were measured, as Start asks for it. Made
    once for all processes that test; copy it to use it."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "visited"
    with FileLock(folder.with_suffix(".lock")), pytest.MonkeyPatch.context() as patch:
        if (folder / "complete").exists():
            return folder
        patch.setenv(HOME, str(folder))
        study = Study.open(f"sample:{DEFAULT}", f"sample:{DEFAULT}")
        for name in PRESETS:
            study.evaluate(preset_plan(study.graph, name))
        for part in ("weights", "activations"):
            list(study.sweep(desk_cells(study, part)))
        (folder / "complete").touch()
    return folder


@pytest.fixture(scope="session")
def server(chromium: str, visited: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the running app, `http://127.0.0.1:PORT`. One a session, with a home of its own in which
    the default sample is known."""
    folder = tmp_path_factory.mktemp("server")
    shutil.copytree(visited, folder / "home")
    with serving(folder) as running:
        yield running.url


@pytest.fixture
def fresh_server(chromium: str, tmp_path: Path) -> Iterator[str]:
    """The address of an app that nobody has visited yet."""
    with serving(tmp_path) as running:
        yield running.url


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    """A headless Chromium. One a module: while it lives, Playwright keeps an event loop running."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_OPTIONS)
        yield started
        started.close()


@pytest.fixture
def page(browser: Browser, server: str, request: pytest.FixtureRequest) -> Iterator[Page]:
    """An empty tab of 1,440 x 1,000 pixels with fresh storage, for the app at `server`.

    Afterwards the test fails if a script of the page failed or if the page asked another machine for
    anything. A failed test leaves its picture in `shots/`.
    """
    context = browser.new_context(viewport={"width": 1440, "height": 1000}, base_url=server)
    tab = context.new_page()
    tab.set_default_timeout(30_000)
    errors: list[str] = []
    outside: set[str] = set()
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.on("request", lambda r: None if _is_own(r.url, server) else outside.add(r.url))
    yield tab
    report = request.node.stash.get(REPORT, None)
    if report is not None and report.failed:
        tab.screenshot(path=ROOT / "shots" / f"failed-{request.node.name}.png", full_page=True)
    context.close()
    assert not errors, f"scripts of the page failed: {errors}"
    assert not outside, f"the page asked other machines: {sorted(outside)}"


@pytest.fixture
def settle(page: Page) -> Callable[[], None]:
    """`settle()` returns when the app has been still for half a second, and fails on an exception box."""

    def wait() -> None:
        deadline = time.monotonic() + STILL_WITHIN
        quiet_since: float | None = None
        while time.monotonic() < deadline:
            if page.locator(RUNNING).count() or not page.locator("[data-testid=stMain]").count():
                quiet_since = None
            else:
                quiet_since = quiet_since or time.monotonic()
                if time.monotonic() - quiet_since > STILL_FOR:
                    assert not page.locator(EXCEPTION).count(), page.locator(EXCEPTION).first.inner_text()
                    return
            page.wait_for_timeout(50)
        pytest.fail(f"the app was not still within {STILL_WITHIN:.0f} s: {page.url}", pytrace=False)

    return wait


@pytest.fixture
def visit(page: Page, settle: Callable[[], None]) -> Callable[..., Page]:
    """`visit("/weights")` opens that page of the app, waits until it is `still`, and gives the tab."""

    def go(path: str = "/", still: bool = True) -> Page:
        page.goto(path)
        if still:
            settle()
        return page

    return go


@dataclass(frozen=True)
class Server:
    """A running app: its address, its process, and the folder everything is kept in."""

    url: str
    process: subprocess.Popen[bytes]
    home: Path


@contextmanager
def serving(folder: Path, port: int = 0) -> Iterator[Server]:
    """The app, started as the README says, with its home and log in `folder`."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", "app.py"]
    command += ["--server.port", str(port), "--server.headless", "true"]
    log = folder / "server.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=os.environ | {HOME: str(folder / "home")},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        if not _answers(f"{url}/_stcore/health", process):
            pytest.fail(f"the app did not start:\n{log.read_text(errors='replace')[-4000:]}", pytrace=False)
        yield Server(url, process, folder / "home")
    finally:
        _stop(process)


def _is_own(url: str, server: str) -> bool:
    """Whether `url` is the app's, or stays inside the browser."""
    return url.startswith((f"{server}/", "data:", "blob:", "about:"))


def _answers(url: str, process: subprocess.Popen[bytes]) -> bool:
    """Whether `url` answers before the process ends or the time is over."""
    deadline = time.monotonic() + SERVER_STARTS_WITHIN
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=1) as answer:
                return answer.status == 200
        except OSError:
            time.sleep(0.1)
    return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Ends the process and, where the system has process groups, what it started."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
    if hasattr(os, "killpg"):
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return
