"""Where a frame's columns lie in memory, to know them again as the leaves of a lazy plan.

Read through the Arrow C stream of each column (without copying, and without pyarrow).
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl


class _Array(ctypes.Structure):
    """struct ArrowArray of the Arrow C data interface."""


_Release = ctypes.CFUNCTYPE(None, ctypes.POINTER(_Array))
_Array._fields_ = [
    ("length", ctypes.c_int64),
    ("null_count", ctypes.c_int64),
    ("offset", ctypes.c_int64),
    ("n_buffers", ctypes.c_int64),
    ("n_children", ctypes.c_int64),
    ("buffers", ctypes.POINTER(ctypes.c_void_p)),
    ("children", ctypes.POINTER(ctypes.POINTER(_Array))),
    ("dictionary", ctypes.POINTER(_Array)),
    ("release", ctypes.c_void_p),
    ("private_data", ctypes.c_void_p),
]


class _Stream(ctypes.Structure):
    """struct ArrowArrayStream of the Arrow C stream interface."""


_Stream._fields_ = [
    ("get_schema", ctypes.c_void_p),
    ("get_next", ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(_Stream), ctypes.POINTER(_Array))),
    ("get_last_error", ctypes.c_void_p),
    ("release", ctypes.c_void_p),
    ("private_data", ctypes.c_void_p),
]

_pointer_of = ctypes.pythonapi.PyCapsule_GetPointer
_pointer_of.restype = ctypes.c_void_p
_pointer_of.argtypes = [ctypes.py_object, ctypes.c_char_p]

Address = tuple[int, ...]
"""The buffers of one chunk that hold its values and which of them are null; then offset and length."""


def buffers(frame: pl.DataFrame) -> dict[str, int]:
    """The columns of a frame, each by a number that stands for the memory it lies in.

    Two frames of one process whose columns are the same piece of memory get the same number; a column that was computed
    gets another one, and so does a slice: a filter that keeps neighbouring rows makes one, and it must not pass for the
    whole. Columns without memory of their own (no rows, only nulls, Python objects) are left out.

    >>> import polars as pl
    >>> frame = pl.DataFrame({"a": [1, 2], "b": ["x", "y"]})
    >>> buffers(frame) == buffers(frame.lazy().select("a", "b").collect())
    True
    >>> buffers(frame)["a"] == buffers(frame.with_columns(pl.col("a") + 1))["a"]
    False
    """
    found = {series.name: _number(series) for series in frame.get_columns()}
    return {name: number for name, number in found.items() if number is not None}


def _number(series: pl.Series) -> int | None:
    if series.dtype.is_object():
        return None
    chunks = tuple(_chunks(series))
    if not chunks or any(not chunk or _shared() & set(chunk[:-2]) for chunk in chunks):
        return None
    # With the type: a cast may copy nothing, and gives other values all the same.
    return hash((series.dtype, chunks)) & 0x7FFF_FFFF_FFFF_FFFF


@lru_cache(maxsize=1)
def _shared() -> frozenset[int]:
    """Memory that belongs to no column: Polars keeps one block of zeros for all bitmaps that are false throughout."""
    import polars as pl

    first, second = (set(next(_chunks(pl.repeat(False, 64, eager=True)))[:-2]) for _ in range(2))
    return frozenset(first & second) - {0}


def _chunks(series: pl.Series) -> Iterator[Address]:
    capsule = series.__arrow_c_stream__()
    stream = ctypes.cast(_pointer_of(capsule, b"arrow_array_stream"), ctypes.POINTER(_Stream))
    while True:
        array = _Array()
        if stream.contents.get_next(stream, ctypes.byref(array)) != 0 or not array.release:
            return
        address = _address(array) if array.length else ()
        address = (*address, array.offset, array.length) if address else ()
        _Release(array.release)(ctypes.byref(array))
        yield address


def _address(array: _Array) -> Address:
    """Where validity and values lie. Of a list the items count too, since they change while the offsets stay."""
    own = tuple(array.buffers[position] or 0 for position in range(min(array.n_buffers, 2)))
    nested = (_address(array.children[position].contents) for position in range(array.n_children))
    address = own + tuple(number for child in nested for number in child)
    return address if any(address[1:]) else ()
