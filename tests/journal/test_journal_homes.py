"""Homes as earlier versions wrote them (homes/, named by format and commit) are read today, and say what they said."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Any

import pytest
from archive_cases import lines
from journal_cases import segments

from headwater.core.journal import archive as archive_module
from headwater.core.journal.home import Home
from headwater.core.journal.index import archives
from headwater.core.journal.verify import verify_journal
from headwater.errors import FormatError
from headwater.lineage.compare import graph_hash
from headwater.lineage.projection import Projection
from headwater.lineage.reader import Reader

HOMES = sorted((Path(__file__).parent / "homes").glob("*.tar.gz"))


def opened(archive: Path, folder: Path) -> Home:
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    return Home.open(folder / ".headwater", create=False)


def told(home: Home) -> dict[str, Any]:
    """What somebody would see who looks at the home."""
    projection = Projection(home)
    reader = Reader(projection)
    with projection.session() as session:
        materialized = session.rows(
            "SELECT asset, partition, rows FROM materializations ORDER BY asset, partition NULLS FIRST"
        )
        columns = session.rows("SELECT source, source_column, target, target_column FROM column_edges")
        tasks = session.rows("SELECT state, count(*) FROM task_runs GROUP BY ALL ORDER BY ALL")
    return {
        "runs": {(run["flow"], run["state"]) for run in reader.runs()["runs"]},
        "tasks": tasks,
        "materialized": materialized,
        "columns": set(columns),
        "edges": {(edge["from"], edge["to"]) for edge in reader.lineage("totals")["edges"]},
    }


TOLD = {
    "runs": {("nightly", "Completed"), ("failing", "Failed"), ("dying", "Crashed")},
    "tasks": [("Completed", 7)],
    "materialized": [
        ("raw", "2024-01-01", 2),
        ("raw", "2024-01-02", 1),
        ("report", None, 4),
        ("totals", "2024-01-01", 1),
        ("totals", "2024-01-02", 1),
    ],
    "columns": {
        ("orders", "item", "report", "item"),
        ("orders", "n", "report", "n"),
        ("raw", "day", "totals", None),
        ("raw", "day", "totals", "day"),
        ("raw", "n", "totals", "n"),
    },
    "edges": {("orders", "raw"), ("raw", "totals")},
}


ONE_EACH = {path.name[:8]: path for path in HOMES}
CASES = [
    pytest.param(
        path, id=path.name.removesuffix(".tar.gz"), marks=() if path in ONE_EACH.values() else pytest.mark.stress
    )
    for path in HOMES
]
"""All of them in the full form; otherwise one of each format."""


@pytest.mark.parametrize("archive", CASES)
@pytest.mark.usefixtures("no_sync")
def test_a_home_of_an_earlier_version(archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = opened(archive, tmp_path / "shop")
    assert home.marker.read_text() == f"headwater-home {archive.name.split('-')[1][0]}\n"
    assert told(home) == TOLD
    assert verify_journal(home) == []
    assert Projection(home).verify() == []
    known = len(archives(home))
    before, content = lines(home), graph(home)
    assert len(before) == 3
    monkeypatch.setattr(archive_module, "MANY", 1)
    with Projection(home).session():
        pass
    assert segments(home) == []
    assert len(archives(home)) == known + 1
    assert lines(home) == before
    Projection(home).rebuild()
    assert told(home) == TOLD
    assert graph(home) == content
    assert Projection(home).verify() == []


def graph(home: Home) -> dict[str, tuple[int, int]]:
    with Projection(home).session() as session:
        return graph_hash(session._connection)


def test_there_is_one_of_each_format() -> None:
    assert {path.name[:8] for path in HOMES} == {"format-1", "format-2"}
    assert all(path.stat().st_size < 50_000 for path in HOMES)


def test_a_home_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    home = opened(HOMES[-1], tmp_path)
    home.marker.write_text("headwater-home 3\n")
    with pytest.raises(FormatError, match="knows formats 1 to 2"):
        Home.open(home.path, create=True)
