"""One call for several partitions: each is published and settled by itself, and fails by itself."""

import threading
from collections.abc import Iterator
from typing import Annotated, Any

import polars as pl
import pytest

from headwater import (
    Asset,
    DailyPartitions,
    DynamicPartitions,
    Partition,
    PartitionSet,
    check,
    clock,
    flow,
    materialize,
)
from headwater.assets import backfilling
from headwater.assets.backfill import BackfillRequest, plan
from headwater.core.journal.reader import Reader
from headwater.errors import DefinitionError, PartitionError, PartitionsFailed, ReturnTypeError
from headwater.testing.sandbox import Sandbox, sandbox

DAYS = DailyPartitions("2024-01-01", "2024-01-11")
KEYS = [f"2024-01-{day:02}" for day in range(1, 11)]


@pytest.fixture
def headwater() -> Iterator[Sandbox]:
    with sandbox() as found:
        yield found


def day(partition: Partition, **more: Any) -> pl.DataFrame:
    return pl.DataFrame({"day": [partition.key], "n": [partition.date.day], **more})


def backfill(
    headwater: Sandbox, *targets: str, watch: backfilling.Watcher | None = None, **how: Any
) -> backfilling.Outcome:
    facts = headwater.project.catalog.facts()
    planned = plan(facts, BackfillRequest(targets=targets), clock.now_us())
    request = backfilling.request(headwater.project, planned, name="all", targets=targets, **how)
    return backfilling.carry_out(headwater.project, request, facts.definitions, watch=watch)


def outcomes(headwater: Sandbox, found: backfilling.Outcome) -> dict[tuple[str, str], tuple[str, str | None]]:
    rows = headwater.project.reader.backfill(found.backfill_id)["outcomes"]
    return {(row["asset"], row["partition"]): (row["state"], row["reason"]) for row in rows}


def made_from(headwater: Sandbox, asset: str) -> dict[str, list[str]]:
    """By partition, the partitions of the inputs that it says it was made of."""
    read = "SELECT o.partition, list(i.source_partition ORDER BY i.source_partition) FROM facts.outcomes AS o"
    sql = f"{read} JOIN facts.inputs AS i USING (id) WHERE o.asset = $asset GROUP BY o.partition"
    with headwater.project.projection.session() as session:
        return dict(session.rows(sql, {"asset": asset}))


def test_a_generator_publishes_as_it_goes_and_its_inputs_are_read_for_the_whole_range(headwater: Sandbox) -> None:
    raw, sums = (Asset(name, at=f"memory://{name}", partitions=DAYS) for name in ("raw", "sums"))
    calls: list[str] = []

    @materialize(raw)
    def ingest(partitions: PartitionSet) -> Iterator[tuple[Partition, pl.DataFrame]]:
        calls.append(f"raw {partitions}")
        for partition in partitions:
            yield partition, day(partition)

    @materialize(sums)
    def add(rows: Annotated[pl.LazyFrame, raw.window(-1, 0)], partitions: PartitionSet) -> dict[str, pl.LazyFrame]:
        calls.append(f"sums {partitions} of {rows.collect().height}")
        days = [partition.date.day for partition in partitions]
        return {
            f"2024-01-{one:02}": rows.filter(pl.col("n").is_between(one - 1, one)).select(total=pl.col("n").sum())
            for one in days
        }

    found = backfill(headwater, "raw", "sums")
    assert (found.state, found.counts["completed"]) == ("completed", 20)
    assert calls == [f"raw {KEYS[0]}..{KEYS[-1]}", f"sums {KEYS[0]}..{KEYS[-1]} of 10"]
    assert headwater.load(sums, partition="2024-01-04")["total"].to_list() == [7]
    assert made_from(headwater, "sums")["2024-01-04"] == ["2024-01-03", "2024-01-04"]
    # So what is stale is what reads the one that changed, and not the rest of its call.
    ingest.at("2024-01-04")()
    stale = headwater.project.catalog.staleness(as_of=clock.now_us())["sums"].stale
    assert str(stale) == "2024-01-04..2024-01-05"


@pytest.mark.parametrize("parallel", [1, 2])
def test_each_partition_of_a_call_has_its_outcome_as_soon_as_it_is_published(headwater: Sandbox, parallel: int) -> None:
    raw, told, known = Asset("raw", at="memory://raw", partitions=DAYS), [0], threading.Condition()

    def watch(one: backfilling.Told) -> None:
        with known:
            told.append(one.counts["completed"])
            known.notify_all()

    @materialize(raw, retries=1)
    def ingest(partitions: PartitionSet) -> Iterator[tuple[Partition, pl.DataFrame]]:
        for partition in partitions:
            before = partition.date.day - 1
            with known:
                assert known.wait_for(lambda: told[-1] == before, 30), (before, told)  # noqa: B023 (asked at once)
            yield partition, day(partition)
            if partition.date.day == 5:
                raise OSError("the first try ends here")

    found = backfill(headwater, "raw", parallel=parallel, watch=watch)
    assert (found.state, told[-1]) == ("completed", 10)
    ended = [one.body for one in Reader(headwater.project.home).events() if one.kind == "backfill.partition_ended"]
    assert [one["partition"] for one in ended] == KEYS
    assert {one["state"] for one in ended} == {"completed"}


