"""Dead letters: events that a destination refused for good, kept beside its position with the reason."""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Iterable

from headwater import clock, ids
from headwater.core.journal.home import Home
from headwater.errors import ExportError
from headwater.lineage.openlineage.cursor import make_folder, replace_whole
from headwater.lineage.openlineage.destination import Refusal
from headwater.lineage.openlineage.sealed import seal, unseal
from headwater.records import dataclass

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """An event that was refused: the event as JSON, or the journal's line when it could not even be translated."""

    id: str
    at: int
    """When it was refused; microseconds since the epoch."""
    reason: str
    status: int | None = None
    event: str | None = None
    line: str | None = None


def letter_of(refusal: Refusal, *, event: bytes | None = None, line: bytes | None = None) -> DeadLetter:
    """What is kept of an event that was refused: the same event gets the same id each time."""
    text, raw = (None if data is None else data.decode("utf-8", "surrogateescape") for data in (event, line))
    return DeadLetter(
        id=ids.derived_id("dead-letter", text, raw),
        at=clock.now_us(),
        reason=refusal.reason,
        status=refusal.status,
        event=text,
        line=raw,
    )


class DeadLetters:
    """A destination's dead letters, a line each. Only whoever holds the destination's lock may change them."""

    def __init__(self, home: Home, destination: str) -> None:
        self.path = home.path / "openlineage" / f"{destination}.dead.ndjson"

    def load(self) -> list[DeadLetter]:
        """All of them, the oldest first; one that was parked again stands there once, with the latest reason."""
        found: dict[str, DeadLetter] = {}
        for line in self._lines():
            letter = _letter(line)
            if letter is None:
                _log.warning("a dead letter in %s is damaged; it is left as it is", self.path)
            else:
                found[letter.id] = letter
        return list(found.values())

    def damaged(self) -> list[bytes]:
        """The lines that are not what was written."""
        return [line for line in self._lines() if _letter(line) is None]

    def _lines(self) -> list[bytes]:
        try:
            return self.path.read_bytes().splitlines()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise self._failed("read", error) from error

    def add(self, letter: DeadLetter) -> None:
        """Keep one more, durably. Raises ExportError."""
        try:
            make_folder(self.path.parent)
            with os.fdopen(
                os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600), "rb+"
            ) as file:
                end = file.seek(0, os.SEEK_END)
                torn = end > 0 and os.pread(file.fileno(), 1, end - 1) != b"\n"
                file.write(b"\n" * torn + _line(letter))
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise self._failed("written", error) from error

    def replace(self, letters: Iterable[DeadLetter]) -> None:
        """Keep these and no others, besides what is damaged. Raises ExportError."""
        kept = [line + b"\n" for line in self.damaged()]
        try:
            replace_whole(self.path, b"".join([*kept, *map(_line, letters)]))
        except OSError as error:
            raise self._failed("written", error) from error

    def _failed(self, what: str, error: OSError) -> ExportError:
        return ExportError(
            f"the dead letters of a destination can't be {what}: {error.strerror or error}",
            where=str(self.path),
            hint="free space or make the home writable; nothing is lost, the next export goes on from here",
        )


def _line(letter: DeadLetter) -> bytes:
    return seal(dataclasses.asdict(letter)) + b"\n"


def _letter(line: bytes) -> DeadLetter | None:
    """The letter of a line; None when it is not what was written.

    That is also what a process leaves that dies while it writes. The position was not moved then, so the event is refused,
    and parked, again.
    """
    try:
        return DeadLetter(**unseal(line, _NAMES))
    except (ValueError, TypeError):
        return None


_NAMES = tuple(field.name for field in dataclasses.fields(DeadLetter))
