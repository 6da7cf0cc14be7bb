"""How far a destination has got: a small file in the home, replaced whole and durable."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Mapping
from dataclasses import field
from pathlib import Path
from typing import Any, NamedTuple

from headwater import failpoints
from headwater.core.journal.home import Home, sync_folder
from headwater.core.journal.reader import Position
from headwater.errors import ExportError
from headwater.lineage.openlineage.sealed import seal, unseal
from headwater.records import dataclass

_FORMAT = 1


class Step(NamedTuple):
    """A position that a writer's events were read to, and whether nothing ever follows there.

    The step behind an archive names the writers that it absorbed: from then on the archive stands for them.
    """

    writer: str
    position: Position
    closed: bool
    absorbed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """What a destination has of the journal.

    `mark` is the destination's own note of where it stood then (a file's length); None before anything was delivered to
    it. Writers that closed their segments and are delivered to the end stand in `finished` only, and archives instead of
    the writers that they absorbed.
    """

    mark: int | None = None
    positions: Mapping[str, Position] = field(default_factory=dict)
    finished: frozenset[str] = frozenset()
    delivered: int = 0
    at: int | None = None
    """When it last got something; microseconds since the epoch."""
    failures: int = 0
    """So many times in a row it could not take anything."""
    error: str | None = None
    """Why not, the last time."""
    next_try: int | None = None
    """Until when it is left alone for that; microseconds since the epoch."""

    def passed(self, steps: Iterable[Step]) -> Cursor:
        """The cursor behind these steps.

        >>> cursor = Cursor().passed([Step("v", Position(9, 700), False), Step("w", Position(2, 80), True)])
        >>> cursor.positions, cursor.finished
        ({'v': Position(seq=9, offset=700)}, frozenset({'w'}))
        """
        positions, finished = dict(self.positions), set(self.finished)
        for step in steps:
            if step.closed:
                positions.pop(step.writer, None)
                finished.add(step.writer)
            else:
                positions[step.writer] = step.position
            for writer in step.absorbed:
                positions.pop(writer, None)
                finished.discard(writer)
        return dataclasses.replace(self, positions=positions, finished=frozenset(finished))

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values, as they stand in the file."""
        return {
            "format": _FORMAT,
            "mark": self.mark,
            "positions": {writer: [position.seq, position.offset] for writer, position in self.positions.items()},
            "finished": sorted(self.finished),
            "delivered": self.delivered,
            "at": self.at,
            "failures": self.failures,
            "error": self.error,
            "next_try": self.next_try,
        }


def cursor_from_json(value: Mapping[str, Any]) -> Cursor:
    """The cursor that `to_json` wrote.

    >>> cursor = Cursor(mark=7, positions={"w": Position(3, 120)}, finished=frozenset({"v"}), delivered=2, at=1)
    >>> cursor_from_json(cursor.to_json()) == cursor
    True
    """
    return Cursor(
        mark=value["mark"],
        positions={writer: Position(seq, offset) for writer, (seq, offset) in value["positions"].items()},
        finished=frozenset(value["finished"]),
        delivered=value["delivered"],
        at=value["at"],
        # Homes from before there were destinations that can be down have none of these.
        failures=value.get("failures", 0),
        error=value.get("error"),
        next_try=value.get("next_try"),
    )


class CursorFile:
    """Keeps a destination's cursor under `<home>/openlineage/`. Only whoever holds the destination's lock may save."""

    def __init__(self, home: Home, destination: str) -> None:
        self.path = home.path / "openlineage" / f"{destination}.json"

    def load(self) -> Cursor:
        """The cursor that was saved last; a fresh one if there is none. Raises ExportError."""
        try:
            value = unseal(self.path.read_bytes(), Cursor().to_json())
        except FileNotFoundError:
            return Cursor()
        except OSError as error:
            raise self._unreadable(error.strerror or str(error)) from error
        except ValueError as error:
            raise self._unreadable(str(error)) from error
        if value.get("format") != _FORMAT:
            raise self._unreadable("its format is unknown")
        try:
            return cursor_from_json(value)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise self._unreadable("something in it is missing, or of another kind") from error

    def save(self, cursor: Cursor) -> None:
        """Replace the file, durably. Raises ExportError."""
        try:
            replace_whole(self.path, seal(cursor.to_json()))
        except OSError as error:
            raise ExportError(
                f"the position of an export can't be saved: {error.strerror or error}",
                where=str(self.path),
                hint="free space or make the home writable; nothing is lost, the next export goes on from here",
            ) from error

    def _unreadable(self, why: str) -> ExportError:
        return ExportError(
            f"the position of an export can't be read: {why}",
            where=str(self.path),
            hint="remove this file and what was exported, to export everything again",
        )


def replace_whole(path: Path, data: bytes) -> None:
    """Put a file of the home's openlineage folder in the place of the one before it, durably."""
    folder = path.parent
    make_folder(folder)
    draft = path.with_suffix(".tmp")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    failpoints.reach("outbox.draft")
    draft.replace(path)
    failpoints.reach("outbox.saved")
    sync_folder(folder)


def make_folder(folder: Path) -> None:
    """Make the home's openlineage folder, which only its owner may look into."""
    if not folder.is_dir():
        folder.mkdir(mode=0o700, exist_ok=True)
        sync_folder(folder.parent)
