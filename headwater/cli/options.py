"""The options that commands share."""

from __future__ import annotations

from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from headwater.errors import UsageError
from headwater.records import dataclass

if TYPE_CHECKING:
    from cyclopts.completion._engine import CompletionContext


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Common:
    """The options of every command."""

    json: Annotated[
        bool,
        Parameter(
            negative=(), show_default=False, help="Print one JSON document, and nothing else, on standard output."
        ),
    ] = False
    debug: Annotated[bool, Parameter(negative=(), show_default=False, help="Show tracebacks.")] = False


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Where:
    """Where assets are defined."""

    file: Annotated[
        tuple[Path, ...],
        Parameter(
            name=["--file", "-f"], negative=(), show_default=False, help="A script that defines assets; it is not run."
        ),
    ] = ()
    module: Annotated[
        tuple[str, ...],
        Parameter(name=["--module", "-m"], negative=(), show_default=False, help="A module that defines assets."),
    ] = ()


def _assets(context: CompletionContext) -> list[str]:
    # What completes is imported when somebody presses TAB.
    from headwater.cli.completion import assets

    return assets(context.incomplete)


def _runs(context: CompletionContext) -> list[tuple[str, str]]:
    from headwater.cli.completion import runs

    return runs()


def _backfills(context: CompletionContext) -> list[tuple[str, str]]:
    from headwater.cli.completion import backfills

    return backfills()


def _requests(context: CompletionContext) -> list[tuple[str, str]]:
    from headwater.cli.completion import requests

    return requests()


def check_limit(limit: int, what: str) -> None:
    """Raise UsageError unless it is how many rows there may be: from 1 to what databases count to."""
    if not 1 <= limit < 2**63:
        hint = "give 1 or more" if limit < 1 else "give less: there are never so many"
        raise UsageError(f"--limit {limit} is not a number of {what}", hint=hint)


def check_wait(seconds: float) -> None:
    """Raise UsageError unless it is how many seconds there may be waited."""
    if not 0 <= seconds < inf:
        raise UsageError(f"--wait {seconds:g} is not a number of seconds", hint="give 0 or more")


COMMON = Common()
WHERE = Where()

Flag = Annotated[bool, Parameter(negative=(), show_default=False)]
"""An option that is there or not."""
Selection = Annotated[str, Parameter(completer=_assets)]
"""A selection of assets, or the name of one."""
Duration = Annotated[str, Parameter(allow_leading_hyphen=True)]
"""How long, such as 90d. A hyphen before it is no other option: the error says what is wrong with -5d."""
RunId = Annotated[str, Parameter(completer=_runs)]
"""The id of a run, or the beginning of it."""
BackfillId = Annotated[str, Parameter(completer=_backfills)]
"""The id of a backfill, or the beginning of it."""
RequestId = Annotated[str, Parameter(completer=_requests)]
"""The whole id of a request."""
