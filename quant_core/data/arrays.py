"""Arrays from `.npz` and `.npy` files, read without running code and without trusting their headers."""

from __future__ import annotations

import hashlib
import lzma
import math
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from quant_core.data.files import Folder, check_members
from quant_core.errors import DataError

_BLOCK = 1 << 20
_BAD = (
    OSError, ValueError, TypeError, SyntaxError, EOFError, KeyError, MemoryError, RuntimeError,
    NotImplementedError, tokenize.TokenError, zipfile.BadZipFile, zlib.error, lzma.LZMAError,
)  # fmt: skip


class NpzArrays(Mapping[str, NDArray[np.generic]]):
    """The arrays of an `.npz` file, read when they are asked for. DataError where one cannot be."""

    def __init__(self, path: Path) -> None:
        self.name = path.name
        try:
            self._archive = zipfile.ZipFile(path)
        except _BAD as error:
            raise self._unreadable() from error
        members = check_members(path.name, self._archive)
        self._members = {m.filename.removesuffix(".npy"): m for m in members if m.filename.endswith(".npy")}

    def __len__(self) -> int:
        return len(self._members)

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __getitem__(self, key: str) -> NDArray[np.generic]:
        member = self._members[key]
        try:
            with self._archive.open(member) as stream:
                return read_array(stream, member.file_size)
        except _BAD as error:
            raise self._unreadable(f" (array '{key}': {_why(error)})") from error

    def _unreadable(self, why: str = "") -> DataError:
        return DataError(
            f"'{self.name}' is not a readable .npz file{why}", "save it with numpy.savez, without objects"
        )


def read_npy(path: Path) -> NDArray[np.generic]:
    """The array of the file at `path`. DataError where it cannot be read as it stands."""
    try:
        with path.open("rb") as stream:
            return read_array(stream, path.stat().st_size)
    except _BAD as error:
        raise _unreadable_npy(path.name, error) from error


def read_npy_folder(folder: Folder) -> dict[str, NDArray[np.generic]]:
    """The arrays of the `.npy` files in `folder`, by name. DataError where one cannot be read."""
    arrays = {}
    for name in folder.ending({".npy"}):
        stream, size = folder.open(name)
        with stream:
            try:
                arrays[name.removesuffix(".npy")] = read_array(stream, size)
            except _BAD as error:
                raise _unreadable_npy(name, error) from error
    return arrays


def read_array(stream: IO[bytes], size: int) -> NDArray[np.generic]:
    """The array in the NumPy format (NEP 1) that `stream` holds in `size` bytes. ValueError where it holds
    objects, which would run code, or where its header declares more than there is."""
    version = npy.read_magic(stream)
    read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, fortran, dtype = read_header(stream)
    if dtype.hasobject:
        raise ValueError("it holds objects")
    declared = math.prod(shape) * dtype.itemsize
    if any(n < 0 for n in shape) or declared > size:
        raise ValueError(f"its header declares {declared} bytes, the file has {size}")
    content = stream.read(declared)
    if len(content) < declared:
        raise ValueError(f"its header declares {declared} bytes, the file has {len(content)}")
    flat: NDArray[np.generic] = np.frombuffer(bytearray(content), dtype)
    return flat.reshape(shape[::-1]).T if fortran else flat.reshape(shape)


def digest_of(*paths: Path) -> str:
    """The SHA-256 of the content of files, one after the other."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as stream:
            while block := stream.read(_BLOCK):
                digest.update(block)
    return digest.hexdigest()


def _why(error: BaseException) -> str:
    return str(error) if isinstance(error, ValueError) else type(error).__name__


def _unreadable_npy(name: str, error: BaseException) -> DataError:
    return DataError(
        f"'{name}' is not a readable .npy file ({_why(error)})", "save it with numpy.save, without objects"
    )
