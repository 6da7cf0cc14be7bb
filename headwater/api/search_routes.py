"""Routes that find: assets, columns and runs by a part of their names."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, BackgroundTasks, Query

from headwater.api.models.base import RUN, TIME, Answer, example
from headwater.api.parameters import The
from headwater.api.shared import SharedRoute

router = APIRouter(prefix="/api", tags=["assets"], route_class=SharedRoute)


class FoundAsset(Answer):
    """An asset whose name was found."""

    name: str
    kind: str


class FoundColumn(Answer):
    """A column whose name was found; `id` is what lineage takes as its root."""

    id: str
    asset: str
    column: str


class FoundRun(Answer):
    """A run whose id or whose flow's name was found."""

    id: str
    flow: str | None = None
    state: str
    started: str


class Found(Answer):
    """What was found, of each kind the best first: a name that is the text, one that begins with it, one that holds it."""

    model_config = example(
        assets=[{"name": "delays", "kind": "parquet"}],
        columns=[{"id": "delays.day", "asset": "delays", "column": "day"}],
        runs=[{"id": RUN, "flow": "nightly", "state": "Completed", "started": TIME}],
    )
    assets: list[FoundAsset]
    columns: list[FoundColumn]
    runs: list[FoundRun]


@router.get("/search")
def search(
    the: The,
    behind: BackgroundTasks,
    q: Annotated[str, Query(max_length=200, description="A part of a name; `asset.column` for a column of an asset.")],
    limit: Annotated[int, Query(ge=1, le=50, description="Of each kind, at most.")] = 8,
) -> Found:
    """Assets and columns by a part of their names, runs by the beginning of their ids or a part of their flow's name."""
    version = the.project.projection.version
    found = the.finder.find(q, limit, version)
    if the.finder.is_outdated(version):
        behind.add_task(the.finder.refresh, version)
    return Found.model_validate(found)
