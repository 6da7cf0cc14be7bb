"""The command tree, and the one place where errors become messages and exit codes."""

from __future__ import annotations

import signal
import traceback
from typing import TYPE_CHECKING

import cyclopts

import headwater
from headwater.cli.output import reserving, say, show_error
from headwater.errors import Cancelled, HeadwaterError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

_COMMANDS = {
    "init": ("start:init", "Write a starter project."),
    "run": ("start:run", "Run a flow of a file: headwater run my_flow.py:nightly -p day=2013-01-05"),
    "materialize": ("work:materialize", "Bring assets up to date: headwater materialize '+delays' --only stale"),
    "backfill": (
        "work:backfill_app",
        "Fill partitions: headwater backfill delays --from 2013-01-01 --to 2013-12-31 --upstream",
    ),
    "status": ("board:status", "The board of all assets: how fresh they are, how stale, and why."),
    "freshness": (
        "board:freshness",
        "The verdicts alone, also as of another time: headwater freshness --as-of 2014-01-01",
    ),
    "explain": ("board:explain", "Why: headwater explain delays@2013-01-05"),
    "lineage": (
        "graph:lineage",
        "What an asset is made of, and what is made of it: headwater lineage delays --up --columns",
    ),
    "runs": ("history:runs", "What ran: headwater runs --flow nightly"),
    "logs": ("history:logs", "What a run logged: headwater logs RUN"),
    "verify": ("health:verify", "Scan journal and projection, and compare the two."),
    "rebuild": ("health:rebuild", "Build the projection anew from the journal."),
}
_OPENLINEAGE = {
    "export": (
        "catalogs:export",
        "Deliver the journal's events as OpenLineage: headwater openlineage export --to events.ndjson",
    ),
    "status": ("catalogs:status", "How far each destination is."),
}


def run(arguments: Sequence[str]) -> int:
    """Run one command; its exit code."""
    as_json, debug = "--json" in arguments, "--debug" in arguments
    with reserving(as_json):
        try:
            code = build()(arguments, exit_on_error=False, print_error=False, result_action="return_value")
        except (KeyboardInterrupt, Cancelled) as error:
            say("cancelled")
            if as_json:
                show_error(_cancelled(), as_json)
            return 128 + (signal.SIGTERM if isinstance(error, SystemExit) else signal.SIGINT)
        except Exception as error:  # noqa: BLE001 - the one place where errors become messages
            if debug:
                traceback.print_exception(error)
            found = _explained(error)
            show_error(found, as_json)
            return found.exit_code
    return code if isinstance(code, int) else 0


def _cancelled() -> HeadwaterError:
    error = HeadwaterError("the command was cancelled", hint="what it had begun is recorded: see headwater runs")
    error.kind = "cancelled"
    return error


def _explained(error: Exception) -> HeadwaterError:
    if isinstance(error, HeadwaterError):
        return error
    if isinstance(error, cyclopts.CycloptsError):
        hint = "headwater --help lists the commands, headwater COMMAND --help explains one"
        return UsageError(" ".join(str(error).split()), hint=hint)
    return HeadwaterError(f"{type(error).__name__}: {error}", hint="--debug gives the traceback")


def build() -> cyclopts.App:
    """The command tree. Nothing but names and help is made here; a command's module is imported when it is called."""
    app = cyclopts.App(
        name="headwater",
        help="Asset- and lineage-centric orchestration: what is there, how fresh it is, and where it came from.",
        version=headwater.__version__,
        suppress_keyboard_interrupt=False,
    )
    _add(app, _COMMANDS)
    openlineage = cyclopts.App(name="openlineage", help="Exchange lineage with catalogs.")
    _add(openlineage, _OPENLINEAGE)
    app.command(openlineage)
    return app


def _add(app: cyclopts.App, commands: dict[str, tuple[str, str]]) -> None:
    for name, (place, text) in commands.items():
        app.command(f"headwater.cli.{place}", name=name, help=text)
