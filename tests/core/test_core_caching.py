"""Caching as a user sees it: what is computed, what is used again, and what the journal says of it."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from headwater import INPUTS, NO_CACHE, PARAMETERS, RUN, SOURCE, Asset, State, flow, materialize, task, transaction
from headwater.core import caching
from headwater.core.events import TaskCache, TaskEnded, TaskKept
from headwater.errors import DefinitionError, UnknownNameError
from headwater.project import Project
from headwater.testing import FakeClock, MemoryCarrier
from headwater.testing import project as project_of


class World:
    """A project whose journal and results are in memory, and a clock that stands still."""

    def __init__(self, found: Project, carrier: MemoryCarrier, clock: FakeClock) -> None:
        self.project, self.carrier, self.clock = found, carrier, clock
        self.store: Any = found.results

    def all(self, body: Any) -> list[Any]:
        return [event.record(body) for event in self.carrier.events if event.kind == body.kind]

    @property
    def verdicts(self) -> list[tuple[str, str]]:
        return [(one.verdict, one.because) for one in self.all(TaskCache)]

    @property
    def states(self) -> list[str]:
        return [one.state for one in self.all(TaskEnded)]


@pytest.fixture
def world() -> Iterator[World]:
    clock, carrier = FakeClock(us=1_700_000_000_000_000), MemoryCarrier()
    with project_of(carrier=carrier, clock=clock, in_memory=True) as found:
        caching._warned.clear()
        yield World(found, carrier, clock)


class Calls(list[Any]):
    """What a task's function was called with."""

    def __call__(self, *values: Any) -> Any:
        self.append(values)
        return values[0] if values else None


calls = Calls()


@pytest.fixture(autouse=True)
def no_calls() -> None:
    calls.clear()


@task(cache=True)
def double(number: int, factor: int = 2) -> int:
    calls(number)
    return number * factor


@dataclasses.dataclass(frozen=True)
class Order:
    lines: list[int]


def test_the_same_call_is_computed_once(world: World) -> None:
    assert [double(1), double(number=1), double(1, factor=2)] == [2, 2, 2]
    assert len(calls) == 1
    assert world.states == ["Completed", "Cached", "Cached"]
    assert world.verdicts == [("miss", "not_kept"), ("hit", "kept"), ("hit", "kept")]
    missed, hit, _ = world.all(TaskCache)
    assert (hit.key, hit.parts, hit.origin) == (missed.key, missed.parts, missed.task_run_id)
    assert set(hit.parts) == {"argument 'number'", "argument 'factor'", "code", "code of Calls.__call__"}
    (kept,) = world.all(TaskKept)
    assert (kept.task_run_id, kept.refused, kept.encoding, kept.size) == (missed.task_run_id, None, "json", 1)


def test_another_argument_is_another_call(world: World) -> None:
    assert [double(1), double(2), double(1, 3), double(True)] == [2, 4, 3, 2]
    assert len(calls) == 4


def test_results_are_used_by_later_processes_and_flows_and_in_every_way_to_call(world: World) -> None:
    double(5)

    @flow
    def main() -> list[int]:
        futures = [double.submit(5), *double.map([5, 5])]
        return [double(5), *[one.result() for one in futures]]

    assert main() == [10] * 4
    assert len(calls) == 1


def test_a_coroutine_is_cached_too(world: World) -> None:
    @task(cache=True)
    async def fetch(day: dt.date) -> dict[dt.date, float]:
        calls(day)
        await asyncio.sleep(0)
        return {day: 1.5}

    @flow
    async def main() -> list[Any]:
        return [await fetch(dt.date(2024, 1, 1)) for _ in range(3)]

    assert asyncio.run(main()) == [{dt.date(2024, 1, 1): 1.5}] * 3
    assert len(calls) == 1
    assert world.states == ["Completed", "Cached", "Cached"]


def test_the_value_of_a_hit_is_its_own(world: World) -> None:
    @task(cache=True)
    def rows() -> list[int]:
        return [1]

    rows().append(2)
    rows().append(3)
    assert rows() == [1]


def test_frames_and_dataclasses_are_cached(world: World) -> None:
    @task(cache=True)
    def frame(of: pl.DataFrame) -> pl.DataFrame:
        calls(of)
        return of.with_columns(b=pl.col("a") * 2)

    @task(cache=True)
    def order(of: Order) -> Order:
        calls(of)
        return Order([*of.lines, 3])

    big = pl.DataFrame({"a": range(10_000)})
    assert frame(big).equals(frame(pl.DataFrame({"a": range(10_000)})))
    assert order(Order([1])) == order(Order([1])) == Order([1, 3])
    assert len(calls) == 2
    kept = world.all(TaskKept)[0]
    assert (kept.encoding, kept.file) == ("polars", f"run-{kept.task_run_id}")


