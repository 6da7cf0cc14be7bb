"""Values as bytes and back, by their type: what would not come back equal is refused.

What is read names no module and no class that would be imported: classes of the user's own come from the task's return
annotation alone. Pickle is written and read only for a task that asked for it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from headwater.errors import ResultError
from headwater.records import dataclass

PICKLE = "pickle"
JSON = "json"

_ATOMS: dict[type, Callable[[Any], bytes | None]] = {
    type(None): lambda _: b"null",
    bool: lambda value: b"true" if value else b"false",
    int: lambda value: b"%d" % value if -(2**63) <= value < 2**63 else None,
    float: lambda value: repr(value).encode() if math.isfinite(value) else None,
}
"""Values that are the same in JSON as they are here: most results are one of these, and need no walk."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """A value as bytes, and the name of the encoding that gives it back."""

    encoding: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a value can't be encoded; it says where in the value, which it calls `result`."""

    reason: str


def encode(value: object, *, limit: int | None = None, pickle: bool = False, hint: Any = None) -> Encoded | Refused:
    """A value as bytes that give back an equal one, which is checked; or why that can't be.

    With a `limit`, in bytes, what is larger is refused before all of it is looked at, and so is every table. `hint` is the
    return annotation of the task: dataclasses, enums, named tuples and pydantic models are encoded when it names them. With
    `pickle`, what no other encoding takes is pickled.

    >>> encode({"a": (1, 2)})
    Encoded(encoding='json', data=b'{"d":[["a",{"t":[1,2]}]]}')
    >>> encode({"a": [print]})
    Refused(reason="result['a'][0] is a builtin_function_or_method")
    >>> encode("x" * 5_000, limit=4_096)
    Refused(reason='result is larger than 4,096 bytes')
    """
    atom = _ATOMS.get(type(value))
    if atom is not None:
        data = atom(value)
        if data is not None:
            return Encoded(JSON, data)
    elif type(value) is str and value.isascii() and (limit is None or len(value) < limit // 2):
        from orjson import dumps

        return Encoded(JSON, dumps(value))
    from headwater.core import tables, typed_json

    found = tables.encode(value, limit) if tables.is_table(value) else typed_json.encode(value, limit, hint)
    if isinstance(found, Refused) and pickle:
        return _pickled(value, limit)
    return found


def decode(encoding: str, data: bytes, *, pickle: bool = False, hint: Any = None) -> Any:
    """The value of what `encode` gave. Raises ResultError for what is damaged, unknown or not allowed here.

    >>> decode("json", b'{"d":[["a",{"t":[1,2]}]]}')
    {'a': (1, 2)}
    """
    try:
        if encoding == JSON:
            from headwater.core import typed_json

            return typed_json.decode(data, hint)
        if encoding == PICKLE:
            return _unpickled(data, allowed=pickle)
        from headwater.core import tables

        return tables.decode(encoding, data)
    except ResultError:
        raise
    except Exception as error:
        raise ResultError(f"a result can't be read ({encoding[:20]}): {type(error).__name__}: {error}") from error


def _pickled(value: object, limit: int | None) -> Encoded | Refused:
    import pickle

    try:
        data = pickle.dumps(value, protocol=5)
        if limit is not None and len(data) > limit:
            return Refused(f"result is larger than {limit:,} bytes")
        same = _comes_back(value, pickle.loads(data))  # noqa: S301 - written a line ago
    except Exception as error:  # noqa: BLE001 - a class of the user's own may raise anything when it is pickled
        return Refused(f"result can't be pickled: {type(error).__name__}: {error}")
    return Encoded(PICKLE, data) if same else Refused("result does not come back equal when it is pickled")


def _comes_back(value: object, back: object) -> bool:
    if type(back) is not type(value):
        return False
    # What compares by identity never equals its copy: the task that asked for pickle vouches for it.
    return type(value).__eq__ is object.__eq__ or bool(value == back)


def _unpickled(data: bytes, *, allowed: bool) -> Any:
    if not allowed:
        raise ResultError("a pickled result is only read for a task that asks for it", hint='write result="pickle"')
    import pickle

    return pickle.loads(data)  # noqa: S301 - the task asked for it
