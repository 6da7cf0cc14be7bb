"""A backfill of `count` days of an asset that writes one small Parquet file a day."""

import datetime as dt
from pathlib import Path

from chain import parquet_manager
from common import Stopwatch, Syncs, main, raw_write, say, say_headwater
from one_task import dagster_rows

START = dt.date(2024, 1, 1)


def days(count):
    """The keys of so many days."""
    return [str(START + dt.timedelta(days=number)) for number in range(count)]


def headwater(count):
    """A backfill as `headwater backfill` runs it: planned, requested durably, each partition with its outcome."""
    import polars as pl

    from headwater import Asset, DailyPartitions, materialize
    from headwater.assets import backfilling
    from headwater.assets.backfill import BackfillRequest, plan
    from headwater.core import runtime
    from headwater.project import Project

    daily = DailyPartitions(str(START), str(START + dt.timedelta(days=count)))
    frame = pl.DataFrame({"x": [1, 2, 3]})

    @materialize(Asset("trivial", at="parquet://lake/trivial", partitions=daily))
    def trivial(partition):
        return frame

    run = Project.open()
    runtime.set_current(run)

    @materialize(Asset("warm", at="parquet://lake/warm.parquet"))
    def warm():
        return frame

    warm()
    facts = run.catalog.facts()
    syncs = Syncs()
    with Stopwatch() as spent:
        wanted = daily.range(days(count)[0], days(count)[-1])
        made = plan(facts, BackfillRequest(targets=("trivial",), partitions=wanted), 0)
        request = backfilling.request(run, made, name="backfill trivial", targets=["trivial"])
        outcome = backfilling.carry_out(run, request, facts.definitions)
        run.journal.close()
    if outcome.counts["completed"] != count:
        raise SystemExit(f"the backfill ended {outcome}")
    say_headwater(run, spent, count, syncs)


def raw(count):
    """The same files and syncs, nothing else."""
    import polars as pl

    frame = pl.DataFrame({"x": [1, 2, 3]})
    folder = Path("lake")
    folder.mkdir()
    frame.write_parquet("warm.parquet")
    syncs = Syncs()
    with Path("journal").open("ab", buffering=0) as journal, Stopwatch() as spent:
        for key in days(count):
            raw_write(frame, folder / f"{key}.parquet", journal)
    unsynced = (spent.wall_ms - syncs.wall_ms) / count
    say(f"{count} files", cpu_ms=spent.cpu_ms / count, wall_ms=spent.wall_ms / count, unsynced_wall_ms=unsynced)


def prefect(count, how, mode):
    """Prefect knows no backfills: a flow run for each day ("loop"), or all days as tasks of one ("one_flow")."""
    import polars as pl
    from prefect_server import say_prefect, server

    frame = pl.DataFrame({"x": [1, 2, 3]})
    Path("lake").mkdir()
    with server(mode) as usage:
        from prefect import flow
        from prefect.assets import materialize

        def write(day):
            frame.write_parquet(f"lake/{day}.parquet")

        tasks = {day: materialize(f"file://lake/{day}.parquet", name="trivial")(write) for day in days(count)}

        @flow
        def one_day(day):
            tasks[day](day)

        @flow
        def all_days():
            for day, task in tasks.items():
                task(day)

        def each_day():
            for day in tasks:
                one_day(day)

        one_day(days(1)[0])
        say_prefect(usage, count, each_day if how == "loop" else all_days)


def dagster(count, how):
    """A run for each day ("loop"), or one run for the range of days ("ranged")."""
    import polars as pl
    from dagster import BackfillPolicy, DagsterInstance, DailyPartitionsDefinition, asset, materialize

    frame = pl.DataFrame({"x": [1, 2, 3]})
    daily = DailyPartitionsDefinition(start_date=str(START), end_date=days(count + 1)[-1])
    policy = BackfillPolicy.single_run() if how == "ranged" else None

    @asset(partitions_def=daily, backfill_policy=policy)
    def trivial(context):
        return dict.fromkeys(context.partition_keys, frame) if how == "ranged" else frame

    keys = days(count)
    ends = {"dagster/asset_partition_range_start": keys[0], "dagster/asset_partition_range_end": keys[-1]}
    resources = {"io_manager": parquet_manager()}
    with DagsterInstance.get() as instance:
        if how == "loop":
            materialize([trivial], instance=instance, resources=resources, partition_key=keys[0])
        with Stopwatch() as spent:
            if how == "ranged":
                materialize([trivial], instance=instance, resources=resources, tags=ends)
            else:
                for key in keys:
                    materialize([trivial], instance=instance, resources=resources, partition_key=key)
    files = len(list(Path("lake/trivial").iterdir()))
    say(f"{dagster_rows()}; {files} files", cpu_ms=spent.cpu_ms / count, wall_ms=spent.wall_ms / count)


if __name__ == "__main__":
    main(headwater, raw, prefect, dagster)
