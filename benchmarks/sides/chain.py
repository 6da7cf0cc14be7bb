"""A chain of `count` assets, each made by reading the one before: small Parquet files, one run."""

import os
from pathlib import Path

from common import Stopwatch, Syncs, main, raw_append, raw_sync_folder, raw_write, say, say_headwater
from one_task import dagster_rows


def headwater(count):
    """Durable when the flow ends: data and journal are synced at every step."""
    import polars as pl

    from headwater import Asset, flow, materialize
    from headwater.core import runtime

    assets = [Asset(f"step_{number}", at=f"parquet://lake/step_{number}.parquet") for number in range(count)]

    def first():
        return pl.DataFrame({"x": [1, 2, 3]})

    def following(before):
        return before.with_columns(pl.col("x") + 1)

    steps = [materialize(assets[0], name="step_0")(first)]
    for number in range(1, count):
        above = {"before": assets[number - 1]}
        steps.append(materialize(assets[number], inputs=above, name=f"step_{number}")(following))

    @flow
    def chain(times):
        for step in steps[:times]:
            step()

    chain(2)
    run = runtime.current()
    syncs = Syncs()
    with Stopwatch() as spent:
        chain(count)
        run.journal.close()
    say_headwater(run, spent, count, syncs)


def raw(count):
    """The same reads, files and syncs, nothing else."""
    import polars as pl

    folder = Path("lake")
    folder.mkdir()
    pl.DataFrame({"x": [1, 2, 3]}).write_parquet("warm.parquet")
    pl.read_parquet("warm.parquet")
    syncs = Syncs()
    with Path("journal").open("ab", buffering=0) as journal, Stopwatch() as spent:
        raw_append(journal, 500)
        for number in range(count):
            place = folder / f"step_{number}.parquet"
            if number:
                frame = pl.read_parquet(folder / f"step_{number - 1}.parquet").with_columns(pl.col("x") + 1)
            else:
                frame = pl.DataFrame({"x": [1, 2, 3]})
            raw_write(frame, place, journal)
        raw_append(journal, 500)
        raw_sync_folder(folder)
    unsynced = (spent.wall_ms - syncs.wall_ms) / count
    say(f"{count} files", cpu_ms=spent.cpu_ms / count, wall_ms=spent.wall_ms / count, unsynced_wall_ms=unsynced)


def prefect(count, mode):
    """`@materialize` tasks; the files are the user's own code there, so they are as one would write them: not synced."""
    import polars as pl
    from prefect_server import say_prefect, server

    folder = Path("lake")
    folder.mkdir()
    with server(mode) as usage:
        from prefect import flow
        from prefect.assets import materialize

        def key(number):
            return f"file://lake/step_{number}.parquet"

        @materialize(key(0))
        def first():
            pl.DataFrame({"x": [1, 2, 3]}).write_parquet(folder / "step_0.parquet")

        def following(number):
            above = folder / f"step_{number - 1}.parquet"
            frame = pl.read_parquet(above).with_columns(pl.col("x") + 1)
            frame.write_parquet(folder / f"step_{number}.parquet")

        steps = [
            materialize(key(number), asset_deps=[key(number - 1)], name=f"step_{number}")(following)
            for number in range(1, count)
        ]

        @flow
        def chain():
            first()
            for number, step in enumerate(steps, 1):
                step(number)

        @flow
        def warm():
            first()

        warm()
        say_prefect(usage, count, chain)


def dagster(count):
    """Assets with an I/O manager for Parquet, in one run on a persistent instance; the files are not synced."""
    import polars as pl
    from dagster import AssetIn, DagsterInstance, asset, materialize

    manager = parquet_manager()

    @asset(name="step_0")
    def first():
        return pl.DataFrame({"x": [1, 2, 3]})

    def following(before):
        return before.with_columns(pl.col("x") + 1)

    assets = [first]
    for number in range(1, count):
        above = {"before": AssetIn(key=f"step_{number - 1}")}
        assets.append(asset(name=f"step_{number}", ins=above)(following))
    with DagsterInstance.get() as instance:
        materialize([first], instance=instance, resources={"io_manager": manager})
        with Stopwatch() as spent:
            materialize(assets, instance=instance, resources={"io_manager": manager})
    say(dagster_rows(), cpu_ms=spent.cpu_ms / count, wall_ms=spent.wall_ms / count)


def parquet_manager():
    """What a Dagster user writes to keep frames as Parquet files: one for each asset, or for each of its partitions."""
    import polars as pl
    from dagster import IOManager

    class ParquetFiles(IOManager):
        def _paths(self, context):
            name = context.asset_key.path[-1]
            keys = context.asset_partition_keys if context.has_asset_partitions else [""]
            return {key: Path("lake") / name / f"{key or 'all'}.parquet" for key in keys}

        def handle_output(self, context, obj):
            for key, path in self._paths(context).items():
                path.parent.mkdir(parents=True, exist_ok=True)
                (obj[key] if isinstance(obj, dict) else obj).write_parquet(path)

        def load_input(self, context):
            return pl.read_parquet(list(self._paths(context).values()))

    os.makedirs("lake", exist_ok=True)  # noqa: PTH103
    return ParquetFiles()


if __name__ == "__main__":
    main(headwater, raw, prefect, dagster)