def test_what_is_wrong_with_one_partition_is_its_own_matter(headwater: Sandbox) -> None:
    raw, sums = (Asset(name, at=f"memory://{name}", partitions=DAYS) for name in ("raw", "sums"))

    @check(raw, blocking=True)
    def small(df: pl.DataFrame) -> bool:
        return df["n"].max() != 3

    @materialize(raw)
    def ingest(partitions: PartitionSet):
        for partition in partitions:
            if partition.key == "2024-01-05":
                yield partition, pl.LazyFrame({"n": [1]}).select("nothing")
            elif partition.key != "2024-01-07":
                yield partition.key, day(partition)

    @materialize(sums)
    def add(rows: Annotated[pl.LazyFrame, raw], partitions: PartitionSet):
        return {partition: rows.filter(pl.col("day") == partition.key) for partition in partitions}

    found = backfill(headwater, "raw", "sums")
    told = outcomes(headwater, found)
    assert found.counts | {"running": 0} == {
        "requested": 20, "completed": 14, "failed": 2, "blocked": 4, "running": 0, "skipped": 0, "cancelled": 0
    }  # fmt: skip
    assert {key: told["raw", key][0] for key in ("2024-01-03", "2024-01-05", "2024-01-07", "2024-01-09")} == {
        "2024-01-03": "blocked",
        "2024-01-05": "failed",
        "2024-01-07": "failed",
        "2024-01-09": "completed",
    }
    assert told["raw", "2024-01-07"][1] == "ingest gave no data for it"
    # Called alone: what it reads is missing for three days, and the others are made.
    with pytest.raises(PartitionsFailed, match="3 of 10 partitions were not made") as failed:
        add.at(f"{KEYS[0]}..{KEYS[-1]}")()
    assert sorted(map(str, failed.value.errors)) == ["2024-01-03", "2024-01-05", "2024-01-07"]
    assert "misses 1 of 1 partitions" in failed.value.errors["2024-01-03"].message


def test_what_a_call_published_before_it_failed_stays(headwater: Sandbox) -> None:
    raw = Asset("raw", at="memory://raw", partitions=DAYS)
    begun = []

    @materialize(raw, retries=1)
    def ingest(partitions: PartitionSet):
        begun.append(str(partitions))
        for partition in partitions:
            if partition.key == "2024-01-04":
                raise ValueError("the feed broke off")
            yield partition, day(partition)

    found = backfill(headwater, "raw")
    assert (found.counts["completed"], found.counts["failed"]) == (3, 7)
    assert outcomes(headwater, found)["raw", "2024-01-10"] == ("failed", "ValueError: the feed broke off")
    # Another try is asked only for what the first one has not published.
    assert begun == ["2024-01-01..2024-01-10", "2024-01-04..2024-01-10"]


@pytest.mark.parametrize(("batch", "said", "calls"), [(4, None, 3), (4, 3, 4), (None, None, 1), (None, 5, 2)])
def test_a_batch_bounds_the_range_of_a_call(
    headwater: Sandbox, batch: int | None, said: int | None, calls: int
) -> None:
    begun = []

    @materialize(Asset("raw", at="memory://raw", partitions=DAYS), batch=batch)
    async def ingest(partitions: PartitionSet):
        begun.append(partitions)
        for partition in partitions:
            yield partition, day(partition)

    assert backfill(headwater, "raw", batch=said).counts["completed"] == 10
    assert (len(begun), [one.first.key for one in begun]) == (calls, KEYS[:: said or batch or 10])
    found = headwater.project.reader.sql("SELECT partition, count(*) FROM materializations GROUP BY ALL")[1]
    assert sorted(found) == [(key, 1) for key in KEYS]


def test_several_assets_in_one_call_and_in_a_flow(headwater: Sandbox) -> None:
    left, right = (Asset(name, at=f"memory://{name}", partitions=DAYS) for name in ("left", "right"))

    @materialize(left, right)
    def split(partitions: PartitionSet):
        for partition in partitions:
            yield partition, {"left": day(partition), "right": day(partition, side=["r"])}

    @flow
    def main() -> tuple[int, int]:
        one, other = split.at("2024-01-02..2024-01-04")()
        return one.collect().height, other.collect().width

    assert main() == (3, 3)
    assert main.with_options(runner="threads")() == (3, 3)
    found = backfill(headwater, "left", "right")
    assert (found.state, found.counts["completed"]) == ("completed", 20)


