"""The `headwater` command: each subcommand in a module of its own, loaded when it is called."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 the work failed, 2 wrong usage, 3 refused by a check, policy or verdict."""
    from headwater.cli.app import run

    sys.exit(run(list(sys.argv[1:] if arguments is None else arguments)))
