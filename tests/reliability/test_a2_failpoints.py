"""A2: SIGKILL at every named failpoint. Nothing acknowledged is lost, nothing is there twice, and no data lies."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import kill_world
from collector import Answer, Collector
from kill_world import Scenario, Shop
from nursery import Nursery, said

from headwater.core.journal.reader import Reader
from headwater.failpoints import POINTS
from headwater.testing import project

LAST = 7
"""The factor that everything is made with in the end."""
RESUMED = {False: ("backfill.made",), True: ("backfill.", "publish.")}
"""At which points a killed backfill is resumed at once, in the quick form and in the full one."""
LONGEST = 32
"""So many kills a home has to bear, at most, in the full form."""


FEW = 8
"""So many points are chosen by chance in the quick form: each run of the tests takes others."""
SEED = int(os.environ.get("HEADWATER_SEED") or random.SystemRandom().randrange(2**32))
DICE = random.Random(SEED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    """One process to kill: where, and at which arrival there."""

    scenario: Scenario
    point: str
    arrival: int

    def __str__(self) -> str:
        return f"{self.scenario.name} at {self.point}:{self.arrival}"


def test_a2_a_kill_at_every_failpoint(tmp_path: Path, nest: Nursery, stress: bool) -> None:
    refusing = Collector(lambda number, event: Answer(status=422, body="not that"))
    refusing.up()
    try:
        quiet = Shop.make(tmp_path / "quiet")
        quiet.set_factor(LAST)
        assert nest.run(quiet.folder, ["shop.py"]) == 0, said(quiet.folder)
        quiet.finished()
        kills = list(planned(reached(kill_world.scenarios(refusing.url), quiet, nest, tmp_path), 10 if stress else 1))
        if not stress:
            kills = [kills[number] for number in sorted(DICE.sample(range(len(kills)), FEW))]
        size = LONGEST if stress else len(kills)
        for start in range(0, len(kills), size):
            bear(kills[start : start + size], quiet, nest, tmp_path / f"from{start}", stress)
    finally:
        refusing.down()
    print(
        f"A2: {len(POINTS)} failpoints, {len(kills)} kills, seed {SEED}: 0 lost, 0 twice, 0 failed opens, no data that lies"
    )


def reached(
    scenarios: tuple[Scenario, ...], quiet: Shop, nest: Nursery, folder: Path
) -> dict[Scenario, Mapping[str, int]]:
    """For each scenario, how often it reaches which failpoint."""
    found = {}
    for scenario in scenarios:
        shop = quiet.copy(folder / scenario.name)
        scenario.prepare(shop, nest, 3)
        found[scenario] = scenario.reaches(shop, nest)
    return found


def planned(reached: Mapping[Scenario, Mapping[str, int]], times: int) -> Iterator[Kill]:
    """Each point so many times: in each scenario that gets there, at arrivals spread over all that there are.

    What kills the making of a new home is asked only where nothing else gets there.
    """
    for place, point in enumerate(POINTS):
        able = [(scenario, counts[point]) for scenario, counts in reached.items() if counts.get(point)]
        assert able, f"no scenario reaches {point}"
        able = [pair for pair in able if pair[0].name != "first"] or able
        for number in range(times):
            scenario, count = able[number % len(able)]
            yield Kill(scenario=scenario, point=point, arrival=1 + (place * 5 + number // len(able) * 3) % count)


def bear(chain: list[Kill], quiet: Shop, nest: Nursery, folder: Path, stress: bool) -> None:
    """Kill, judge, and go on, again and again; in the end all is as if nothing had happened."""
    shop = quiet.copy(folder)
    for number, kill in enumerate(chain):
        kill.scenario.prepare(shop, nest, 11 + number)
        try:
            kill.scenario.kill(shop, nest, f"{kill.point}:{kill.arrival}")
            if (shop.folder / ".headwater" / "format").exists():
                shop.judge()
            if kill.scenario.name == "backfill" and kill.point.startswith(RESUMED[stress]):
                resume(shop, nest)
        except BaseException as error:
            error.add_note(f"seed {SEED}: {kill}, after {', '.join(map(str, chain[:number])) or 'nothing'}")
            raise
    shop.set_factor(LAST)
    assert nest.run(shop.folder, ["shop.py"]) == 0, said(shop.folder)
    shop.finished()
    assert quiet.content().items() <= shop.content().items()


def resume(shop: Shop, nest: Nursery) -> None:
    """Finish the newest backfill: each of its partitions is published exactly once, in however many attempts."""
    with project(shop.folder) as found:
        requests = [event for event in Reader(found.home).events() if event.kind == "backfill.requested"]
    if not requests:
        return
    backfill = requests[-1].body["backfill_id"]
    assert nest.run(shop.folder, ["backfill", "resume", backfill, "-f", "shop.py"]) == 0, said(shop.folder)
    shop.judge()
    with project(shop.folder) as found:
        ends = [
            (end.body["started"]["asset"]["name"], end.body["started"]["partition"])
            for end in Reader(found.home).events()
            if end.kind == "materialization.ended"
            and end.body["started"]["root_run_id"] == backfill
            and end.body["state"] == "published"
        ]
        shown = found.reader.backfill(backfill)
    assert sorted(ends) == [(name, day) for name in ("raw", "totals") for day in kill_world.DAYS[:2]]
    assert shown["partitions"]["completed"] == shown["partitions"]["requested"] == 4


def test_what_was_published_and_replaced_before_anybody_looked(tmp_path: Path, nest: Nursery) -> None:
    shop = Shop.make(tmp_path / "shop")
    for factor, arrival in ((1, 4), (2, 4), (3, 1), (4, 0)):
        shop.set_factor(factor)
        point = f"publish.published:{arrival}" if arrival else ""
        assert nest.run(shop.folder, ["shop.py"], failpoint=point) == (-9 if arrival else 0), said(shop.folder)
    with project(shop.folder) as found:
        _, outcomes = found.reader.sql("SELECT asset, state FROM materialization_outcomes")
        assert found.projection.verify() == []
    states: dict[str, list[str]] = {}
    for asset, state in outcomes:
        states.setdefault(asset, []).append(state)
    assert states == {
        "raw": ["published"] * 3,
        "report": ["published"] * 4,
        "stock": ["published"] * 3,
        "totals": ["published"] * 3,
    }


def test_what_a_killed_process_had_spilled_is_removed(tmp_path: Path, nest: Nursery) -> None:
    shop = Shop.make(tmp_path / "shop")
    shop.set_factor(LAST)
    assert nest.run(shop.folder, ["shop.py"], failpoint="publish.recorded:2") == -9, said(shop.folder)
    (staged,) = shop.folder.rglob(".staging-*.parquet")
    spilled = (staged.with_suffix(".tmp"), shop.folder / ".headwater" / "tmp" / "duckdb")
    for folder in spilled:
        folder.mkdir()
        (folder / "duckdb_temp_1_0_owner").write_text("")
    assert nest.run(shop.folder, ["runs"]) == 0, said(shop.folder)
    assert [folder for folder in spilled if folder.exists()] == []
    shop.judge()
