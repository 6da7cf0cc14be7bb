"""The journal's events as spans, in plain JSON values: a run, a task run or a materialization each, told when it has ended.

Ids are made of those of the journal, so a span that is told twice is the same span: the trace of a run is its id without the
dashes, and each further attempt has a trace of its own (the id that OpenLineage's run has).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from headwater.core.events import RunEnded, RunStarted, TaskEnded, TaskStarted
from headwater.core.journal.events import Event
from headwater.integrations.opentelemetry.origins import Attempt, Origins
from headwater.lineage.openlineage.naming import run_id

Plain: TypeAlias = Mapping[str, Any]
Span: TypeAlias = dict[str, Any]
"""`trace`, `span`, `parent` (hexadecimal), `name`, `start` and `end` (µs since the epoch), `error` (None: it is none),
`exception` and `attributes`."""

_MATERIALIZATION_ENDED = "materialization.ended"
KINDS = (RunStarted.kind, TaskStarted.kind, RunEnded.kind, TaskEnded.kind, _MATERIALIZATION_ENDED)
"""The kinds of events that are told, or say where what is told belongs."""

_WELL = frozenset({"Completed", "Cached", "Skipped", "Cancelled", "RolledBack", "published", "skipped", "discarded"})
"""The ends that are no errors: a run that was cancelled did as it was asked."""


class Spans:
    """Tells events as spans."""

    def __init__(self, origins: Origins) -> None:
        self._origins = origins

    def tell(self, event: Event) -> Span | None:
        """The span of an event; None when it is the end of nothing. Raises ExportError."""
        if speaks(event):
            return _TELLERS[event.kind](event, self._origins)
        self._origins.hear(event)
        return None


def speaks(event: Event) -> bool:
    """Whether a span is made of an event."""
    # What was rolled back has ended before, and its transaction's flow tells the rest.
    return event.kind in _TELLERS and event.body["state"] != "RolledBack"


def trace_id(root: Attempt) -> str:
    """The trace of an attempt of an outermost run.

    >>> trace_id(("0199aa00-0000-7000-8000-000000000001", 1))
    '0199aa00000070008000000000000001'
    """
    return run_id(*root).replace("-", "")


def span_id(what: str, name: str, attempt: int = 1) -> str:
    """The span of a run, a task run or a materialization, the same wherever it is worked out.

    >>> span_id("run", "r") == span_id("run", "r", 1) != span_id("task", "r")
    True
    """
    return hashlib.blake2b(f"{what}:{name}:{attempt}".encode(), digest_size=8).hexdigest()


def _run(event: Event, origins: Origins) -> Span:
    body = event.body
    attempt = body.get("attempt", 1)
    origin = origins.of_run(body["run_id"], attempt)
    parent = body.get("parent_run_id")
    if origin.caller is not None:
        above: str | None = span_id("task", origin.caller, body.get("parent_attempt", 1))
    else:
        above = None if parent is None else span_id("run", parent, body.get("parent_attempt", 1))
    return _span(
        (body["root_run_id"], body.get("root_attempt", 1)),
        span_id("run", body["run_id"], attempt),
        above,
        body["flow"],
        (body["started"], event.time),
        body,
        {
            "headwater.run.id": body["run_id"],
            "headwater.run.attempt": attempt,
            "headwater.run.type": body.get("type", "flow"),
            "headwater.run.state": body["state"],
            "headwater.flow": body["flow"],
            "headwater.project": body["project"],
            **_code(body.get("source")),
        },
    )


def _task(event: Event, origins: Origins) -> Span:
    body = event.body
    attempt = body.get("attempt", 1)
    caller = origins.caller_of_task(body["task_run_id"], attempt)
    run = span_id("run", body["run_id"], attempt)
    return _span(
        origins.of_run(body["run_id"], attempt).root,
        span_id("task", body["task_run_id"], attempt),
        run if caller is None else span_id("task", caller, attempt),
        body["task"],
        (body["started"], event.time),
        body,
        {
            "headwater.task_run.id": body["task_run_id"],
            "headwater.task_run.state": body["state"],
            "headwater.task_run.tries": body["tries"],
            "headwater.task": body["task"],
            "headwater.run.id": body["run_id"],
        },
    )


def _materialization(event: Event, origins: Origins) -> Span:
    body, started = event.body, event.body["started"]
    evidence, attempt = body.get("evidence") or {}, started.get("attempt", 1)
    return _span(
        (started["root_run_id"], started.get("root_attempt", 1)),
        span_id("materialization", body["materialization_id"]),
        span_id("task", started["task_run_id"], attempt),
        f"materialize {started['asset']['name']}",
        (body["started_at"], event.time),
        body,
        {
            "headwater.asset": started["asset"]["name"],
            "headwater.partition": started.get("partition"),
            "headwater.materialization.id": body["materialization_id"],
            "headwater.materialization.state": body["state"],
            "headwater.materialization.version": evidence.get("version"),
            "headwater.materialization.rows": evidence.get("rows"),
            "headwater.materialization.bytes": evidence.get("bytes"),
            "headwater.dataset.namespace": started["asset"]["namespace"],
            "headwater.dataset.name": started["asset"]["dataset"],
            "headwater.run.id": started["run_id"],
        },
    )


def _span(
    root: Attempt, own: str, parent: str | None, name: str, times: tuple[int, int], body: Plain, attributes: Plain
) -> Span:
    error, state = body.get("error") or {}, body["state"]
    known = {key: value for key, value in attributes.items() if value is not None}
    failed = state not in _WELL
    if failed:
        known["error.type"] = error.get("type") or state
    start, end = times
    return {
        "trace": trace_id(root),
        "span": own,
        "parent": parent,
        "name": name,
        "start": start,
        # A clock that was set back must not put an end before its start.
        "end": max(start, end),
        "error": (error.get("message") or state) if failed else None,
        "exception": _exception(error) if failed and error else None,
        "attributes": known,
    }


def _exception(error: Plain) -> dict[str, str]:
    named = {
        "exception.type": error.get("type"),
        "exception.message": error.get("message"),
        "exception.stacktrace": error.get("traceback"),
    }
    return {name: value for name, value in named.items() if value}


def _code(source: Plain | None) -> Plain:
    if source is None:
        return {}
    return {
        "code.function.name": source["name"],
        "code.file.path": source["file"],
        "code.line.number": source["line"],
    }


_TELLERS: Mapping[str, Callable[[Event, Origins], Span]] = {
    RunEnded.kind: _run,
    TaskEnded.kind: _task,
    _MATERIALIZATION_ENDED: _materialization,
}
