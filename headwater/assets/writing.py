"""Write, audit, publish: the six steps that bring one version of one partition into place.

Intent with a version id; write once to a staging place; check what was staged; a durable record of it with all its
evidence; publish atomically; the durable outcome.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from headwater import clock, failpoints, ids
from headwater.assets import registry, runtime, value_lineage
from headwater.assets.asset import Asset
from headwater.assets.checks import audit, subjects
from headwater.assets.events import (
    Evidence,
    InputVersion,
    MaterializationEnded,
    MaterializationStaged,
    MaterializationStarted,
)
from headwater.assets.partitions import Partition
from headwater.assets.protocols import Staged, Target
from headwater.assets.scope import Consumed
from headwater.assets.tracking import Sources
from headwater.core.tracebacks import error_info, summary
from headwater.errors import Cancelled, RefusedError
from headwater.records import dataclass
from headwater.types import ErrorInfo

if TYPE_CHECKING:
    from headwater.core.context import RunContext
    from headwater.types import OuterRun, SourceCode


_PUBLISHING_LOCKS = 1024
_log = logging.getLogger("headwater.run")


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who makes something: the run, the task run and the source of the function."""

    run_id: str
    attempt: int
    task_run_id: str
    flow: str
    task: str
    root_run_id: str
    root_flow: str
    root_attempt: int = 1
    started_by: OuterRun | None = None
    source: SourceCode | None = None

    @classmethod
    def of(cls, context: RunContext, task_run_id: str, task: str, source: SourceCode | None = None) -> Identity:
        """A task run of the run that a context belongs to."""
        return cls(
            run_id=context.run_id,
            attempt=context.attempt,
            task_run_id=task_run_id,
            flow=context.flow,
            task=task,
            root_run_id=context.root_run_id,
            root_flow=context.root_flow,
            root_attempt=context.run.root.attempt,
            started_by=context.run.root.started_by,
            source=source,
        )


@dataclass(slots=True, eq=False)
class Output:
    """One asset that a call makes: one version of one partition, from the intent to the outcome."""

    asset: Asset
    partition: Partition | None
    target: Target
    started: MaterializationStarted
    started_at: int
    staged: Staged | None = None
    evidence: Evidence | None = None
    recorded: bool = False
    state: str | None = None
    """How it ended."""

    @property
    def ended(self) -> bool:
        """Whether it has its outcome."""
        return self.state is not None

    @property
    def version(self) -> str:
        """The version that is being made: its materialization's id."""
        return self.started.materialization_id


def begin(
    run: runtime.AssetRuntime,
    assets: Sequence[Asset],
    partition: Partition | None,
    identity: Identity,
    *,
    inputs: Sources = (),
    reads: Sequence[Asset] = (),
) -> list[Output]:
    """Step 1: journal the intent for each asset, and those definitions (of what it `reads`, too) that are new."""
    now = clock.now_us()
    outputs = []
    for asset in assets:
        definition, target = run.definitions.of(asset), run.definitions.target(asset)
        started = MaterializationStarted(
            materialization_id=ids.new_id(),
            run_id=identity.run_id,
            attempt=identity.attempt,
            task_run_id=identity.task_run_id,
            flow=identity.flow,
            task=identity.task,
            root_run_id=identity.root_run_id,
            root_flow=identity.root_flow,
            root_attempt=identity.root_attempt,
            started_by=identity.started_by,
            project=run.project,
            asset=target.asset,
            partition=partition.key if partition else None,
            partition_start=partition.start_us if partition else None,
            partition_end=partition.end_us if partition else None,
            inputs=inputs,
            source=identity.source,
            owners=definition.owners,
            tags=dict(definition.tags),
            description=definition.description,
        )
        outputs.append(Output(asset, partition, target, started, now))
    new = run.definitions.new([*assets, *reads])
    run.journal.append(*new, *(output.started for output in outputs))
    failpoints.reach("publish.intent")
    return outputs


def stage(run: runtime.AssetRuntime, outputs: Sequence[Output], values: Sequence[Any], consumed: Consumed) -> None:
    """Steps 2 and 3, of all that a call has made: write each value beside its place and run the checks on what was written.

    Raises CheckFailed when a blocking check fails; the evidence then says which, and nothing is published.
    """
    reads = bool(consumed.sources or consumed.unknown)
    found = [
        value_lineage.lineage_of(run, consumed.tracker, value, output.partition, reads=reads)
        for output, value in zip(outputs, values, strict=True)
    ]
    told = value_lineage.with_unseen(found, consumed.kept(consumed.sources))
    for output, one in zip(outputs, told, strict=True):
        _stage(run, output, one, consumed)


