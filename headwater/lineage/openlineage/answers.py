"""What the answer of a collector over HTTP means for an event: taken, refused for good, or to be tried later. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from http import HTTPStatus

from headwater import clock
from headwater.lineage.openlineage.destination import Refusal, Trouble

_EXCERPT = 300
_LATER = frozenset({408, 425, 429})
ADDRESS = "check the address (OPENLINEAGE_URL and OPENLINEAGE_ENDPOINT, or url and endpoint in openlineage.yml)"
"""What to do about an address where nobody takes events."""
_SETUP = {
    401: "check the API key (OPENLINEAGE_API_KEY, or auth in openlineage.yml)",
    403: "check what the API key may do (OPENLINEAGE_API_KEY, or auth in openlineage.yml)",
    404: ADDRESS,
    405: ADDRESS,
    407: "check the proxy's user and password",
}
"""What says that the set-up is wrong and not the event: nothing is parked for that."""
_REDIRECTED = "give the address that it redirects to"


def judge(
    status: int, body: str = "", retry_after: str | None = None, secrets: Iterable[str] = ()
) -> Refusal | Trouble | None:
    """What an answer means; None when the event was taken. What is told of the body is short and free of the secrets.

    >>> judge(201) is None
    True
    >>> judge(400, "no such job").reason
    '400 Bad Request: no such job'
    >>> judge(429, retry_after="7")
    Trouble(reason='429 Too Many Requests', hint=None, retry_after=7.0)
    """
    if 200 <= status < 300:
        return None
    reason = _named(status) + (f": {found}" if (found := excerpt(body, secrets)) else "")
    if status < 400:
        return Trouble(reason=_named(status), hint=_REDIRECTED)
    if status in _SETUP:
        return Trouble(reason=reason, hint=_SETUP[status])
    if status in _LATER or status >= 500:
        return Trouble(reason=reason, retry_after=_seconds(retry_after))
    return Refusal(reason=reason, status=status)


def excerpt(text: str, secrets: Iterable[str] = ()) -> str:
    """The beginning of a text on one line, without secrets, and without names and passwords in addresses.

    >>> excerpt("the key  s3cret-key\\nis wrong at http://me:pw@host/", ["s3cret-key"])
    'the key *** is wrong at http://***@host/'
    """
    for secret in secrets:
        if len(secret) > 3:
            text = text.replace(secret, "***")
    text = re.sub(r"//[^/\s@]+@", "//***@", text)
    plain = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return plain if len(plain) <= _EXCERPT else plain[: _EXCERPT - 1] + "…"


def failure(error: BaseException) -> str:
    """What went wrong on the way, in a few words: the innermost reason that the operating system gave.

    >>> failure(ConnectionRefusedError(111, "Connection refused"))
    'Connection refused'
    """
    for cause in causes(error):
        if isinstance(cause, OSError) and cause.strerror:
            return excerpt(cause.strerror)
    return type(error).__name__


def causes(error: BaseException) -> Iterator[BaseException]:
    """An error and what caused it, also where HTTP clients wrap causes in their own way."""
    found: BaseException | None = error
    seen: set[int] = set()
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        yield found
        found = found.__cause__ or found.__context__ or _inner(found)


def _inner(error: BaseException) -> BaseException | None:
    inner = getattr(error, "reason", None) or (error.args[0] if error.args else None)
    return inner if isinstance(inner, BaseException) else None


def _named(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def _seconds(retry_after: str | None) -> float | None:
    if not retry_after:
        return None
    if retry_after.strip().isdecimal():
        return float(retry_after)
    from email.utils import parsedate_to_datetime

    try:
        moment = parsedate_to_datetime(retry_after)
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        return None
    return max(0.0, (clock.to_us(moment) - clock.now_us()) / 1_000_000)
