"""The peak of memory of a run of `count` tasks that do nothing: at the run's end, and at the process's."""

from common import journal_line, main, peak_mb, say
from one_task import dagster_rows


def headwater(count):
    """A home without assets has no projection, so the process ends with the run; where there is one, DuckDB updates it."""
    from headwater import flow, task
    from headwater.core import runtime

    @task
    def nothing(value):
        return value

    @flow
    def many():
        for value in range(count):
            nothing(value)

    many()
    run = runtime.current()
    run.journal.close()
    at_run_end = peak_mb()
    run.projection.refresh()
    say(journal_line(), memory_mb=at_run_end, projection_mb=peak_mb())


def raw():
    """An interpreter that does nothing."""
    say(memory_mb=peak_mb())


def prefect(count, mode):
    """The flow's process; the server's is counted apart."""
    from prefect_server import drain, prefect_rows, server

    with server(mode) as usage:
        from prefect import flow, task

        @task
        def nothing(value):
            return value

        @flow
        def many():
            for value in range(count):
                nothing(value)

        many()
        at_run_end = peak_mb()
        drain()
        usage.settled_cpu_ms()
        server_peak = usage.peak_mb()
    say(prefect_rows(), run_mb=at_run_end, memory_mb=peak_mb(), server_mb=server_peak)


def dagster(count):
    """A job of so many ops, executed in this process."""
    from dagster import DagsterInstance, job, op

    @op
    def nothing():
        return 1

    @job
    def many():
        for number in range(count):
            nothing.alias(f"nothing_{number}")()

    with DagsterInstance.get() as instance:
        many.execute_in_process(instance=instance)
        at_run_end = peak_mb()
    say(dagster_rows(), run_mb=at_run_end, memory_mb=peak_mb())


if __name__ == "__main__":
    main(headwater, raw, prefect, dagster)
