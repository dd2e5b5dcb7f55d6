"""A small server on this machine that speaks the hub's protocol."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import onnx

COMMIT = "0123456789abcdef0123456789abcdef01234567"
REPO = "somebody/small-net"


class Hub(ThreadingHTTPServer):
    """The part of the hub that a download needs."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.gated = False

    @property
    def url(self) -> str:
        """What HF_ENDPOINT must be."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def put(self, model: onnx.ModelProto, folder: Path) -> None:
        """Have `model` as onnx/model.onnx, with its weights beside it, and a card."""
        place = folder / "made"
        place.mkdir()
        onnx.save(
            model, place / "model.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0
        )
        self.files = {f"onnx/{path.name}": path.read_bytes() for path in place.iterdir()}
        self.files["README.md"] = b"a card"


class Answer(BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        self.server.asked.append(path)
        api, resolve = f"/api/models/{REPO}", f"/{REPO}/resolve/{COMMIT}/"
        if self.server.gated:
            self._say(403, b"{}", {"X-Error-Code": "GatedRepo"})
        elif path in (api, f"{api}/revision/main", f"{api}/revision/{COMMIT}"):
            siblings = [{"rfilename": n, "size": len(c)} for n, c in self.server.files.items()]
            self._say(200, json.dumps({"id": REPO, "sha": COMMIT, "siblings": siblings}).encode())
        elif path.startswith(f"{api}/revision/"):
            self._say(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
        elif path.startswith(resolve) and path.removeprefix(resolve) in self.server.files:
            content = self.server.files[path.removeprefix(resolve)]
            etag = hashlib.sha256(content).hexdigest()
            self._say(200, content, {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT})
        elif path.startswith(resolve):
            self._say(404, b"", {"X-Error-Code": "EntryNotFound"})
        else:
            self._say(401, b"{}", {"X-Error-Code": "RepoNotFound"})

    def _say(self, code: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(len(content)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)


@contextmanager
def serving_hub() -> Iterator[Hub]:
    """A running hub that has nothing yet."""
    server = Hub()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()
