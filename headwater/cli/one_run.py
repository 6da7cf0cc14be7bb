"""`runs show`: one run, how it was called and what came of it, with its task runs and what it made."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from headwater.cli.common import open_project
from headwater.cli.history import SHAPES, STATE_COLOURS, error_line, runs_text
from headwater.cli.options import COMMON, Common, RunId, check_limit
from headwater.cli.output import duration, emit, instant, size_of
from headwater.cli.tables import Cell, table
from headwater.core.states import State

_COUNTED = {"task_runs": "task runs", "runs": "runs within it", "artifacts": "things that it made"}


def show(run_id: RunId, /, *, state: State | None = None, limit: int = 200, common: Common = COMMON) -> int:
    """Print how a run was called, what came of it, its task runs, the runs within it, and what it made.

    Parameters
    ----------
    run_id
        The run's id as `headwater runs` prints it, or the beginning of it.
    state
        Only task runs and runs within it that are in this state.
    limit
        At most so many task runs, runs within it, and things that it made.
    """
    check_limit(limit, "rows")
    project = open_project(None)
    with project.projection.session():
        found = project.reader.run_details(run_id)
        run_id, of = found["id"], None if state is None else str(state)
        value = {
            **found,
            "task_runs": project.reader.task_runs(run_id, state=of, limit=limit)["task_runs"],
            "runs": project.reader.runs(parent=run_id, state=of, limit=limit)["runs"],
            "artifacts": project.reader.artifacts(run_id, limit=limit)["artifacts"],
        }
    emit(value, common.json, lambda: "\n\n".join(_parts(value, limit)))
    return 0


def _parts(value: Mapping[str, Any], limit: int) -> Iterator[str]:
    error = value["attempts"][0]["error"] if value["attempts"] else None
    told = [*_told(value), ("error", error_line(error))]
    yield table(("run", value["id"]), [one for one in told if one[1]], colours=STATE_COLOURS)
    if error and error.get("traceback"):
        yield error["traceback"].rstrip("\n")
    if value["task_runs"]:
        yield _task_runs(value["task_runs"])
    if value["runs"]:
        yield runs_text(value["runs"])
    if value["artifacts"]:
        yield _made(value["artifacts"])
    full = [text for name, text in _COUNTED.items() if len(value[name]) == limit]
    if full:
        yield f"the first {limit:,} {' and '.join(full)} are shown: --limit shows more"


def _told(value: Mapping[str, Any]) -> Iterator[tuple[str, Cell]]:
    source = value["source"]
    yield "flow", value["flow"] if source is None else f"{value['flow']} ({source['file']}:{source['line']})"
    yield "name", value["name"]
    yield "state", SHAPES.get(value["state"], value["state"])
    yield "started", instant(value["started"])
    yield "took", duration(value["duration"])
    yield "attempt", value["attempt"] if value["attempt"] > 1 else None
    for name, given in value["parameters"].items():
        yield "parameter", f"{name} = {json.dumps(given, ensure_ascii=False)}"
    yield "within", value["parent"] and f"{value['parent']} ({value['parent_flow']})"
    yield "asked by", value["asked_by"]
    yield "cancelled by", value["cancelled_by"]
    yield "task runs", ", ".join(f"{count:,} {state}" for state, count in sorted(value["tasks"].items()))
    if "pruned" in value:
        yield "expired", f"detail of before {instant(value['pruned'])} (headwater prune)"


def _task_runs(rows: list[dict[str, Any]]) -> str:
    """A task that another one called stands indented; below it, as it began later."""
    several = any(row["attempt"] > 1 for row in rows)
    depths: dict[str, int] = {}
    cells: list[tuple[Cell, ...]] = []
    for row in rows:
        depths[row["id"]] = depths[row["parent"]] + 1 if row["parent"] in depths else 0
        cells.append(
            (
                "  " * depths[row["id"]] + (row["task"] or "-"),
                SHAPES.get(row["state"], row["state"]),
                *((row["attempt"],) if several else ()),
                row["tries"],
                instant(row["started"]),
                duration(row["duration"]),
                error_line(row.get("error")),
            )
        )
    headers = ("task", "state", *(("attempt",) if several else ()), "tries", "started", "took", "error")
    return table(
        headers, cells, numbers=("attempt", "tries", "took"), spare=("started", "tries", "took"), colours=STATE_COLOURS
    )


def _made(rows: list[dict[str, Any]]) -> str:
    cells = [
        (
            row["name"],
            row["kind"],
            row["partition"],
            row["state"],
            row["rows"],
            size_of(row["bytes"]),
            error_line(row["message"]),
        )
        for row in rows
    ]
    headers = ("made", "what", "partition", "state", "rows", "size", "")
    return table(headers, cells, numbers=("rows", "size"), spare=("what", "size", "partition", "rows"))
