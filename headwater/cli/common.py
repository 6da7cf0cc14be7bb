"""The project that a command talks to, and the times that people write."""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

from headwater import clock, project
from headwater.cli.options import WHERE, Where
from headwater.core import runtime
from headwater.errors import HomeError, UsageError
from headwater.settings import load

if TYPE_CHECKING:
    from headwater.project import Project

T = TypeVar("T")

NOW = "now"
_PAUSE = 0.2
"""Seconds between two looks at what has been asked to stop."""


def open_project(where: Where | None = WHERE, *, writes: bool = False, keeps: bool = False) -> Project:
    """The project of the current folder, with its definitions loaded; `where` is None for what asks of the past alone.

    A command that only reads makes no home: of what is defined it answers as of an empty one, and raises HomeError where
    nothing was ever recorded and nothing is defined. One that `writes` makes a home anywhere; one that `keeps` what it finds,
    in a project alone.
    """
    from headwater.core.journal.home import is_there

    settings = load()
    has_home = writes or is_there(settings.home_path)
    found = project.Project(settings, create=has_home or keeps)
    if where is not None:
        define(found, where)
    if not (has_home or found.settings.modules or found.definitions.all()):
        raise HomeError(
            "nothing has been recorded here yet",
            where=str(found.settings.home_path),
            hint="run a flow first, name the file that defines the assets (-f my_flow.py), or change to the project's folder",
        )
    runtime.set_current(found)
    return found


def define(found: Project, where: Where) -> None:
    """Load the definitions of a project, and those that options name."""
    # Importing the users' modules, and what those import, is most of the time that a short command takes.
    from headwater.loading import load_file, load_modules

    load_modules((*found.settings.modules, *where.module), found.root)
    for file in where.file:
        load_file(file, found.root)


def moment(text: str | None, name: str = "--as-of") -> int:
    """A time that a person wrote, in microseconds since the epoch; a date is its first instant, UTC; `now` and None are now.

    >>> moment("2014-01-01") == moment("2014-01-01T00:00:00Z") == moment("2014-01-01T01:00+01:00")
    True
    """
    if text is None or text == NOW:
        return clock.now_us()
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(
            f"{text!r} is not a time", where=name, hint="write 2014-01-01, 2014-01-01T09:00 or 2014-01-01T09:00+01:00"
        ) from error
    at = clock.given_us(found)
    if not clock.is_time(at):
        raise UsageError(f"{text!r} is out of range", where=name, hint="in UTC it is in the years 1 to 9999")
    return at


def who() -> str:
    """Who asks: user@host."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = str(os.getuid())
    return f"{name}@{os.uname().nodename}"


def looked_at_until(look: Callable[[], T], is_over: Callable[[T], bool], seconds: float) -> T:
    """What is found when it is over, or when so many seconds are; looked at again and again."""
    until = clock.steady_us() + int(seconds * 1_000_000)
    while True:
        found = look()
        if is_over(found) or clock.steady_us() >= until:
            return found
        clock.sleep(_PAUSE)
