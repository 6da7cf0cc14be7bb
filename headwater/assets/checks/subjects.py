"""What is checked: a version that was staged, or the one in place."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from headwater import clock
from headwater.assets.checks.context import CheckContext
from headwater.assets.checks.history import PastVersion, published
from headwater.assets.events import Evidence, InputVersion, MaterializationStarted
from headwater.assets.forms import frame_form
from headwater.errors import LocationError

if TYPE_CHECKING:
    from headwater.assets.asset import Asset
    from headwater.assets.facts import Consumed, Facts
    from headwater.assets.partitions import Partition
    from headwater.assets.protocols import Staged
    from headwater.assets.runtime import AssetRuntime


def of_staged(
    run: AssetRuntime, asset: Asset, partition: Partition | None, staged: Staged, inputs: tuple[InputVersion, ...]
) -> CheckContext:
    """What was staged, and is not published yet."""

    def relation() -> Any:
        return staged.relation if staged.relation is not None else run.convert(staged.frame(), "sql")

    return CheckContext(
        asset=asset,
        partition=partition,
        now=clock.now_us(),
        version=staged.version,
        rows=staged.rows,
        bytes=staged.bytes,
        columns=staged.columns,
        sources=lambda: inputs,
        runtime=run,
        data=staged.frame,
        relation=relation,
    )


def of_published(run: AssetRuntime, asset: Asset, partition: Partition | None) -> CheckContext:
    """The version in place. Raises LocationError when there is none."""
    target = run.definitions.target(asset)
    materializer = run.materializer(target.asset)
    version = materializer.version(target, partition)
    parts = None if partition is None else (partition,)
    if version is None:
        what = asset.name if partition is None else f"{asset.name}@{partition.key}"
        raise LocationError(f"there is no data of {what} to check", where=asset.at, hint="materialize it first")

    def data() -> Any:
        value = materializer.load(target, parts, "any")
        return value if frame_form(value) is None else run.convert(value, "lazy")

    def sources() -> tuple[InputVersion, ...]:
        facts = run.catalog.facts([target.asset])
        made = facts.of(asset.name).made.get(None if partition is None else partition.key)
        return () if made is None or made.version != version else tuple(_inputs(facts, made.inputs))

    found = CheckContext(
        asset=asset,
        partition=partition,
        now=clock.now_us(),
        version=version,
        sources=sources,
        runtime=run,
        data=data,
        relation=lambda: materializer.load(target, parts, "sql"),
    )
    known = found.this()
    return found if known is None else replace(found, rows=known.rows, bytes=known.bytes, columns=known.columns)


def note_published(run: AssetRuntime, started: MaterializationStarted, evidence: Evidence) -> None:
    """Let the checks of later versions know of one that was just published here."""
    results = sorted(evidence.checks, key=lambda one: one.name)
    one = PastVersion(
        partition=started.partition,
        version=evidence.version,
        at=clock.now_us(),
        rows=evidence.rows,
        bytes=evidence.bytes,
        columns=evidence.columns,
        metrics={name: value for result in results for name, value in result.metrics.items()},
        start=started.partition_start,
    )
    published(run, started.asset, one)


def _inputs(facts: Facts, consumed: Iterable[Consumed]) -> Iterable[InputVersion]:
    for one in consumed:
        definition = facts.definitions.get(one.asset)
        if definition is not None:
            ref = definition.ref
            yield InputVersion(
                asset=one.asset,
                namespace=ref.namespace,
                dataset=ref.dataset,
                partition=one.partition,
                version=one.version,
            )
