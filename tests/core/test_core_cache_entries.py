"""Letting kept results go: what has expired, what is old, never what is used since; and what a killed process left."""

from __future__ import annotations

import itertools
from typing import Any
from uuid import UUID

import pytest

from headwater.core.cache_entries import clear, entries
from headwater.core.caching import ENTRY, CacheEntry, _written
from headwater.core.encodings import Encoded
from headwater.core.results import MemoryResults, keep

HOUR = 3_600_000_000
NOW = 1_700_000_000_000_000


_numbers = itertools.count()


def id_at(us: int) -> str:
    """A UUIDv7 of a moment: `ids` gives none before the last one."""
    text = f"{us // 1_000:012x}7000{0x8000 + next(_numbers):04x}{0:012x}"
    return str(UUID(text))


@pytest.fixture
def store() -> MemoryResults:
    return MemoryResults()


def put(store: MemoryResults, key: str, *, at: int, expires: int | None = None, task: str = "fetch") -> str:
    """Keep a large result under a key; the name of its file."""
    task_run = id_at(at)
    kept = keep(store, f"run-{task_run}", Encoded("json", b'"' + b"x" * 5_000 + b'"'))
    entry = CacheEntry(key=key, task=task, task_run_id=task_run, run_id="r", at=at, expires=expires, result=kept)
    store.write(ENTRY + key, _written(entry))
    return f"run-{task_run}"


def cleared(store: MemoryResults, named: dict[str, int] | None = None, **options: Any) -> set[str]:
    before = set(store.kept)
    dry = clear(store, now=NOW, named=named or {}, dry_run=True, **options)
    assert set(store.kept) == before
    sizes = {name: len(data) for name, data in store.kept.items()}
    assert clear(store, now=NOW, named=named or {}, **options) == dry
    gone = before - set(store.kept)
    assert dry.bytes == sum(sizes[name] for name in gone)
    return gone


def test_what_has_expired_goes_with_its_result(store: MemoryResults) -> None:
    old = put(store, "a", at=NOW - 2 * HOUR, expires=NOW - HOUR)
    put(store, "b", at=NOW - 2 * HOUR, expires=NOW + HOUR)
    put(store, "c", at=NOW - 2 * HOUR)
    assert cleared(store, {old: NOW - 2 * HOUR}) == {"key-a", old}
    assert cleared(store) == set()


def test_a_result_that_was_named_since_it_expired_stays(store: MemoryResults) -> None:
    old = put(store, "a", at=NOW - 3 * HOUR, expires=NOW - 2 * HOUR)
    assert cleared(store, {old: NOW - HOUR}) == {"key-a"}
    assert set(store.kept) == {old}
    # By its age, once nobody has named it for so long.
    assert cleared(store, {old: NOW - HOUR}, before=NOW - HOUR) == set()
    assert cleared(store, {old: NOW - HOUR}, before=NOW - HOUR + 1) == {old}


def test_older_ones_go_by_task(store: MemoryResults) -> None:
    put(store, "a", at=NOW - 2 * HOUR)
    put(store, "b", at=NOW - 2 * HOUR, task="other")
    put(store, "c", at=NOW)
    assert cleared(store, task="fetch", before=NOW - HOUR) >= {"key-a"}
    assert {one.entry.key for one in entries(store)[0]} == {"b", "c"}


def test_a_result_that_two_entries_name_goes_with_the_last(store: MemoryResults) -> None:
    file = put(store, "a", at=NOW - 2 * HOUR, expires=NOW - HOUR)
    (kept,), _ = entries(store)
    other = CacheEntry(key="b", task="fetch", task_run_id="t", run_id="r", at=NOW, result=kept.entry.result)
    store.write("key-b", _written(other))
    assert cleared(store) == {"key-a"}
    assert cleared(store, everything=True) == {"key-b", file}


def test_what_nobody_names_goes_when_it_is_old_and_drafts_after_a_day(store: MemoryResults) -> None:
    replaced = f"run-{id_at(NOW - 3 * HOUR)}"
    drafts = [f"draft-{id_at(NOW - hours * HOUR)}" for hours in (1, 30)]
    for name in (replaced, *drafts):
        store.write(name, b"x")
    assert cleared(store) == {drafts[1]}
    assert cleared(store, before=NOW - 4 * HOUR) == set()
    assert cleared(store, before=NOW - 2 * HOUR) == {replaced}


def test_damaged_entries_are_listed_and_go(store: MemoryResults) -> None:
    put(store, "a", at=NOW)
    store.kept["key-b"] = store.kept["key-a"]
    store.kept["key-c"] = b""
    found, damaged = entries(store)
    assert ([one.entry.key for one in found], damaged) == (["a"], ["key-b", "key-c"])
    assert cleared(store) == {"key-b", "key-c"}