def test_wrong_pairs_and_wrong_definitions(headwater: Sandbox) -> None:
    raw = Asset("raw", at="memory://raw", partitions=DAYS)

    @materialize(raw)
    def ingest(partitions: PartitionSet, what: Any = None):
        yield from what

    frame = pl.DataFrame({"n": [1]})
    several = ingest.at("2024-01-01..2024-01-03")
    with pytest.raises(PartitionError, match="which it was not asked for"):
        several(what=[("2024-01-01", frame), ("2024-01-09", frame)])
    with pytest.raises(PartitionError, match="gave 2024-01-01 twice"):
        several(what=[("2024-01-01", frame)] * 2)
    with pytest.raises(ReturnTypeError, match="not a partition with its data"):
        several(what=[frame])
    with pytest.raises(PartitionError, match="was given none"):
        ingest(what=[])

    with pytest.raises(DefinitionError, match="both `partition` and `partitions`"):

        @materialize(Asset("x", at="memory://x", partitions=DAYS))
        def x(partition, partitions): ...

    with pytest.raises(DefinitionError, match="bounds nothing"):

        @materialize(Asset("y", at="memory://y", partitions=DAYS), batch=2)
        def y(partition): ...

    with pytest.raises(DefinitionError, match="generator function"):

        @materialize(Asset("z", at="memory://z"))
        def z():
            yield 1

    @materialize(Asset("one", at="memory://one", partitions=DAYS))
    def one(partition): ...

    for several in (DAYS.parse("2024-01-01..2024-01-02"), "2024-01-01..2024-01-02"):
        with pytest.raises(PartitionError, match="makes one partition a call") as raised:
            one.at(several)
        assert "`partitions`" in raised.value.hint
        assert raised.value.hint.endswith("headwater backfill one --partition 2024-01-01..2024-01-02")
    with pytest.raises(PartitionError, match="is not a daily partition key"):
        one.at("2024-01-01..2024-01")


@pytest.mark.parametrize(("needs", "state"), [(None, "blocked"), (0, "completed")])
def test_a_call_that_reads_all_of_an_asset_without_a_partition(
    headwater: Sandbox, needs: int | None, state: str
) -> None:
    guests = Asset("guests", at="memory://guests", partitions=DynamicPartitions("guests"))
    sums = Asset("sums", at="memory://sums", partitions=DAYS)

    @materialize(guests)
    def come(partition: Partition) -> pl.DataFrame:
        return pl.DataFrame({"name": [partition.key]})

    @materialize(sums)
    def add(
        rows: Annotated[pl.DataFrame, guests.all(needs=needs)], partitions: PartitionSet
    ) -> dict[str | None, pl.DataFrame]:
        return {one.key: day(one, guests=[len(rows)]) for one in partitions}

    assert backfill(headwater, "sums").counts[state] == 10


@pytest.mark.parametrize("ranged", [False, True])
def test_what_needs_more_partitions_than_there_are_waits_for_them_in_either_form(
    headwater: Sandbox, ranged: bool
) -> None:
    customers = DynamicPartitions("needed customers")
    bought = Asset("bought", at="memory://bought", partitions=customers)
    week = Asset("week", at="memory://week", partitions=DAYS)

    @materialize(bought)
    def buy(partition: Partition) -> pl.DataFrame:
        return pl.DataFrame({"customer": [partition.key]})

    if ranged:

        @materialize(week)
        def add(rows: Annotated[pl.DataFrame, bought.all(needs=3)], partitions: PartitionSet) -> Any:
            return dict.fromkeys(partitions, rows)
    else:

        @materialize(week)
        def add(rows: Annotated[pl.DataFrame, bought.all(needs=3)], partition: Partition) -> Any:
            return rows

    customers.add("acme", "zeta")
    found = backfill(headwater, "bought", "week")
    assert found.counts["blocked"] == len(KEYS)
    _, reason = outcomes(headwater, found)["week", KEYS[0]]
    assert reason == "the input 'bought' has 2 partitions, at least 3 are needed"
    planned = plan(headwater.project.catalog.facts(), BackfillRequest(targets=("week",)), clock.now_us())
    assert [why.text for why in planned.steps[0].reason.because] == [
        "10 partitions will be blocked: the input bought has 2 partitions, at least 3 are needed"
    ]
    customers.add("late")
    assert backfill(headwater, "bought", "week").state == "completed"


@pytest.mark.parametrize("ranged", [False, True])
def test_a_window_that_is_cut_wants_what_it_has_in_either_form(headwater: Sandbox, ranged: bool) -> None:
    clicks = Asset("clicks", at="memory://clicks", partitions=DAYS)
    week = Asset("week", at="memory://week", partitions=DAYS)

    @materialize(clicks)
    def click(partition: Partition) -> pl.DataFrame:
        return day(partition)

    if ranged:

        @materialize(week)
        def add(rows: Annotated[pl.DataFrame, clicks.window(-6, 0, at_least=5)], partitions: PartitionSet) -> Any:
            return dict.fromkeys(partitions, rows)
    else:

        @materialize(week)
        def add(rows: Annotated[pl.DataFrame, clicks.window(-6, 0, at_least=5)], partition: Partition) -> Any:
            return rows

    assert backfill(headwater, "clicks", "week").counts["completed"] == 2 * len(KEYS)
