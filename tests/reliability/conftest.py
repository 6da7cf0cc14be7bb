from collections.abc import Iterator
from pathlib import Path

import pytest
from damage_world import World, make_world
from nursery import Nursery, opened

from headwater.core.journal.home import Home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home.open(tmp_path / "a [home]*'s", create=True)


@pytest.fixture(scope="session")
def nest() -> Iterator[Nursery]:
    """The nest of all tests: it takes seconds to import everything, and none of what it forks changes it."""
    with opened() as found:
        yield found


@pytest.fixture(scope="session")
def damageable(nest: Nursery, tmp_path_factory: pytest.TempPathFactory) -> World:
    """A home with a bit of everything, to be damaged and restored: made once."""
    return make_world(tmp_path_factory.mktemp("damageable"), nest)
