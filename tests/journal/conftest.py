from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from headwater.core.journal.home import Home
from headwater.core.journal.writer import Writer


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home.open(tmp_path / ".headwater", create=True)


@pytest.fixture
def writer(home: Home) -> Iterator[Writer]:
    writer = Writer(home)
    yield writer
    writer.close()
