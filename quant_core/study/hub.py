"""Models of the Hugging Face hub: asked for by name, fetched when the user says so, pinned to a commit and
kept. Nothing here asks the network but `fetch`.

A reference is `hf:OWNER/NAME`, `hf:OWNER/NAME@REVISION` or `hf:OWNER/NAME@REVISION:FILE`."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import onnx

from quant_core.errors import ModelError, QuantscopeError
from quant_core.jobs import Stopped
from quant_core.store import enforce_limits, home, write_whole

HUB = "hf:"
LARGEST = 8 << 30  # bytes
_REFERENCE = re.compile(r"hf:(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+))?(?::(?P<file>.+))?")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_USUAL = ("model.onnx", "onnx/model.onnx")
_HOW = "write it as hf:OWNER/NAME, or hf:OWNER/NAME@REVISION:FILE"
_LISTED = 8


@dataclass(frozen=True)
class HubModel:
    """A file of a repository. `revision` and `file` are empty where the hub's default is meant."""

    repo: str
    revision: str = ""
    file: str = ""

    @classmethod
    def parse(cls, reference: str) -> HubModel:
        """ModelError where `reference` is none."""
        found = _REFERENCE.fullmatch(reference.strip())
        named = "" if found is None else found["file"] or ""
        if found is None or ".." in PurePosixPath(named).parts or named.startswith("/") or "\\" in named:
            raise ModelError(f"'{reference}' names no model of the Hugging Face hub", _HOW)
        return cls(found["repo"], found["revision"] or "", named)

    @property
    def pinned(self) -> bool:
        """Whether it names one file of one commit, which never changes."""
        return bool(_COMMIT.fullmatch(self.revision) and self.file)

    def __str__(self) -> str:
        revision = f"@{self.revision}" if self.revision else ""
        return f"{HUB}{self.repo}{revision}" + (f":{self.file}" if self.file else "")


def is_hub(reference: str) -> bool:
    """Whether `reference` is meant as a model of the hub."""
    return reference.startswith(HUB)


def kept_path(reference: str) -> Path:
    """Where the file of a pinned reference is kept. ModelError where it was not fetched."""
    model = HubModel.parse(reference)
    path = _folder(model) / model.file
    if not model.pinned or not path.is_file():
        raise ModelError(
            f"'{reference}' is not on this machine", "fetch it again from the hub, while you are online"
        )
    return path


def fetch(reference: str, tick: Callable[..., None] = lambda *_, **__: None) -> str:
    """Fetch a model of the hub with its external data; gives the reference pinned to a commit. What is on
    this machine is not fetched again; without a network the commit fetched last is taken. ModelError in one
    sentence where that fails.
    """
    model = HubModel.parse(reference)
    if model.pinned and (_folder(model) / model.file).is_file():
        return str(model)
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    try:
        tick(note=f"Asking the hub for {model.repo}")
        found = _pin(model)
        _download(found, tick)
    except (QuantscopeError, Stopped):
        raise
    except Exception as error:  # the library, its network library and the disk each raise their own kinds
        known = _last(model)
        if known is not None and _is_offline(error):
            return known
        raise _plain(model, error) from error
    write_whole(_memory(model), json.dumps(str(found)).encode())
    enforce_limits([_folder(found) / found.file])
    return str(found)


def _pin(model: HubModel) -> HubModel:
    """The commit and file that `model` means now."""
    from huggingface_hub import HfApi  # takes a moment to load, and few need it

    info = HfApi(endpoint=os.environ.get("HF_ENDPOINT")).model_info(
        model.repo, revision=model.revision or None, files_metadata=True
    )
    names = {s.rfilename: s.size or 0 for s in info.siblings or ()}
    models = [name for name in names if name.endswith(".onnx")]
    file = model.file or next((name for name in _USUAL if name in names), "")
    if not file and len(models) == 1:
        file = models[0]
    if not file or file not in names:
        listed = ", ".join(models[:_LISTED]) + (" and more" if len(models) > _LISTED else "")
        what = f"has no file '{file}'" if file else "holds several ONNX files" if models else "holds no ONNX"
        how = f"name one, as {HUB}{model.repo}:FILE, of {listed}" if models else "choose another repository"
        raise ModelError(f"'{model.repo}' {what}", how)
    if names[file] > LARGEST:
        raise ModelError(
            f"'{file}' of '{model.repo}' has {names[file] / (1 << 30):.1f} GiB", "choose a smaller model"
        )
    return replace(model, revision=str(info.sha), file=file)


