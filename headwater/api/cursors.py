"""Cursors: where a page of a list ends, so that the next one begins there, whatever has come in between."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from headwater.api.problems import ApiError


def encoded_cursor(*values: str | int | None) -> str:
    """Where a page ends, as a text that stands for itself in a URL.

    >>> decoded(encoded_cursor("2026", 7), 2)
    ['2026', 7]
    """
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


def decoded(cursor: str | None, length: int) -> list[Any] | None:
    """What a cursor holds; None when there is none. Raises ApiError for one that is not ours."""
    if cursor is None:
        return None
    try:
        data = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        found = json.loads(data)
    except (binascii.Error, ValueError, RecursionError):
        found = None
    if not isinstance(found, list) or len(found) != length or not all(type(one) in (str, int) for one in found):
        raise _foreign()
    return found


def offset(cursor: str | None) -> int:
    """Where a page of a list with places begins. Raises ApiError."""
    found = decoded(cursor, 1)
    if found is None:
        return 0
    if type(found[0]) is not int or not 0 <= found[0] < 2**53:
        raise _foreign()
    start: int = found[0]
    return start


def rank_and_name(cursor: str | None) -> list[Any] | None:
    """Where a page of the board ends: the rank of the verdict and the name of its last asset. Raises ApiError."""
    found = decoded(cursor, 2)
    if found is not None and (type(found[0]) is not int or type(found[1]) is not str):
        raise _foreign()
    return found


def moment_and_id(cursor: str | None) -> tuple[str, str] | None:
    """Where a page of a list by time ends: the moment and the id of its last row. Raises ApiError."""
    found = decoded(cursor, 2)
    if found is None:
        return None
    try:
        moment = datetime.fromisoformat(str(found[0]))
    except ValueError:
        raise _foreign() from None
    if moment.utcoffset() != timedelta(0) or not isinstance(found[1], str) or len(found[1]) > 1_000:
        raise _foreign()
    return moment.isoformat(), found[1]


def until_and_offset(cursor: str | None) -> tuple[str | None, int]:
    """Where a page of a list with places begins that new rows come in front of, and when the newest row of its first page came.

    Raises ApiError.
    """
    found = moment_and_id(cursor)
    if found is None:
        return None, 0
    until, place = found
    if not place.isdecimal() or len(place) > 15:
        raise _foreign()
    return until, int(place)


def cut(found: Mapping[str, Any], name: str, limit: int, *members: str) -> dict[str, Any]:
    """A page out of an answer that has one row more where there is another page; `members` make the cursor.

    >>> cut({"runs": [{"id": "b"}, {"id": "a"}]}, "runs", 2, "id")["next"] is None
    True
    """
    rows = found[name]
    more = encoded_cursor(*(rows[limit - 1][one] for one in members)) if len(rows) > limit else None
    return {**found, name: rows[:limit], "next": more}


def _foreign() -> ApiError:
    return ApiError(400, "cursor", "that is no cursor of this list", hint="take `next` of the page before")
