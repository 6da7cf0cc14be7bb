"""Which materializer serves which scheme: Headwater's own by name, others by entry point (`headwater.materializers`)."""

from __future__ import annotations

import threading
from importlib import import_module
from importlib.metadata import entry_points
from typing import cast

from headwater.assets.events import AssetRef
from headwater.assets.location import ENTRY_POINTS, known_schemes
from headwater.assets.protocols import Materializer
from headwater.errors import LocationError
from headwater.forks import free_in_child

# Imported when first used: each of them brings a library that is slow to load.
_BUILT_IN = {
    "csv": ("headwater.materializers.csv", "CsvMaterializer"),
    "duckdb": ("headwater.materializers.duckdb", "DuckDBMaterializer"),
    "memory": ("headwater.materializers.memory", "MemoryMaterializer"),
    "parquet": ("headwater.materializers.parquet", "ParquetMaterializer"),
}

_lock = free_in_child(threading.Lock())
_made: dict[str, Materializer] = {}


def for_ref(ref: AssetRef) -> Materializer:
    """The materializer of an asset, one for each scheme in a process. Raises LocationError when there is none.

    >>> ref = AssetRef(name="x", uri="memory://x", kind="memory", namespace="memory", dataset="x")
    >>> for_ref(ref) is for_ref(ref)
    True
    """
    with _lock:
        if ref.kind not in _made:
            _made[ref.kind] = _make(ref)
        return _made[ref.kind]


def _make(ref: AssetRef) -> Materializer:
    if ref.kind in _BUILT_IN:
        module, name = _BUILT_IN[ref.kind]
        return cast(Materializer, getattr(import_module(module), name)())
    for entry in entry_points(group=ENTRY_POINTS):
        if entry.name == ref.kind:
            return cast(Materializer, entry.load()())
    raise LocationError(
        f"nothing can read or write locations of the scheme '{ref.kind}'",
        where=f"{ref.name} at {ref.uri}",
        hint=f"supported: {', '.join(f'{scheme}://' for scheme in known_schemes())}",
    )
