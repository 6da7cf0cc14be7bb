"""The `headwater` command: each subcommand in a module of its own, loaded when it is called."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 the work failed, 2 wrong usage, 3 refused by a check, policy or verdict."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    # Closed by who started it (`>&-`, some daemons): as with `print`, what has nowhere to go is no error.
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8"))
    # Answered before the command tree is made: that costs five times what the rest of the answer does.
    if given in (["--version"], [], ["--help"], ["-h"]):
        sys.exit(_told(given == ["--version"]))
    from headwater.cli.app import run

    sys.exit(_flushed(run(given)))


def _flushed(code: int) -> int:
    """Send what user code has printed and nobody has sent yet, which the interpreter would fail at when it ends; the exit code."""
    from headwater.cli.output import flush, show_error
    from headwater.errors import HeadwaterError

    try:
        flush()
    except HeadwaterError as error:
        if not code:  # else it is known what has failed
            show_error(error, False)
            return error.exit_code
    return code


def _told(version: bool) -> int:
    import headwater
    from headwater.cli.commands import overview
    from headwater.cli.output import show, show_error
    from headwater.errors import HeadwaterError

    try:
        show(headwater.__version__ if version else overview())
    except HeadwaterError as error:
        show_error(error, False)
        return error.exit_code
    return 0
