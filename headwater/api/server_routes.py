"""Routes about the server itself: health, sessions, limits, catalogs, live updates, metrics."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

import headwater
from headwater.api import models
from headwater.api.access import AccessLog
from headwater.api.browsers import COOKIE, SECONDS
from headwater.api.cursors import cut, moment_and_id
from headwater.api.parameters import PAGE, Asker, Cursor, Limit, The
from headwater.api.problems import ApiError
from headwater.api.stream import LISTENERS

router = APIRouter(prefix="/api", tags=["server"])
plain = APIRouter(tags=["server"])
_UNWELL: dict[int | str, dict[str, Any]] = {503: {"model": models.Health, "description": "Something is not well"}}


@router.get("/health", responses=_UNWELL)
def health(the: The) -> models.Health:
    """Whether the server is well: 503 when the journal can't be read or written."""
    return _health(the.failing())


@router.get("/ready", responses=_UNWELL)
def ready(the: The) -> models.Health:
    """Whether it is well, and has read what the journal held when it began."""
    return _health([*the.failing(), *([] if the.is_ready() else ["starting"])])


@router.get("/session")
def session(the: The, who: Asker) -> models.Session:
    """Who asks, what it may, what a browser sends along with each change, and where live updates stand."""
    csrf = who.session.csrf if who.session else None
    return models.Session(name=who.name, scope=who.scope, csrf=csrf, events=the.hub.position)


@router.post("/session")
def login(the: The, body: models.Login, request: Request, response: Response) -> models.Session:
    """Begin a browser session with a token: a cookie that no script can read and no other site can send."""
    tokens, browsers = request.app.state.tokens, request.app.state.browsers
    if tokens is None or browsers is None:
        raise ApiError(409, "insecure", "this server asks for no tokens", hint="it runs with --insecure-local")
    token = tokens.of(body.token.strip())
    access: AccessLog = request.app.state.access
    if token is None:
        access.refuse(request.client.host if request.client else "unknown")
        raise ApiError(401, "unauthorized", "that is no valid token", hint="headwater token create makes one")
    begun = browsers.begin(token)
    access.note("session.began", token.id, token.name)
    response.set_cookie(
        COOKIE, begun.cookie, max_age=SECONDS, httponly=True, samesite="strict", secure=request.url.scheme == "https"
    )
    return models.Session(name=token.name, scope=token.scope, csrf=begun.csrf, events=the.hub.position)


@router.delete("/session", status_code=204)
def logout(who: Asker, request: Request, response: Response) -> None:
    """End a browser session: nobody is let in with its cookie any more."""
    if who.session is not None:
        request.app.state.browsers.end(who.session)
        access: AccessLog = request.app.state.access
        access.note("session.ended", who.session.token_id, who.name)
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")


@router.get("/audit")
def audit(the: The, limit: Limit = PAGE, cursor: Cursor = None) -> models.Audit:
    """Who asked for what to be started or stopped, who was let in and who was refused, the newest first: for the scope admin."""
    found = the.reader.audit(limit=limit + 1, before=moment_and_id(cursor))
    return models.Audit.model_validate(cut(found, "changes", limit, "at", "id"))


@router.get("/limits")
def limits(the: The) -> models.Limits:
    """Limits, who holds their slots and how many wait; rates, and how much of them is used."""
    return models.Limits.model_validate(the.limits())


@router.get("/openlineage")
def openlineage(the: The) -> models.Destinations:
    """How far each catalog is, and what traces go to."""
    return models.Destinations.model_validate({"destinations": the.destinations()})


@router.get("/events", response_class=StreamingResponse, responses={200: {"content": {"text/event-stream": {}}}})
async def events(
    the: The,
    who: Asker,
    after: Annotated[str | None, Query(max_length=100, description="The id of the message to go on behind.")] = None,
    last_event_id: Annotated[str | None, Header(max_length=100)] = None,
) -> StreamingResponse:
    """Live updates (server-sent events): `change` names what has changed, `reset` says that everything may have.

    They go on behind the last message that was heard, else `after`: the `events` of a session, say.
    """
    if the.hub.listeners >= LISTENERS:
        raise ApiError(503, "busy", f"{LISTENERS} listen already")
    return StreamingResponse(the.hub.listen(last_event_id or after, who.holds), media_type="text/event-stream")


@plain.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
def metrics(the: The) -> Response:
    """Figures for Prometheus."""
    from headwater.api.metrics import exposition

    body, media_type = exposition(the)
    return Response(body, media_type=media_type)


def _health(failing: list[str]) -> models.Health:
    found = models.Health(status="failing" if failing else "ok", version=headwater.__version__, failing=failing)
    if failing:
        return JSONResponse(found.model_dump(), status_code=503)  # type: ignore[return-value]
    return found
