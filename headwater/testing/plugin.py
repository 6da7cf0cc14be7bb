"""The pytest plugin: a fixture `headwater` for tests of flows and assets. Pytest finds it by itself where Headwater is installed.

def test_daily_sales(headwater):
    headwater.make(sales, partition="2024-01-05")
    assert headwater.load(sales, partition="2024-01-05").height == 3
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from headwater.testing.sandbox import Sandbox


@pytest.fixture
def headwater(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """A project for one test: a home of its own, data in memory, a clock that stands still; nothing of it is left behind."""
    # Imported here: most tests of most projects never ask for it.
    from headwater.testing.sandbox import sandbox

    # The project is that of the test, not that of the folder in which somebody calls pytest.
    with sandbox(folder=request.path.parent) as found:
        yield found
