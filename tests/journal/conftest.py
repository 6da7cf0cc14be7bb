from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from headwater.core.journal import segment as segment_module
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


@pytest.fixture
def no_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests that rewrite a segment hundreds of times: what they look at is in the page cache."""
    monkeypatch.setattr(segment_module, "_sync_data", lambda descriptor: None)
    monkeypatch.setattr(segment_module, "sync_folder", lambda folder: None)
