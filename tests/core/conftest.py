from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_project import FakeProject

from headwater.core import runtime


@pytest.fixture
def project(tmp_path: Path) -> Iterator[FakeProject]:
    with runtime.use(FakeProject(tmp_path)) as fake:
        yield fake
