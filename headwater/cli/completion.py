"""`completion`: the script that completes commands, options and names in a shell, and the names that it asks for."""

from __future__ import annotations

from typing import Literal

from headwater.cli.common import open_project
from headwater.cli.options import COMMON, Common
from headwater.cli.output import emit

_SECONDS = 1.0
_LATEST = 50


def completion(shell: Literal["bash", "zsh", "fish"], /, *, common: Common = COMMON) -> int:
    """Print the script that completes commands, options and asset names.

    Parameters
    ----------
    shell
        The shell that it is for.
    """
    from headwater.cli.app import build

    script = build().generate_completion(shell=shell)
    emit({"shell": shell, "script": script}, common.json, lambda: script)
    return 0


def assets(typed: str) -> list[str]:
    """The names of assets as they continue what was typed: a `+` before them stays."""
    before = "+" if typed.startswith("+") else ""
    with open_project(None).projection.session(timeout=_SECONDS) as session:
        return [before + name for (name,) in session.rows("SELECT name FROM assets ORDER BY name")]


def runs() -> list[tuple[str, str]]:
    """The ids of the latest runs, each with its flow and state."""
    found = open_project(None).reader.runs(limit=_LATEST)["runs"]
    return [(row["id"], f"{row['flow']} {row['state']}") for row in found]


def backfills() -> list[tuple[str, str]]:
    """The ids of the latest backfills, each with its assets and state."""
    found = open_project(None).reader.backfills(limit=_LATEST)["backfills"]
    return [(row["id"], f"{', '.join(row['assets'])} {row['state']}") for row in found]


def requests() -> list[tuple[str, str]]:
    """The ids of the latest requests that are open, each with what was asked and its state."""
    found = open_project(None).reader.work_requests(open_only=True, limit=_LATEST)["requests"]
    return [(row["id"], f"{row['what']} {row['state']}") for row in found]
