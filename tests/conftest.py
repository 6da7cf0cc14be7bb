"""For all tests: nothing may be left behind, and `HEADWATER_STRESS=1` runs them in their full form."""

import os
from collections.abc import Iterator

import leaks
import pytest
from hypothesis import settings

from headwater.core.journal import segment as segment_module

STRESS = os.environ.get("HEADWATER_STRESS") == "1"

settings.register_profile("quick", deadline=None)
settings.register_profile("stress", deadline=None, max_examples=2_000)
settings.load_profile("stress" if STRESS else "quick")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "stress: too long for every day; runs with HEADWATER_STRESS=1 (make stress)")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if STRESS:
        return
    full = [item for item in items if item.get_closest_marker("stress")]
    if full:
        config.hook.pytest_deselected(items=full)
        items[:] = [item for item in items if item not in full]


@pytest.fixture(scope="session")
def stress() -> bool:
    """Whether tests run in their full form."""
    return STRESS


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """Fails a test that leaves a thread, a child process, a lock or an open file of ours."""
    before = leaks.snapshot()
    yield
    left = leaks.leaks(before)
    if left:
        pytest.fail("the test left behind:\n  " + "\n  ".join(left), pytrace=False)


@pytest.fixture
def no_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests that rewrite a segment hundreds of times: what they look at is in the page cache."""
    monkeypatch.setattr(segment_module, "_sync_data", lambda descriptor: None)
    monkeypatch.setattr(segment_module, "sync_folder", lambda folder: None)
