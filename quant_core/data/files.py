"""Files that a stranger packed: a folder or a zip archive, read by name, with nothing read outside of it.

Members of an archive are read in place; nothing is unpacked to disk. Every refusal is one DataError."""

from __future__ import annotations

import lzma
import stat
import zipfile
import zlib
from abc import ABC, abstractmethod
from pathlib import Path, PurePosixPath
from typing import IO

from quant_core.errors import DataError

MEMBERS = 200_000  # members of an archive at most
UNPACKED_BYTES = 8 << 30  # of all members together
RATIO = 200  # unpacked over packed bytes; photographs stay near 1, deflate ends at 1,032
RATIO_FROM = 256 << 20  # bytes unpacked below which any ratio is harmless: one-hot arrays pack very well
FILE_BYTES = 512 << 20  # of one file that is read as a whole
_UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    OSError,
    EOFError,
    RuntimeError,
    NotImplementedError,
    ValueError,
)


class Files(ABC):
    """Files by their names, relative and with forward slashes; those at the top and one folder below."""

    name: str
    names: tuple[str, ...]

    @abstractmethod
    def has(self, name: str) -> bool:
        """Whether a file of this name lies inside. Names that lead outside do not."""

    @abstractmethod
    def open(self, name: str) -> tuple[IO[bytes], int]:
        """A stream of the file `name` and its size in bytes."""

    def read(self, name: str, limit: int = FILE_BYTES) -> bytes:
        """The content of `name`. DataError where it is larger than `limit` bytes or cannot be read."""
        stream, size = self.open(name)
        with stream:
            if size > limit:
                raise DataError(
                    f"'{name}' in '{self.name}' has {size} bytes, more than the {limit} read at a time",
                    "leave it out",
                )
            try:
                return stream.read(size + 1)[:size]
            except _UNREADABLE as error:
                raise DataError(f"'{name}' in '{self.name}' cannot be read", "leave it out") from error

    def ending(self, suffixes: set[str], folder: str = "") -> list[str]:
        """The names that end in one of `suffixes`, directly in `folder`, sorted."""
        found = [n for n in self.names if n.rpartition("/")[0] == folder]
        return sorted(n for n in found if PurePosixPath(n).suffix.lower() in suffixes)

    @property
    def folders(self) -> list[str]:
        """The folders below, sorted."""
        return sorted({n.rpartition("/")[0] for n in self.names if "/" in n})


class Folder(Files):
    """A folder. A symbolic link that leads out of it is refused when it is read."""

    def __init__(self, path: Path) -> None:
        self.path, self.name = path, path.name
        self._root = path.resolve()
        try:
            entries = [p for p in path.iterdir() if not p.name.startswith(".")]
            below = [p for d in entries if d.is_dir() for p in d.iterdir()]
        except OSError as error:
            raise DataError(f"the folder '{path.name}' cannot be read ({error.strerror})") from error
        found = [p.relative_to(path).as_posix() for p in (*entries, *below) if p.is_file()]
        self.names = tuple(_plain(n, self.name) for n in sorted(found))

    def has(self, name: str) -> bool:
        try:
            path = (self.path / name).resolve()
            return path.is_relative_to(self._root) and path.is_file()
        except (OSError, ValueError):
            return False

    def open(self, name: str) -> tuple[IO[bytes], int]:
        if not self.has(name):
            raise DataError(f"'{name}' leads out of the folder '{self.name}'", "put the file itself there")
        try:
            path = self.path / name
            return path.open("rb"), path.stat().st_size
        except OSError as error:
            raise DataError(f"'{name}' in '{self.name}' cannot be read ({error.strerror})") from error


class Archive(Files):
    """A zip archive, refused as a whole where a name leads out of it or where it unpacks beyond the limits.

    Where all lies in one folder that holds more than files, names are counted from there."""

    def __init__(self, path: Path) -> None:
        self.name = path.name
        try:
            self._archive = zipfile.ZipFile(path)
        except _UNREADABLE as error:
            raise DataError(f"'{path.name}' is not a readable zip archive", "pack it again") from error
        members = check_members(path.name, self._archive)
        top = _common_folder([m.filename for m in members])
        self._members = {m.filename.removeprefix(top): m for m in members}
        self.names = tuple(sorted(n for n in self._members if n.count("/") <= 1))

    def has(self, name: str) -> bool:
        return str(PurePosixPath(name)) in self._members

    def open(self, name: str) -> tuple[IO[bytes], int]:
        member = self._members[str(PurePosixPath(name))]
        try:
            return self._archive.open(member), member.file_size
        except _UNREADABLE as error:
            raise DataError(f"'{name}' in '{self.name}' cannot be read", "pack it again") from error


def open_files(path: Path) -> Files:
    """The folder or the zip archive at `path`."""
    return Folder(path) if path.is_dir() else Archive(path)


def check_members(name: str, archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """The files of an archive, without folders and what systems hide in archives. DataError for names that
    lead outside, links, passwords, and for more or larger members than the limits allow."""
    if any(not m.filename for m in archive.infolist()):
        raise DataError(f"a file in '{name}' has no name", "pack it again")
    members = [m for m in archive.infolist() if not m.is_dir() and not _is_hidden(m.filename)]
    if len(members) > MEMBERS:
        raise DataError(f"'{name}' holds {len(members)} files, more than {MEMBERS}", "pack fewer files")
    for member in members:
        parts = PurePosixPath(_plain(member.filename, name)).parts
        if ".." in parts or member.filename.startswith("/") or ":" in parts[0] or "\\" in member.filename:
            raise DataError(
                f"'{name}' holds a name that leads out of it ('{member.filename}')", "pack it again"
            )
        if stat.S_ISLNK(member.external_attr >> 16):
            raise DataError(f"'{name}' holds a symbolic link ('{member.filename}')", "pack the file itself")
        if member.flag_bits & 1:
            raise DataError(f"'{name}' is locked with a password", "pack it without")
    unpacked, packed = sum(m.file_size for m in members), sum(m.compress_size for m in members)
    if unpacked > UNPACKED_BYTES or (unpacked > RATIO_FROM and unpacked > RATIO * packed):
        raise DataError(
            f"'{name}' has {packed} bytes and would unpack to {unpacked}, more than is allowed",
            f"pack at most {UNPACKED_BYTES >> 30} GiB, {RATIO} times the packed size",
        )
    return members


def _plain(name: str, place: str) -> str:
    """`name`, refused where it holds control characters."""
    if not name.isprintable():
        raise DataError(f"a name in '{place}' holds control characters ('{name}')", "rename the file")
    return name


def _is_hidden(name: str) -> bool:
    return name.startswith("__MACOSX/") or (name.rpartition("/")[2].startswith(".") and ".." not in name)


def _common_folder(names: list[str]) -> str:
    """The folder, with its slash, that an archive of one folder is made of; else nothing."""
    tops = {n.partition("/")[0] for n in names}
    if len(tops) != 1 or any("/" not in n for n in names):
        return ""
    top = f"{tops.pop()}/"
    below = [n.removeprefix(top) for n in names]
    return top if any("/" in n for n in below) or "labels.csv" in below else ""
