from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from headwater.core.journal.events import Body
from headwater.core.journal.home import Home
from headwater.core.journal.writer import Writer
from headwater.lineage.projection import Projection


@pytest.fixture
def home(tmp_path: Path, empty_database: Path) -> Home:
    made = Home.open(tmp_path / "a [home]*'s", create=True)
    shutil.copyfile(empty_database, made.database)
    return made


@pytest.fixture
def projection(home: Home) -> Projection:
    return Projection(home)


@pytest.fixture
def live(home: Home) -> Iterator[Callable[[list[Body]], Writer]]:
    """Writes events of a process that is still alive when they are read."""
    writers = []

    def write(bodies: list[Body]) -> Writer:
        writers.append(Writer(home))
        writers[-1].append(*bodies)
        return writers[-1]

    yield write
    for writer in writers:
        writer.close()
