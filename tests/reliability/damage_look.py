"""Looks at a home that may be damaged, in a process of its own, and writes down what it saw: `seen.json` beside the home.

A damaged database might take the whole interpreter with it: then there is no such file, and the exit code says so.
"""

from __future__ import annotations

import ctypes
import json
import logging
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from headwater.core.events import LogWritten
from headwater.core.journal.home import Home
from headwater.errors import ExportError, HeadwaterError
from headwater.lineage.catalog import ProjectionCatalog
from headwater.lineage.openlineage.exporter import Exporter
from headwater.lineage.projection import Projection
from headwater.lineage.reader import Reader
from headwater.project import Project

FACTS = (
    "run_started", "run_ended", "task_started", "task_state", "task_ended", "logs", "definitions", "outcomes", "inputs",
    "column_edges", "unknown_columns", "checks", "observations", "backfill_requested", "backfill_launched",
    "backfill_ended",
)  # fmt: skip


def exporter(home: Home) -> Exporter:
    return Project.open(home.path.parent).exporter(home.path.parent / "export.ndjson")


def verify(home: Home) -> Any:
    return [str(problem) for problem in Projection(home).verify()]


def answers(home: Home) -> Any:
    reader = Reader(Projection(home))
    found = [
        reader.runs(),
        reader.backfills(),
        reader.lineage(columns=True),
        reader.drift(),
        *(reader.materializations(asset) for asset in ("delays", "board")),
        re.sub("0x[0-9a-f]+", "", repr(ProjectionCatalog(reader.projection).facts())),
    ]
    return json.dumps(found, sort_keys=True)


def facts(home: Home) -> Any:
    """Every row that is told of an event: its id, its table, and all that it says."""
    found = []
    with Projection(home).session() as session:
        for table in FACTS:
            found += session.rows(
                f"SELECT CAST(id AS VARCHAR), '{table}', CAST(to_json(row) AS VARCHAR) FROM facts.{table} AS row"
            )
    return sorted(found)


def outbox(home: Home) -> Any:
    one = exporter(home)
    found = one.status()
    if found.error is not None:
        raise ExportError(found.error)
    return [found.delivered, found.pending, [letter.event for letter in one.dead()]]


def write(home: Home) -> Any:
    """What a run does first of all."""
    Project.open(home.path.parent).journal.append(LogWritten(run_id="r", level=20, logger="shop", message="hello"))


def rights(home: Home) -> Any:
    """Give up what the system's owner may do beyond others: from here on permissions bind."""
    if os.geteuid() == 0:
        nothing = (ctypes.c_uint32 * 6)()
        version_3_of_this_thread = (ctypes.c_uint32 * 2)(0x20080522, 0)
        assert ctypes.CDLL(None, use_errno=True).capset(version_3_of_this_thread, nothing) == 0


STEPS: dict[str, Callable[[Home], Any]] = {
    step.__name__: step for step in (verify, answers, facts, outbox, write, rights)
}


class Told(logging.Handler):
    """Keeps what was told of damage."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


def main(path: str, steps: list[str]) -> None:
    told, seen = Told(), {}
    logger = logging.getLogger("headwater")
    logger.addHandler(told)
    logger.propagate = False
    for step in steps:
        try:
            home = Home(Path(path)) if step == "rights" else Home.open(path, create=False)
            seen[step] = {"answer": STEPS[step](home)}
        except HeadwaterError as error:
            seen[step] = {"refused": str(error)}
        except BaseException as error:  # noqa: BLE001 - whatever else comes out of it is what the test is after
            seen[step] = {"broken": f"{type(error).__name__}: {error}"}
    Path("seen.json").write_text(json.dumps({"told": told.texts, **seen}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
