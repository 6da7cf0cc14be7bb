"""Small JSON documents that end in a checksum, as a journal's lines do: a flipped byte never passes for what was written."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any
from zlib import crc32

from headwater.core.journal.lines import is_whole


def seal(value: Mapping[str, Any]) -> bytes:
    r"""The document, with its checksum as the last member.

    >>> seal({"n": 1})
    b'{"n":1,"c":"ff61ec38"}'
    """
    checked = json.dumps(value, separators=(",", ":")).encode()[:-1]
    return b'%b,"c":"%08x"}' % (checked, crc32(checked))


def unseal(data: bytes, names: Collection[str]) -> dict[str, Any]:
    """The document that was sealed. One without a checksum is taken, too, when it has no other members than these.

    Homes from before there were checksums have such. Raises ValueError when it is not what was written.

    >>> unseal(b'{"n":1,"c":"ff61ec38"}', {"n"}), unseal(b'{"n":1}', {"n"})
    ({'n': 1}, {'n': 1})
    >>> unseal(b'{"n":2,"c":"ff61ec38"}', {"n"})
    Traceback (most recent call last):
    ValueError: it is not what was written there
    """
    value = json.loads(data)
    if not isinstance(value, dict) or not (is_whole(data) or value.keys() <= set(names)):
        raise ValueError("it is not what was written there")
    value.pop("c", None)
    return value
