"""For every test and doctest: definitions of its own, forgotten afterwards."""

from collections.abc import Iterator

import pytest

from headwater.assets import registry


@pytest.fixture(autouse=True)
def definitions_of_its_own() -> Iterator[None]:
    """What one test defines must not stand in another one's way."""
    with registry.scope():
        yield
