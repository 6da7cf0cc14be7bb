from pathlib import Path

import pytest

from headwater.core.journal.home import Home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home.open(tmp_path / "a [home]*'s", create=True)
