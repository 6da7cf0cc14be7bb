"""The shapes that the API answers with, and those that it takes. What it answers with may get more members; these stay.

Times are RFC 3339 in UTC, durations seconds.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from headwater.api.tokens import Scope

Verdict = Literal["fresh", "warn", "late", "unknown", "none"]
Text = Annotated[str, StringConstraints(min_length=1, max_length=1_000)]
"""A name, a selection, a partition: nothing that a person writes is longer."""

_TIME = "2026-01-05T06:10:00.000000Z"
_RUN = "019b8a2e-52c5-7f3a-8d0e-5a52e3f1c001"


class Answer(BaseModel):
    """What is answered: members that are not named here may stand in it, too."""

    model_config = ConfigDict(extra="allow")


class Asked(BaseModel):
    """What is asked: a member that is not known is refused."""

    model_config = ConfigDict(extra="forbid")


def _example(**members: Any) -> ConfigDict:
    return ConfigDict(extra="allow", json_schema_extra={"examples": [members]})


class Problem(Answer):
    """An error (RFC 9457)."""

    model_config = _example(
        type="urn:headwater:error:unknown_name",
        title="Not Found",
        status=404,
        detail="there is no asset 'dealys'",
        hint="did you mean 'delays'?",
    )
    type: str
    title: str
    status: int
    detail: str
    hint: str | None = None


class Reason(Answer):
    """Why something is so, and why that is so."""

    model_config = _example(kind="input_updated", text="flights@2013-01-05 was made again", because=[])
    kind: str
    text: str
    because: list[Reason] = []


class FreshnessRow(Answer):
    """A verdict: which clock was judged, how far it lags (seconds), and the path to what holds it back."""

    verdict: Verdict
    clock: str | None = None
    lag: float | None = None
    next_change: str | None = None
    witness: list[str] = []
    reason: str | None = None


class Clocks(Answer):
    """The three clocks of an asset, and its verdict."""

    name: str
    last_run: str | None = None
    last_materialized: str | None = None
    data_through: str | None = None
    basis: str | None = None
    complete_through: str | None = None
    freshness: FreshnessRow


class Counts(Answer):
    """How many partitions there are, and how many are in which state."""

    total: int
    materialized: int
    failed: int
    missing: int


class Stale(Answer):
    """Whether an asset has to be made again, how many of its partitions, and why."""

    is_stale: bool
    partitions: int
    reasons: list[Reason] = []


class AssetRow(Clocks):
    """An asset as the board shows it."""

    model_config = _example(
        name="delays",
        kind="parquet",
        location="parquet://lake/delays",
        namespace="file",
        dataset="/srv/shop/lake/delays",
        owners=["team:ops"],
        tags={"tier": "gold"},
        partitions={"total": 365, "materialized": 364, "failed": 0, "missing": 1},
        rows=5_800,
        last_run=_TIME,
        last_materialized=_TIME,
        data_through="2026-01-05T00:00:00.000000Z",
        basis="measured",
        complete_through=None,
        freshness={"verdict": "fresh", "clock": "data_through", "lag": 22_200.0, "witness": ["delays@2026-01-04"]},
        stale={"is_stale": False, "partitions": 0, "reasons": []},
    )
    kind: str
    location: str
    namespace: str
    dataset: str
    owners: list[str] = []
    tags: dict[str, str] = {}
    partitions: Counts | None = None
    rows: int | None = None
    stale: Stale


class AssetInput(Answer):
    """What an asset is made of: the input asset, the parameter that gets it, and which partitions of it are read."""

    asset: str
    parameter: str
    mapping: str


class AssetOne(AssetRow):
    """An asset with its definition."""

    description: str | None = None
    inputs: list[AssetInput] = []
    partitioned: str | None = None
    producer: str | None = None
    checks: list[str] = []


class Page(Answer):
    """A page: `next` is the cursor of the page that follows; null on the last one."""

    next: str | None = None


class AssetPage(Page):
    """The assets that were asked for, the worst first; `total` counts those on all pages."""

    as_of: str
    total: int
    assets: list[AssetRow]


class FreshnessPage(Page):
    """Verdicts alone."""

    as_of: str
    total: int
    assets: list[Clocks]


class StaleRow(Answer):
    """Whether an asset is stale."""

    name: str
    stale: Stale


class StalePage(Page):
    """What has to be made again."""

    as_of: str
    total: int
    assets: list[StaleRow]


class Summary(Answer):
    """How many assets have each verdict, and how many are stale."""

    model_config = _example(as_of=_TIME, assets=3, verdicts={"fresh": 2, "late": 1}, stale=1)
    as_of: str
    assets: int
    verdicts: dict[str, int]
    stale: int


class PartitionRow(Answer):
    """A partition: `state` is materialized, failed (`error` says why; `version` is what is still in place) or missing."""

    model_config = _example(
        partition="2026-01-04", state="materialized", stale=False, version="019b", at=_TIME, rows=16
    )
    partition: str | None
    state: Literal["materialized", "failed", "missing"]
    stale: bool
    version: str | None = None
    at: str | None = None
    rows: int | None = None
    run: str | None = None
    error: str | None = None


class PartitionPage(Page):
    """The partitions of an asset, in their order."""

    asset: str
    total: int
    partitions: list[PartitionRow]


class MaterializationRow(Answer):
    """What was tried to make a partition, whatever came of it."""

    partition: str | None = None
    state: str | None = None
    version: str | None = None
    run: str | None = None
    at: str | None = None
    rows: int | None = None
    bytes: int | None = None
    error: str | None = None


class Materializations(Answer):
    """The newest first."""

    asset: str
    materializations: list[MaterializationRow]


class CheckRow(Answer):
    """What a check said."""

    asset: str
    name: str
    passed: bool | None = None
    severity: str | None = None
    message: str | None = None
    at: str | None = None


class Checks(Answer):
    """Those that fail first; with `history`, the newest answer first."""

    checks: list[CheckRow]


class Explanation(Answer):
    """Why a subject is as it is."""

    subject: str
    verdict: str
    reason: Reason


class Node(Answer):
    """An asset or a column."""

    id: str
    kind: Literal["asset", "column"]
    name: str


class Edge(Answer):
    """That `to` is made of `from`."""

    source: str = Field(alias="from")
    target: str = Field(alias="to")
    origin: str
    runs: int
    last_seen: str | None = None


class Lineage(Answer):
    """The graph around an asset or a column; of everything when `root` is null. `truncated` says that it was too large."""

    model_config = _example(
        root="delays",
        nodes=[
            {"id": "delays", "kind": "asset", "name": "delays"},
            {"id": "flights", "kind": "asset", "name": "flights"},
        ],
        edges=[{"from": "flights", "to": "delays", "origin": "observed", "runs": 3, "last_seen": _TIME}],
        truncated=False,
    )
    root: str | None = None
    nodes: list[Node]
    edges: list[Edge]
    truncated: bool = False


class DriftEdge(Answer):
    """An edge that only one side knows."""

    source: str | None = Field(default=None, alias="from")
    target: str | None = Field(default=None, alias="to")


class Drift(Answer):
    """Where definitions and runs disagree."""

    declared_only: list[DriftEdge]
    observed_only: list[DriftEdge]


class Run(Answer):
    """A run with its newest attempt; `tasks` counts its task runs by their states."""

    model_config = _example(
        id=_RUN, flow="nightly", state="Completed", started=_TIME, ended=_TIME, duration=4.2, tasks={"Completed": 7}
    )
    id: str
    flow: str | None = None
    state: str
    started: str | None = None
    ended: str | None = None
    duration: float | None = None
    tasks: dict[str, int] = {}


class Runs(Page):
    """The newest first."""

    runs: list[Run]


class TaskRun(Answer):
    """A task run."""

    id: str
    task: str | None = None
    state: str
    tries: int | None = None
    started: str | None = None
    ended: str | None = None
    duration: float | None = None


class TaskRuns(Page):
    """The task runs of a run, the oldest first."""

    run: str
    task_runs: list[TaskRun]


class LogRow(Answer):
    """A log record; `level` is the number of Python's logging module."""

    id: str
    at: str
    level: int
    logger: str | None = None
    message: str | None = None

    model_config = ConfigDict(extra="allow", coerce_numbers_to_str=False)


