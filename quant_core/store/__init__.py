"""The store: measurements, kept as soon as they exist."""

from quant_core.store.store import Store, home, measurement_key

__all__ = ["Store", "home", "measurement_key"]
