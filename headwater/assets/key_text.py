"""Partition keys as text among others: what stands for something in a written set of partitions is percent-encoded.

`a,b` is two keys and `a%2Cb` is one; a key itself is never changed, only the way in which it is written beside others.
"""

from __future__ import annotations

import re
from urllib.parse import quote

from headwater.assets.location import check_text
from headwater.errors import HeadwaterError, PartitionError

MAX_BYTES = 240
"""How long a key may be as a file name; file systems allow 255 bytes, and an ending is added."""

_SPECIAL = re.compile(r"[%,;|*]|\.\.|^[\s.]+|[\s.]+$")
_ENCODED = re.compile(r"(?:%[0-9A-Fa-f]{2})+")


def check_key(
    key: object, what: str, *, where: str | None = None, error: type[HeadwaterError] = PartitionError
) -> None:
    """Refuse what can't be a key everywhere that keys go: not a text, empty, invisible characters, too long for a file name.

    >>> check_key("São Paulo, centro", "a partition key")
    """
    if not isinstance(key, str):
        raise error(f"{what} can't be {key!a}"[:200], where=where, hint='keys are texts: write "2024" instead of 2024')
    if not key:
        raise error(f"{what} is empty", where=where, hint="a key needs a character at least")
    check_text(key, what, limit=MAX_BYTES, where=where, error=error)
    size = len(file_name(key))
    if size > MAX_BYTES:
        message = f"{what} {key[:40]!a} takes {size} bytes in a file name, more than {MAX_BYTES}"
        raise error(message, where=where, hint="shorten it")


def file_name(key: str) -> str:
    """A key as a file name that every file system can hold; percent-decoding gives it back exactly.

    >>> file_name("2013-01-05"), file_name("../x"), file_name("region=eu,date=2013-01-05")
    ('2013-01-05', '%2E.%2Fx', 'region=eu,date=2013-01-05')
    """
    encoded = quote(key, safe="=,")
    if encoded.startswith((".", "-")):
        encoded = f"%{ord(encoded[0]):02X}{encoded[1:]}"
    return encoded


def escaped(key: str) -> str:
    """A key as it is written beside others.

    >>> escaped("eu"), escaped("a,b"), escaped("100%"), escaped("1..2"), escaped(" x ")
    ('eu', 'a%2Cb', '100%25', '1%2E%2E2', '%20x%20')
    """
    return _SPECIAL.sub(lambda found: "".join(f"%{byte:02X}" for byte in found.group().encode()), key)


def unescaped(text: str) -> str:
    """The key that a text stands for; a percent sign that begins no encoded character is itself.

    >>> unescaped("a%2Cb"), unescaped("100%")
    ('a,b', '100%')
    """
    return _ENCODED.sub(_decoded, text)


def _decoded(found: re.Match[str]) -> str:
    try:
        return bytes.fromhex(found.group().replace("%", "")).decode()
    except UnicodeDecodeError:
        return found.group()


def dimensions_in(key: str) -> dict[str, str]:
    """The keys of the dimensions in the key of a product; nothing for any other key.

    >>> dimensions_in("region=a%2Cb,date=2013-01-05"), dimensions_in("2013-01-05")
    ({'region': 'a,b', 'date': '2013-01-05'}, {})
    """
    parts = [part.partition("=") for part in key.split(",")]
    if len(parts) < 2 or not all(equals and name.isidentifier() for name, equals, _ in parts):
        return {}
    return {name: unescaped(value) for name, _, value in parts}


def split(text: str, mark: str) -> list[str]:
    """The parts of a text between marks, without the spaces around them. Raises PartitionError for what is no text.

    >>> split("eu | us", "|")
    ['eu', 'us']
    """
    if not isinstance(text, str):
        raise PartitionError(
            f"partitions are named by a text, got {type(text).__name__}",
            hint="write a key, or a range first..last; definition.partition(…) takes a date",
        )
    return [part.strip(" ") for part in text.split(mark)]
