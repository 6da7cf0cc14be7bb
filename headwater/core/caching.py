"""Cached results: found by what they depend on, used instead of calling the function, kept when it was called.

Every doubt is a miss: what can't be told by its content, can't be read, has expired or is damaged is computed anew, and the
journal says why. A key's entry in the result store names the result; the result itself stands in it when it is small.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from contextvars import ContextVar
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from headwater import clock
from headwater.core import recording, results
from headwater.core.cache_keys import CacheKey, Uncached, key_of
from headwater.core.context import running_loop
from headwater.core.decisions import is_cancellation
from headwater.core.effects import Invoke
from headwater.core.encodings import Encoded, encode
from headwater.core.engine import leave
from headwater.core.events import TaskCache, TaskKept
from headwater.core.journal.events import from_plain
from headwater.core.results import KeptResult
from headwater.core.states import State
from headwater.errors import HeadwaterError, ResultError
from headwater.records import dataclass

if TYPE_CHECKING:
    from headwater.core.context import TaskCall
    from headwater.core.gates import Turn
    from headwater.core.results import ResultStore
    from headwater.core.task import Task
    from headwater.types import ErrorInfo

_log = logging.getLogger("headwater.run")
ENTRY = "key-"
"""What the name of an entry begins with, in the result store; its key follows."""
_DIGITS = 64
_MOST_WARNINGS = 1_000
_warned: set[tuple[str, str]] = set()
_held: ContextVar[frozenset[str]] = ContextVar("headwater_cache_keys", default=frozenset())
"""The keys that the calls around this code compute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheEntry:
    """What is kept under a key: a result, where it comes from, and until when it may be used."""

    key: str
    task: str
    task_run_id: str
    run_id: str
    at: int
    """When it was kept: microseconds since the epoch."""
    expires: int | None = None
    result: KeptResult
    sources: tuple[dict[str, Any], ...] | None = None
    """The versions of assets that the value is known to hold the data of."""


@dataclass(frozen=True, slots=True)
class Miss:
    """Why no kept result is used: a kind, and a sentence."""

    kind: str
    text: str


class _Prepared:
    """An entry that nobody finds before the transaction of its task is committed."""

    published = False  # nothing of it stays when the transaction is rolled back after all

    def __init__(self, store: ResultStore, entry: CacheEntry) -> None:
        self._store, self.entry = store, entry
        self.name = f"the kept result of {entry.task}"
        self.key = _prepared_key(entry.key)
        self.task_run_id = entry.task_run_id

    def write(self) -> None:
        """Let it be found. Raises ResultError."""
        # With the result itself on the disk already, a lost entry is a miss.
        self._store.write(ENTRY + self.entry.key, _written(self.entry), durable=False)

    def publish(self) -> None:
        """The transaction is being committed: what can't be kept does not stop it."""
        try:
            self.write()
        except ResultError as error:
            _log.warning("%s is not there: %s", self.name, error)

    def drop(self, why: ErrorInfo) -> None:
        """The transaction is rolled back."""
        data = self._store.read(ENTRY + self.entry.key)
        if data == _written(self.entry):
            self._store.remove(ENTRY + self.entry.key)


def _prepared_key(key: str) -> tuple[str, str]:
    return "headwater.cache", key


