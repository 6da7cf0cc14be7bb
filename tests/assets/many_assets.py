"""Worlds of many assets, to see what grows with their number: a module that defines them, and a home that made them once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from headwater import DailyPartitions, clock
from headwater.assets.definitions import AssetDefinition, InputDefinition
from headwater.assets.events import AssetRef, Evidence, InputVersion, MaterializationEnded, MaterializationStarted
from headwater.assets.facts import AssetFacts, Consumed, Facts, Made
from headwater.assets.freshness import Freshness
from headwater.assets.mappings import infer_mapping
from headwater.assets.partitions import partitioning
from headwater.project import Project

WIDTH = 100
NOW = 1_700_000_000_000_000
HOUR = 3_600_000_000


def upstream(number: int, width: int = WIDTH) -> tuple[int, ...]:
    """The two assets that an asset reads: its neighbours in the layer above; none in the first layer."""
    return () if number < width else (number - width, number - width + (1 if (number + 1) % width else 1 - width))


def module_text(count: int, *, days: int = 0, width: int = WIDTH) -> str:
    """A module that defines so many assets, each with a function of its own that reads two others."""
    divided = f', partitions=DailyPartitions("2023-01-01", "{_end(days)}")' if days else ""
    lines = [
        "from typing import Annotated, Any",
        "",
        "from headwater import Asset, DailyPartitions, Freshness, materialize",
        "",
    ]
    for number in range(count):
        above = upstream(number, width)
        inputs = "inputs={" + ", ".join(f'"x{at}": a{one}' for at, one in enumerate(above)) + "}" if above else ""
        lines += [
            f'a{number} = Asset("a{number}", at="parquet://lake/a{number}"{divided}, freshness=Freshness("26h"))',
            "",
            "",
            f"@materialize(a{number}{', ' if inputs else ''}{inputs})",
            f"def make_a{number}({', '.join(f'x{at}' for at in range(len(above)))}):",
            f"    return [{', '.join(['1', *(f'x{at}' for at in range(len(above)))])}, {number}]",
            "",
            "",
        ]
    return "\n".join(lines)


def define(count: int, *, days: int = 0, width: int = WIDTH) -> None:
    """The same assets by a loop, as generated pipelines define them."""
    from headwater import Asset, materialize

    divided = DailyPartitions("2023-01-01", _end(days)) if days else None
    assets: list[Asset] = []
    for number in range(count):
        above = upstream(number, width)
        asset = Asset(f"a{number}", at=f"parquet://lake/a{number}", partitions=divided, freshness=Freshness("26h"))
        assets.append(asset)
        inputs = {f"x{at}": assets[one] for at, one in enumerate(above)}
        materialize(asset, inputs=inputs)(_function(number, len(inputs)))


def _function(number: int, inputs: int):
    def first():
        return [number]

    def further(x0, x1):
        return [x0, x1, number]

    return further if inputs else first


def record(project: Project, *, width: int = WIDTH) -> None:
    """Journal the definitions of this process, and that all was made once, upstream first; as runs would have."""
    with project.recorded():
        pass
    definitions = project.definitions.all()
    names = list(definitions)
    for at in range(0, len(names), width):
        project.journal.append(*outcomes(definitions, names[at : at + width]))


def outcomes(definitions: dict[str, AssetDefinition], names: Iterable[str]) -> Iterator[MaterializationEnded]:
    """One published materialization for each partition of these assets, begun now."""
    for definition in (definitions[name] for name in names):
        for part in partitioning(definition).all(NOW):
            inputs = tuple(
                InputVersion(
                    asset=used.asset,
                    namespace=definitions[used.asset].ref.namespace,
                    dataset=definitions[used.asset].ref.dataset,
                    partition=part.key,
                    version=version(used.asset, part.key),
                )
                for used in definition.inputs
            )
            id_ = version(definition.name, part.key)
            started = MaterializationStarted(
                materialization_id=id_,
                run_id=f"run-{id_}",
                task_run_id=f"task-{id_}",
                flow="daily",
                task=definition.producer or "",
                root_run_id=f"run-{id_}",
                root_flow="daily",
                project="many",
                asset=definition.ref,
                partition=part.key,
                partition_start=part.start_us,
                partition_end=part.end_us,
                source=definition.source,
                tags={},
            )
            evidence = Evidence(version=id_, rows=3, bytes=1_000, inputs=inputs, code_version=definition.code_version)
            yield MaterializationEnded(
                materialization_id=id_, started=started, started_at=clock.now_us(), state="published", evidence=evidence
            )


def version(name: str, key: str | None) -> str:
    """The version that was made of a partition."""
    return name if key is None else f"{name}-{key}"


def facts(count: int, *, days: int = 0, width: int = WIDTH) -> Facts:
    """What is known when all was made once, in memory: nothing is stale."""
    divided = DailyPartitions("2023-01-01", _end(days)) if days else None
    definitions: dict[str, AssetDefinition] = {}
    assets: dict[str, AssetFacts] = {}
    policy = Freshness("26h")
    parts = [(part.key, part.start_us, part.end_us) for part in partitioning_of(divided)]
    for number in range(count):
        name, above = f"a{number}", [f"a{one}" for one in upstream(number, width)]
        definitions[name] = AssetDefinition(
            ref=AssetRef(name=name, uri=f"memory://{name}", kind="memory", namespace="memory", dataset=name),
            partitions=divided,
            freshness=policy,
            inputs=tuple(
                InputDefinition(parameter=one, asset=one, mapping=infer_mapping(divided, divided)) for one in above
            ),
            producer=f"make_{name}",
            code_version="code-1",
        )
        assets[name] = AssetFacts(
            made={
                key: Made(
                    partition=key,
                    version=version(name, key),
                    at=NOW + number,
                    started=NOW + number,
                    run_id=f"run-{name}",
                    rows=3,
                    partition_start=start,
                    partition_end=end,
                    code_version="code-1",
                    inputs=tuple(Consumed(asset=one, partition=key, version=version(one, key)) for one in above),
                )
                for key, start, end in parts
            },
            last_run=NOW,
        )
    return Facts(definitions=definitions, assets=assets)


def changed(found: Facts, name: str) -> Facts:
    """The same facts, the code of one asset having changed since it was made."""
    definition = replace(found.definitions[name], code_version="code-2")
    return replace(found, definitions={**found.definitions, name: definition})


def partitioning_of(divided: DailyPartitions | None):
    from headwater.assets.partitions import UNPARTITIONED

    return (divided or UNPARTITIONED).all(NOW)


def _end(days: int) -> str:
    days_of = DailyPartitions("2023-01-01")
    return str(days_of.key(days_of.first + days))
