"""The parameters of a run as they stand in the journal: JSON values, and no secrets."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import date, time
from enum import Enum
from pathlib import PurePath
from typing import Any

REDACTED = "***"
LONGEST = 1_000
"""Characters of a value that is not JSON."""
_LONGEST_TEXT = 10_000
_MOST_ITEMS = 1_000
_DEPTH = 12
_SECRET = re.compile(r"passw(or)?d|secret|token|api_?key|private_?key|credential", re.IGNORECASE)


def plain_parameters(values: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters as JSON values; what is no JSON as its repr, and "***" for what is secret by its type or its name.

    >>> plain_parameters({"day": "2024-01-01", "db_password": "hunter2", "size": 1j})
    {'day': '2024-01-01', 'db_password': '***', 'size': '1j'}
    """
    return {name: _named(name, value, 0) for name, value in values.items()}


def is_secret(name: str, value: Any, depth: int = 0, *, most: int = _MOST_ITEMS) -> bool:
    """Whether a value is secret by its name or its type, or holds something that is, or more than is looked through.

    >>> is_secret("db_password", "x"), is_secret("options", {"token": "x"}), is_secret("day", "2024-01-01")
    (True, True, False)
    """
    if _SECRET.search(name) or _is_secret(value):
        return True
    if not isinstance(value, (Mapping, list, tuple, set, frozenset)):
        return False
    if depth > _DEPTH or len(value) > most:
        return True
    if isinstance(value, Mapping):
        return any(is_secret(str(key), one, depth + 1, most=most) for key, one in value.items())
    return any(is_secret("", one, depth + 1, most=most) for one in value)


def _named(name: str, value: Any, depth: int) -> Any:
    return REDACTED if _SECRET.search(name) else _plain(value, depth)


def _plain(value: Any, depth: int) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Enum):
        return _plain(value.value, depth)
    if isinstance(value, int):
        # 64 bits are what every reader of JSON keeps exactly.
        return int(value) if -(2**63) <= value < 2**63 else str(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(value)
    if isinstance(value, str):
        return _short(value.encode("utf-8", "replace").decode(), _LONGEST_TEXT)
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, PurePath):
        return _short(str(value), _LONGEST_TEXT)
    if _is_secret(value):
        return REDACTED
    if isinstance(value, (Mapping, list, tuple, set, frozenset)):
        return _container(value, depth)
    return _text(value)


def _container(value: Any, depth: int) -> Any:
    if len(value) > _MOST_ITEMS or depth > _DEPTH:
        return f"<{type(value).__name__} of {len(value)} items>"
    if isinstance(value, Mapping):
        return {
            (key if isinstance(key, str) else _text(key)): _named(str(key), one, depth + 1)
            for key, one in value.items()
        }
    return [_plain(one, depth + 1) for one in value]


def _is_secret(value: Any) -> bool:
    # By name, because importing pydantic only to ask costs 75 ms.
    return any(
        cls.__module__.partition(".")[0] == "pydantic" and cls.__name__.startswith("Secret")
        for cls in type(value).__mro__
    )


def _text(value: Any) -> str:
    return _short(repr_of(value).encode("utf-8", "replace").decode(), LONGEST)


def repr_of(value: Any) -> str:
    """The repr of a value, or its type where that raises.

    >>> repr_of(1j)
    '1j'
    """
    try:
        return repr(value)
    except Exception:  # noqa: BLE001 - a repr of the user's own may raise anything, and must not stop the run
        return f"<{type(value).__name__}>"


def _short(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
