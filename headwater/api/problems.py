"""Errors as problem details (RFC 9457): what is wrong, and what to do, as application/problem+json."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headwater.errors import (
    ExportError,
    HeadwaterError,
    JournalError,
    LockTimeout,
    ProjectionError,
    RefusedError,
    UnknownNameError,
    UsageError,
)

if TYPE_CHECKING:
    from fastapi import FastAPI, Request
    from fastapi.responses import Response

MEDIA_TYPE = "application/problem+json"
TYPE = "urn:headwater:error:"
"""What the `type` of a problem begins with; the kind of the error follows."""

_log = logging.getLogger("headwater.server")
_STATUS: tuple[tuple[type[HeadwaterError], int], ...] = (
    (UnknownNameError, 404),
    (UsageError, 400),
    (RefusedError, 409),
    (LockTimeout, 503),
    (JournalError, 503),
    (ProjectionError, 503),
    (ExportError, 502),
)


class ApiError(HeadwaterError):
    """A request that is refused, with the status that says so."""

    def __init__(self, status: int, kind: str, message: str, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.kind = kind


def problem(status: int, kind: str, detail: str, *, hint: str | None = None, **more: Any) -> dict[str, Any]:
    """The document of a problem.

    >>> problem(404, "unknown_name", "there is no asset 'dealys'")["title"]
    'Not Found'
    """
    found = {"type": TYPE + kind, "title": HTTPStatus(status).phrase, "status": status, "detail": detail, "hint": hint}
    return {name: value for name, value in {**found, **more}.items() if value is not None}


def status_of(error: HeadwaterError) -> int:
    """The status that an error is answered with.

    >>> status_of(UnknownNameError("no")), status_of(HeadwaterError("no"))
    (404, 409)
    """
    if isinstance(error, ApiError):
        return error.status
    return next((status for cls, status in _STATUS if isinstance(error, cls)), 409)


def encoded(value: Mapping[str, Any]) -> bytes:
    """JSON, whatever its texts hold."""
    import json

    return json.dumps(value).encode()


def install(app: FastAPI) -> None:
    """Let the app answer every error as a problem."""
    from fastapi.exceptions import RequestValidationError, ResponseValidationError
    from starlette.exceptions import HTTPException

    app.add_exception_handler(HeadwaterError, _headwater)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(ResponseValidationError, _unexpected)
    app.add_exception_handler(Exception, _unexpected)


def _answer(document: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    from fastapi.responses import Response

    headers = dict(headers) if headers else None
    return Response(encoded(document), status_code=document["status"], media_type=MEDIA_TYPE, headers=headers)


def _headwater(request: Request, error: Exception) -> Response:
    assert isinstance(error, HeadwaterError)
    status = status_of(error)
    if status >= 500:
        _log.warning("%s %s: %s", request.method, request.url.path, error.message)
    # Where it is may be a path of this machine: who asked wrongly is told, who is told of a trouble need not know.
    where, message = error.where, error.message
    if status >= 500:
        home: Path = request.app.state.service.project.home.path
        where, message = None, message.replace(str(home), home.name)
    return _answer(problem(status, error.kind, message, hint=error.hint, where=where))


def _invalid(request: Request, error: Exception) -> Response:
    from fastapi.exceptions import RequestValidationError

    assert isinstance(error, RequestValidationError)
    found = [{"at": [str(part) for part in one["loc"]], "message": one["msg"]} for one in error.errors()[:20]]
    first = found[0] if found else {"at": [], "message": "it can't be read"}
    detail = f"{' '.join(first['at'])}: {first['message']}"
    hint = "see /api/openapi.json"
    if first["at"] == ["body"] and isinstance(error.body, bytes) and error.body:
        hint = "it was not read as JSON: send it with Content-Type: application/json"
    return _answer(problem(422, "invalid", detail, hint=hint, errors=found))


def _http(request: Request, error: Exception) -> Response:
    from starlette.exceptions import HTTPException

    assert isinstance(error, HTTPException)
    kind = {404: "not_found", 405: "method"}.get(error.status_code, "http")
    return _answer(problem(error.status_code, kind, str(error.detail)), error.headers)


def _unexpected(request: Request, error: Exception) -> Response:
    _log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return _answer(problem(500, "unexpected", "something went wrong here: the server's log says what"))