class Logs(Page):
    """What a run logged, the oldest first."""

    run: str
    logs: list[LogRow]


class Asking(Answer):
    """That something was asked of what runs; read it again to see it happen."""

    model_config = _example(id=_RUN, state="Cancelling")
    id: str
    state: str


class Backfill(Answer):
    """A backfill, and how many of its units are in which state."""

    model_config = _example(
        id=_RUN,
        state="running",
        assets=["delays"],
        range="2026-01-01..2026-01-31",
        partitions={"requested": 31, "completed": 12, "failed": 0, "running": 4, "skipped": 0, "blocked": 0},
    )
    id: str
    state: str
    assets: list[str]
    range: str | None = None
    partitions: dict[str, int]


class Backfills(Answer):
    """The newest first."""

    backfills: list[Backfill]


class Request(Answer):
    """Work that was asked for: asked, then running once a worker has taken it, then done or failed.

    A backfill that it starts has the request's id.
    """

    model_config = _example(
        id=_RUN, what="backfill", state="asked", arguments={"selection": "delays"}, asked_by="ci", at=_TIME
    )
    id: str
    what: str
    state: Literal["asked", "running", "done", "failed"]
    arguments: dict[str, Any] = {}
    asked_by: str | None = None
    at: str | None = None
    exit_code: int | None = None
    message: str | None = None


