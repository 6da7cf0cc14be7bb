"""How names and values are written down: SQL identifiers and literals, partition keys as file names, literal globs."""

from __future__ import annotations

from datetime import date, datetime
from urllib.parse import unquote

from headwater.assets.key_text import check_key, file_name
from headwater.errors import MaterializationError

_EMPTY = "%"  # no encoded key is a lone percent sign


def identifier(name: str) -> str:
    """A name as a quoted SQL identifier; the one place where identifiers enter SQL.

    >>> identifier('a"b; DROP')
    '"a""b; DROP"'
    """
    if not name or "\0" in name:
        raise MaterializationError(f"{name!a} can't be the name of a table or column", hint="rename it")
    return '"' + name.replace('"', '""') + '"'


def literal(value: str | int | date | datetime) -> str:
    """A value as an SQL literal, for queries that are handed on as text; elsewhere values are parameters.

    >>> literal("O'Hare"), literal(date(2013, 1, 5)), literal(7)
    ("'O''Hare'", "DATE '2013-01-05'", '7')
    """
    if isinstance(value, datetime):
        return f"TIMESTAMP {literal(value.isoformat(sep=' '))}"
    if isinstance(value, date):
        return f"DATE {literal(value.isoformat())}"
    if isinstance(value, int):
        return str(int(value))
    if "\0" in value:
        raise MaterializationError(f"{value!r} can't be written in SQL")
    return "'" + value.replace("'", "''") + "'"


def encode_key(key: str) -> str:
    """A partition key as a file name; `decode_key` gives it back exactly.

    Raises PartitionError for a key that holds control characters or is too long for a file name.

    >>> encode_key("2013-01-05"), encode_key("../x"), encode_key("a%b c")
    ('2013-01-05', '%2E.%2Fx', 'a%25b%20c')
    """
    if not key:
        return _EMPTY
    check_key(key, "a partition key")
    return file_name(key)


def decode_key(name: str) -> str:
    """The partition key that a file name stands for.

    >>> decode_key(encode_key("../x"))
    '../x'
    """
    return "" if name == _EMPTY else unquote(name)
