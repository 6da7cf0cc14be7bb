"""docs/journal.md says how the journal's bytes are: what it says is held here to the code."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zlib
from pathlib import Path

import duckdb
import pytest
from archive_cases import archived, scripts

from headwater.core.journal import archive as archive_module
from headwater.core.journal import parquet
from headwater.core.journal import writer as writer_module
from headwater.core.journal.home import ARCHIVED, Home
from headwater.core.journal.lines import FORMAT, REBOOT
from headwater.core.journal.locks import Locks
from headwater.core.journal.reader import Reader
from headwater.core.journal.verify import verify_journal
from headwater.lineage.projection import LOCK

PAGE = (Path(__file__).parents[2] / "docs" / "journal.md").read_text(encoding="utf-8")


INDEX = ("format", "id", "generation", "size", "checksum", "events", "first", "last", "writers", "footer", "c")


def example(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    return found[1]


def table(under: str) -> list[str]:
    """The first column of the first table behind some words."""
    rows = re.findall(
        r"^\| (.*?) \|", PAGE[PAGE.index(under) :].partition("\n\n|")[2].partition("\n\n")[0], re.MULTILINE
    )
    return [name for row in rows for name in re.findall(r"`(\w+)`", row)]


def test_the_segment_of_the_example_is_one(home: Home) -> None:
    data = example("json").encode()
    writer = json.loads(data.splitlines()[0])["w"]
    (home.journal / f"{writer}.ndjson").write_bytes(data)
    (batch,) = Reader(home).read()
    assert batch.closed
    assert b"".join(line + b"\n" for line in batch.lines) == data
    assert verify_journal(home) == []
    made = archived(home)
    assert list(made.writers) == [writer]
    assert b"".join(line + b"\n" for one in Reader(home).read() for line in one.lines) == data


def test_its_checksums_can_be_recomputed() -> None:
    exec(compile(example("python"), "journal.md", "exec"), {})
    for line in example("json").encode().splitlines():
        checked, _, rest = line.rpartition(b',"c":')
        assert f"{zlib.crc32(checked):08x}".encode() == rest[1:9]
        envelope = re.sub(rb'"b":\{.*\}', b'"b":<body>', checked)
        pattern = re.escape(example("text").strip().partition(',"c"')[0])
        pattern = re.sub(r"<(writer|event|time|kind|version|number)>", r'[^",]+', pattern)
        assert re.fullmatch(pattern.encode(), envelope)


@pytest.mark.usefixtures("no_sync")
def test_the_members_of_an_archive_are_those_that_are_described(home: Home) -> None:
    scripts(home, 3)
    made = archived(home)
    index = json.loads((home.archive / f"{made.id}.json").read_bytes())
    assert list(index) == [name for name in INDEX if name in table("**The index**")] == list(INDEX)
    assert index["checksum"] == hashlib.sha256(made.path.read_bytes()).hexdigest()
    assert index["size"] == made.path.stat().st_size
    footer = zlib.decompress(base64.b64decode(index["footer"]))
    assert made.path.read_bytes().endswith(footer)
    assert index["writers"] == [[writer, 6, 6] for writer in sorted(made.writers)]
    with duckdb.connect(":memory:") as connection:
        columns = [row[0] for row in connection.execute(f"DESCRIBE FROM '{made.path}'").fetchall()]
        assert columns == re.findall(r"^\| `(\w+)` \| (?:string|int64) \|", PAGE, re.MULTILINE)
        query = f"SELECT DISTINCT compression FROM parquet_metadata('{made.path}')"
        assert connection.execute(query).fetchall() == [("ZSTD",)]


def test_the_numbers_of_the_page() -> None:
    assert (FORMAT, ARCHIVED) == (1, 2)
    assert f"2³² = {REBOOT:,}" in PAGE
    assert f"**A segment that is full** ({writer_module.MOST_BYTES >> 20} MB)" in PAGE
    assert f"{archive_module.MANY} of them, or {archive_module.MUCH >> 20} MB" in PAGE
    assert f"at most {archive_module.MOST:,}\nor {archive_module.MOST_BYTES >> 20} MB" in PAGE
    assert f"groups of {parquet._GROUP:,} rows" in PAGE


def test_the_projections_lock_is_where_the_page_says(home: Home) -> None:
    with Locks(home.locks).hold(LOCK):
        held = [path.name for path in home.locks.iterdir() if path.suffix == ".lock"]
    assert all(f"`locks/{name}`" in PAGE for name in held)
    assert len(held) == 1