def test_changed_code_is_computed_anew(world: World) -> None:
    def defined(text: str) -> Any:
        names: dict[str, Any] = {"task": task, "calls": calls}
        exec(compile(text, "/nowhere/shop.py", "exec"), names)
        return names["load"]

    first = defined("@task(cache=True)\ndef load():\n    return calls(1)\n")
    same = defined("@task(cache=True)\ndef load():\n    return calls(1)\n")
    other = defined("@task(cache=True)\ndef load():\n    return calls(2)\n")
    assert [first(), same(), other(), first()] == [1, 1, 2, 1]
    assert calls == [(1,), (2,)]
    # Where the policy names the inputs alone, the code does not count.
    assert [one.with_options(cache=INPUTS)() for one in (first, other)] == [1, 1]


def test_what_a_function_takes_from_around_it_counts(world: World) -> None:
    def scaling(by: int) -> Any:
        @task(cache=INPUTS)
        def scale(number: int) -> int:
            return int(calls(number)) * by

        return scale

    assert [scaling(2)(1), scaling(3)(1), scaling(2)(1)] == [2, 3, 2]
    assert len(calls) == 2
    # Only where the policy names the inputs or the code.
    by_key = [scaling(by).with_options(cache=lambda context, arguments: "key") for by in (2, 3)]
    assert [one(1) for one in by_key] == [2, 2]


def test_arguments_and_policies_are_taken_away(world: World) -> None:
    @task(cache=INPUTS + SOURCE - "client")
    def fetch(day: str, client: object) -> str:
        return str(calls(day))

    fetch("monday", object())
    fetch("monday", object())
    fetch("tuesday", object())
    assert len(calls) == 2

    @task(cache=INPUTS - "verbose")
    def named(a: int, **options: Any) -> int:
        calls(options)
        return a

    named(1, verbose=True)
    named(1, verbose=object())
    assert len(calls) == 3
    without = named.with_options(cache=INPUTS - "options")
    assert [without(2, verbose=True), without(2, quiet=object())] == [2, 2]
    assert len(calls) == 4


def test_the_flows_parameters_and_the_run_count_where_a_policy_says_so(world: World) -> None:
    @task(cache=PARAMETERS + SOURCE)
    def per_day() -> int:
        calls("day")
        return 1

    @task(cache=RUN)
    def per_run() -> int:
        calls("run")
        return 1

    @flow
    def nightly(day: str) -> None:
        per_day()
        per_run()
        inner()

    @flow
    def inner() -> None:
        per_run()

    nightly("monday")
    assert calls == [("day",), ("run",)]
    nightly("monday")
    nightly("tuesday")
    assert calls == [("day",), ("run",), ("run",), ("day",), ("run",)]
    looked = [one.parts for one in world.all(TaskCache) if one.task == "per_day"]
    assert [set(parts) for parts in looked] == [{"code", "code of Calls.__call__", "parameter 'day'"}] * 3


def test_a_key_function_says_what_counts(world: World) -> None:
    @task(cache=lambda context, arguments: (context.flow, arguments["day"]) if arguments["day"] else None)
    def fetch(day: str, client: object = None) -> str:
        return str(calls(day))

    assert [fetch("monday", object()), fetch("monday", object()), fetch("sunday")] == ["monday", "monday", "sunday"]
    assert len(calls) == 2
    fetch("")
    fetch("")
    assert len(calls) == 4
    assert world.verdicts[3:] == [("uncached", "no_key")] * 2


def test_a_key_function_that_raises_leaves_the_call_uncached(world: World) -> None:
    def broken(context: Any, arguments: Any) -> str:
        raise KeyError("day")

    @task(cache=INPUTS + broken)  # type: ignore[operator]
    def fetch() -> int:
        return int(calls(1))

    assert [fetch(), fetch()] == [1, 1]
    (first, _) = world.all(TaskCache)
    assert first.text.endswith("broken raised KeyError: 'day'")
    assert world.states == ["Completed", "Completed"]


def test_no_cache_and_a_wrong_option(world: World, caplog: pytest.LogCaptureFixture) -> None:
    assert [double.with_options(cache=NO_CACHE)(1), double.with_options(cache=False)(1)] == [2, 2]
    assert double.with_options(cache=lambda context, parameters: None)(1) == 2
    assert len(calls) == 3

    @task(cache=NO_CACHE)
    def rows() -> Iterator[int]:
        yield 1

    assert list(rows()) == [1]
    assert not caplog.records, "what was asked for is nothing to warn of"
    for options in ({"cache": 3}, {"cache_for": "soon"}, {"refresh": "yes"}, {"once": 1}, {"result": "json"}):
        with pytest.raises(DefinitionError):
            double.with_options(**options)  # type: ignore[arg-type]
    with pytest.raises(UnknownNameError, match="there is no argument 'nmber'"):
        double.with_options(cache=INPUTS - "nmber")


