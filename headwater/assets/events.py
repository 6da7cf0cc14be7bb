"""The kinds of events that the assets layer writes: definitions, materializations, observations, backfills.

Everything is keyed by the resolved dataset (OpenLineage namespace and name); the asset's own name stands beside it.
Times are microseconds since the epoch, UTC. `partition` is None for an asset without partitions.
"""

from __future__ import annotations

from dataclasses import field
from typing import Any, ClassVar

from headwater.core.journal.events import Body
from headwater.records import dataclass
from headwater.types import ErrorInfo, OuterRun, SourceCode


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetRef:
    """Which asset: its name in the project, its place, and the dataset that the place resolves to."""

    name: str
    uri: str
    kind: str
    namespace: str
    dataset: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnSchema:
    """A column of a dataset: name, and type as its engine prints it."""

    name: str
    type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InputVersion:
    """What was read: dataset, partition, version, and how that is known.

    `via` is load (read by an input), value (a value passed by identity), plan (a leaf of a lazy plan), wait_for, sql,
    or derived (`derived_from`).
    """

    asset: str
    namespace: str
    dataset: str
    partition: str | None = None
    version: str | None = None
    via: str = "load"


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnEdge:
    """One column that another one is made of; `type` and `subtype` are OpenLineage's.

    `column` is None for an indirect dependency of the whole output (filter, join, sort …).
    DIRECT: IDENTITY, TRANSFORMATION, AGGREGATION. INDIRECT: JOIN, GROUP_BY, FILTER, SORT, WINDOW, CONDITIONAL.
    """

    column: str | None
    source_asset: str
    source_namespace: str
    source_dataset: str
    source_column: str
    type: str
    subtype: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownColumn:
    """An output column whose origin could not be told, and what made it so; `column` None means all of them."""

    column: str | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """What a check said of the data. A check's own function may give one: `passed`, why, and figures (`metrics`).

    All else is filled in: who said it, about which partition, what its failure means (`blocking`, `severity` error or
    warn), its `kind` (not_null, function, …) and the columns that it is about. A figure that is no finite number is None.

    >>> CheckResult(passed=False, message="3 of 10 are late", metrics={"late": 3}).metrics
    {'late': 3}
    """

    name: str = ""
    passed: bool
    blocking: bool = False
    message: str | None = None
    severity: str | None = None
    metrics: dict[str, float | None] = field(default_factory=dict)
    description: str | None = None
    partition: str | None = None
    kind: str | None = None
    columns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All that is known of one version of one partition when it has been staged."""

    version: str
    replaces: str | None = None
    rows: int | None = None
    bytes: int | None = None
    columns: tuple[ColumnSchema, ...] = ()
    time_min: int | None = None
    time_max: int | None = None
    inputs: tuple[InputVersion, ...] = ()
    unknown_inputs: tuple[str, ...] = ()
    column_edges: tuple[ColumnEdge, ...] = ()
    unknown_columns: tuple[UnknownColumn, ...] = ()
    checks: tuple[CheckResult, ...] = ()
    code_version: str | None = None
    sql: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetDefined(Body):
    """The definition of an asset as a process used it; `definition` is `AssetDefinition.to_json()`, `hash` is of that."""

    kind: ClassVar[str] = "asset.defined"

    asset: AssetRef
    hash: str
    project: str
    definition: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class MaterializationStarted(Body):
    """The intent to make one version of one partition. `materialization_id` is that version's id too."""

    kind: ClassVar[str] = "materialization.started"

    materialization_id: str
    run_id: str
    attempt: int = 1
    task_run_id: str
    flow: str
    task: str
    root_run_id: str
    root_flow: str
    root_attempt: int = 1
    project: str
    asset: AssetRef
    partition: str | None = None
    partition_start: int | None = None
    partition_end: int | None = None
    inputs: tuple[InputVersion, ...] = ()
    source: SourceCode | None = None
    owners: tuple[str, ...] = ()
    tags: dict[str, str]
    description: str | None = None
    started_by: OuterRun | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MaterializationStaged(Body):
    """The data is written beside its place and was checked; what follows is only its publishing."""

    kind: ClassVar[str] = "materialization.staged"
    durable: ClassVar[bool] = True

    materialization_id: str
    started: MaterializationStarted
    started_at: int
    staging: dict[str, Any]
    evidence: Evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class MaterializationEnded(Body):
    """The one outcome of a materialization, readable alone.

    `state` is published (a version is in place), refused (a blocking check or a missing input said no: `error` has the
    reason), failed (raised), skipped (an optional output that the call left out), or discarded (its process died, or its
    transaction was rolled back, before it was published).
    """

    kind: ClassVar[str] = "materialization.ended"
    durable: ClassVar[bool] = True

    materialization_id: str
    started: MaterializationStarted
    started_at: int
    state: str
    evidence: Evidence | None = None
    error: ErrorInfo | None = None

    def must_sync(self) -> bool:
        """Not when it was published: the record of what was staged and the data in place are on the disk, and say the same."""
        return self.state != "published"


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetObserved(Body):
    """What somebody saw of an asset that Headwater does not make: a source's version, rows, and how far its data reaches.

    `partition_end` is where the partition ended as the asset was divided then; older events don't tell it.
    """

    kind: ClassVar[str] = "asset.observed"
    durable: ClassVar[bool] = True

    observation_id: str
    run_id: str | None = None
    task_run_id: str | None = None
    project: str
    asset: AssetRef
    partition: str | None = None
    partition_end: int | None = None
    version: str | None = None
    data_through: int | None = None
    rows: int | None = None
    bytes: int | None = None
    columns: tuple[ColumnSchema, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FreshnessJudged(Body):
    """The freshness verdict on an asset, as somebody found it: `verdict` since `at`, `before` that another one (None: no other).

    `stands` is where the clock stood, `seen` up to when it is known that nothing else came between. Where `before` is the same
    verdict nothing changed: that was only looked at again.
    """

    kind: ClassVar[str] = "freshness.judged"
    durable: ClassVar[bool] = True

    project: str
    asset: AssetRef
    verdict: str
    before: str | None = None
    at: int
    clock: str | None = None
    stands: int | None = None
    next_change: int | None = None
    seen: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetChecked(Body):
    """What the checks of an asset said of a version in place, when somebody asked them again: `headwater check`."""

    kind: ClassVar[str] = "asset.checked"
    durable: ClassVar[bool] = True

    run_id: str | None = None
    task_run_id: str | None = None
    project: str
    asset: AssetRef
    partition: str | None = None
    version: str | None = None
    checks: tuple[CheckResult, ...] = ()


KINDS: dict[str, type[Body]] = {
    body.kind: body
    for body in (
        AssetDefined,
        MaterializationStarted,
        MaterializationStaged,
        MaterializationEnded,
        AssetObserved,
        FreshnessJudged,
        AssetChecked,
    )
}