def _stage(run: runtime.AssetRuntime, output: Output, found: value_lineage.ValueLineage, consumed: Consumed) -> None:
    materializer = run.materializer(output.target.asset)
    staged = materializer.stage(output.target, output.partition, found.value, version=output.version)
    output.staged = staged
    inputs = _once(dict.fromkeys(consumed.kept([*consumed.sources, *found.sources])))
    checked = subjects.of_staged(run, output.asset, output.partition, staged, inputs)
    results = audit.audit(checked, registry.current().checks_of(output.asset.name))
    output.evidence = Evidence(
        version=staged.version,
        rows=staged.rows,
        bytes=staged.bytes,
        columns=staged.columns,
        time_min=staged.time_min,
        time_max=staged.time_max,
        inputs=inputs,
        unknown_inputs=tuple(dict.fromkeys([*consumed.unknown, *found.unknown_inputs])),
        column_edges=found.edges,
        unknown_columns=found.unknown_columns,
        checks=results,
        code_version=_code_version(run, output),
        sql=found.sql,
    )
    audit.tell(checked, results)
    audit.refuse(checked, results)
    failpoints.reach("publish.staged")


def leave_out(run: runtime.AssetRuntime, output: Output, consumed: Consumed) -> None:
    """What a call read to leave an optional output out, and by which code: it is published, so to say, by staying as it is."""
    output.evidence = Evidence(
        version=output.version,
        inputs=_once(dict.fromkeys(consumed.kept(consumed.sources))),
        unknown_inputs=tuple(dict.fromkeys(consumed.unknown)),
        code_version=_code_version(run, output),
    )


def _code_version(run: runtime.AssetRuntime, output: Output) -> str | None:
    """The version of the code that made it: of an asset that was chosen at run time that of the function alone."""
    source = output.started.source
    return None if source is None else run.definitions.of(output.asset).code_version or source.hash


def publish(run: runtime.AssetRuntime, output: Output) -> None:
    """Steps 4, 5 and 6: durable record, atomic publishing, durable outcome, while nobody else publishes the partition.

    Of an optional output that was left out there is the outcome alone.
    """
    assert output.evidence is not None
    if output.staged is None:
        end(run, output, "skipped")
        return
    materializer, ref = run.materializer(output.target.asset), output.target.asset
    name = f"publish:{ref.namespace}:{ref.dataset}:{output.started.partition or ''}"
    with run.locks.hold(name, among=_PUBLISHING_LOCKS):
        output.evidence = replace(output.evidence, replaces=materializer.version(output.target, output.partition))
        run.journal.append(
            MaterializationStaged(
                materialization_id=output.version,
                started=output.started,
                started_at=output.started_at,
                staging=dict(output.staged.staging),
                evidence=output.evidence,
            )
        )
        output.recorded = True
        failpoints.reach("publish.recorded")
        materializer.publish(output.target, output.partition, output.staged)
        failpoints.reach("publish.published")
        end(run, output, "published")


def end(run: runtime.AssetRuntime, output: Output, state: str, error: BaseException | ErrorInfo | None = None) -> None:
    """Journal the outcome, once; what was staged and not published is removed."""
    if output.ended:
        return
    materializer = run.materializer(output.target.asset)
    output.state = state
    if state != "published" and output.staged is not None:
        if output.recorded and materializer.version(output.target, output.partition) == output.version:
            # Stopped between publishing and its outcome: the data itself says that it is there.
            output.state, error = "published", None
        try:
            materializer.discard(output.target, output.version)
        except Exception as failed:  # noqa: BLE001 - what it ends with counts: a staged file that stays harms nobody
            _log.warning("what was staged for '%s' could not be discarded: %s", output.asset.name, summary(failed))
        failpoints.reach("publish.discarded")
    run.journal.append(
        MaterializationEnded(
            materialization_id=output.version,
            started=output.started,
            started_at=output.started_at,
            state=output.state,
            evidence=output.evidence,
            error=error_info(error) if isinstance(error, BaseException) else error,
        )
    )
    failpoints.reach("publish.ended")
    if output.state == "published" and output.evidence is not None:
        subjects.note_published(run, output.started, output.evidence)


def made_source(output: Output) -> InputVersion:
    """What was made, as the source that it is for whatever reads it next."""
    ref = output.target.asset
    return InputVersion(
        asset=ref.name,
        namespace=ref.namespace,
        dataset=ref.dataset,
        partition=output.started.partition,
        version=output.version,
        via="value",
    )


def end_all(run: runtime.AssetRuntime, outputs: list[Output], error: BaseException) -> None:
    """Journal the outcome of everything that has none yet, after an error."""
    if isinstance(error, RefusedError):
        state = "refused"
    elif isinstance(error, (Cancelled, KeyboardInterrupt, GeneratorExit)):
        state = "discarded"
    else:
        state = "failed"
    for output in outputs:
        end(run, output, state, error)


def _once(inputs: Mapping[InputVersion, None]) -> tuple[InputVersion, ...]:
    # The same version may be known in several ways: the first one found stands for it.
    found: dict[tuple[str, str, str | None, str | None], InputVersion] = {}
    for one in inputs:
        found.setdefault((one.namespace, one.dataset, one.partition, one.version), one)
    return tuple(found.values())
