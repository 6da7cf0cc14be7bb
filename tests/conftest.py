"""For all tests: nothing may be left behind, and `HEADWATER_STRESS=1` runs them in their full form."""

import ast
import compileall
import gc
import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import leaks
import pytest
from hypothesis import settings
from tried import STRESS

from headwater.core.journal import segment as segment_module
from headwater.lineage import store


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

# What pytest keeps of thousands of tests is looked through now and then: seldom is enough.
gc.set_threshold(50_000, 20, 20)

# Where no bytecode may be kept, each of hundreds of processes would compile the package anew, and each of pytest's the tests.
# What tests write and import themselves is not kept there either: it may change twice in a second, at the same size.
BYTECODE = not sys.dont_write_bytecode
sys.dont_write_bytecode = False

settings.register_profile("quick", deadline=None, max_examples=25)
settings.register_profile("stress", deadline=None, max_examples=2_000)
settings.load_profile("stress" if STRESS else "quick")


def pytest_configure(config: pytest.Config) -> None:
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # Started in the background of a shell: what tests Ctrl-C, here and in processes of its own, would wait for ever.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    config.addinivalue_line("markers", "stress: too long for every day; runs with HEADWATER_STRESS=1 (make stress)")
    if not BYTECODE and not hasattr(config, "workerinput"):
        compileall.compile_dir(Path(__file__).parents[1] / "headwater", quiet=2)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if STRESS:
        return
    full = [item for item in items if item.get_closest_marker("stress")]
    if full:
        config.hook.pytest_deselected(items=full)
        items[:] = [item for item in items if item not in full]


def pytest_collection_finish() -> None:
    sys.dont_write_bytecode = not BYTECODE


@pytest.fixture(scope="session")
def stress() -> bool:
    """Whether tests run in their full form."""
    return STRESS


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty projection, made once: making its tables and views is the dearest part of many a test."""
    folder = tmp_path_factory.mktemp("empty")
    store.connect(folder / "headwater.duckdb", temp=folder).close()
    return folder / "headwater.duckdb"


@pytest.fixture(scope="session", autouse=True)
def new_projections_are_copies(empty_database: Path) -> Iterator[None]:
    """In this process a new projection begins as a copy of the empty one; in processes that tests start it is made."""
    connect = store.connect

    def connected(path: Path, *, temp: Path) -> Any:
        new = path.is_absolute() and path.parent.is_dir() and not path.exists()
        if not new or "?" in str(path) or not os.access(path.parent, os.W_OK):
            return connect(path, temp=temp)
        path.with_name(path.name + ".wal").unlink(missing_ok=True)
        shutil.copyfile(empty_database, path)
        connection = connect(path, temp=temp)
        connection.execute("PRAGMA enable_checkpoint_on_shutdown")  # as of a file that is new
        return connection

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "connect", connected)
        yield


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
