"""Samples that are files, decoded when they are asked for."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections import OrderedDict

import numpy as np
from numpy.typing import NDArray

from quant_core.data.dataset import Dataset, Labels
from quant_core.data.files import Files

CACHE_BYTES = 256 << 20  # of decoded samples that are kept


class DecodedDataset(Dataset):
    """The files `names` of `files`, one sample each. `how` they are decoded is part of the key."""

    def __init__(self, files: Files, names: list[str], labels: Labels | None, how: str) -> None:
        self.name, self.files, self.names, self.labels = files.name, files, names, labels
        digest = hashlib.sha256(how.encode())
        for name in names:
            digest.update(name.encode())
            digest.update(hashlib.sha256(files.read(name)).digest())
        if labels is not None:
            digest.update(labels.tobytes())
        self.key = digest.hexdigest()
        self.forget()

    def __len__(self) -> int:
        return len(self.names)

    def forget(self) -> None:
        """Keep nothing that was decoded."""
        self._kept: OrderedDict[int, NDArray[np.float32]] = OrderedDict()
        self._kept_bytes = 0

    def sample(self, index: int) -> NDArray[np.float32]:
        """The decoded sample at `index`; the last ones used are kept, up to `CACHE_BYTES`."""
        if index in self._kept:
            self._kept.move_to_end(index)
            return self._kept[index]
        made = self.decode(self.names[index], self.files.read(self.names[index]))
        self._kept[index] = made
        self._kept_bytes += made.nbytes
        while self._kept_bytes > CACHE_BYTES and len(self._kept) > 1:
            self._kept_bytes -= self._kept.popitem(last=False)[1].nbytes
        return made

    @abstractmethod
    def decode(self, name: str, content: bytes) -> NDArray[np.float32]:
        """The sample that the file `name` holds."""
