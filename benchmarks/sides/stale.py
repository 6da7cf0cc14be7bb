"""How stale each of `count` assets is, all of them made once, and some of their inputs made again since."""

import subprocess
import sys

import big_graph
from common import Stopwatch, journal_line, main, say
from one_task import dagster_rows


def headwater(count, days=0):
    """The judgement out of the projection; then the same by the whole command `headwater status --count`.

    The figures are the least of five: a question of a home that has not changed since the last one, by a process that keeps
    what it has read of it. The first question is counted apart, with the modules that it loads.
    """
    from headwater.core import runtime
    from headwater.project import Project

    big_graph.write(count, "headwater", days)
    run = Project.open()
    runtime.set_current(run)
    big_graph.load()
    _make_all(run, count)
    run.journal.close()
    with Stopwatch() as refresh:
        run.projection.refresh()
    asked = []
    for _ in range(5):
        with Stopwatch() as asking:
            found = run.catalog.staleness(as_of=2_000_000_000_000_000)
        asked.append(asking)
    stale = sum(one.is_stale for one in found.values())
    with Stopwatch() as command:
        subprocess.run([sys.executable, "-m", "headwater", "status", "--count"], stdout=subprocess.DEVNULL, check=True)
    say(
        f"{journal_line()}; {stale:,} of {len(found):,} are stale",
        cpu_ms=min(one.cpu_ms for one in asked),
        wall_ms=min(one.wall_ms for one in asked),
        first_cpu_ms=asked[0].cpu_ms,
        refresh_cpu_ms=refresh.cpu_ms,
        command_wall_ms=command.wall_ms,
    )


def _make_all(run, count):
    """Journal what runs that made each asset would have journaled: events of our own, without the runs and the data."""
    from headwater.assets import registry
    from headwater.assets.events import Evidence, InputVersion, MaterializationEnded, MaterializationStarted
    from headwater.assets.partitions import partitioning
    from headwater.clock import now_us
    from headwater.ids import new_id

    definitions, now = run.definitions.all(), now_us()
    refs = {name: definition.ref for name, definition in definitions.items()}
    run.journal.append(*run.definitions.new(registry.current().assets.values()))
    run_id, bodies = new_id(), []

    def made(number, version, part):
        name = f"asset_{number}"
        inputs = tuple(
            InputVersion(
                asset=f"asset_{one}",
                namespace=refs[f"asset_{one}"].namespace,
                dataset=refs[f"asset_{one}"].dataset,
                partition=part.key,
                version=f"{one}-{part.key}-1",
            )
            for one in big_graph.inputs_of(number)
        )
        id_ = new_id()
        started = MaterializationStarted(
            materialization_id=id_,
            run_id=run_id,
            task_run_id=new_id(),
            flow="all",
            task=f"make_{number}",
            root_run_id=run_id,
            root_flow="all",
            project=run.project,
            asset=refs[name],
            partition=part.key,
            partition_start=part.start_us,
            partition_end=part.end_us,
            inputs=inputs,
            tags={},
        )
        evidence = Evidence(version=version, rows=1, inputs=inputs, code_version=definitions[name].code_version)
        bodies.append(
            MaterializationEnded(
                materialization_id=id_, started=started, started_at=now, state="published", evidence=evidence
            )
        )

    parts = list(partitioning(definitions["asset_0"]).all(now))
    for number in range(count):
        for part in parts:
            made(number, f"{number}-{part.key}-1", part)
    for number in range(0, count, 2_000):
        made(number, f"{number}-{parts[0].key}-2", parts[0])
    for low in range(0, len(bodies), 1_000):
        run.journal.append(*bodies[low : low + 1_000])


def dagster(count, how):
    """What its web server asks for each asset; "made": all of them materialized before, "never": none."""
    from dagster import AssetMaterialization, AssetsDefinition, DagsterInstance, Definitions
    from dagster._core.definitions.data_version import CachingStaleStatusResolver
    from dagster._core.loader import LoadingContextForTest
    from dagster._core.storage.event_log.base import AssetRecord

    big_graph.write(count, "dagster")
    assets = [one for one in vars(big_graph.load()).values() if isinstance(one, AssetsDefinition)]
    graph = Definitions(assets=assets).get_repository_def().asset_graph
    keys = list(graph.get_all_asset_keys())
    with DagsterInstance.get() as instance:
        if how == "made":
            for key in (key for level in graph.toposorted_asset_keys_by_level for key in level):
                instance.report_runless_asset_event(AssetMaterialization(asset_key=key))
        loading = LoadingContextForTest(instance)
        with Stopwatch() as spent:
            AssetRecord.prepare(loading, keys)  # as its web server does: one query for all, not one for each
            resolver = CachingStaleStatusResolver(instance, graph, loading)
            found = [resolver.get_status(key).name for key in keys]
    counts = ", ".join(f"{found.count(name):,} {name}" for name in sorted(set(found)))
    say(f"{dagster_rows()}; {counts}", cpu_ms=spent.cpu_ms, wall_ms=spent.wall_ms)


if __name__ == "__main__":
    main(headwater, dagster)
