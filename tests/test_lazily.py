"""Attributes that are worked out once, whatever threads ask and whoever forks meanwhile."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from headwater.lazily import lazy
from headwater.project import Project
from headwater.settings import Settings


class Shop:
    """Counts how often its books are opened."""

    def __init__(self) -> None:
        self.opened = 0
        self.entered, self.go = threading.Event(), threading.Event()
        self.go.set()

    @lazy
    def books(self) -> list[int]:
        """Opened once."""
        self.opened += 1
        self.entered.set()
        assert self.go.wait(20)
        return [self.opened]

    @lazy
    def closed(self) -> list[int]:
        raise LookupError(self.opened)


def test_it_is_worked_out_when_it_is_asked_for_and_kept() -> None:
    shop, other = Shop(), Shop()
    assert shop.opened == 0
    assert shop.books is shop.books
    assert (shop.opened, other.opened) == (1, 0)
    assert isinstance(Shop.books, lazy)
    assert Shop.books.__doc__ == "Opened once."


def test_what_it_raises_is_not_kept() -> None:
    shop = Shop()
    for number in range(2):
        shop.opened = number
        with pytest.raises(LookupError, match=str(number)):
            _ = shop.closed


def test_threads_that_ask_together_get_the_same() -> None:
    shop = Shop()
    shop.go.clear()
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(lambda: shop.books) for _ in range(8)]
        assert shop.entered.wait(20)
        time.sleep(0.05)
        shop.go.set()
        found = [one.result() for one in asked]
    assert shop.opened == 1
    assert all(one is found[0] for one in found)


def test_a_child_forked_meanwhile_works_it_out_by_itself() -> None:
    shop = Shop()
    shop.go.clear()
    thread = threading.Thread(target=lambda: shop.books)
    thread.start()
    assert shop.entered.wait(20)
    child = os.fork()
    if not child:
        shop.go = threading.Event()
        shop.go.set()
        os._exit(0 if shop.books == [2] else 1)
    shop.go.set()
    thread.join()
    assert os.waitpid(child, 0)[1] == 0
    assert shop.books == [1]


@pytest.mark.parametrize("name", ["home", "carrier", "journal", "definitions", "projection", "catalog"])
def test_threads_that_begin_with_a_project_together_have_the_same(tmp_path: Path, name: str) -> None:
    for number in range(10):
        project = Project(Settings(root=tmp_path / str(number), project="shop"))
        together = threading.Barrier(6)

        def ask(project: Project = project, together: threading.Barrier = together) -> Any:
            together.wait()
            return getattr(project, name)

        with ThreadPoolExecutor(6) as pool:
            found = [one.result() for one in [pool.submit(ask) for _ in range(6)]]
        assert all(one is found[0] for one in found)
        project.close()