class Requests(Answer):
    """The newest first."""

    requests: list[Request]


class Limits(Answer):
    """Limits with who holds their slots, and rates with how much of them is used."""

    limits: list[dict[str, Any]]
    rates: list[dict[str, Any]]


class Destination(Answer):
    """How a catalog is doing: events delivered, waiting, and refused for good."""

    destination: str
    delivered: int
    pending: int
    dead: int
    at: str | None = None
    error: str | None = None
    next_try: str | None = None


class Destinations(Answer):
    """All that are configured."""

    destinations: list[Destination]


class Health(Answer):
    """Whether the server is well: `failing` names what is not."""

    model_config = _example(status="ok", version="0.1.0", failing=[])
    status: Literal["ok", "failing"]
    version: str
    failing: list[str] = []


class Session(Answer):
    """Who is asking, and what it may. `csrf` is what a browser's session sends along with each change."""

    model_config = _example(name="ci", scope="run", csrf=None)
    name: str
    scope: Scope
    csrf: str | None = None


class Login(Asked):
    """A token, for a browser session."""

    token: Annotated[str, StringConstraints(max_length=200)]


class BackfillAsked(Asked):
    """A backfill as `headwater backfill` takes it. `from` and `to` are partition keys, both included."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"selection": "delays", "from": "2026-01-01", "to": "2026-01-31", "only": ["missing"]}]
        },
    )
    selection: Text
    first: Annotated[Text | None, Field(alias="from")] = None
    last: Annotated[Text | None, Field(alias="to")] = None
    partition: Text | None = None
    upstream: bool = False
    downstream: bool = False
    only: Annotated[list[Literal["missing", "failed", "stale"]], Field(max_length=3)] = []
    parallel: Annotated[int, Field(ge=1, le=256)] = 1
    order: Literal["oldest", "newest"] = "oldest"
    max_failures: Annotated[int | None, Field(ge=1, le=1_000_000_000)] = None
