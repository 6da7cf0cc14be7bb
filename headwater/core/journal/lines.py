"""The bytes of one event: written, checked, read. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import count
from typing import Any
from zlib import crc32

from headwater import clock, ids
from headwater.core.journal.events import Body, Event

FORMAT = 1
"""The format of segments and homes that this version writes, and the newest that it reads."""

REBOOT = 1 << 32
"""A recovered segment goes on at the next multiple of this when the machine may have crashed (see `recovery`)."""

_CHECKSUM = 16  # the length of `,"c":"9f86d081"}`
_INT64 = 1 << 63
_DEEPEST = 60  # containers within containers; a container that holds itself ends here


def head_of(writer: str) -> bytes:
    """What every line of a writer begins with, up to its sequence number.

    >>> head_of("0197")
    b'{"w":"0197","n":'
    """
    return b'{"w":"%b","n":' % writer.encode()


def encode(head: bytes, seq: int, body: Body) -> bytes:
    """The line of an event, with its newline."""
    now = clock.now_us()
    front, counter, back = ids.reserve(now)
    label = _labels.get(type(body)) or _label_of(type(body))
    checked = _CHECKED % (head, seq, front, counter, back, now, label, plain_json(body))
    return checked + _END % crc32(checked)


def encode_all(head: bytes, seq: int, bodies: Sequence[Body]) -> bytearray:
    """The lines of events that are written together, numbered from `seq` on: as `encode` makes them, but quicker."""
    lines, seqs = bytearray(), count(seq)
    for start in range(0, len(bodies), ids.MOST):
        some = bodies[start : start + ids.MOST]
        front, first, back = ids.reserve(clock.now_us(), len(some))
        line = _OF_IDS % (head, front, back)
        for body, number, counter in zip(some, seqs, count(first), strict=False):  # the events first: they end it
            label = _labels.get(type(body)) or _label_of(type(body))
            checked = line % (number, counter, clock.now_us(), label, plain_json(body))
            lines += checked
            lines += _END % crc32(checked)
    return lines


_OF_IDS = b'%b%%d,"id":"%b%%03x%b","t":%%d%%b%%b'
"""What is checked of a line: filled in with its writer and what its id begins and ends with, then with all else."""
_CHECKED = _OF_IDS.replace(b"%%", b"%")
"""The same, filled in at once."""
_END = b',"c":"%08x"}\n'
_labels: dict[type[Body], bytes] = {}


def _label_of(cls: type[Body]) -> bytes:
    label = _labels[cls] = b',"k":"%b","v":%d,"b":' % (cls.kind.encode(), cls.body_version)
    return label


def is_whole(line: bytes) -> bool:
    """Whether a line (without its newline) ends in the checksum of what stands before it.

    >>> is_whole(b'{"n":1,"c":"ff61ec38"}'), is_whole(b'{"n":2,"c":"ff61ec38"}')
    (True, False)
    """
    return line[-_CHECKSUM:] == b',"c":"%08x"}' % crc32(line[:-_CHECKSUM])


def sequence_of(head: bytes, line: bytes) -> int | None:
    """The sequence number of a whole line, or None if another writer wrote it."""
    if not line.startswith(head):
        return None
    digits = line[len(head) : line.find(b",", len(head))]
    return int(digits) if digits.isdigit() else None


def decode(line: bytes) -> Event:
    """The event of a line whose checksum has been verified."""
    value = _loads(line)
    return Event(
        writer=value["w"],
        seq=value["n"],
        id=value["id"],
        time=value["t"],
        kind=value["k"],
        version=value["v"],
        body=value["b"],
    )


ODD = (KeyError, TypeError, ValueError, AttributeError)
"""What an event raises whose body is not what its kind says, and a whole line that is no event."""


def events_in(lines: Iterable[bytes]) -> Iterator[Event]:
    """The events of whole lines; one that is no event says nothing, and stops nobody.

    >>> list(events_in([b'{"n":1,"c":"ff61ec38"}']))
    []
    """
    for line in lines:
        with suppress(*ODD):
            yield decode(line)


def plain_json(body: Body) -> bytes:
    """A body as JSON. What JSON can't hold is written as text: the outcome of a run must not fail on a strange value.

    >>> from headwater.core.events import WriterClosed
    >>> plain_json(WriterClosed(reason="exit")), plain_json(WriterClosed(reason="bad \\udcff byte"))
    (b'{"reason":"exit"}', b'{"reason":"bad \\\\\\\\udcff byte"}')
    """
    try:
        return _dumps(body)
    except TypeError:
        return _dumps(_storable(body))


def _dumps(value: object) -> bytes:
    return _load()[0](value)


def _loads(line: bytes) -> Any:
    return _load()[1](line)


def _load() -> tuple[Callable[[object], bytes], Callable[[bytes], Any]]:
    # From the first call on the names stand for orjson's own functions: an import statement in each is felt.
    global _dumps, _loads
    from orjson import dumps as _dumps
    from orjson import loads as _loads

    return _dumps, _loads


def _storable(value: Any, depth: int = 0) -> Any:
    # Only reached when a value somewhere inside was refused: descend to the smallest part that is.
    if depth > _DEEPEST:
        value = repr(value)
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, int):
        return value if -_INT64 <= value < 2 * _INT64 else str(value)
    if isinstance(value, Mapping):
        return {_storable(str(key)): _storable(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_storable(item, depth + 1) for item in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value)]
        return {name: _storable(getattr(value, name), depth + 1) for name in names}
    try:
        _dumps(value)
    except TypeError:
        return _storable(repr(value))
    return value
