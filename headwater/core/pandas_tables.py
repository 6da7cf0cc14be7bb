"""pandas frames and series as bytes and back, column by column; what pandas' own comparison finds different is refused.

pandas writes Arrow and Parquet only with pyarrow, which need not be installed; this needs NumPy alone.
"""

from __future__ import annotations

import importlib
from typing import Any

from headwater.errors import ResultError

_NATIVE = "biufcmM"
"""NumPy's kinds of values that are plain bytes."""
_NULLABLE = frozenset(
    {"boolean", "Float32", "Float64", *(f"{sign}Int{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64))}
)
_LISTED = frozenset({"str", "string", "object"})


def write(value: Any) -> bytes:
    """A frame or a series as JSON that keeps types. Raises ValueError for what can't be kept."""
    from headwater.core.encodings import Refused
    from headwater.core.typed_json import encode

    if type(value).__name__ == "Series":
        parts: dict[str, Any] = {"series": _array(value), "name": value.name, "index": _index(value.index)}
    else:
        parts = {
            "values": [_array(value.iloc[:, at]) for at in range(value.shape[1])],
            "columns": _index(value.columns),
            "index": _index(value.index),
        }
    found = encode(parts, None)
    if isinstance(found, Refused):
        raise ValueError(found.reason.removeprefix("result"))
    return found.data


def read(data: bytes) -> Any:
    """The frame or the series again."""
    from headwater.core.typed_json import decode

    pd, parts = _pandas(), decode(data)
    index = _index_of(parts["index"])
    if "series" in parts:
        return pd.Series(_array_of(parts["series"]), index=index, name=parts["name"], copy=False)
    columns = {at: pd.Series(_array_of(one), index=index) for at, one in enumerate(parts["values"])}
    frame = pd.DataFrame(columns, index=index)
    frame.columns = _index_of(parts["columns"])
    return frame


def same(one: Any, other: Any) -> bool:
    """Whether two of them are alike in values, types, names and order."""
    testing = _pandas().testing
    compare = testing.assert_series_equal if type(one).__name__ == "Series" else testing.assert_frame_equal
    try:
        compare(one, other, check_exact=True)
    except AssertionError:
        return False
    return not one.attrs


def _pandas() -> Any:
    return importlib.import_module("pandas")


def _array(series: Any) -> tuple[Any, ...]:
    kind = str(series.dtype)
    if getattr(series.dtype, "kind", "O") in _NATIVE and type(series.dtype).__module__.startswith("numpy"):
        return "numpy", series.to_numpy()
    if kind in _NULLABLE:
        missing = series.isna().to_numpy()
        plain = series.fillna(False if kind == "boolean" else 0)
        return "nullable", kind, plain.to_numpy(dtype=series.dtype.numpy_dtype), missing
    if kind in _LISTED:
        return "list", kind, series.tolist()
    if kind == "category":
        return "category", series.cat.codes.to_numpy(), _index(series.cat.categories), bool(series.cat.ordered)
    if kind.startswith("datetime64[") and getattr(series.dtype, "tz", None) is not None:
        return "zoned", series.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy(), str(series.dtype.tz)
    raise ValueError(f"has a column of type {kind}, which can't be kept")


def _array_of(parts: tuple[Any, ...]) -> Any:
    pd, (kind, *rest) = _pandas(), parts
    if kind == "numpy":
        return rest[0]
    if kind == "nullable" and rest[0] in _NULLABLE:
        array = pd.array(rest[1], dtype=rest[0])
        array[rest[2]] = pd.NA
        return array
    if kind == "list" and rest[0] in _LISTED:
        return pd.array(rest[1], dtype=rest[0]) if rest[0] != "object" else pd.Series(rest[1], dtype=object).array
    if kind == "category":
        return pd.Categorical.from_codes(rest[0], _index_of(rest[1]), ordered=rest[2])
    if kind == "zoned":
        return pd.Series(rest[0]).dt.tz_localize("UTC").dt.tz_convert(rest[1]).array
    raise ResultError(f"a result holds a column that this version does not know: {str(kind)[:20]!r}")


def _index(index: Any) -> tuple[Any, ...]:
    if type(index).__name__ == "RangeIndex":
        return "range", index.start, index.stop, index.step, index.name
    if type(index).__name__ == "MultiIndex":
        raise ValueError("has an index of several levels, which can't be kept: reset_index() makes columns of them")
    return "index", _array(index.to_series()), index.name


def _index_of(parts: tuple[Any, ...]) -> Any:
    pd = _pandas()
    if parts[0] == "range":
        return pd.RangeIndex(*parts[1:4], name=parts[4])
    return pd.Index(_array_of(parts[1]), name=parts[2])
