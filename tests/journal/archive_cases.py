"""What the tests of archives share: many closed segments, and a reader that keeps positions as the projection does."""

from __future__ import annotations

from journal_cases import log, run_ended, run_started

from headwater.core.journal.archive import compact
from headwater.core.journal.home import Home
from headwater.core.journal.index import Archive
from headwater.core.journal.reader import Position, Reader
from headwater.core.journal.writer import Writer

ODD = 'a "quoted" \\ text,\t\n\x7f \u2028 \U0001f600 \ud800 ' + "x" * 50


def scripts(home: Home, count: int, *, logs: int = 2, start: int = 0) -> list[str]:
    """The writers of so many scripts that ran once, each."""
    found = []
    for number in range(start, start + count):
        writer = Writer(home)
        run = f"run{number}"
        writer.append(run_started(run), *(log(f"{number}.{i} {ODD}", run) for i in range(logs)), run_ended(run))
        found.append(writer.id)
        writer.close()
    return found


def lines(home: Home) -> dict[str, list[bytes]]:
    """All lines of the journal, by writer."""
    follower = Follower(home)
    follower.look()
    return follower.lines


def archived(home: Home) -> Archive:
    """All closed segments in one archive."""
    made = compact(home)
    assert made is not None
    return made


def files(home: Home) -> list[str]:
    """What lies in the folder of the archives, by its suffixes."""
    return sorted(path.name[36:] for path in home.archive.iterdir()) if home.archive.exists() else []


class Follower:
    """Reads on and on, and keeps what the projection and an export keep."""

    def __init__(self, home: Home) -> None:
        self.reader = Reader(home)
        self.positions: dict[str, Position] = {}
        self.finished: set[str] = set()
        self.lines: dict[str, list[bytes]] = {}
        self.damage: list[str] = []
        self.missing = 0

    def look(self, batches: int | None = None) -> int:
        """Take in what is new, or so many batches of it; how many lines came."""
        count = 0
        for number, batch in enumerate(self.reader.read(self.positions, skip=self.finished), 1):
            count += len(batch.lines)
            self.lines.setdefault(batch.writer, []).extend(batch.lines)
            self.damage += [one.kind for one in batch.damage]
            self.missing += sum(one.missing for one in batch.damage if one.kind == "archive")
            if batch.closed:
                self.positions.pop(batch.writer, None)
                self.finished.add(batch.writer)
            else:
                self.positions[batch.writer] = batch.position
            for writer in batch.absorbed:
                self.positions.pop(writer, None)
                self.finished.discard(writer)
            if number == batches:
                break
        self.lines = {writer: found for writer, found in self.lines.items() if found}
        return count