class CachedCall:
    """A call of a task on its way through the cache: `look_up` before its tries, `keep` after them, `close` at the end."""

    __slots__ = ("_call", "_is_async", "_task", "_turn", "_uncommitted", "_use", "hit", "key", "value")

    def __init__(self, task: Task[..., Any], call: TaskCall) -> None:
        self._task, self._call = task, call
        # A coroutine that runs in another process is waited for in a thread.
        self._is_async = task.is_async and running_loop() is not None
        self._turn: Turn | None = None
        self._use: Any = None
        self._uncommitted: CacheEntry | None = None
        """The result to use, when it is not committed."""
        self.key: CacheKey | None = None
        self.hit = False
        """Whether there is a result to use, which is `value` then."""
        self.value: Any = None

    def look_up(self) -> Generator[Invoke, Any, None]:
        """Look for a result. What was found is journaled, and so is the end of a call that is stopped meanwhile."""
        try:
            found = yield from self._looked_up()
        except BaseException as error:
            self.close()
            recording.task_ended(self._call, State.CANCELLED if is_cancellation(error) else State.FAILED, error)
            raise
        if isinstance(found, CacheEntry):
            self.close()
            self.hit = True
            if self._uncommitted is None:
                self._note(found)
                self._say("hit", "kept", f"task run {found.task_run_id} kept it", found)
            else:
                self._note_uncommitted()
                self._say("hit", "kept", f"task run {found.task_run_id} of the same transaction made it", found)
        elif isinstance(found, Uncached):
            if not found.meant:
                _warn(self._task, f"is not cached: {found.text}")
            self._say("uncached", found.kind, found.text)
        else:
            self._say("miss", found.kind, found.text)

    def _looked_up(self) -> Generator[Invoke, Any, CacheEntry | Miss | Uncached]:
        key = yield self._away(key_of, self._task, self._call)
        if isinstance(key, Uncached):
            return key
        self.key = key
        refreshes = self._refreshes()
        found: CacheEntry | Miss = Miss("refreshed", "it was to be computed anew")
        if not refreshes:
            found = yield self._away(self._find)
        if isinstance(found, Miss) and self._task.options.once:
            yield from self._wait_for_turn()
            if not refreshes:
                # Somebody else may have kept it since.
                found = yield self._away(self._find)
        return found

    def _away(self, do: Callable[..., Any], *args: Any) -> Invoke:
        """Reads, writes and hashes, which may take long: in a thread where an event loop would wait for them."""
        return Invoke(_in_thread, (do, *args)) if self._is_async else Invoke(do, args)

    def _refreshes(self) -> bool:
        asked = self._task.options.refresh
        return bool(self._call.context.run.root.runtime.refreshes) if asked is None else asked

    def _find(self) -> CacheEntry | Miss:
        assert self.key is not None
        runtime = self._call.context.run.root.runtime
        try:
            entry = self._uncommitted = self._prepared(self.key)
            if entry is None:
                data = runtime.results.read(ENTRY + self.key.digest)
                if data is None:
                    return Miss("not_kept", "no result is kept for it")
                entry = read_entry(data, self.key.digest)
            expired = self._expired(entry)
            if expired is not None:
                return expired
            self.value = self._task.restore(self._call, entry.result)
            if entry.sources:
                self.value = runtime.remember_sources(self._call.context, self.value, entry.sources)
        except HeadwaterError as error:
            text = error.message if error.where is None else f"{error.message} ({error.where})"
            _log.warning("a kept result of '%s' is not used: %s", self._task.name, text)
            return Miss("unusable", text)
        return entry

    def _prepared(self, key: CacheKey) -> CacheEntry | None:
        """What a call in the same transaction has made, which others find when that is committed."""
        transaction = self._call.transaction
        found = None if transaction is None else transaction.prepared(_prepared_key(key.digest))
        return found.entry if isinstance(found, _Prepared) else None

    def _expired(self, entry: CacheEntry) -> Miss | None:
        ends = [] if entry.expires is None else [entry.expires]
        if self._task.options.cache_for is not None:
            ends.append(entry.at + _us(self._task.options.cache_for))
        if not ends or clock.now_us() < min(ends):
            return None
        return Miss("expired", f"the result of task run {entry.task_run_id} expired at {clock.rfc3339(min(ends))}")

    def _wait_for_turn(self) -> Generator[Invoke, Any, None]:
        """Be the one that computes the key, once the others are done with it."""
        from headwater.core.gates import Turn

        assert self.key is not None
        name = f"cache:{self.key.digest}"
        if name in _held.get():
            return  # a call within the call that computes it: that one can't be waited for
        run = self._call.context.run
        turn = self._turn = Turn(run.root.runtime.locks, name, 1, is_async=self._is_async)
        if not (yield Invoke(turn.start)):
            waits_for = f"cache:{self._task.name}"
            recording.task_awaits_slot(self._call, waits_for)
            yield Invoke(turn.wait_async if self._is_async else turn.wait, (run,))
            recording.task_has_slot(self._call, waits_for)
        self._use = _held.set(_held.get() | {name})

    def keep(self, value: Any) -> Generator[Invoke, Any, None]:
        """Keep what the function returned, if it was called for a key. What can't be kept is said, and is no error."""
        if self.key is None:
            return
        kept = yield self._away(self._keep, value)
        if isinstance(kept, str):
            _warn(self._task, f"is not cacheable: {kept}")
        self._append_kept(kept)

    def _keep(self, value: Any) -> CacheEntry | str:
        """The entry, or why there is none."""
        assert self.key is not None
        call, options = self._call, self._task.options
        context = call.context
        runtime = context.run.root.runtime
        found = encode(value, pickle=options.result == "pickle", hint=self._task.returns)
        if not isinstance(found, Encoded):
            return found.reason
        now = clock.now_us()
        try:
            kept = results.keep(runtime.results, f"run-{call.task_run_id}", found)
            entry = CacheEntry(
                key=self.key.digest,
                task=self._task.name,
                task_run_id=call.task_run_id,
                run_id=context.run_id,
                at=now,
                expires=_end(now, options.cache_for),
                result=kept,
                sources=tuple(runtime.sources_of(context, value)) or None,
            )
            prepared = _Prepared(runtime.results, entry)
            if call.transaction is None or not call.transaction.enlist(prepared):
                prepared.write()
        except ResultError as error:
            return str(error.message)
        self._note(entry)
        return entry

    def _note(self, entry: CacheEntry) -> None:
        """For later attempts of its run: the call has this result."""
        record = self._call.record
        if record is not None and self._task.options.persist_result is not False:
            record.result, record.sources = entry.result, entry.sources

    def _note_uncommitted(self) -> None:
        """For later attempts: what it used may be taken back, and then they must not go by it."""
        record = self._call.record
        if record is not None:
            record.unkept = "what it used was not committed yet"

    def close(self) -> None:
        """Let others compute the key."""
        turn, self._turn = self._turn, None
        if turn is not None:
            turn.free()
        used, self._use = self._use, None
        if used is not None:
            leave(used)

    def _say(self, verdict: str, kind: str, text: str, entry: CacheEntry | None = None) -> None:
        context, key = self._call.context, self.key
        context.journal.append(
            TaskCache(
                task_run_id=self._call.task_run_id,
                run_id=context.run_id,
                attempt=context.attempt,
                task=self._task.name,
                verdict=verdict,
                because=kind,
                text=text,
                policy=repr(self._task.options.cache),
                key=None if key is None else key.digest,
                parts={} if key is None else key.parts,
                origin=None if entry is None else entry.task_run_id,
                origin_run_id=None if entry is None else entry.run_id,
                kept_at=None if entry is None else entry.at,
            )
        )

    def _append_kept(self, kept: CacheEntry | str) -> None:
        context = self._call.context
        entry = None if isinstance(kept, str) else kept
        context.journal.append(
            TaskKept(
                task_run_id=self._call.task_run_id,
                run_id=context.run_id,
                attempt=context.attempt,
                task=self._task.name,
                key=None if self.key is None else self.key.digest,
                refused=kept if isinstance(kept, str) else None,
                expires=None if entry is None else entry.expires,
                encoding=None if entry is None else entry.result.encoding,
                size=None if entry is None else entry.result.size,
                file=None if entry is None else entry.result.file,
            )
        )


