"""D1: random programs on every runner: no promised edge is missing, none is invented, unknown where nobody can know.

5,000 programs in the full form (`HEADWATER_STRESS=1 pytest tests/reliability/test_d1_lineage.py`).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from lineage_programs import World, differences, run
from runner_worlds import warm_up

from headwater.core.runners.processes import ProcessRunner
from headwater.project import Project
from headwater.testing import project
from headwater.testing.remote import FakeRemoteRunner

FULL = {"threads": 2_400, "inline": 1_200, "remote": 900, "processes": 500}
QUICK = {"threads": 12, "inline": 6, "remote": 5, "processes": 4}

number = st.integers(min_value=0, max_value=1_000)
programs = st.lists(st.tuples(number, number, number, number), min_size=3, max_size=14)
prefixes = (f"p{number}" for number in itertools.count())
# A few programs at random may hold no edge at all; this one does.
WITH_EDGES = [
    *((51, 16, 51, 17), (12, 10, 19, 18), (40, 55, 46, 54), (54, 56, 23, 5)),
    *((54, 38, 21, 42), (24, 32, 15, 11), (15, 30, 17, 5), (59, 52, 55, 35)),
]


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Project]:
    with project(tmp_path) as found:
        yield found


@pytest.fixture
def runner(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    if request.param != "processes":
        yield FakeRemoteRunner(late=True, shuffled=True) if request.param == "remote" else request.param
        return
    with ProcessRunner(max_workers=2) as processes:
        warm_up(processes, tmp_path_factory.mktemp("workers"))
        yield processes


@pytest.mark.timeout(7_200)
@pytest.mark.parametrize(("runner", "name"), [(name, name) for name in FULL], indirect=["runner"])
def test_recorded_lineage_is_the_truth(
    shop: Project, runner: Any, name: str, tmp_path: Path, stress: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    tried = tmp_path / "tried"
    tried.mkdir()
    figures = {"programs": 0, "assets": 0, "edges": 0, "unknown": 0}

    # To make a failing program smaller takes minutes where each one starts workers.
    @settings(
        max_examples=(FULL if stress else QUICK)[name],
        suppress_health_check=list(HealthCheck),
        phases=(Phase.explicit, Phase.generate),
    )
    @given(program=programs, asynchronous=st.booleans())
    @example(program=WITH_EDGES, asynchronous=False)
    def holds(program: list[tuple[int, int, int, int]], asynchronous: bool) -> None:
        world = World(asynchronous, next(prefixes), tried, runner)
        run(world, program)
        assert differences(shop, world) == []
        figures["programs"] += 1
        figures["assets"] += len(world.expected)
        figures["edges"] += sum(len(truth.must) for truth in world.expected.values())
        figures["unknown"] += sum(truth.sure and truth.unknown for truth in world.expected.values())

    holds()
    assert figures["edges"] > 0
    if stress:
        with capsys.disabled():
            said = ", ".join(f"{count:,} {what}" for what, count in figures.items())
            print(f"\nD1 on {name}: {said}: none missing, none invented")
