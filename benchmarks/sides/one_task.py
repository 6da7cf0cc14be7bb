"""A task of a flow, recorded: `count` calls of a task that does nothing; "logging" writes one log line in each."""

import os
import tempfile
from pathlib import Path

from common import Stopwatch, main, say, say_headwater, sqlite_rows


def headwater(count, how):
    """States, logs, lineage and the journal's writing; bringing the projection up to date is timed apart."""
    from headwater import flow, get_logger, task
    from headwater.core import runtime

    @task
    def nothing(value):
        if how == "logging":
            get_logger().info("value %s", value)
        return value

    @flow
    def many(times):
        for value in range(times):
            nothing(value)

    many(20)
    run = runtime.current()
    run.projection.refresh()
    with Stopwatch() as spent:
        many(count)
        run.journal.close()
    say_headwater(run, spent, count)


def raw(count, how):
    """The same bytes: an append for each event."""
    line = b"x" * 320 + b"\n"
    with Stopwatch() as spent, tempfile.TemporaryFile(buffering=0, dir=".") as file:
        for _ in range((3 if how == "logging" else 2) * count):
            os.write(file.fileno(), line)
        os.fsync(file.fileno())
    say(cpu_ms=spent.cpu_ms / count, wall_ms=spent.wall_ms / count)


def prefect(count, how, mode):
    """Task runs and their states go to the server; its work is timed apart."""
    from prefect_server import say_prefect, server

    with server(mode) as usage:
        from prefect import flow, get_run_logger, task

        @task
        def nothing(value):
            if how == "logging":
                get_run_logger().info("value %s", value)
            return value

        @flow
        def many(times):
            for value in range(times):
                nothing(value)

        many(5)
        say_prefect(usage, count, lambda: many(count))


def dagster(count, how):
    """Ops of a job, executed in this process, on a persistent instance."""
    from dagster import DagsterInstance, job, op

    @op
    def nothing(context):
        if how == "logging":
            context.log.info("a value")
        return 1

    @job
    def few():
        nothing()

    @job
    def many():
        for number in range(count):
            nothing.alias(f"nothing_{number}")()

    with DagsterInstance.get() as instance:
        few.execute_in_process(instance=instance)
        with Stopwatch() as spent:
            many.execute_in_process(instance=instance)
    say(dagster_rows(), cpu_ms=spent.cpu_ms / count, wall_ms=spent.wall_ms / count)


def dagster_rows():
    """What stands in the instance's databases."""
    home = Path(os.environ["DAGSTER_HOME"])
    return sqlite_rows(sorted(home.rglob("*.db")), "runs", "event_logs", "asset_keys")


if __name__ == "__main__":
    main(headwater, raw, prefect, dagster)
