"""The freshness verdict on each of `count` assets, all of them made once: half have a time column, half have none."""

from common import Stopwatch, journal_line, main, say

WIDTH = 100
HOUR = 3_600_000_000


def headwater(count):
    """The verdicts out of the projection, by a process that loads no module of theirs, as the command line does.

    The figures are the least of five: a question of a home that has not changed since the last one.
    """
    from headwater.project import Project

    run = Project.open()
    now = _make_all(run, count)
    run.journal.close()
    with Stopwatch() as refresh:
        run.projection.refresh()
    asked = []
    for _ in range(5):
        with Stopwatch() as asking:
            told = [*run.catalog.verdicts(as_of=now + 20 * HOUR).told.values()]
        asked.append(asking)
    counts = ", ".join(f"{told.count(verdict):,} {verdict}" for verdict in sorted(set(told)))
    say(
        f"{journal_line()}; {counts}",
        cpu_ms=min(one.cpu_ms for one in asked),
        wall_ms=min(one.wall_ms for one in asked),
        refresh_cpu_ms=refresh.cpu_ms,
    )


def _make_all(run, count):
    """Journal the definitions, and what runs that made each asset would have journaled; the moment of making."""
    from headwater.assets.definition_json import definition_hash, definition_to_json
    from headwater.assets.definitions import AssetDefinition, InputDefinition
    from headwater.assets.events import (
        AssetDefined,
        AssetRef,
        Evidence,
        InputVersion,
        MaterializationEnded,
        MaterializationStarted,
    )
    from headwater.assets.freshness import Freshness
    from headwater.assets.mappings import SameMapping
    from headwater.clock import now_us
    from headwater.ids import new_id

    now, run_id, policy, same = now_us(), new_id(), Freshness("26h", warn="25h"), SameMapping()
    refs = {
        f"asset_{n}": AssetRef(
            name=f"asset_{n}",
            uri=f"lake/asset_{n}.parquet",
            kind="parquet",
            namespace="file",
            dataset=f"/lake/asset_{n}",
        )
        for n in range(count)
    }
    bodies = []
    for number, (name, ref) in enumerate(refs.items()):
        # The half with a time column reads none of the other half.
        above = [f"asset_{number - WIDTH}"] if number % (count // 2) >= WIDTH else []
        timed = number >= count // 2
        inputs = tuple(InputDefinition(parameter=one, asset=one, mapping=same) for one in above)
        definition = AssetDefinition(
            ref=ref, inputs=inputs, freshness=policy, code_version="1", time_column="time" if timed else None
        )
        value = definition_to_json(definition, {one: refs[one] for one in above})
        bodies.append(AssetDefined(asset=ref, hash=definition_hash(value), project=run.project, definition=value))
        read = tuple(
            InputVersion(asset=one, namespace="file", dataset=refs[one].dataset, version=f"{one}-1") for one in above
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
            asset=ref,
            inputs=read,
            tags={},
        )
        reached = now - number * HOUR // 10_000 if timed else None
        evidence = Evidence(version=f"{name}-1", rows=1, inputs=read, code_version="1", time_max=reached)
        bodies.append(
            MaterializationEnded(
                materialization_id=id_, started=started, started_at=now, state="published", evidence=evidence
            )
        )
        if len(bodies) >= 1_000:
            run.journal.append(*bodies)
            bodies.clear()
    run.journal.append(*bodies)
    return now


if __name__ == "__main__":
    main(headwater)
