"""A7: a full disk, a read-only home, wrong permissions: a clear error, nothing acknowledged is lost, and all goes on after."""

from __future__ import annotations

import functools
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from damage_world import World
from journal_cases import ROOT
from nursery import said

SEED = os.environ.get("HEADWATER_SEED") or str(random.SystemRandom().randrange(2**32))
"""The quick form fills the disk under one command of five: another one each time."""
TESTS = Path(__file__).parents[1]
DRIVER = Path(__file__).with_name("small_disk.py")


@pytest.fixture
def world(damageable: World) -> World:
    damageable.restore()
    return damageable


def own_mounts() -> list[str]:
    """The command that runs another one where it may mount; empty where the system does not let us."""
    command = ["unshare", "--user", "--mount", "--map-root-user"]
    try:
        probe = [*command, "mount", "-t", "tmpfs", "none", "/tmp"]
        return command if subprocess.run(probe, capture_output=True, check=False).returncode == 0 else []
    except FileNotFoundError:
        return []


def drive(folder: Path, form: str, rounds: int, *, mounts: list[str]) -> str:
    """Run the tests on a small disk; what they print."""
    folders = [ROOT, TESTS, *(TESTS / name for name in ("journal", "lineage", "reliability", "cli"))]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HEADWATER_")}
    environment["PYTHONPATH"] = os.pathsep.join(map(str, folders))
    command = [*mounts, sys.executable, str(DRIVER), str(folder), form, SEED, str(rounds)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def test_a7_a_full_disk(tmp_path: Path, stress: bool) -> None:
    mounts = own_mounts()
    if mounts:
        printed = drive(tmp_path / "disk", "tmpfs", 60 if stress else 1, mounts=mounts)
        assert "read-only: 3 questions answered as before" in printed
    else:
        print("A7: THE SMALLER FORM: this system lets us mount nothing, so files are limited in size instead")
        printed = drive(tmp_path / "disk", "limit", 20 if stress else 1, mounts=[])
    print(printed, end="")
    assert "0 lost" in printed


@pytest.mark.stress
def test_a7_files_that_may_not_grow(tmp_path: Path) -> None:
    print(drive(tmp_path / "disk", "limit", 10, mounts=[]), end="")


# Permissions


@contextmanager
def changed(*paths: Path, mode: int) -> Iterator[None]:
    """With another mode for a while."""
    before = [(path, path.stat().st_mode) for path in paths]
    for path, _ in before:
        path.chmod(mode)
    try:
        yield
    finally:
        for path, old in before:
            path.chmod(old)


@pytest.fixture
def truth(damageable: World) -> str:
    """What an undamaged home answers."""
    return _truth(damageable)


@functools.cache
def _truth(world: World) -> str:
    world.restore()
    answer: str = world.look("answers").answer("answers")
    world.restore()
    return answer


def _full(case: str) -> Any:
    return pytest.param(case, marks=pytest.mark.stress)


Case = Callable[[World], tuple[list[Path], int]]
ANSWERED: dict[str, Case] = {
    "a read-only home": lambda world: (
        [world.home.path, world.home.journal, world.home.locks, world.home.tmp], 0o555
    ),
    "a read-only journal": lambda world: ([world.home.journal], 0o555),
    "locks that can't be made": lambda world: ([world.home.locks], 0o555),
    "a tmp folder of somebody else": lambda world: ([world.home.tmp], 0o000),
}  # fmt: skip
REFUSED: dict[str, tuple[Case, str]] = {
    "a journal that can't be read": (lambda world: ([world.home.journal], 0o000), "the home is not readable"),
    "a home that can't be read": (
        lambda world: ([world.home.path], 0o000),
        "the home can't be used: Permission denied",
    ),
    "a marker that can't be read": (
        lambda world: ([world.home.marker], 0o000),
        "the home can't be used: Permission denied",
    ),
    "a database of somebody else": (lambda world: ([world.home.database], 0o444), "the projection can't be opened"),
    "a database that can't be read": (lambda world: ([world.home.database], 0o000), "the projection can't be opened"),
}


@pytest.mark.parametrize("case", [next(iter(ANSWERED)), *(_full(case) for case in list(ANSWERED)[1:])])
def test_a7_a_home_that_can_only_be_read_answers_as_ever(world: World, truth: str, case: str) -> None:
    paths, mode = ANSWERED[case](world)
    with changed(*paths, mode=mode):
        seen = world.look("rights", "answers", "verify", "write")
    assert seen.answer("answers") == truth
    assert seen.answer("verify") == ["headwater.duckdb: not compared: not writable"]
    assert str(seen.refused("write")).startswith("the home is not writable\n  where: ")
    assert seen.told == []
    assert {path: path.read_bytes() for path in world.files} == world.files


@pytest.mark.parametrize("case", [*list(REFUSED)[:2], *(_full(case) for case in list(REFUSED)[2:])])
def test_a7_what_may_not_be_read_is_named(world: World, case: str) -> None:
    spoilt, words = REFUSED[case]
    paths, mode = spoilt(world)
    with changed(*paths, mode=mode):
        seen = world.look("rights", "answers")
    assert words in str(seen.refused("answers"))
    assert "hint: " in str(seen.refused("answers"))
    assert {path: path.read_bytes() for path in world.files} == world.files
    assert list(world.home.path.glob("*.damaged-*")) == []


def test_a7_a_segment_that_may_not_be_read_is_named(world: World, truth: str) -> None:
    segment = sorted(world.home.journal.glob("*.ndjson"))[1]
    with changed(segment, mode=0):
        seen = world.look("rights", "answers", "verify")
        assert seen.answer("answers") == truth
        assert any(segment.stem in problem and "can't be read" in problem for problem in seen.answer("verify"))
        world.home.database.unlink()
        seen = world.look("rights", "answers")
    assert segment.name in str(seen.refused("answers"))
    assert world.look("answers").answer("answers") == truth


def test_a7_a_position_that_may_not_be_read_is_named(world: World) -> None:
    (position,) = (path for path in world.files if path.parent.name == "openlineage" and ".dead." not in path.name)
    with changed(position, mode=0):
        seen = world.look("rights", "outbox", "verify")
    assert "the position of an export can't be read: Permission denied" in str(seen.refused("outbox"))
    assert seen.answer("verify") == [f"{position.name}: the position of an export can't be read: Permission denied"]


BROKEN = """
import sys
from headwater import flow, get_logger, task
from headwater.core.journal import segment

sync = segment._sync_data
left = int(sys.argv[1])

def broken(descriptor):
    global left
    left -= 1
    if left < 0:
        raise OSError(5, "Input/output error")
    sync(descriptor)

segment._sync_data = broken

@task
def work(n):
    return n

@flow
def daily():
    return [work(n) for n in range(3)]

daily()
"""


@pytest.mark.parametrize(("synced", "state"), [(0, "Crashed"), (1, "Completed")])
def test_a7_a_disk_that_fails_to_sync_is_told_of_and_recovered_from(
    tmp_path: Path, damageable: World, synced: int, state: str
) -> None:
    (tmp_path / "broken.py").write_text(BROKEN)
    assert damageable.nest.run(tmp_path, ["broken.py", str(synced)]) == 1
    assert "the journal can't be written: Input/output error" in said(tmp_path)
    # The process is gone. What it wrote and could not sync is in the journal, whole; the rest, the next look settles.
    assert damageable.nest.run(tmp_path, ["runs", "--json"]) == 0
    assert [run["state"] for run in json.loads(said(tmp_path))["runs"]] == [state]
    assert damageable.nest.run(tmp_path, ["verify"]) == 0
