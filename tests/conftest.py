"""For all tests: nothing may be left behind, and `HEADWATER_STRESS=1` runs them in their full form."""

import ast
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import leaks
import pytest
from hypothesis import settings

from headwater.core.journal import segment as segment_module

STRESS = os.environ.get("HEADWATER_STRESS") == "1"


def _one_at_a_time(parse: Callable[..., Any]) -> Callable[..., Any]:
    lock = threading.RLock()
    os.register_at_fork(after_in_child=lock._at_fork_reinit)  # type: ignore[attr-defined]

    def parsed(*args: Any, **kwargs: Any) -> Any:
        with lock:
            return parse(*args, **kwargs)

    return parsed


# pytest parses what is imported. CPython 3.11 counts the depth of a syntax tree for all threads together: of two threads
# that import something at once, one may fail (SystemError: AST constructor recursion depth mismatch).
ast.parse = _one_at_a_time(ast.parse)

settings.register_profile("quick", deadline=None, max_examples=50)
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
