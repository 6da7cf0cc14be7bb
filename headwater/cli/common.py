"""What every command shares: its options, and the project that it talks to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from headwater import clock, project
from headwater.core import runtime
from headwater.errors import HomeError, UsageError
from headwater.loading import load_file, load_modules

if TYPE_CHECKING:
    from headwater.project import Project


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Common:
    """The options of every command."""

    json: Annotated[
        bool, Parameter(negative=(), help="Print one JSON document, and nothing else, on standard output.")
    ] = False
    debug: Annotated[bool, Parameter(negative=(), help="Show tracebacks.")] = False


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Where:
    """Where assets are defined."""

    file: Annotated[
        tuple[Path, ...],
        Parameter(name=["--file", "-f"], negative=(), help="A script that defines assets; it is not run."),
    ] = ()
    module: Annotated[
        tuple[str, ...], Parameter(name=["--module", "-m"], negative=(), help="A module that defines assets.")
    ] = ()


COMMON = Common()
WHERE = Where()


def open_project(where: Where = WHERE, *, writes: bool = False) -> Project:
    """The project of the current folder, with its definitions loaded.

    A command that only reads makes no home: raises HomeError when nothing was ever recorded here and nothing is defined.
    """
    found = project.Project.open()
    load_modules((*found.settings.modules, *where.module), found.root)
    for file in where.file:
        load_file(file, found.root)
    if not (writes or found.settings.home_path.is_dir() or found.definitions.all()):
        raise HomeError(
            "nothing has been recorded here yet",
            where=str(found.settings.home_path),
            hint="run a flow first, name the file that defines the assets (-f my_flow.py), or change to the project's folder",
        )
    runtime.set_current(found)
    return found


def moment(text: str | None, name: str = "--as-of") -> int:
    """A time that a person wrote, in microseconds since the epoch; a date is its first instant, UTC; None is now.

    >>> moment("2014-01-01") == moment("2014-01-01T00:00:00Z") == moment("2014-01-01T01:00+01:00")
    True
    """
    if text is None:
        return clock.now_us()
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(
            f"{text!r} is not a time", where=name, hint="write 2014-01-01, 2014-01-01T09:00 or 2014-01-01T09:00+01:00"
        ) from error
    return clock.to_us(found if found.tzinfo else found.replace(tzinfo=UTC))
