"""What was computed at the cuts of a graph, kept up to a limit of bytes: what was not used for longest goes
first."""

from __future__ import annotations

from collections import OrderedDict
from functools import cache

import psutil

from quant_core.data import Batch

LIMIT = 1 << 30  # bytes, or an eighth of the machine's memory where that is less


class Memo:
    """Batches of tensors under a key. `limit` is in bytes of tensors; `held` are those held now."""

    def __init__(self, limit: int = LIMIT) -> None:
        self.limit, self.held = limit, 0
        self._kept: OrderedDict[str, tuple[list[Batch], int]] = OrderedDict()

    def get(self, key: str) -> list[Batch] | None:
        """What is kept under `key`, None where nothing is."""
        if key not in self._kept:
            return None
        self._kept.move_to_end(key)
        return self._kept[key][0]

    def put(self, key: str, batches: list[Batch]) -> None:
        """Keep `batches` under `key`, unless they alone are above the limit."""
        size = sum(array.nbytes for batch in batches for array in batch.values())
        if size > self.limit or key in self._kept:
            return
        self._kept[key] = batches, size
        self.held += size
        while self.held > self.limit:
            _, (_, freed) = self._kept.popitem(last=False)
            self.held -= freed

    def clear(self) -> None:
        """Let everything go."""
        self._kept.clear()
        self.held = 0


@cache
def process_memo() -> Memo:
    """The one memo of this process, so that its limit holds whatever is open."""
    return Memo(at_most(LIMIT))


def at_most(limit: int) -> int:
    """`limit` bytes, or an eighth of the machine's memory where that is less."""
    return min(limit, int(psutil.virtual_memory().total) // 8)