async def _in_thread(do: Callable[..., Any], *args: Any) -> Any:
    import asyncio

    return await asyncio.to_thread(do, *args)


def _us(duration: timedelta) -> int:
    return duration // timedelta(microseconds=1)


def _end(now: int, duration: timedelta | None) -> int | None:
    """Until when something that is kept for so long may be used; None: for ever, also where that can't be written as a time."""
    end = None if duration is None else now + _us(duration)
    return end if end is not None and clock.is_time(end) else None


def _written(entry: CacheEntry) -> bytes:
    from orjson import dumps

    data = dumps(asdict(entry))
    return results.digest(data).encode() + data


def read_entry(data: bytes, key: str) -> CacheEntry:
    """The entry of a key. Raises ResultError when it is damaged, or another one's."""
    from orjson import loads

    checksum, plain = data[:_DIGITS], data[_DIGITS:]
    if results.digest(plain).encode() != checksum:
        raise ResultError("the entry of a kept result is damaged", where=ENTRY + key)
    try:
        entry: CacheEntry = from_plain(CacheEntry, loads(plain))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ResultError(f"the entry of a kept result can't be read: {error}", where=ENTRY + key) from error
    if entry.key != key:
        raise ResultError("the entry of a kept result is that of another one", where=ENTRY + key)
    return entry


def _warn(task: Task[..., Any], text: str) -> None:
    if len(_warned) < _MOST_WARNINGS and (task.name, text) not in _warned:
        _warned.add((task.name, text))
        _log.warning("'%s' %s", task.name, text)
