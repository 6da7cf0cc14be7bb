"""The `headwater` command: each subcommand in a module of its own, loaded when it is called."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 the work failed, 2 wrong usage, 3 refused by a check, policy or verdict."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    # Answered before the command tree is made: that costs five times what the rest of the answer does.
    if given in (["--version"], [], ["--help"], ["-h"]):
        sys.exit(_told(given == ["--version"]))
    from headwater.cli.app import run

    sys.exit(run(given))


def _told(version: bool) -> int:
    import headwater
    from headwater.cli.commands import overview
    from headwater.cli.output import show

    show(headwater.__version__ if version else overview())
    return 0
