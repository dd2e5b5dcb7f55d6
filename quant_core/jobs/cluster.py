"""A cluster: machines whose dask workers take pieces of long work.

`QUANTSCOPE_CLUSTER` names the scheduler: `tcp://...`, or `tls://...` with the certificates that dask's own
settings name (`DASK_DISTRIBUTED__COMM__TLS__CA_FILE` and its like). A worker needs this package at the same
version, and no folder of ours. What a piece of work rests on travels to a worker once, under the hash of its
content; what it gives comes home with the answer. A worker that leaves is survived: its piece goes to
another."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quant_core.engine import ENGINE, Pulse
from quant_core.errors import QuantscopeError

if TYPE_CHECKING:
    from distributed import Client, Future, Worker

CLUSTER = "QUANTSCOPE_CLUSTER"
_BLOCK = 16 << 20  # bytes that travel at a time
_ANSWERS_WITHIN = 10.0
_ALONE = 60.0  # seconds without a worker after which the work is given up
_EVERY = 0.05
_SENDINGS = 5  # times that one piece may find its worker without what it needs
_LATER = 0.5  # seconds until a worker that lacked something is looked at again

Files = dict[str, Path]
Piece = Any  # whatever travels well: lists, numbers, text
Work = Callable[[Files, Piece], Any]


def cluster_address() -> str | None:
    """The scheduler that long work goes to, None where it stays on this machine."""
    return os.environ.get(CLUSTER) or None


def spread(
    address: str, work: Work, files: Mapping[str, Path], pieces: Sequence[Piece], pulse: Pulse
) -> Iterator[Any]:
    """What `work` gives for each of `pieces`, as they come, from the workers of the scheduler at `address`.

    `work` is called with `files` as they are on the worker. `pulse` is called often, so that a caller can
    stop; then the workers are told. QuantscopeError where nobody answers or the work fails."""
    digests = {name: _digest(path) for name, path in files.items()}
    sources = {digests[name]: path for name, path in files.items()}
    with _connected(address) as client:
        pieces_of: dict[Future[Any], Piece] = {}
        sendings = 0
        waiting = deque(pieces)
        alone_since: float | None = None
        while waiting or pieces_of:
            while waiting:
                piece = waiting.popleft()
                pieces_of[client.submit(_perform, work, digests, piece, ENGINE, pure=False)] = piece
            pulse()
            ended = [future for future in pieces_of if future.done()]
            for future in ended:
                piece = pieces_of.pop(future)
                kind, *given = _outcome(future, address)
                if kind == "done":
                    yield given[0]
                elif kind == "lacks" and sendings < _SENDINGS * len(pieces):
                    sendings += 1
                    _send(client, given[0], given[1], sources, pulse)
                    waiting.append(piece)
                elif kind == "lost":
                    waiting.append(piece)
                else:
                    raise QuantscopeError(*given) if kind == "failed" else _unable(address)
            if ended:
                alone_since = None
                continue
            time.sleep(_EVERY)
            if client.scheduler_info(n_workers=-1)["workers"]:
                alone_since = None
            elif alone_since is None:
                alone_since = time.monotonic()
            elif time.monotonic() - alone_since > _ALONE:
                raise QuantscopeError(f"the cluster at {address} has no worker", "start one, then try again")


def workers_of(address: str) -> int:
    """How many workers the cluster has now. QuantscopeError where it does not answer."""
    with _connected(address) as client:
        return len(client.scheduler_info(n_workers=-1)["workers"])


@contextmanager
def _connected(address: str) -> Iterator[Client]:
    from distributed import Client  # slow to import: only who has a cluster waits for it

    try:
        client = Client(address, timeout=_ANSWERS_WITHIN, set_as_default=False, name="quantscope")
    except (OSError, TimeoutError, ValueError, TypeError) as error:
        raise QuantscopeError(
            f"the workers at {address} do not answer",
            "start the scheduler and its workers, or check the address",
        ) from error
    try:
        yield client
    finally:
        client.close(timeout=2)


def _outcome(future: Future[Any], address: str) -> tuple[Any, ...]:
    """What became of a piece."""
    from distributed import KilledWorker

    if future.status == "finished":
        return tuple(future.result())
    if future.status in ("cancelled", "lost"):
        return ("lost",)
    error = future.exception()
    if isinstance(error, KilledWorker):
        return "failed", f"several workers of {address} ended while they ran a piece", "give them more memory"
    if isinstance(error, ImportError):
        return (
            "failed",
            f"a worker of {address} has no quant_core",
            "install it where the workers are started",
        )
    if isinstance(error, OSError | EOFError):
        return ("lost",)
    what = f"the work failed on a worker of {address} ({type(error).__name__})"
    return "failed", what, "see the log of the workers"


def _unable(address: str) -> QuantscopeError:
    return QuantscopeError(
        f"the workers of {address} do not keep what they are sent", "give them room on their disks"
    )


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _send(
    client: Client, worker: str, digests: Sequence[str], sources: Mapping[str, Path], pulse: Pulse
) -> None:
    """Give a worker what it lacks. One that has left meanwhile is let go."""
    for digest in digests:
        size = sources[digest].stat().st_size
        with sources[digest].open("rb") as file:
            for start in range(0, max(size, 1), _BLOCK):
                pulse()
                try:
                    client.run(_take, digest, start, file.read(_BLOCK), size, workers=[worker])
                except (OSError, ValueError, KeyError, RuntimeError):
                    time.sleep(_LATER)
                    return


# ---- on the workers

_lock = threading.Lock()


def _folder(worker: Worker) -> Path:
    return Path(worker.local_directory) / "quantscope"


def _take(digest: str, start: int, block: bytes, size: int, dask_worker: Worker | None = None) -> None:
    """Take one block of a file; it counts when all are there and have the hash that they were sent under."""
    assert dask_worker is not None
    folder = _folder(dask_worker)
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f"{digest}.part"
    with part.open("wb" if start == 0 else "r+b") as file:
        file.seek(start)
        file.write(block)
    if start + len(block) >= size and _digest(part) == digest:
        part.replace(folder / digest)


def _perform(work: Work, digests: Mapping[str, str], piece: Piece, engine: str) -> tuple[Any, ...]:
    """Do a piece, or say what is lacking for it."""
    from distributed import get_worker

    worker = get_worker()
    if engine != ENGINE:
        return (
            "failed",
            f"a worker at {worker.address} runs {ENGINE}, this machine {engine}",
            "install the same",
        )
    folder = _folder(worker)
    lacking = [digest for digest in digests.values() if not (folder / digest).is_file()]
    if lacking:
        return "lacks", worker.address, lacking
    try:
        with (
            _lock
        ):  # a worker of several threads does one piece at a time; the kernels have threads of their own
            return "done", work({name: folder / digest for name, digest in digests.items()}, piece)
    except QuantscopeError as error:
        return "failed", error.what, error.remedy
