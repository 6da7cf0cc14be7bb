"""The shapes of backfills and of requests for work: those that are answered, and those that are taken."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import ConfigDict, Field

from headwater.api.models.base import RUN, TIME, Answer, Asked, Page, Text, example

Parameters: TypeAlias = Annotated[dict[str, Any], Field(max_length=100)]
"""Parameters of a flow, by name: text, or what JSON holds."""


class Backfill(Answer):
    """A backfill, and how many of its units are in which state."""

    model_config = example(
        id=RUN,
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


class Backfills(Page):
    """The newest first."""

    backfills: list[Backfill]


class Request(Answer):
    """Work that was asked for: asked, then running once a worker has taken it, then done or failed. Or cancelled before its run.

    A run or a backfill that it starts has the request's id.
    """

    model_config = example(
        id=RUN, what="backfill", state="asked", arguments={"selection": "delays"}, asked_by="ci", at=TIME
    )
    id: str
    what: str
    state: Literal["asked", "running", "done", "failed", "cancelled"]
    arguments: dict[str, Any] = {}
    asked_by: str | None = None
    at: str | None = None
    exit_code: int | None = None
    message: str | None = None
    cancelled_by: str | None = None
    project: str | None = None
    run: str | None = None


class Requests(Page):
    """The newest first."""

    requests: list[Request]


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


class MaterializeAsked(Asked):
    """Bringing assets up to date, as `headwater materialize` does."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"selection": "+delays", "only": ["stale"], "parallel": 4}]}
    )
    selection: Text
    partition: Text | None = None
    only: Annotated[list[Literal["missing", "failed", "stale"]], Field(max_length=3)] = []
    parallel: Annotated[int, Field(ge=1, le=256)] = 1


class FlowAsked(Asked):
    """A flow by its name, if it ran before, or as FILE:NAME; its parameters are read by its annotations, as `-p` are."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"flow": "nightly", "parameters": {"day": "2026-01-05"}}]}
    )
    flow: Text
    parameters: Parameters = {}


class ResumeAsked(Asked):
    """Going on with a run. `parameters` are those to change."""

    parameters: Parameters = {}


class RetryAsked(Asked):
    """Doing part of a run again, `from` a task on."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"from": "load"}]})
    task: Annotated[Text, Field(alias="from")]
    parameters: Parameters = {}
