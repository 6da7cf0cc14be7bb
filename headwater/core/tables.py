"""Tables and arrays within results, each as its own library writes it: Arrow's format for frames, NumPy's for arrays.

None of the libraries is imported unless a value, or a result that is read, is one of theirs.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from io import BytesIO
from typing import TYPE_CHECKING, Any, NamedTuple

from headwater.core import pandas_tables
from headwater.errors import ResultError

if TYPE_CHECKING:
    from headwater.core.encodings import Encoded, Refused

_LIBRARIES = frozenset({"polars", "pandas", "pyarrow", "numpy"})


class Format(NamedTuple):
    """How one kind of table is written, read and compared. What is wrong with a value is raised as ValueError."""

    write: Callable[[Any], bytes]
    read: Callable[[bytes], Any]
    same: Callable[[Any, Any], bool]


def is_table(value: object) -> bool:
    """Whether a value is of one of the libraries whose values are understood here.

    >>> import polars
    >>> is_table(polars.DataFrame()), is_table([1])
    (True, False)
    """
    return type(value).__module__.partition(".")[0] in _LIBRARIES


def encode(value: object, limit: int | None) -> Encoded | Refused:
    """A table as bytes, checked by reading them back; or why that can't be."""
    from headwater.core.encodings import Encoded, Refused

    if limit is not None:
        return Refused(f"result is a {named(value)}, which may be large")
    name = _format(value)
    if name is None:
        return Refused(f"result is a {named(value)}{_hint(value)}")
    try:
        data = FORMATS[name].write(value)
        if not same(value, FORMATS[name].read(data)):
            return Refused(f"result is a {named(value)} that does not come back equal")
    except Exception as error:  # noqa: BLE001 - what a library refuses to write, it refuses in its own words
        return Refused(f"result is a {named(value)} that can't be stored: {error}")
    return Encoded(name, data)


def decode(encoding: str, data: bytes) -> Any:
    """The table of what `encode` gave. Raises ResultError for an encoding that is not known, or what the library raises."""
    if encoding not in FORMATS:
        raise ResultError(f"a result is encoded in a way that this version does not know: {encoding[:20]!r}")
    return FORMATS[encoding].read(data)


def same(one: Any, other: Any) -> bool:
    """Whether two tables hold the same, in the same types."""
    name = _format(one)
    return type(one) is type(other) and name is not None and FORMATS[name].same(one, other)


def content(value: Any) -> bytes:
    """Bytes that stand for all of a table's content. Raises ValueError for what has none, or what its library raises."""
    name = _format(value)
    if name is None:
        raise ValueError(f"its content can't be told{_hint(value)}")
    if name.startswith("polars"):
        frame = value if name == "polars" else value.to_frame()
        file = BytesIO()
        # Parquet holds values alone. Arrow's format tells how they lie in memory, too: slices and parts of a frame differ.
        frame.write_parquet(file, compression="uncompressed", statistics=False)
        return f"{name} {frame.schema}".encode() + file.getvalue()
    return f"{name} ".encode() + FORMATS[name].write(value)


def named(value: object) -> str:
    """What a table is called: its library and its class."""
    cls = type(value)
    return f"{cls.__module__.partition('.')[0]}.{cls.__qualname__}"


def _hint(value: object) -> str:
    if type(value).__name__ == "LazyFrame":
        return ", a plan without data: collect it, and return what comes of that"
    return ""


def _format(value: object) -> str | None:
    library, cls = type(value).__module__.partition(".")[0], type(value).__name__
    return _CLASSES.get((library, cls)) or ("numpy.scalar" if _is_scalar(value) else None)


def _is_scalar(value: object) -> bool:
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, numpy.generic)


def _write_polars(frame: Any) -> bytes:
    file = BytesIO()
    frame.write_ipc(file, compression="zstd")
    return file.getvalue()


def _read_polars(data: bytes) -> Any:
    import polars as pl

    return pl.read_ipc(BytesIO(data))


def _same_polars(one: Any, other: Any) -> bool:
    return bool(one.schema == other.schema and one.equals(other, null_equal=True))


def _read_series(data: bytes) -> Any:
    (series,) = _read_polars(data).get_columns()
    return series


def _same_series(one: Any, other: Any) -> bool:
    return bool(one.dtype == other.dtype and one.name == other.name and one.equals(other, null_equal=True))


def _write_numpy(array: Any) -> bytes:
    import numpy as np

    file = BytesIO()
    np.lib.format.write_array(file, np.asarray(array), allow_pickle=False)
    return file.getvalue()


def _read_numpy(data: bytes) -> Any:
    import numpy as np

    return np.lib.format.read_array(BytesIO(data), allow_pickle=False)


def _same_numpy(one: Any, other: Any) -> bool:
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    return bool(one.tobytes() == other.tobytes())


def _write_arrow(table: Any) -> bytes:
    pa = _pyarrow()
    file = BytesIO()
    with pa.ipc.new_stream(file, table.schema) as writer:
        writer.write(table)
    return file.getvalue()


def _read_arrow(data: bytes) -> Any:
    pa = _pyarrow()
    if int(pa.__version__.partition(".")[0]) < _SAFE_ARROW:
        raise ResultError(
            "this version of pyarrow may run code of what it reads", hint="upgrade it: pip install -U pyarrow"
        )
    return pa.ipc.open_stream(data).read_all()


def _pyarrow() -> Any:
    return importlib.import_module("pyarrow")


_SAFE_ARROW = 15
"""Before, pyarrow unpickled the extension types of what it read."""


def _same_arrow(one: Any, other: Any) -> bool:
    return bool(one.equals(other, check_metadata=True))


FORMATS: dict[str, Format] = {
    "polars": Format(_write_polars, _read_polars, _same_polars),
    "polars.series": Format(lambda one: _write_polars(one.to_frame()), _read_series, _same_series),
    "numpy": Format(_write_numpy, _read_numpy, _same_numpy),
    "numpy.scalar": Format(_write_numpy, lambda data: _read_numpy(data)[()], _same_numpy),
    "pandas": Format(pandas_tables.write, pandas_tables.read, pandas_tables.same),
    "arrow": Format(_write_arrow, _read_arrow, _same_arrow),
}
_CLASSES: dict[tuple[str, str], str] = {
    ("polars", "DataFrame"): "polars",
    ("polars", "Series"): "polars.series",
    ("numpy", "ndarray"): "numpy",
    ("pandas", "DataFrame"): "pandas",
    ("pandas", "Series"): "pandas",
    ("pyarrow", "Table"): "arrow",
}
