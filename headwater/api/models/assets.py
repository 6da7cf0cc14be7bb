"""The shapes of answers about assets: the board, partitions, materializations, checks, reasons."""

from __future__ import annotations

from typing import Literal

from headwater.api.models.base import TIME, Answer, Page, Verdict, example


class Reason(Answer):
    """Why something is so, and why that is so."""

    model_config = example(kind="input_updated", text="flights@2013-01-05 was made again", because=[])
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

    model_config = example(
        name="delays",
        kind="parquet",
        location="parquet://lake/delays",
        namespace="file",
        dataset="/srv/shop/lake/delays",
        owners=["team:ops"],
        tags={"tier": "gold"},
        partitions={"total": 365, "materialized": 364, "failed": 0, "missing": 1},
        rows=5_800,
        last_run=TIME,
        last_materialized=TIME,
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
    """An asset with its definition; `judged_as_of` is as in `AssetPage`."""

    judged_as_of: str
    description: str | None = None
    inputs: list[AssetInput] = []
    partitioned: str | None = None
    producer: str | None = None
    checks: list[str] = []


class AssetPage(Page):
    """The assets that were asked for, the worst first; `total` counts those on all pages.

    What had come by `judged_as_of` is in the verdicts: with many assets that may be a little before `as_of`.
    """

    as_of: str
    judged_as_of: str
    total: int
    assets: list[AssetRow]


class FreshnessPage(Page):
    """Verdicts alone."""

    as_of: str
    judged_as_of: str
    total: int
    assets: list[Clocks]


class StaleRow(Answer):
    """Whether an asset is stale."""

    name: str
    stale: Stale


class StalePage(Page):
    """What has to be made again."""

    as_of: str
    judged_as_of: str
    total: int
    assets: list[StaleRow]


class Summary(Answer):
    """How many assets have each verdict, and how many are stale."""

    model_config = example(as_of=TIME, judged_as_of=TIME, assets=3, verdicts={"fresh": 2, "late": 1}, stale=1)
    as_of: str
    judged_as_of: str
    assets: int
    verdicts: dict[str, int]
    stale: int


class PartitionRow(Answer):
    """A partition: `state` is materialized, failed (`error` says why; `version` is what is still in place) or missing."""

    model_config = example(partition="2026-01-04", state="materialized", stale=False, version="019b", at=TIME, rows=16)
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


class Materializations(Page):
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


class Checks(Page):
    """Those that fail first; with `history`, the newest answer first."""

    checks: list[CheckRow]


class Explanation(Answer):
    """Why a subject is as it is."""

    subject: str
    verdict: str
    reason: Reason
