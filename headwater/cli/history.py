"""`runs` and `logs`: what happened."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from headwater import clock
from headwater.cli.commands import RUNS
from headwater.cli.common import open_project
from headwater.cli.options import COMMON, Common, RunId, check_limit
from headwater.cli.output import ago, duration, emit, emit_pages, instant, say, show
from headwater.cli.tables import table
from headwater.cli.terminal import cut
from headwater.cli.trees import tree
from headwater.core.states import TERMINAL, State
from headwater.errors import UnknownNameError, UsageError

if TYPE_CHECKING:
    from headwater.lineage.reader import Reader

_PAUSE = 0.5
"""Seconds between two looks of `--follow`."""
_LONG = 300
"""An error is shown in so many columns at most, also where no terminal cuts it: one may quote all the data that it is about."""

SHAPES = {
    "Completed": "● Completed",
    "Failed": "✖ Failed",
    "Crashed": "✖ Crashed",
    "TimedOut": "✖ TimedOut",
    "Cancelled": "▲ Cancelled",
    "Running": "▶ Running",
}
"""A run's state with its shape: what a colour says must also be seen without it."""
STATE_COLOURS = {
    SHAPES["Completed"]: "green",
    SHAPES["Failed"]: "red",
    SHAPES["Crashed"]: "red",
    SHAPES["TimedOut"]: "red",
    SHAPES["Cancelled"]: "yellow",
    SHAPES["Running"]: "bold",
}


def runs(*, flow: str | None = None, state: State | None = None, limit: int = 50, common: Common = COMMON) -> int:
    """List the runs, the newest first.

    Parameters
    ----------
    flow
        Only runs of this flow.
    state
        Only runs in this state.
    limit
        At most so many.
    """
    check_limit(limit, "runs")
    value = open_project(None).reader.runs(limit=limit, flow=flow, state=None if state is None else str(state))
    none = "no runs yet" if state is None else f"no run is {state}"
    emit(value, common.json, lambda: runs_text(value["runs"]) if value["runs"] else none)
    return 0


def logs(
    run_id: RunId,
    /,
    *,
    level: str = "NOTSET",
    follow: Annotated[bool, Parameter(name=["--follow", "-f"], negative=())] = False,
    common: Common = COMMON,
) -> int:
    """Print what a run logged and printed.

    Parameters
    ----------
    run_id
        The run's id as `headwater runs` prints it, or the beginning of it.
    level
        Only records of this level and above: DEBUG, INFO, WARNING, ERROR, CRITICAL.
    follow
        Print what comes, too, until the run has ended.
    """
    least = _level(level)
    reader = open_project(None).reader
    if not follow:
        _print(reader.log_pages(run_id, level=least), least, common.json)
        return 0
    if common.json:
        raise UsageError("--follow prints lines as they come, and no document", hint="leave --json out, or --follow")
    _follow(reader, run_id, least)
    return 0


def _print(pages: Iterator[dict[str, Any]], least: int, as_json: bool) -> None:
    """All pages of a log, each when it is read."""
    page = next(pages)
    rows = chain([page["logs"]], (one["logs"] for one in pages))
    if as_json:
        emit_pages(page, "logs", rows)
        return
    if "pruned" in page:
        show(f"what it logged before {instant(page['pruned'])} has expired (headwater prune)")
    logged = False
    for lines in rows:
        if lines and not show("\n".join(map(_log_line, lines))):
            return
        logged = logged or bool(lines)
    if not (logged or "pruned" in page):
        show("it logged nothing of this level" if least else "it logged nothing")


def _level(name: str) -> int:
    levels = logging.getLevelNamesMapping()
    if name.upper() not in levels:
        raise UnknownNameError.of("level", name.upper(), levels)
    return levels[name.upper()]


def _follow(reader: Reader, run_id: str, level: int) -> None:
    # Another run that begins meanwhile may have an id with the same beginning.
    run_id = reader.run_id(run_id)
    log = reader.followed_log(run_id, level=level)
    while True:
        # Asked before its records are: of a run that has ended nothing comes any more.
        state = reader.run_row(run_id)["state"]
        for row in log.news():
            if not show(_log_line(row)):
                return
        if state in TERMINAL:
            say(f"the run has ended: {state}")
            return
        clock.sleep(_PAUSE)


def runs_text(found: Sequence[Mapping[str, Any]]) -> str:
    """Runs as `Reader.runs` tells them, as a table."""
    now = clock.rfc3339(clock.now_us())
    several = any(row["attempt"] > 1 for row in found)
    named = any(row["name"] for row in found)
    rows = [
        (
            row["id"],
            row["flow"],
            *((row["name"],) if named else ()),
            SHAPES.get(row["state"], row["state"]),
            *((row["attempt"],) if several else ()),
            instant(row["started"]),
            ago(row["started"], now),
            duration(row["duration"]),
            ", ".join(f"{count} {state}" for state, count in sorted(row["tasks"].items())) or None,
            error_line(row.get("error")),
        )
        for row in found
    ]
    sometimes = (*(("name",) if named else ()), "state", *(("attempt",) if several else ()))
    headers = ("run", "flow", *sometimes, "started", "", "took", "tasks", "error")
    return table(
        headers, rows, numbers=("attempt", "", "took"), spare=("started", "tasks", "took", ""), colours=STATE_COLOURS
    )


def error_line(found: Any) -> str | None:
    """The first line of an error as the projection tells it: a text, or its type and message."""
    if not found:
        return None
    text = f"{found['type']}: {found['message']}" if isinstance(found, Mapping) else str(found)
    line = text.splitlines()[0]
    return line if len(line) <= _LONG else f"{cut(line, _LONG)} ({len(text):,} characters: --json tells all)"


def _log_line(row: Mapping[str, Any]) -> str:
    level = row["level"] if isinstance(row["level"], str) else logging.getLevelName(row["level"])
    return f"{instant(row['at'])}  {level:<8} {row['logger']}  {row['message']}"


runs_app = tree("runs", RUNS, runs)
"""`runs` itself, and the commands under it."""
