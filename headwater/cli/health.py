"""`verify` and `rebuild`: is what is stored sound, and the remedy when the projection is not."""

from __future__ import annotations

import dataclasses

from headwater.cli.common import open_project
from headwater.cli.options import COMMON, Common
from headwater.cli.output import emit


def verify(*, common: Common = COMMON) -> int:
    """Scan the journal and every column of the projection, and compare the two. Exits with 1 when something is wrong."""
    problems = open_project(None).projection.verify()
    value = {"ok": not problems, "problems": [dataclasses.asdict(problem) for problem in problems]}
    emit(
        value,
        common.json,
        lambda: (
            "\n".join(f"{problem.where}: {problem.text}" for problem in problems)
            or "clean: journal and projection agree"
        ),
    )
    return 1 if problems else 0


def rebuild(*, common: Common = COMMON) -> int:
    """Build the projection anew from the journal; nothing is lost by it."""
    project = open_project(None, keeps=True)
    project.projection.rebuild()
    value = {"rebuilt": True, "database": str(project.home.database)}
    emit(value, common.json, lambda: f"rebuilt {value['database']}")
    return 0
