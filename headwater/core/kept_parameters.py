"""The parameters of a flow's run as another attempt of it needs them: as they were, or known to be lost."""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any

from headwater.core.parameters import is_secret
from headwater.core.results import INLINE

if TYPE_CHECKING:
    from headwater.core.flow import Flow

_INT64 = 1 << 63
_DEEPEST = 12
_MOST, _LONGEST = 1_000, 10_000


def kept_parameters(flow: Flow[..., Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Which parameters the journal does not hold as they were: those kept as typed JSON, left at their default, or lost.

    Nothing secret is kept.
    """
    kept: dict[str, str] = {}
    defaulted, lost = [], []
    for name, value in values.items():
        hidden = is_secret(name, value)
        if not hidden and _is_json(value, 0):
            continue
        text = None if hidden else _typed(flow, name, value)
        if text is not None:
            kept[name] = text
        elif value is flow.parameters[name].default:
            defaulted.append(name)
        else:
            lost.append(name)
    return {"kept": kept, "defaulted": tuple(defaulted), "lost": tuple(lost)}


def restored_parameters(
    flow: Flow[..., Any], plain: Mapping[str, Any], kept: Mapping[str, str], left_out: frozenset[str]
) -> dict[str, Any]:
    """The parameters of a run as they were, without those that are left out. Raises ResultError."""
    from headwater.core.encodings import JSON, decode

    found = {name: value for name, value in plain.items() if name not in left_out}
    for name, text in kept.items():
        found[name] = decode(JSON, text.encode(), hint=flow.hints.get(name))
    return found


def _typed(flow: Flow[..., Any], name: str, value: Any) -> str | None:
    from headwater.core.encodings import JSON, Encoded, encode

    # Classes of the user's own may hold secrets that nobody sees from here; an enum's member is no more than its name.
    hint = flow.hints.get(name) if isinstance(value, Enum) else None
    found = encode(value, limit=INLINE, hint=hint)
    return found.data.decode() if isinstance(found, Encoded) and found.encoding == JSON else None


def _is_json(value: Any, depth: int) -> bool:
    """Whether the journal holds a value just as it is (see `parameters`)."""
    kind = type(value)
    if value is None or kind is bool:
        return True
    if kind is int:
        return bool(-_INT64 <= value < _INT64)
    if kind is float:
        return math.isfinite(value)
    if kind is str:
        return len(value) <= _LONGEST and (value.isascii() or _is_unicode(value))
    if depth >= _DEEPEST or kind not in (list, dict) or len(value) > _MOST:
        return False
    if isinstance(value, dict):
        return all(type(key) is str and _is_json(one, depth + 1) for key, one in value.items())
    return all(_is_json(one, depth + 1) for one in value)


def _is_unicode(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