def test_what_cannot_be_cached_is_refused_at_its_definition() -> None:
    with pytest.raises(DefinitionError, match="the flow 'main' can't be cached"):

        @flow(cache=True)  # type: ignore[call-overload,untyped-decorator]
        def main() -> None: ...

    with pytest.raises(DefinitionError, match="makes assets and can't be cached: what it made last is its cache"):

        @materialize(Asset("cached", at="memory://cached"), cache_for="1h")
        def make() -> None: ...

    with pytest.raises(DefinitionError, match="hands out its items as they come"):

        @task(cache=True)
        def rows() -> Iterator[int]:
            yield 1


def test_results_expire(world: World) -> None:
    cached = double.with_options(cache_for="1h")
    cached(1)
    world.clock.sleep(3_599)
    cached(1)
    assert len(calls) == 1
    world.clock.sleep(1)
    cached(1)
    assert len(calls) == 2
    assert world.verdicts[-1] == ("miss", "expired")
    cached(1)
    assert len(calls) == 2
    # A shorter time counts at once, a longer one does not bring back what expired.
    world.clock.sleep(60)
    double.with_options(cache_for=dt.timedelta(seconds=30))(1)
    assert len(calls) == 3
    world.clock.sleep(31)
    double.with_options(cache_for=86_400)(1)
    assert len(calls) == 4
    assert world.all(TaskCache)[-1].text.endswith("expired at 2023-11-14T23:14:50.000000Z")


def test_refresh_computes_anew_and_keeps_that(world: World) -> None:
    @task(cache=True)
    def count() -> int:
        calls(1)
        return len(calls)

    assert [count(), count(), count.with_options(refresh=True)(), count()] == [1, 1, 2, 2]
    assert world.verdicts[2] == ("miss", "refreshed")


def test_the_setting_refresh_is_for_tasks_that_say_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from headwater import settings

    monkeypatch.setattr(world.project, "settings", settings.load(world.project.root, {"HEADWATER_REFRESH": "1"}))
    double(1)
    double(1)
    assert len(calls) == 2
    double.with_options(refresh=False)(1)
    assert len(calls) == 2


def test_a_failed_call_keeps_nothing(world: World) -> None:
    @task(cache=True, retries=1)
    def shaky() -> int:
        calls(1)
        if len(calls) < 3:
            raise ValueError("no")
        return 7

    with pytest.raises(ValueError, match="no"):
        shaky()
    assert world.all(TaskKept) == []
    assert [shaky(), shaky()] == [7, 7]
    assert len(calls) == 3


def test_what_cannot_be_told_or_kept_is_computed_each_time_and_says_why(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    @task(cache=True)
    def take(client: object) -> int:
        return int(bool(calls(client)))

    @task(cache=True)
    def give() -> Any:
        calls(1)
        return {"rows": [1, object()]}

    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            take([object()])
            give()
    assert len(calls) == 4
    told = "argument 'client'[0] is an object (leave it out: cache=… - \"client\")"
    assert [one.text for one in world.all(TaskCache) if one.verdict == "uncached"] == [told] * 2
    assert {one.refused for one in world.all(TaskKept)} == {"result['rows'][1] is an object"}
    assert world.states == ["Completed"] * 4
    assert sorted(record.getMessage() for record in caplog.records) == [
        "'give' is not cacheable: result['rows'][1] is an object",
        f"'take' is not cached: {told}",
    ]


def test_pickle_is_for_tasks_that_ask_for_it(world: World) -> None:
    @task(cache=True, result="pickle")
    def give() -> Any:
        calls(1)
        return {"range": slice(1, 2)}

    assert give() == give() == {"range": slice(1, 2)}
    assert len(calls) == 1
    # The same function without it does not read what was pickled.
    give.with_options(result=None)()
    assert len(calls) == 2
    assert world.verdicts[-1] == ("miss", "unusable")


class Model:
    """What a task with pickled results makes: a class of the project, without an equality of its own."""


def test_what_python_notes_in_a_class_is_no_change_of_its_code(world: World) -> None:
    @task(cache=True, result="pickle")
    def fit() -> Any:
        calls(1)
        assert Model.__annotations__ == {}  # asked for, as type hints and protocols do
        return Model()

    for name in {"__slotnames__", "__annotations__"} & vars(Model).keys():
        delattr(Model, name)
    assert isinstance(fit(), Model)
    assert {"__slotnames__", "__annotations__"} <= vars(Model).keys()
    assert isinstance(fit(), Model)
    assert world.verdicts == [("miss", "not_kept"), ("hit", "kept")]


@pytest.mark.parametrize("size", [1, 10_000])
@pytest.mark.parametrize("name", ["key-", "run-"])
def test_whatever_is_damaged_in_the_store_is_a_miss(world: World, size: int, name: str) -> None:
    @task(cache=True)
    def text() -> str:
        calls(1)
        return "x" * size

    text()
    for at in (0.0, 0.3, 0.99):
        names = [one for one in world.store.kept if one.startswith(name)]
        if names:
            # The newest one: it was kept when the one before was found damaged.
            whole = world.store.kept[max(names)]
            place = int(at * len(whole))
            world.store.kept[max(names)] = whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]
        before = len(calls)
        assert text() == "x" * size
        expected = (1, ("miss", "unusable")) if names else (0, ("hit", "kept"))
        assert (len(calls) - before, world.verdicts[-1]) == expected


