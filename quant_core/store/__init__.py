"""The store: what was measured, kept on disk."""

from quant_core.store.database import Database, home
from quant_core.store.store import Store, measurement_key
from quant_core.store.whole import write_whole

__all__ = ["Database", "Store", "home", "measurement_key", "write_whole"]