def _download(model: HubModel, tick: Callable[..., None]) -> None:
    """The file and the external data that it names, as plain files in a folder of their own."""
    _get(model, model.file, tick)
    folder = PurePosixPath(model.file).parent
    for location in _external(_folder(model) / model.file):
        place = PurePosixPath(location)
        if place.is_absolute() or ".." in place.parts or "\\" in location:
            raise ModelError(f"'{model.file}' points to data outside its folder", "choose another model")
        _get(model, str(folder / place), tick)


def _get(model: HubModel, name: str, tick: Callable[..., None]) -> None:
    from huggingface_hub import hf_hub_download
    from tqdm.auto import tqdm

    class Told(tqdm):  # type: ignore[misc]
        """Tells how many bytes have come."""

        def __init__(self, *given: Any, **named: Any) -> None:
            super().__init__(*given, **{**named, "disable": True})
            self.came = int(named.get("initial") or 0)

        def update(self, n: float | None = 1) -> None:
            self.came += int(n or 0)
            tick(self.came >> 10, int(self.total or 0) >> 10, f"Fetching {PurePosixPath(name).name}")

    hf_hub_download(
        model.repo,
        name,
        revision=model.revision,
        local_dir=_folder(model),
        endpoint=os.environ.get("HF_ENDPOINT"),
        tqdm_class=Told,
    )


def _external(path: Path) -> list[str]:
    """The names of the files that the model at `path` keeps tensors in."""
    try:
        proto = onnx.load(path, load_external_data=False)
    except Exception as error:  # protobuf raises its own kinds
        raise ModelError(f"'{path.name}' is not a readable ONNX file", "choose another file") from error
    found = {
        entry.value
        for tensor in proto.graph.initializer
        for entry in tensor.external_data
        if entry.key == "location"
    }
    return sorted(found)


def _folder(model: HubModel) -> Path:
    return home() / "hub" / model.repo.replace("/", "--") / (model.revision or "none")


def _memory(model: HubModel) -> Path:
    """Where it is kept what a reference last meant."""
    asked = re.sub(r"[^\w.-]", "_", f"{model.revision} {model.file}".strip()) or "default"
    return home() / "hub" / model.repo.replace("/", "--") / f"{asked[:80]}.json"


def _last(model: HubModel) -> str | None:
    try:
        known = str(json.loads(_memory(model).read_text(encoding="utf-8")))
        kept_path(known)
    except (OSError, ValueError, QuantscopeError):
        return None
    return known


def _is_offline(error: Exception) -> bool:
    return getattr(error, "response", None) is None


def _plain(model: HubModel, error: Exception) -> ModelError:
    kind = type(error).__name__
    where = f"'{model.repo}'" + (f" at '{model.revision}'" if model.revision else "")
    if kind in ("GatedRepoError", "DisabledRepoError"):
        return ModelError(f"{where} is not open to everybody", "ask for access, or choose another model")
    if kind in ("RepositoryNotFoundError", "RevisionNotFoundError", "RemoteEntryNotFoundError"):
        return ModelError(f"the hub has no model {where}", f"check the name; {_HOW}")
    if _is_offline(error):
        return ModelError("the Hugging Face hub does not answer", "check the network, or give a path")
    return ModelError(f"the Hugging Face hub refused {where} ({kind})", "try again later, or give a path")
