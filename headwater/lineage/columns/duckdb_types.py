"""Types of columns as other engines print them, in DuckDB's words."""

from __future__ import annotations

import re
from collections.abc import Iterator

from headwater.assets.sql import quoted

_OTHERS = {
    "Float64": "DOUBLE",
    "Float32": "FLOAT",
    "UInt8": "UTINYINT",
    "UInt16": "USMALLINT",
    "UInt32": "UINTEGER",
    "UInt64": "UBIGINT",
    "Utf8": "VARCHAR",
    "Categorical": "VARCHAR",
    "Enum": "VARCHAR",
    "Binary": "BLOB",
    "Datetime": "TIMESTAMP",
    "Duration": "INTERVAL",
    "Null": "INTEGER",
    "float64": "DOUBLE",
    "float32": "FLOAT",
    "object": "VARCHAR",
    "str": "VARCHAR",
    "large_string": "VARCHAR",
}
"""Types as Polars, pandas and Arrow print them, where DuckDB doesn't take the same word."""

_PREFIXES = {"datetime64[": "TIMESTAMP", "timestamp[": "TIMESTAMP", "date32": "DATE", "date64": "DATE"}
"""The same for types that pandas and Arrow print with their units."""

_DECIMAL = re.compile(r"[Dd]ecimal(?:128)?\((?:precision=)?(\d+), (?:scale=)?(\d+)\)")


def duckdb_type(printed: str) -> str:
    """The type in DuckDB's words: types of Polars, pandas and Arrow are translated, all others are taken as they are.

    >>> duckdb_type("Datetime(time_unit='us', time_zone='UTC')"), duckdb_type("DECIMAL(9,2)")
    ('TIMESTAMPTZ', 'DECIMAL(9,2)')
    >>> duckdb_type("List(Struct({'city': String, 'at': Array(Float64, shape=(2,))}))")
    'STRUCT("city" String, "at" DOUBLE[2])[]'
    """
    word, _, rest = printed.partition("(")
    inner = rest[:-1]
    if decimal := _DECIMAL.fullmatch(printed):
        return f"DECIMAL({decimal[1]},{decimal[2]})"
    if word == "Datetime" and "time_zone='" in printed:
        return "TIMESTAMPTZ"
    if word == "List" and inner:
        return duckdb_type(inner) + "[]"
    if word == "Array" and ", shape=(" in inner:
        item, _, shape = inner.rpartition(", shape=(")
        return duckdb_type(item) + "".join(f"[{size.strip()}]" for size in shape.rstrip(")").split(",") if size.strip())
    if word == "Struct" and inner[:1] == "{":
        members = (f"{quoted(name)} {duckdb_type(of)}" for name, of in _members(inner[1:-1]))
        return f"STRUCT({', '.join(members)})"
    like = next((found for prefix, found in _PREFIXES.items() if printed.startswith(prefix)), printed)
    return _OTHERS.get(word, like)


_MEMBER = re.compile(r"""\s*(['"])((?:\\.|(?!\1).)*)\1: """)
"""A struct's field as Polars prints it, up to its type: the name in the quotes that Python would choose."""


def _members(text: str) -> Iterator[tuple[str, str]]:
    """The fields of a struct, each with its type as printed."""
    found = _MEMBER.match(text)
    while found is not None:
        end = _end_of_type(text, found.end())
        yield re.sub(r"\\(.)", r"\1", found[2]), text[found.end() : end]
        found = _MEMBER.match(text, end + 1)


def _end_of_type(text: str, start: int) -> int:
    """Where the type that begins here ends: at the next comma outside of brackets and names."""
    depth, quote = 0, ""
    for at in range(start, len(text)):
        letter = text[at]
        if quote:
            quote = "" if letter == quote and text[at - 1] != "\\" else quote
        elif letter in "'\"":
            quote = letter
        elif letter == "," and not depth:
            return at
        else:
            depth += (letter in "({[") - (letter in ")}]")
    return len(text)
