"""`openlineage`: handing the journal's events to catalogs."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from headwater import clock
from headwater.cli.commands import OPENLINEAGE
from headwater.cli.common import moment, open_project
from headwater.cli.options import COMMON, Common
from headwater.cli.output import emit, instant, say
from headwater.cli.tables import table
from headwater.cli.trees import tree
from headwater.errors import ExportError, SettingsError, UnknownNameError, UsageError
from headwater.wording import counted

if TYPE_CHECKING:
    from headwater.lineage.openlineage.dead import DeadLetter
    from headwater.lineage.openlineage.exporter import Exporter, ExportStatus
    from headwater.project import Project

_FOLLOWED = 1.0
"""Seconds between two looks of `--follow`."""
_NONE = "set OPENLINEAGE_URL or write an openlineage.yml, as for openlineage-python, or set openlineage_file in [tool.headwater]"


def export(
    *,
    to: Path | None = None,
    follow: Annotated[bool, Parameter(negative=())] = False,
    common: Common = COMMON,
) -> int:
    """Deliver the events that the destinations have not got yet, as OpenLineage.

    Parameters
    ----------
    to
        A file of newline-delimited events to append to; all configured destinations when it is left out.
    follow
        Go on delivering what comes in, until Ctrl-C; a destination that is down is tried again when its time has come.
    """
    project = open_project(None, keeps=True)
    exporters = (
        [project.exporter(to.absolute())]
        if to is not None
        else _configured(project.exporters(), f"give --to FILE, or {_NONE}")
    )
    if follow and common.json:
        raise UsageError("--follow has no end to print a document at", hint="leave --json out, or --follow")
    project.projection.refresh()
    counts, errors = zip(*map(_drained, exporters), strict=True)
    _wake(project, errors)
    found = [exporter.status() for exporter in exporters]
    rows: list[dict[str, Any]] = [
        {"destination": one.destination, "exported": count, "pending": one.pending, "dead": one.dead}
        | _failure(one, error)
        for one, count, error in zip(found, counts, errors, strict=True)
    ]
    file = {} if to is None else {"file": str(to.absolute())}
    value = {**file, "exported": sum(row["exported"] for row in rows), "destinations": rows}
    emit(value, common.json, lambda: "\n".join(map(_exported, rows)))
    if follow:
        _follow(exporters)
    return 1 if any(error is not None for error in errors) else 0


def status(*, common: Common = COMMON) -> int:
    """Show how far each destination is: what it got, what waits for it, what it refused, and when it is tried next.

    A collector that OpenTelemetry's variables name is one as well: a server sends it traces.
    """
    project = open_project(None)
    rows = [_plain(exporter.status()) for exporter in _all(project)]
    emit({"destinations": rows}, common.json, lambda: _board(rows))
    return 0


def dead(*, to: str | None = None, common: Common = COMMON) -> int:
    """List the dead letters: the events that a destination refused for good, and why.

    Parameters
    ----------
    to
        Only those of this destination: a part of its name is enough.
    """
    exporters = _chosen(_all(open_project(None)), to)
    rows = [_letter(exporter, letter) for exporter in exporters for letter in exporter.dead()]
    headers = ("refused", "event", "job", "run", "destination", "reason")
    cells = [[instant(row["at"]), *(row[name] for name in headers[1:])] for row in rows]
    emit({"dead": rows}, common.json, lambda: table(headers, cells, spare=("run",)) if rows else "no dead letters")
    return 0


def replay(
    *,
    to: str | None = None,
    all_: Annotated[bool, Parameter(name="--all", negative=())] = False,
    since: str | None = None,
    run: str | None = None,
    common: Common = COMMON,
) -> int:
    """Deliver again: the dead letters, or with an option what was delivered before.

    Parameters
    ----------
    to
        Only to this destination: a part of its name is enough.
    all_
        Everything from the journal's beginning.
    since
        Events from this time on.
    run
        The events of one run, of its materializations and of the runs within it; the beginning of its id is enough.
    """
    if sum((all_, since is not None, run is not None)) > 1:
        raise UsageError(
            "--all, --since and --run exclude each other", hint="give one of them, or none for dead letters"
        )
    begin = None if since is None else clock.rfc3339(moment(since, "--since"))
    if run == "":
        raise UsageError("--run names no run", hint="give its id, or the beginning of it: headwater runs lists them")
    project = open_project(None)
    rows, failed, met = [], False, False
    # Traces tell what has just ended: only what was refused of them is sent again.
    everywhere = project.exporters() if all_ or begin or run else _all(project)
    for exporter in _chosen(everywhere, to):
        before = exporter.status().delivered
        error = None
        try:
            met |= _replayed(exporter, all_, begin, run)
        except ExportError as found:
            error = found
            say(f"{exporter.destination}: {found}")
        after = exporter.status()
        failed = failed or error is not None or (not (all_ or begin or run) and after.dead > 0)
        rows.append({"destination": after.destination, "replayed": after.delivered - before, "dead": after.dead})
        _wake(project, [error])
    if run is not None and not (met or failed):
        project.reader.run_id(run)  # a run of which nothing was told, or none at all
    emit({"destinations": rows}, common.json, lambda: "\n".join(_again(row) for row in rows))
    return 1 if failed else 0


def _replayed(exporter: Exporter, everything: bool, begin: str | None, run: str | None) -> bool:
    """Deliver again; whether there was an event of the run, where one is named."""
    met = run is None

    def is_of_run(event: dict[str, Any]) -> bool:
        nonlocal met
        found = run is not None and any(one.startswith(run) for one in _runs(event))
        met |= found
        return found

    if everything:
        exporter.restart()
        exporter.drain()
    elif begin is not None:
        exporter.redeliver(lambda event: event["eventTime"] >= begin)
    elif run is not None:
        exporter.redeliver(is_of_run)
    else:
        exporter.replay()
    return met


def _runs(event: dict[str, Any]) -> set[str]:
    parent = event["run"]["facets"].get("parent")
    above = (parent["run"]["runId"], parent["root"]["run"]["runId"]) if parent else ()
    return {event["run"]["runId"], *above}


def _all(project: Project) -> Sequence[Exporter]:
    """Catalogs, and what traces go to: the variables for that may be meant for others, so that a wrong one is no more than told."""
    found = project.exporters()
    try:
        return found + project.trace_exporters()
    except SettingsError as error:
        say(f"traces: {error}")
        return found


def _configured(found: Sequence[Exporter], hint: str = _NONE) -> Sequence[Exporter]:
    if not found:
        raise UsageError("no destination is configured", hint=hint)
    return found


def _chosen(exporters: Sequence[Exporter], to: str | None) -> Sequence[Exporter]:
    found = _configured(exporters)
    if to is None:
        return found
    named = {str(exporter.destination): exporter for exporter in found}
    chosen = [named[to]] if to in named else [exporter for name, exporter in named.items() if to in name]
    if not chosen:
        raise UnknownNameError.of("destination", to, named)
    return chosen


def _drained(exporter: Exporter) -> tuple[int, ExportError | None]:
    """Deliver all that waits: how many events went out, and the error when the destination can't take more.

    One that is down holds up no other.
    """
    before = exporter.status().delivered
    try:
        # What it has got in all is no measure of that: a file that was removed begins anew.
        return exporter.drain(), None
    except ExportError as error:
        say(f"{exporter.destination}: {error}")
        return max(0, exporter.status().delivered - before), error


def _follow(exporters: Sequence[Exporter]) -> None:
    told: dict[str, str] = {}
    while True:
        for exporter in exporters:
            name = str(exporter.destination)
            try:
                count = exporter.drain(patient=True)
            except ExportError as error:
                if told.get(name) != error.message:
                    say(f"{name}: {error}")
                told[name] = error.message
                continue
            if count:
                told.pop(name, None)
                say(f"{name}: {count:,} delivered")
        clock.sleep(_FOLLOWED)


def _wake(project: Project, errors: Sequence[ExportError | None]) -> None:
    if None in errors:
        from headwater.lineage.openlineage.courier import wake

        wake(project.home)


def _failure(found: ExportStatus, error: ExportError | None) -> dict[str, Any]:
    if error is None:
        return {"error": None, "next_try": None}
    return {"error": error.message, "next_try": _moment(found.next_try)}


def _plain(found: ExportStatus) -> dict[str, Any]:
    return {**dataclasses.asdict(found), "at": _moment(found.at), "next_try": _moment(found.next_try)}


def _moment(us: int | None) -> str | None:
    return None if us is None else clock.rfc3339(us)


def _exported(row: dict[str, Any]) -> str:
    parts = [f"{counted(row['exported'], 'event')} delivered to {row['destination']}"]
    if row["pending"]:
        parts.append(f"{row['pending']:,} wait" + ("" if row["error"] else " (another process is delivering)"))
    if row["dead"]:
        parts.append(f"{row['dead']:,} refused: see headwater openlineage dead")
    return ", ".join(parts)


def _again(row: dict[str, Any]) -> str:
    left = f", dead letters left: {row['dead']:,}" if row["dead"] else ""
    return f"{counted(row['replayed'], 'event')} delivered again to {row['destination']}{left}"


def _board(rows: Sequence[dict[str, Any]]) -> str:
    if not rows:
        return f"no destination is configured\n  hint: {_NONE}"
    headers = ("destination", "what", "delivered", "pending", "dead", "last", "next try", "last error")
    cells = [
        [
            row["destination"],
            row["what"],
            row["delivered"],
            row["pending"],
            row["dead"],
            instant(row["at"]),
            instant(row["next_try"]),
            row["error"],
        ]
        for row in rows
    ]
    return table(headers, cells, numbers=("delivered", "pending", "dead"), spare=("last",))


def _letter(exporter: Exporter, letter: DeadLetter) -> dict[str, Any]:
    import json

    event = json.loads(letter.event) if letter.event else None
    return {
        "destination": str(exporter.destination),
        "id": letter.id,
        "at": clock.rfc3339(letter.at),
        "reason": letter.reason,
        "status": letter.status,
        **(_named(exporter, event) if event else {"event": None, "job": None, "run": None}),
        "body": event or letter.line,
    }


def _named(exporter: Exporter, event: dict[str, Any]) -> dict[str, Any]:
    if exporter.what == "traces":
        return {"event": "span", "job": event["name"], "run": event["attributes"].get("headwater.run.id")}
    return {"event": event["eventType"], "job": event["job"]["name"], "run": event["run"]["runId"]}


openlineage_app = tree("openlineage", OPENLINEAGE)
"""The commands under `openlineage`."""
