"""From a click in the matrix to its repaint by Python, against that of a component that draws nothing.

    python benchmarks/repaint.py [--clicks 15]

Starts the app and an empty component fragment in servers of their own, opens the desk on generated models
of 28 and of 300 layers whose cells are all filled, and clicks in turns: a few times empty, 28, 300, empty,
... A time is taken in the page, from the click to the moment the component has drawn what Python sent back;
what the click marks at once is not counted. Prints medians in milliseconds and their ratios to the empty
fragment. Needs an installed Chromium.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

LAYERS = (28, 300)
_CHANNELS = 8
_BURST = 4  # timed clicks on one page before the next page's turn

# Clicks the element that `selector` finds, in the page or in a shadow root, and resolves with the
# milliseconds until the element with data-plan carries another value.
_CLICK = """
async (selector) => {
  const all = (root, found = []) => {
    found.push(...root.querySelectorAll("*"));
    for (const e of root.querySelectorAll("*")) if (e.shadowRoot) all(e.shadowRoot, found);
    return found;
  };
  const elements = all(document);
  const marked = elements.find((e) => e.dataset && e.dataset.plan !== undefined);
  const target = elements.find((e) => e.matches(selector) && e.getAttribute("aria-pressed") !== "true");
  return await new Promise((resolve) => {
    const start = performance.now();
    let painted = null;
    new MutationObserver((_, observer) => {
      observer.disconnect();
      requestAnimationFrame(() => resolve([painted, performance.now() - start]));
    }).observe(marked, { attributes: true, attributeFilter: ["data-plan"] });
    target.click();
    if (target.getAttribute("aria-pressed") === "true")
      requestAnimationFrame(() => (painted = performance.now() - start));
  });
}
"""


def generate(folder: Path, layers: int) -> Path:
    """A chain of `layers` convolutions, with a few samples beside it."""
    rng = np.random.default_rng(layers)
    nodes, weights, value = [], [], "input"
    for number in range(layers):
        shape = (_CHANNELS, _CHANNELS, 3, 3)
        name = f"w{number}"
        weights.append(numpy_helper.from_array((rng.normal(size=shape) * 0.1).astype(np.float32), name))
        out = "output" if number == layers - 1 else f"x{number}"
        nodes.append(
            helper.make_node("Conv", [value, name], [out], f"conv{number}", kernel_shape=[3, 3], pads=[1] * 4)
        )
        value = out
    sides: list[int | str] = ["N", _CHANNELS, 8, 8]
    graph = helper.make_graph(
        nodes,
        "chain",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, sides)],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, sides)],
        weights,
    )
    path = folder / f"chain{layers}.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), path)
    np.savez(folder / f"chain{layers}.npz", input=rng.normal(size=(8, _CHANNELS, 8, 8)).astype(np.float32))
    return path


def prepare(path: Path) -> str:
    """The id of a session on the model, with every cell of its desk filled with numbers."""
    from pages.parts.state import State
    from quant_core.engine import CellKey
    from quant_core.study import Source, desk_cells, new_session_id

    source = Source(str(path), str(path.with_suffix(".npz")))
    study = source.open()
    rng = np.random.default_rng(0)
    for part in ("weights", "activations"):
        for key in desk_cells(study, part):
            assert isinstance(key, CellKey)
            record = {"metric": None, "metric_name": None, "agreement": float(rng.random()), "kl": 0.1}
            record |= {"sqnr_db": float(rng.uniform(2, 60)), "decisions": 8, "samples": 8, "bytes": 10_000}
            study.store.put(study.keys.cell(key, "simulated", study.data), record)
    state = State(new_session_id(), source)
    state.save()
    return state.id


def serve(script: str, home: Path) -> tuple[subprocess.Popen[bytes], str]:
    """A server for `script` and its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", script, "--server.port", str(port)]
    process = subprocess.Popen(
        [*command, "--server.headless", "true"],
        cwd=ROOT,
        env=os.environ | {"QUANTSCOPE_HOME": str(home)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    for _ in range(600):
        try:
            urllib.request.urlopen(f"{url}/_stcore/health", timeout=1)
            return process, url
        except OSError:
            time.sleep(0.1)
    raise SystemExit("the server did not start")


def settle(pages: list[Page]) -> None:
    """Wait until nothing has run in any page for a second: they share the machine, two of them a server."""
    quiet = time.monotonic()
    while time.monotonic() - quiet < 1.0:
        for page in pages:
            busy = page.locator("[data-testid=stApp][data-test-script-state=running]").count()
            if busy or page.locator(".qs-number b", has_text="○").count():  # workers measure
                quiet = time.monotonic()
        pages[0].wait_for_timeout(50)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clicks", type=int, default=15, help="clicks on each")
    clicks = parser.parse_args().clicks
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    servers = []
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        home = Path(folder) / "home"
        os.environ["QUANTSCOPE_HOME"] = str(home)
        sessions = {layers: prepare(generate(Path(folder), layers)) for layers in LAYERS}
        try:
            app, app_url = serve("app.py", home)
            servers.append(app)
            bare, bare_url = serve("benchmarks/empty_fragment.py", home)
            servers.append(bare)
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            pages: dict[str, tuple[Page, list[str]]] = {}
            page = browser.new_page(viewport={"width": 1280, "height": 1000})
            page.goto(bare_url)
            pages["empty"] = page, ["button[data-plan]"]
            for layers, session in sessions.items():
                page = browser.new_page(viewport={"width": 1280, "height": 1000})
                page.goto(f"{app_url}/mixed-precision?study={session}")
                page.locator("button.cell").first.wait_for(timeout=120_000)
                cells = [
                    f'button.cell[aria-label^="conv{n % layers}, int8,"]' for n in range(3, 3 + 4 * clicks)
                ]
                pages[f"{layers} layers"] = page, cells
            times: dict[str, list[tuple[float | None, float]]] = {name: [] for name in pages}
            used = dict.fromkeys(pages, 0)
            while min(map(len, times.values())) < clicks:
                for name, (page, selectors) in pages.items():
                    page.bring_to_front()
                    for number in range(_BURST + 1):
                        settle([p for p, _ in pages.values()])
                        taken = page.evaluate(_CLICK, selectors[used[name] % len(selectors)])
                        used[name] += 1
                        if number:  # the first wakes up what has slept
                            times[name].append(taken)
            browser.close()
        finally:
            for server in servers:
                server.terminate()
                server.wait(10)
    base = statistics.median(answered for _, answered in times["empty"])
    for name, taken in times.items():
        answered = [time for _, time in taken]
        middle = statistics.median(answered)
        print(
            f"{name:>10}: drawn by Python after {middle:.0f} ms ({min(answered):.0f} to {max(answered):.0f}),"
        )
        print(f"{'':>12}{middle / base:.2f} of empty; {len(taken)} clicks")
        painted = [time for time, _ in taken if time is not None]
        if painted:
            middle = statistics.median(painted)
            print(f"{'':>12}painted after {middle:.0f} ms, {middle / base:.2f} of empty")


if __name__ == "__main__":
    main()
