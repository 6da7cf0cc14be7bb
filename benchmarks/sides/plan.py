"""Planning backfills: a million partitions of five assets in a chain, and what is stale of 100,000 that were made."""

from common import Stopwatch, main, say

AS_OF = 5_000_000_000_000_000


def headwater(count, only=""):
    """The plan of the last asset of five with all that it reads: `count` partitions in all; `only` "stale" of those made."""
    from headwater.assets.backfill import BackfillRequest, plan
    from headwater.assets.definitions import AssetDefinition, InputDefinition
    from headwater.assets.events import AssetRef
    from headwater.assets.facts import Facts
    from headwater.assets.mappings import infer_mapping
    from headwater.assets.partitions import HourlyPartitions

    hours = HourlyPartitions("1990-01-01T00")
    hours = HourlyPartitions("1990-01-01T00", str(hours.key(hours.bounds[0] + count // 5)))
    names = [f"asset_{number}" for number in range(5)]
    definitions = {}
    for number, name in enumerate(names):
        above = names[number - 1 : number]
        inputs = tuple(
            InputDefinition(parameter="rows", asset=one, mapping=infer_mapping(hours, hours)) for one in above
        )
        ref = AssetRef(name=name, uri=f"memory://{name}", kind="memory", namespace="memory", dataset=name)
        definitions[name] = AssetDefinition(ref=ref, partitions=hours, inputs=inputs, producer="make", code_version="1")
    facts = Facts(definitions=definitions)
    if only:
        facts = _all_made(definitions, hours)
    request = BackfillRequest(targets=(names[-1],), upstream=True, only=frozenset({only} if only else ()))
    asked = []
    for _ in range(3):
        with Stopwatch() as asking:
            found = plan(facts, request, AS_OF)
        asked.append(asking)
    say(
        f"{found.total:,} partitions in {len(found.steps)} steps",
        cpu_ms=min(one.cpu_ms for one in asked),
        wall_ms=min(one.wall_ms for one in asked),
    )


def _all_made(definitions, hours):
    """Every partition made once, each of the one above it; then the first tenth of the first asset again."""
    from headwater.assets.facts import AssetFacts, Consumed, Facts, Made

    found, above = {}, None
    for number, (name, definition) in enumerate(definitions.items()):
        made = {}
        for place, part in enumerate(hours.all()):
            again = above is None and place < len(hours.all()) // 10
            inputs = () if above is None else (Consumed(above, part.key, f"{number - 1}-{part.key}"),)
            made[part.key] = Made(
                partition=part.key,
                version=f"again-{part.key}" if again else f"{number}-{part.key}",
                at=number + (10 if again else 1),
                started=number,
                run_id="run",
                partition_start=part.start_us,
                partition_end=part.end_us,
                code_version=definition.code_version,
                inputs=inputs,
            )
        found[name], above = AssetFacts(made=made), name
    return Facts(definitions=definitions, assets=found)


if __name__ == "__main__":
    main(headwater)
