from collections.abc import Iterator
from pathlib import Path

import pytest
from damage_world import World, make_world
from nursery import opened

from headwater.core.journal.home import Home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home.open(tmp_path / "a [home]*'s", create=True)


@pytest.fixture(scope="session")
def damageable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A home with a bit of everything, to be damaged and restored: made once, as its processes take seconds to start."""
    with opened() as nest:
        yield make_world(tmp_path_factory.mktemp("damageable"), nest)
