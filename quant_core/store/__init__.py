"""The store: what was measured, kept on disk, and the folder it lies in."""

from quant_core.store.database import Database, home
from quant_core.store.store import Store, measurement_key
from quant_core.store.whole import write_whole
from quant_core.store.workspace import delete_everything, enforce_limits, touch_used, workspace_bytes

__all__ = [
    "Database",
    "Store",
    "delete_everything",
    "enforce_limits",
    "home",
    "measurement_key",
    "touch_used",
    "workspace_bytes",
    "write_whole",
]
