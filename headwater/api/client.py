"""A client of a Headwater server: what the local reader (`Project.open().reader`) answers, by the same methods, and requests.

    from headwater.api.client import Client

    client = Client("http://127.0.0.1:8421", token="hw_…")
    client.runs(limit=5)["runs"]
    client.backfill_create("delays", first="2013-01-01", last="2013-01-31")

It needs nothing but the standard library. Errors are raised as the local reader raises them.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from headwater.errors import (
    HeadwaterError,
    LockTimeout,
    PartitionError,
    ProjectionError,
    RefusedError,
    UnknownNameError,
    UsageError,
)

SECONDS = 30.0
"""How long an answer is waited for."""
_KINDS: Mapping[str, type[HeadwaterError]] = {
    one.kind: one for one in (UsageError, UnknownNameError, PartitionError, RefusedError, LockTimeout, ProjectionError)
}
_NO_ANSWER = "that is no answer of a Headwater server"
_FULL = {
    "detail": "the server can't be asked now: it has as many connections as it takes, or it is not there behind its proxy",
    "hint": "try again in a moment",
}
"""Nothing of ours can tell it: what turns a connection away knows of no problems."""
_PREFIX = "urn:headwater:error:"
_ASKED = ("pause", "resume", "cancel", "retry")
"""What can be asked of a backfill."""


class Client:
    """Questions and requests to a server. Times in answers are RFC 3339 in UTC, durations seconds. Safe among threads.

    Every method raises UnknownNameError, UsageError and so on as the server says, and HeadwaterError when it can't be
    reached or refuses the token.
    """

    def __init__(self, url: str, *, token: str | None = None, timeout: float = SECONDS) -> None:
        hint = "write http://127.0.0.1:8421"
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise UsageError(f"{url!r} is not the address of a server: {error}", hint=hint) from error
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(f"{url!r} is not the address of a server", hint=hint)
        if token is not None and not (token.isascii() and token.isprintable()):
            hint = "a file's text ends with a new line: read_text().strip()"
            raise UsageError("the token holds characters that no token has", hint=hint)
        self._parts, self._port, self._token, self._timeout = parts, port, token, timeout

    def status(self, selection: str = "*", **given: Any) -> dict[str, Any]:
        """A page of the board: `{as_of, total, assets, next}`. Takes verdict, stale, q, as_of, limit and cursor."""
        return self._get("assets", selection=selection, **given)

    def freshness(self, selection: str = "*", **given: Any) -> dict[str, Any]:
        """A page of verdicts."""
        return self._get("freshness", selection=selection, **given)

    def asset(self, name: str) -> dict[str, Any]:
        """One asset, with its definition."""
        return self._get("assets/one", name=name)

    def explain(self, subject: str) -> dict[str, Any]:
        """Why an asset, or one of its partitions, is as it is: `{subject, verdict, reason}`."""
        return self._get("explain", subject=subject)

    def partitions(self, asset: str, *, limit: int = 50, cursor: str | None = None) -> dict[str, Any]:
        """A page of an asset's partitions, with their states."""
        return self._get("partitions", asset=asset, limit=limit, cursor=cursor)

    def materializations(self, asset: str, *, limit: int = 100, cursor: str | None = None) -> dict[str, Any]:
        """What was tried to make an asset, the newest first."""
        return self._get("materializations", asset=asset, limit=limit, cursor=cursor)

    def checks(
        self,
        selection: str = "*",
        *,
        history: bool = False,
        failed: bool = False,
        limit: int = 50,
        cursor: str | None = None,
    ) -> dict[str, Any]:
        """A page of what checks said."""
        return self._get("checks", selection=selection, history=history, failed=failed, limit=limit, cursor=cursor)

    def lineage(
        self, asset: str | None = None, *, up: bool = True, down: bool = True, depth: int = 2, columns: bool = False
    ) -> dict[str, Any]:
        """The graph around an asset or a column: `{root, nodes, edges}`."""
        return self._get("lineage", root=asset, up=up, down=down, depth=depth, columns=columns)

    def drift(self) -> dict[str, Any]:
        """Where definitions and runs disagree."""
        return self._get("lineage/drift")

    def runs(
        self, *, limit: int = 50, flow: str | None = None, state: str | None = None, cursor: str | None = None
    ) -> dict[str, Any]:
        """The newest runs."""
        return self._get("runs", limit=limit, flow=flow, state=state, cursor=cursor)

    def run(self, run_id: str) -> dict[str, Any]:
        """One run, by its id or a beginning that no other has."""
        return self._get(f"runs/{quote(run_id, safe='')}")

    def task_runs(self, run_id: str, *, limit: int = 50, cursor: str | None = None) -> dict[str, Any]:
        """A page of the task runs of a run."""
        return self._get(f"runs/{quote(run_id, safe='')}/tasks", limit=limit, cursor=cursor)

    def logs(
        self, run_id: str, *, level: str | None = None, limit: int = 50, cursor: str | None = None
    ) -> dict[str, Any]:
        """A page of what a run logged."""
        return self._get(f"runs/{quote(run_id, safe='')}/logs", level=level, limit=limit, cursor=cursor)

    def artifacts(self, run_id: str, *, limit: int = 50, cursor: str | None = None) -> dict[str, Any]:
        """A page of what a run made."""
        return self._get(f"runs/{quote(run_id, safe='')}/artifacts", limit=limit, cursor=cursor)

    def backfills(self, *, limit: int = 50, cursor: str | None = None) -> dict[str, Any]:
        """The newest backfills."""
        return self._get("backfills", limit=limit, cursor=cursor)

    def backfill(self, backfill_id: str) -> dict[str, Any]:
        """One backfill."""
        return self._get(f"backfills/{quote(backfill_id, safe='')}")

    def limits(self) -> dict[str, Any]:
        """Limits and rates, as they stand."""
        return self._get("limits")

    def work_requests(self, *, open_only: bool = False, limit: int = 50, cursor: str | None = None) -> dict[str, Any]:
        """What was asked to be started, the newest first."""
        return self._get("requests", open=open_only, limit=limit, cursor=cursor)

    def request(self, request_id: str) -> dict[str, Any]:
        """One request for work."""
        return self._get(f"requests/{quote(request_id, safe='')}")

    def cancel_request(self, request_id: str) -> dict[str, Any]:
        """Take back what was asked for, before its run has begun."""
        return self._call("POST", f"requests/{quote(request_id, safe='')}/cancel")

    def backfill_create(
        self, selection: str, *, first: str | None = None, last: str | None = None, **given: Any
    ) -> dict[str, Any]:
        """Ask for a backfill: its request, whose id the backfill gets when a worker starts it.

        Takes partition, upstream, downstream, only, parallel, order and max_failures as `headwater backfill` does.
        """
        ends = {name: value for name, value in (("from", first), ("to", last)) if value is not None}
        return self._call("POST", "backfills", {"selection": selection, **ends, **given})

    def backfill_ask(self, backfill_id: str, what: str) -> dict[str, Any]:
        """Ask of a backfill to pause, resume, cancel or retry. Raises UnknownNameError for anything else."""
        if what not in _ASKED:
            raise UnknownNameError.of("request to a backfill", what, _ASKED)
        return self._call("POST", f"backfills/{quote(backfill_id, safe='')}/{quote(what, safe='')}")

    def materialize(self, selection: str, **given: Any) -> dict[str, Any]:
        """Ask that assets be brought up to date: the request. Takes partition, only and parallel."""
        return self._call("POST", "materializations", {"selection": selection, **given})

    def start(self, flow: str, parameters: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Ask for a run of a flow, by its name or as FILE:NAME: the request, whose id the run gets."""
        return self._call("POST", "runs", {"flow": flow, "parameters": dict(parameters or {})})

    def resume_run(self, run_id: str, parameters: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Ask for the next attempt of a run that ended early: the request."""
        return self._call("POST", f"runs/{quote(run_id, safe='')}/resume", {"parameters": dict(parameters or {})})

    def retry_run(self, run_id: str, task: str, parameters: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Ask that part of a run be done again, from a task on: the request."""
        body = {"from": task, "parameters": dict(parameters or {})}
        return self._call("POST", f"runs/{quote(run_id, safe='')}/retry", body)

    def cancel_run(self, run_id: str) -> dict[str, Any]:
        """Ask the process of a run to stop."""
        return self._call("POST", f"runs/{quote(run_id, safe='')}/cancel")

    def pages(self, first: Mapping[str, Any], again: Any, *given: Any, **named: Any) -> Iterator[dict[str, Any]]:
        """A page and those that follow it: `client.pages(client.runs(), client.runs)`."""
        page = dict(first)
        yield page
        while page["next"] is not None:
            page = again(*given, **named, cursor=page["next"])
            yield page

    def _get(self, path: str, **given: Any) -> dict[str, Any]:
        pairs: list[tuple[str, str]] = []
        for name, value in given.items():
            several = value if isinstance(value, Iterable) and not isinstance(value, str) else [value]
            pairs += [
                (name, str(one).lower() if isinstance(one, bool) else str(one)) for one in several if one is not None
            ]
        return self._call("GET", f"{path}?{urlencode(pairs)}" if pairs else path)

    def _call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        kind = http.client.HTTPSConnection if self._parts.scheme == "https" else http.client.HTTPConnection
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token}"
        try:
            data = None if body is None else json.dumps(body).encode()
            with closing(kind(self._parts.hostname or "", self._port, timeout=self._timeout)) as connection:
                connection.request(method, f"{self._parts.path.rstrip('/')}/api/{path}", data, headers)
                answer = connection.getresponse()
                text = answer.read()
        # A name that no host can have is an error of its encoding.
        except (OSError, http.client.HTTPException, UnicodeError) as error:
            where = f"{self._parts.scheme}://{self._parts.netloc}"
            hint = "is it running there? headwater serve prints its address"
            raise HeadwaterError(f"the server can't be reached: {error}", where=where, hint=hint) from error
        found = _document(text)
        if answer.status >= 400:
            raise _error(answer.status, found or (_FULL if answer.status == 503 else {"detail": _NO_ANSWER}))
        if found is None or not 200 <= answer.status < 300:
            where = f"{self._parts.scheme}://{self._parts.netloc}"
            hint = f"it answered with status {answer.status}: is it another server, or something before it?"
            raise HeadwaterError(_NO_ANSWER, where=where, hint=hint)
        return found


def _document(text: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _error(status: int, problem: Mapping[str, Any]) -> HeadwaterError:
    kind = str(problem.get("type", "")).removeprefix(_PREFIX)
    error = _KINDS.get(kind, UsageError if status == 422 else HeadwaterError)(
        str(problem.get("detail", f"the server answered {status}")),
        where=problem.get("where"),
        hint=problem.get("hint"),
    )
    error.kind = kind or error.kind
    return error