def test_an_entry_under_another_key_is_a_miss(world: World) -> None:
    double(1)
    double(2)
    one, other = sorted(world.store.kept)
    world.store.kept[one], world.store.kept[other] = world.store.kept[other], world.store.kept[one]
    assert [double(1), double(2)] == [2, 4]
    assert world.verdicts[-2:] == [("miss", "unusable")] * 2


def test_a_store_that_cannot_be_written_fails_no_task(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from headwater.errors import ResultError

    def full(*_: Any, **__: Any) -> None:
        raise ResultError("a result can't be kept: no space left on device")

    monkeypatch.setattr(world.store, "write", full)
    assert double(4) == 8
    assert world.all(TaskKept)[0].refused == "a result can't be kept: no space left on device"


def test_hooks_hear_of_a_hit(world: World) -> None:
    heard: list[tuple[str, int]] = []
    told = double.with_options(
        hooks=dict.fromkeys(
            (State.RUNNING, State.COMPLETED, State.CACHED), lambda one: heard.append((one.state.value, one.tries))
        )
    )
    told(9)
    told(9)
    assert heard == [("Running", 1), ("Completed", 1), ("Cached", 0)]


def test_what_a_rolled_back_transaction_made_is_not_used(world: World) -> None:
    @flow
    def main(fails: bool) -> None:
        with transaction() as txn:
            double(1)
            if fails:
                txn.rollback("no")

    main(True)
    assert [one for one in world.store.kept if one.startswith("key-")] == []
    main(False)
    assert len(calls) == 2
    main(False)
    double(1)
    assert len(calls) == 2


def test_a_cached_value_keeps_its_edges(world: World) -> None:
    orders, copies = Asset("orders", at="memory://orders"), Asset("copies", at="memory://copies")

    @materialize(orders)
    def make_orders() -> pl.DataFrame:
        return pl.DataFrame({"id": [1, 2]})

    @task(cache=True)
    def fetch() -> pl.DataFrame:
        calls(1)
        made: pl.DataFrame = make_orders()
        return made

    @materialize(copies)
    def copy(rows: pl.DataFrame) -> pl.DataFrame:
        return rows

    @flow
    def main() -> None:
        copy(fetch())

    main()
    main()
    assert len(calls) == 1
    ends = [event.body for event in world.carrier.events if event.kind == "materialization.ended"]
    made = [end["evidence"] for end in ends if end["started"]["asset"]["name"] == "copies"]
    inputs = [[(one["asset"], one["version"]) for one in evidence["inputs"]] for evidence in made]
    assert inputs[0] == inputs[1] != []
    assert [evidence["unknown_inputs"] for evidence in made] == [[], []]


def test_a_task_without_cache_knows_nothing_of_it(world: World) -> None:
    @task
    def plain(number: int) -> int:
        return number

    plain(1)
    assert world.all(TaskCache) == world.all(TaskKept) == []
    assert world.store.kept == {}


FUNCTIONS = """
import os
from headwater import flow, task

@task(cache=True)
def square(number):
    return {"square": number * number, "process": os.getpid()}

@task
def outer(number):
    return square(number)

@flow(runner="processes")
def main():
    first, again = square.submit(3).result(), square.submit(3).result()
    inside = outer.submit(3).result()
    print(first == again == inside, first["process"] != os.getpid())

main()
"""


COROUTINES = """
import os
from headwater import flow, task

@task(cache=True, once=True)
async def square(number):
    return {"square": number * number, "process": os.getpid()}

@flow(runner="processes")
def main():
    first, again = square.submit(3).result(), square.submit(3).result()
    at_once = square.map([4, 4, 4]).result()
    print(first == again, first["process"] != os.getpid(), at_once[0] == at_once[1] == at_once[2])

main()
"""


@pytest.mark.parametrize(("text", "said"), [(FUNCTIONS, "True True\n"), (COROUTINES, "True True True\n")])
def test_a_script_whose_tasks_run_in_processes_finds_its_results_in_all_of_them(
    tmp_path: Path, text: str, said: str
) -> None:
    (tmp_path / "squares.py").write_text(text)
    done = subprocess.run(
        [sys.executable, "squares.py"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout, done.stderr) == (said, "")
