"""What is kept in a result store: listed, and let go when it has expired or when somebody says so."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING
from uuid import UUID

from headwater.core.caching import ENTRY, CacheEntry, read_entry
from headwater.errors import ResultError
from headwater.records import dataclass

if TYPE_CHECKING:
    from headwater.core.results import ResultStore

_DAY = 86_400_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """An entry as it lies in a store."""

    entry: CacheEntry
    size: int
    """Bytes of the entry, and of its result where that is a file of its own."""

    def has_expired(self, now: int) -> bool:
        """Whether it may no longer be used at a moment, in microseconds since the epoch."""
        return self.entry.expires is not None and self.entry.expires <= now


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleared:
    """What was let go, or would be in a dry run."""

    entries: tuple[CacheEntry, ...]
    damaged: int
    """Entries that could not be read."""
    files: int
    """Results and drafts that no entry names any more."""
    bytes: int


def entries(store: ResultStore, task: str | None = None) -> tuple[list[Kept], list[str]]:
    """The entries of a store (of one task), the newest first, and the names of those that can't be read."""
    sizes = dict(store.names())
    found, damaged = [], []
    for name, size in sizes.items():
        if not name.startswith(ENTRY):
            continue
        try:
            data = store.read(name)
            if data is None:
                continue  # somebody has just removed it
            entry = read_entry(data, name.removeprefix(ENTRY))
        except ResultError:
            damaged.append(name)
            continue
        if task is None or entry.task == task:
            found.append(Kept(entry=entry, size=size + sizes.get(entry.result.file or "", 0)))
    return sorted(found, key=lambda one: -one.entry.at), damaged


def clear(
    store: ResultStore,
    *,
    now: int,
    named: Mapping[str, int],
    task: str | None = None,
    before: int | None = None,
    everything: bool = False,
    dry_run: bool = False,
) -> Cleared:
    """Let go what has expired; also what was kept before a moment, or `everything`, each of one task or of all.

    `named` says when the end of a task run last named each file. A result stays that was named since its entry expired, or
    since that moment: a resumed run has used it. Raises ResultError.
    """
    sizes = dict(store.names())
    kept, damaged = entries(store)
    leaving = [one for one in kept if task in (None, one.entry.task) and _leaves(one, now, before, everything)]
    staying = {one.entry.result.file for one in kept if one not in leaving}
    # What can't be read is never used again, and nobody knows whose it was.
    names = [ENTRY + one.entry.key for one in leaving] + (damaged if task is None else [])
    files: set[str] = set()
    for one in leaving:
        file = one.entry.result.file
        end = now if everything else max(one.entry.expires or 0, before or 0)
        if file in sizes and file not in staying and (everything or named.get(file, 0) <= end):
            files.add(file)
    if task is None:
        files |= set(_orphans(sizes, staying, named, now, before, everything))
    gone = [*names, *sorted(files)]
    if not dry_run:
        # An entry before what it names: a process that dies in between leaves a result that nobody uses.
        for name in gone:
            store.remove(name)
    return Cleared(
        entries=tuple(one.entry for one in leaving),
        damaged=len(names) - len(leaving),
        files=len(files),
        bytes=sum(sizes.get(name, 0) for name in gone),
    )


def _leaves(one: Kept, now: int, before: int | None, everything: bool) -> bool:
    return everything or one.has_expired(now) or (before is not None and one.entry.at < before)


def _orphans(
    sizes: Mapping[str, int],
    staying: set[str | None],
    named: Mapping[str, int],
    now: int,
    before: int | None,
    everything: bool,
) -> Iterator[str]:
    """Files that no entry names: results that are kept for resuming, or were replaced, and what a killed process left."""
    for name in sizes:
        if name.startswith(ENTRY) or name in staying:
            continue
        made = _made_at(name)
        if name.startswith("draft-"):
            if made < now - _DAY:
                yield name
        elif everything or (before is not None and max(named.get(name, 0), made) < before):
            yield name


def _made_at(name: str) -> int:
    """When the id within a name was made: microseconds since the epoch; 0 when there is none."""
    try:
        return (UUID(name.partition("-")[2]).int >> 80) * 1_000
    except ValueError:
        return 0
