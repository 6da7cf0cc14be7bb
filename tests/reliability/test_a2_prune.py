"""A2, pruning: SIGKILL at each commit point of `headwater prune`, again and again on one home."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from kill_world import Shop
from nursery import Nursery, said

from headwater.core.journal.events import Event
from headwater.core.journal.reader import Reader
from headwater.lineage.retention import DETAIL
from headwater.testing import project

POINTS = {
    "archive.drafted": False, "archive.raised": False, "archive.written": False, "archive.indexed": False,
    "archive.unlinked": False, "archive.unlinked:2": False, "prune.recorded": False, "archive.thinned": False,
    "archive.written:2": False, "archive.indexed:2": True, "prune.expired": True, "prune.commit": False,
    "prune.committed": False,
}  # fmt: skip
"""In the order of a prune (first the compaction, then what expires), with those of the quick form."""
CASES = [pytest.param(point, marks=() if quick else pytest.mark.stress) for point, quick in POINTS.items()]
PRUNE = ("prune", "--older-than", "0.001s")


@pytest.fixture(scope="module")
def ran(nest: Nursery, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with two closed writers, tables and files, and a projection that is up to date."""
    shop = Shop.make(tmp_path_factory.mktemp("ran") / "shop")
    shop.set_factor(1)
    for script in ("shop.py", "light.py"):
        assert nest.run(shop.folder, [script]) == 0, said(shop.folder)
    return shop.folder


def events_of(folder: Path) -> dict[str, Event]:
    with project(folder) as found:
        return {event.id: event for event in Reader(found.home).events()}


def runs_of(folder: Path) -> list[dict[str, object]]:
    with project(folder) as found:
        return [{**run, "pruned": None} for run in found.reader.runs()["runs"]]


@pytest.mark.parametrize("point", CASES)
def test_a2_a_kill_while_pruning_loses_nothing_that_stays(nest: Nursery, ran: Path, tmp_path: Path, point: str) -> None:
    folder = tmp_path / "shop"
    shutil.copytree(ran, folder)
    before, runs = events_of(folder), runs_of(folder)
    kept = {key: event for key, event in before.items() if event.kind not in DETAIL}
    assert len(kept) < len(before)
    assert nest.run(folder, PRUNE, failpoint=point) == -9, said(folder)
    after = events_of(folder)
    assert {key: after.get(key) for key in kept} == kept
    with project(folder) as found:
        assert found.projection.verify() == []
    assert runs_of(folder) == runs
    with project(folder) as found:
        assert found.projection.verify() == []
    assert list((folder / ".headwater").glob("*.damaged-*")) == []
    assert nest.run(folder, PRUNE) == 0, said(folder)
    assert {key for key, event in events_of(folder).items() if event.kind in DETAIL} == set()
    assert runs_of(folder) == runs
    with project(folder) as found:
        assert found.projection.verify() == []
        assert list(found.home.tmp.iterdir()) == []
    print(f"A2, pruning, killed at {point}: {len(kept)} events kept, {len(before) - len(kept)} expired, 0 lost")
