"""Result stores: whole or not at all, private, inside their folder; and what is read back is what was kept."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from headwater.core.encodings import Encoded
from headwater.core.results import FileResults, KeptResult, MemoryResults, ResultStore, keep, restore
from headwater.errors import ResultError

BIG = Encoded("json", b'["' + b"x" * 5_000 + b'"]')


@pytest.fixture(params=["files", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ResultStore:
    return FileResults(tmp_path / "results") if request.param == "files" else MemoryResults()


def test_what_is_written_is_read_until_it_is_removed(store: ResultStore) -> None:
    assert (store.read("a"), list(store.names())) == (None, [])
    store.write("b", b"old")
    store.write("b", b"new")
    store.write("a", b"", durable=False)
    assert (store.read("b"), store.read("a")) == (b"new", b"")
    assert list(store.names()) == [("a", 0), ("b", 3)]
    store.remove("b")
    store.remove("b")
    assert list(store.names()) == [("a", 0)]


def test_small_results_stand_in_the_journal_and_large_ones_in_the_store(store: ResultStore) -> None:
    small = keep(store, "run-1", Encoded("json", b"[1]"))
    assert (small.file, small.size, list(store.names())) == (None, 3, [])
    assert restore(store, small) == [1]
    large = keep(store, "run-1", BIG)
    assert (large.file, large.data, large.size) == ("run-1", None, len(BIG.data))
    assert restore(store, large) == ["x" * 5_000]


@pytest.mark.parametrize("damage", [b"", BIG.data[:-1], BIG.data.replace(b"xx", b"xy", 1), BIG.data + b" "])
def test_a_damaged_result_is_an_error_never_a_value(store: ResultStore, damage: bytes) -> None:
    kept = keep(store, "run-1", BIG)
    store.write("run-1", damage)
    with pytest.raises(ResultError, match="the kept result is damaged"):
        restore(store, kept)
    store.remove("run-1")
    with pytest.raises(ResultError, match="the kept result is gone"):
        restore(store, kept)


def test_damage_in_what_stood_in_the_journal_is_an_error(store: ResultStore) -> None:
    for data in ("no base 64!", "WzEs"):
        with pytest.raises(ResultError):
            restore(store, KeptResult(encoding="json", data=data, size=3))


def test_files_are_private_and_whole(tmp_path: Path) -> None:
    store = FileResults(tmp_path / "deep" / "results")
    store.write("run-1", b"data")
    assert oct(store.path.stat().st_mode)[-3:] == "700"
    assert oct((store.path / "run-1").stat().st_mode)[-3:] == "600"
    assert [entry.name for entry in store.path.iterdir()] == ["run-1"]


@pytest.mark.parametrize("name", ["../a", "a/b", "", ".", "..", "A", "a\n", "a" * 200, "/etc/passwd", "~a"])
def test_no_name_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    store = FileResults(tmp_path)
    for act in (store.read, store.remove, lambda name: store.write(name, b"")):
        with pytest.raises(ResultError, match="is no name of a result"):
            act(name)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_used_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = FileResults(tmp_path / "file")
    with pytest.raises(ResultError) as raised:
        store.write("a", b"")
    assert str(tmp_path / "file") in str(raised.value.where)
    with pytest.raises(ResultError):
        store.read("a")


def test_threads_that_keep_the_same_one_leave_one_whole(tmp_path: Path) -> None:
    store = FileResults(tmp_path / "results")
    datas = [bytes([at]) * 100_000 for at in range(4)]
    seen: list[bytes | None] = []

    def write(data: bytes) -> None:
        for _ in range(10):
            store.write("a", data, durable=False)
            seen.append(store.read("a"))

    threads = [threading.Thread(target=write, args=(data,)) for data in datas]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(seen) <= set(datas)
    assert os.listdir(store.path) == ["a"]  # noqa: PTH208 - the very names
