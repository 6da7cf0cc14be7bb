"""What routes take: parameters that several of them share, each with its bounds, and who asks."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import Depends, Path, Query, Request

from headwater import clock
from headwater.api.board import Filter
from headwater.api.guard import Identity
from headwater.api.models import Verdict
from headwater.api.problems import MEDIA_TYPE, ApiError
from headwater.api.service import Service
from headwater.core.states import State

PAGE = 50
MOST = 500
"""Rows on a page, at most."""

Limit = Annotated[int, Query(ge=1, le=MOST, description="Rows on a page.")]
Cursor = Annotated[str | None, Query(max_length=1_000, description="`next` of the page before.")]
Selection = Annotated[
    str, Query(min_length=1, max_length=1_000, description="delays, +delays, tag:tier=gold, stale(), and or not")
]
Name = Annotated[str, Query(min_length=1, max_length=10_000, description="The name of an asset.")]
AsOf = Annotated[datetime | None, Query(description="The time to judge at; now when it is left out.")]
OfState = Annotated[State | None, Query(description="Only those in this state.")]
Id = Annotated[str, Path(min_length=1, max_length=100, description="An id, or a beginning that no other has.")]


def _problem(what: str) -> dict[str, Any]:
    return {"description": what, "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}}


PROBLEMS: dict[int | str, dict[str, Any]] = {
    400: _problem("What was asked makes no sense"),
    401: _problem("No valid token"),
    403: _problem("The token does not allow it, or a foreign page asks"),
    404: _problem("There is nothing of that name"),
    409: _problem("It can't be done as things stand"),
    413: _problem("The body is too long"),
    421: _problem("Another Host is meant"),
    422: _problem("A parameter or the body can't be read"),
    503: _problem("The journal or the projection can't be used now"),
}
"""What any route may answer beside its own."""


# Coroutines, though they wait for nothing: any other function is handed to a thread and back, for each request.
async def service(request: Request) -> Service:
    """What stands behind the routes."""
    found: Service = request.app.state.service
    return found


async def identity(request: Request) -> Identity:
    """Who asks. Raises ApiError when nobody was let in: no route answers without the guard."""
    found: Identity | None = request.scope.get("state", {}).get("identity")
    if found is None:
        raise ApiError(401, "unauthorized", "no valid token came with the request")
    return found


async def wanted(
    selection: Selection = "*",
    verdict: Annotated[list[Verdict] | None, Query(max_length=5, description="Only these verdicts.")] = None,
    stale: Annotated[bool | None, Query(description="Only what is stale, or only what is not.")] = None,
    q: Annotated[str, Query(max_length=200, description="A part of the name.")] = "",
) -> Filter:
    """Which assets are meant."""
    return Filter(selection=selection, verdicts=tuple(verdict or ()), stale=stale, text=q)


def moment(found: datetime | None) -> int | None:
    """A time that was given, in microseconds since the epoch; without a zone it is UTC. Raises ApiError."""
    if found is None:
        return None
    at = clock.given_us(found)
    if not clock.is_time(at):
        raise ApiError(400, "usage", "that time is out of range", hint="in UTC it is in the years 1 to 9999")
    return at


Asker = Annotated[Identity, Depends(identity)]
The = Annotated[Service, Depends(service)]
Wanted = Annotated[Filter, Depends(wanted)]
