"""Resuming: another attempt of a run makes only those calls that did not complete."""

import asyncio
import base64
import datetime
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from headwater import INPUTS, allow_failure, clock, flow, ids, task, transaction
from headwater.core import runtime
from headwater.core.states import State
from headwater.errors import RefusedError, UnknownNameError, UsageError
from headwater.project import Project


class World:
    """What the tasks of a test did, and what they are to do."""

    def __init__(self) -> None:
        self.ran: list[Any] = []
        self.broken = True

    def taken(self) -> list[Any]:
        ran, self.ran = self.ran, []
        return ran


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    monkeypatch.chdir(tmp_path)
    found = Project.open()
    with runtime.use(found):
        yield found
        found.close()


def newest(project: Project, flow_name: str = "main") -> dict[str, Any]:
    return project.reader.runs(flow=flow_name)["runs"][0]


def states(project: Project, run_id: str, attempt: int) -> dict[str, int]:
    rows = project.reader.task_runs(run_id)["task_runs"]
    return dict(Counter(row["state"] for row in rows if row["attempt"] == attempt))


def reasons(project: Project, run_id: str) -> list[str]:
    return [row["message"] for row in project.reader.logs(run_id)["logs"] if row["logger"] == "headwater.resume"]


def test_completed_calls_are_not_made_again(project: Project, world: World) -> None:
    @task
    def load(number: int) -> dict[str, Any]:
        world.ran.append(("load", number))
        return {"number": number, "pair": (1, 2)}

    @task
    def double(loaded: dict[str, Any]) -> int:
        world.ran.append(("double", loaded["number"]))
        if world.broken and loaded["number"] == 2:
            raise ValueError("no")
        assert loaded["pair"] == (1, 2)
        return 2 * int(loaded["number"])

    @flow
    def main(count: int) -> int:
        return sum(double(load(number)) for number in range(count))

    with pytest.raises(ValueError, match="no"):
        main(4)
    first = newest(project)
    assert world.taken() == [(name, number) for number in range(3) for name in ("load", "double")]
    world.broken = False
    assert main.resume(first["id"]) == 12
    assert world.taken() == [("double", 2), ("load", 3), ("double", 3)]
    again = newest(project)
    assert (again["id"], again["attempt"], again["state"]) == (first["id"], 2, "Completed")
    assert states(project, first["id"], 2) == {"Cached": 5, "Completed": 3}
    assert reasons(project, first["id"]) == []


def test_the_end_of_a_reused_call_says_where_its_result_comes_from(project: Project, world: World) -> None:
    @task
    def load() -> int:
        return 1

    @task
    def fails(number: int) -> int:
        if world.broken:
            raise ValueError("no")
        return number

    @flow
    def main() -> int:
        return fails(load())

    with pytest.raises(ValueError, match="no"):
        main()
    run_id = newest(project)["id"]
    world.broken = False
    main.resume(run_id)
    with project.projection.session() as session:
        made = session.rows("SELECT task_run_id FROM facts.task_ended WHERE task = 'load' AND state = 'Completed'")
        reused = session.rows(
            "SELECT reused.attempt, reused.task_run_id, identity IS NOT NULL FROM facts.task_ended WHERE state = 'Cached'"
        )
    assert reused == [(1, made[0][0], True)]


def test_calls_that_are_alike_get_their_results_in_order(project: Project, world: World) -> None:
    @task
    def poll() -> int:
        world.ran.append("poll")
        return len(world.ran)

    @flow
    def main() -> list[int]:
        found = [poll(), poll(), poll()]
        if world.broken:
            raise ValueError("no")
        return [*found, poll()]

    with pytest.raises(ValueError, match="no"):
        main()
    world.broken = False
    assert main.resume(newest(project)["id"]) == [1, 2, 3, 4]
    assert len(world.ran) == 4


def test_an_attempt_goes_on_from_all_that_were_before(project: Project, world: World) -> None:
    @task
    def step(number: int) -> int:
        world.ran.append(number)
        return number

    limit = [2]

    @flow
    def main() -> list[int]:
        found = []
        for number in range(5):
            if number == limit[0]:
                raise ValueError(f"stopped at {number}")
            found.append(step(number))
        return found

    with pytest.raises(ValueError, match="stopped at 2"):
        main()
    run_id = newest(project)["id"]
    limit[0] = 1
    with pytest.raises(ValueError, match="stopped at 1"):
        main.resume(run_id)
    limit[0] = 4
    with pytest.raises(ValueError, match="stopped at 4"):
        main.resume(run_id)
    limit[0] = 9
    assert main.resume(run_id) == [0, 1, 2, 3, 4]
    assert world.ran == [0, 1, 2, 3, 4]
    assert newest(project)["attempt"] == 4


@pytest.mark.parametrize("how", ["submit", "map", "nested"])
def test_in_threads_and_within_tasks(project: Project, world: World, how: str) -> None:
    @task
    def work(number: int) -> int:
        world.ran.append(number)
        if world.broken and number == 7:
            raise ValueError("seven")
        return 10 * number

    @task
    def outer(number: int) -> int:
        return work(number)

    @flow(max_workers=4)
    def main() -> int:
        numbers = [*range(10), 3, 3]
        if how == "map":
            return sum(work.map(numbers).result())
        called = outer if how == "nested" else work
        return sum(future.result() for future in [called.submit(number) for number in numbers])

    with pytest.raises(ValueError, match="seven"):
        main()
    assert Counter(world.taken()) == Counter([*range(10), 3, 3])
    world.broken = False
    assert main.resume(newest(project)["id"]) == 510
    assert world.taken() == [7]


def test_a_call_that_is_in_a_task_that_failed_is_reused(project: Project, world: World) -> None:
    @task
    def inner(number: int) -> int:
        world.ran.append(("inner", number))
        return len(world.ran)

    @task
    def outer(start: int) -> int:
        world.ran.append(("outer", start))
        found = inner(start) + inner(1)
        if world.broken and start == 2:
            raise ValueError("no")
        return found

    @flow
    def main() -> list[int]:
        return [outer(1), outer(2)]

    with pytest.raises(ValueError, match="no"):
        main()
    world.taken()
    world.broken = False
    # What was called within another call is not taken for it, though its arguments are the same.
    assert main.resume(newest(project)["id"]) == [2 + 3, 5 + 6]
    assert world.taken() == [("outer", 2)]


def test_async_flows(project: Project, world: World) -> None:
    @task
    async def work(number: int) -> int:
        world.ran.append(number)
        await asyncio.sleep(0)
        if world.broken and number == 3:
            raise ValueError("three")
        return number

    @flow
    async def main() -> int:
        return sum(await asyncio.gather(*(work(number) for number in range(6))))

    with pytest.raises(ValueError, match="three"):
        asyncio.run(main())
    assert sorted(world.taken()) == [0, 1, 2, 3, 4, 5]
    world.broken = False
    run_id = newest(project)["id"]

    async def resumed() -> int:
        return await main.resume(run_id)

    assert asyncio.run(resumed()) == 15
    assert 3 in world.ran
    assert len(world.ran) < 6


def test_calls_within_subflows_are_reused(project: Project, world: World) -> None:
    @task
    def fetch() -> int:
        world.ran.append("fetch")
        return len(world.ran)

    @flow
    def part(day: str) -> int:
        found = fetch()
        if world.broken and day == "b":
            raise ValueError(day)
        return found

    @flow
    def main() -> list[int]:
        return [part(day) for day in (("a", "b") if world.broken else ("b", "a"))]

    with pytest.raises(ValueError, match="b"):
        main()
    world.broken = False
    run_id = newest(project)["id"]
    with pytest.raises(UsageError, match="only the run around it") as refused:
        part.resume(newest(project, "part")["id"])
    assert refused.value.hint == f"headwater runs resume {run_id}"
    assert main.resume(run_id) == [2, 1]
    assert world.ran == ["fetch", "fetch"]


def test_what_can_not_be_reused_says_why(project: Project, world: World) -> None:
    class Client:
        pass

    @task
    def uses(client: Client) -> int:
        world.ran.append("uses")
        return 1

    @task
    def makes() -> object:
        world.ran.append("makes")
        return object()

    @task
    def large() -> str:
        world.ran.append("large")
        return "x" * 5_000

    @task(persist_result=True)
    def kept() -> str:
        world.ran.append("kept")
        return "x" * 50_000

    @task(persist_result=False)
    def never() -> int:
        world.ran.append("never")
        return 1

    @task
    def items() -> Iterator[int]:
        world.ran.append("items")
        yield 1

    @flow
    def main() -> int:
        uses(Client())
        makes()
        size = len(large()) + len(kept()) + never() + sum(items())
        if world.broken:
            raise ValueError("no")
        return size

    with pytest.raises(ValueError, match="no"):
        main()
    world.taken()
    world.broken = False
    run_id = newest(project)["id"]
    assert main.resume(run_id) == 55_002
    assert world.taken() == ["uses", "makes", "large", "never", "items"]
    assert reasons(project, run_id) == [
        "'uses' runs again: it can't be told from other calls: argument 1 is of type "
        "test_what_can_not_be_reused_says_why.<locals>.Client",
        "'makes' runs again: its result was not kept: result is an object",
        "'large' runs again: its result was not kept: result is larger than 4,096 bytes",
        "'never' runs again: its result was not kept: its task has persist_result=False",
        "'items' runs again: its result was not kept: its items are handed out as they come",
    ]


def test_a_result_that_is_gone_is_made_again(project: Project, world: World) -> None:
    @task(persist_result=True)
    def kept() -> str:
        world.ran.append("kept")
        return "x" * 50_000

    @flow
    def main() -> int:
        size = len(kept())
        if world.broken:
            raise ValueError("no")
        return size

    with pytest.raises(ValueError, match="no"):
        main()
    for name, _ in list(project.results.names()):
        project.results.remove(name)
    world.broken = False
    run_id = newest(project)["id"]
    assert main.resume(run_id) == 50_000
    assert world.ran == ["kept", "kept"]
    assert reasons(project, run_id) == ["'kept' runs again: its result can't be restored: the kept result is gone"]


def test_a_large_argument_is_told_apart_for_a_task_that_keeps_its_result(project: Project, world: World) -> None:
    @task
    def count(rows: list[int]) -> int:
        world.ran.append("count")
        return len(rows)

    kept_count = count.with_options(name="kept_count", persist_result=True)

    @flow
    def main() -> int:
        rows = list(range(50_000))
        found = count(rows) + kept_count(rows)
        if world.broken:
            raise ValueError("no")
        return found

    with pytest.raises(ValueError, match="no"):
        main()
    world.broken = False
    run_id = newest(project)["id"]
    assert main.resume(run_id) == 100_000
    assert len(world.ran) == 3
    assert reasons(project, run_id) == [
        "'count' runs again: it can't be told from other calls: "
        "argument 1 is larger than what is looked at without persist_result=True"
    ]


def test_retry_from_a_task(project: Project, world: World) -> None:
    @task
    def load(number: int) -> int:
        world.ran.append(("load", number))
        return number

    @task
    def clean(number: int) -> int:
        world.ran.append(("clean", number))
        return number

    @task
    def report(total: int) -> int:
        world.ran.append(("report", total))
        return total

    @flow
    def main() -> int:
        loaded = [load(number) for number in range(3)]
        return report(sum(clean(number) for number in loaded))

    assert main() == 3
    run_id = newest(project)["id"]
    world.taken()
    with pytest.raises(UsageError, match="there is nothing to resume"):
        main.resume(run_id)
    with pytest.raises(UnknownNameError, match="claen"):
        main.resume(run_id, from_task="claen")
    assert main.resume(run_id, from_task="clean") == 3
    assert world.taken() == [("clean", 0), ("clean", 1), ("clean", 2), ("report", 3)]
    assert main.resume(run_id, from_task="report") == 3
    assert world.taken() == [("report", 3)]
    assert any("may have used its result" in reason for reason in reasons(project, run_id))


def test_what_was_called_before_a_task_is_not_made_again_though_it_began_later(
    project: Project, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Ids never go back: after a test with a clock that is ahead they would all be of one millisecond.
    monkeypatch.setattr(ids, "_now", ids._Millisecond(0))
    opened = threading.Event()

    @task
    def gate() -> None:
        opened.wait(30)

    @task
    def late() -> str:
        world.ran.append("late")
        return "late"

    @task
    def clean() -> str:
        world.ran.append("clean")
        return "clean"

    @flow
    def main() -> str:
        waiting = late.submit(wait_for=[gate.submit()])
        called = clock.now_us() // 1_000
        while clock.now_us() // 1_000 == called:
            pass  # ids tell the order of calls by the millisecond
        found = clean()
        opened.set()
        return f"{found}, {waiting.result()}"

    assert main() == "clean, late"
    run_id = newest(project)["id"]
    world.taken()
    assert main.resume(run_id, from_task="clean") == "clean, late"
    assert world.taken() == ["clean"]


def test_retry_from_a_task_within_a_task_makes_what_called_it_again(project: Project, world: World) -> None:
    @task
    def inner() -> int:
        world.ran.append("inner")
        return 1

    @task
    def before() -> int:
        world.ran.append("before")
        return 1

    @task
    def outer() -> int:
        world.ran.append("outer")
        return before() + inner()

    @flow
    def main() -> int:
        return outer()

    main()
    world.taken()
    assert main.resume(newest(project)["id"], from_task="inner") == 2
    assert world.taken() == ["outer", "inner"]


def test_changed_code_is_reused_and_told(project: Project, world: World) -> None:
    def version(plus: int) -> Any:
        def load(number: int) -> int:
            return number + plus

        def other(number: int) -> int:
            return number - 1 + plus

        @task(name="load")
        def wrapped(number: int) -> int:
            return load(number)

        @task(name="load")
        def changed(number: int) -> int:
            return 0 * other(number)

        return wrapped if plus else changed

    current = [version(1)]

    @flow
    def main() -> int:
        found = current[0](1)
        if world.broken:
            raise ValueError("no")
        return int(found)

    with pytest.raises(ValueError, match="no"):
        main()
    world.broken, current[0] = False, version(0)
    run_id = newest(project)["id"]
    assert main.resume(run_id) == 2
    assert reasons(project, run_id) == ["the code of 'load' is not what it was when it made the result that is reused"]


def test_a_live_run_and_one_that_is_being_resumed_are_refused(project: Project, world: World) -> None:
    @flow
    def main() -> None:
        if world.broken:
            with pytest.raises(UsageError, match="it is Running"):
                project.resumption(newest(project)["id"])
            with pytest.raises(UsageError, match="within another one"):
                main.resume(first)
            raise ValueError("no")

    world.broken = False
    main()
    first = newest(project)["id"]
    world.broken = True
    with pytest.raises(UsageError, match="completed"):
        main.resume(first)
    with pytest.raises((ValueError, UsageError)):
        main()
    run_id = newest(project)["id"]
    claimed = project.resumption(run_id)
    with pytest.raises(RefusedError, match="another attempt"):
        project.resumption(run_id)
    claimed.release()
    world.broken = False
    main.resume(run_id)
    assert newest(project)["attempt"] == 2


def test_a_flow_that_waits_for_its_own_retry_is_not_resumed(project: Project, world: World) -> None:
    waits, seen = threading.Event(), []

    def look(change: Any) -> None:
        waits.set()

    @flow(retries=1, retry_delay=0.01, hooks={State.AWAITING_RETRY: look})
    def main() -> int:
        if not seen:
            seen.append(1)
            raise ValueError("no")
        assert waits.is_set()
        with pytest.raises(RefusedError, match="another attempt"):
            project.resumption(newest(project)["id"])
        return 1

    assert main() == 1
    assert newest(project)["attempt"] == 2


def test_retries_of_the_flow_count_anew(project: Project, world: World) -> None:
    failures = [9]

    @task
    def load() -> int:
        world.ran.append("load")
        return 1

    @flow(retries=1)
    def main() -> int:
        load()
        failures[0] -= 1
        if failures[0] > 0:
            raise ValueError("no")
        return 1

    with pytest.raises(ValueError, match="no"):
        main()
    assert world.taken() == ["load", "load"]
    failures[0] = 2
    run_id = newest(project)["id"]
    assert main.resume(run_id) == 1
    assert world.taken() == []
    assert newest(project)["attempt"] == 4


def test_parameters_come_back_as_they_were(project: Project, world: World) -> None:
    got: list[Any] = []

    @flow
    def main(day: datetime.date, pair: Any, plain: Any = None, limit: float = float("inf")) -> None:
        got.append((day, pair, plain, limit))
        if world.broken:
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        main(datetime.date(2024, 1, 5), (1, {2}), {"a": [1]})
    run_id = newest(project)["id"]
    with pytest.raises(UnknownNameError, match="dya"):
        main.resume(run_id, parameters={"dya": 1})

    @flow(name="main")
    def without(day: datetime.date, pair: Any) -> None: ...

    with pytest.raises(UsageError, match="the flow 'main' has no parameter 'plain' any more"):
        without.resume(run_id)
    with pytest.raises(ValueError, match="no"):
        main.resume(run_id)
    world.broken = False
    main.resume(run_id, parameters={"plain": 1})
    assert got[0] == got[1] == (datetime.date(2024, 1, 5), (1, {2}), {"a": [1]}, float("inf"))
    assert got[2] == (datetime.date(2024, 1, 5), (1, {2}), 1, float("inf"))


def test_a_time_that_was_given_as_text_with_an_offset_comes_back(project: Project, world: World) -> None:
    got: list[datetime.datetime] = []

    @flow
    def main(since: datetime.datetime) -> None:
        got.append(since)
        if world.broken:
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        main("2024-01-05T06:00:00+02:00")  # type: ignore[arg-type]  # as the command line gives it
    world.broken = False
    main.resume(newest(project)["id"])
    assert repr(got[0]) == repr(got[1])
    assert got[1].utcoffset() == datetime.timedelta(hours=2)


def test_what_was_not_kept_must_be_given(project: Project, world: World) -> None:
    got: list[Any] = []
    default = object()

    @flow
    def main(token: str, options: Any, client: Any, day: str = "2024-01-05", shared: Any = default) -> None:
        got.append((token, options, client, day, shared))
        if world.broken:
            raise ValueError("no")

    client = object()
    with pytest.raises(ValueError, match="no"):
        main("hunter2", {"password": "x"}, client)
    world.broken = False
    run_id = newest(project)["id"]
    with pytest.raises(UsageError, match="token, options, client") as refused:
        main.resume(run_id)
    assert refused.value.hint == "give -p token=… -p options=… -p client=…"
    main.resume(run_id, parameters={"token": "t", "options": {}, "client": client, "day": "2024-01-06"})
    assert got[1] == ("t", {}, client, "2024-01-06", default)
    segments = b"".join(path.read_bytes() for path in project.home.path.rglob("*") if path.is_file())
    assert b"hunter2" not in segments


def test_runs_that_are_no_flows_are_refused(project: Project, world: World) -> None:
    @task
    def alone() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        alone()
    run_id = newest(project, "alone")["id"]
    with pytest.raises(UsageError, match="type 'task'") as refused:
        project.resumption(run_id)
    assert "call the task again" in str(refused.value.hint)
    with project.projection.session() as session:
        assert session.rows("SELECT identity FROM facts.task_ended") == [(None,)]


def test_a_failure_that_is_allowed_is_no_argument_to_know_a_call_by(project: Project, world: World) -> None:
    @task
    def fails() -> None:
        raise ValueError("fails")

    @task
    def after(error: Any) -> int:
        world.ran.append("after")
        return 1

    @flow
    def main() -> int:
        found = after.submit(allow_failure(fails.submit())).result()
        if world.broken:
            raise KeyError("no")
        return found

    with pytest.raises(KeyError):
        main()
    world.broken = False
    run_id = newest(project)["id"]
    assert main.resume(run_id) == 1
    assert world.ran == ["after", "after"]
    assert reasons(project, run_id) == [
        "'after' runs again: it can't be told from other calls: argument 1 is of type ValueError"
    ]


def test_a_cancelled_run_is_resumed(project: Project, world: World) -> None:
    @task
    def step(number: int) -> int:
        world.ran.append(number)
        if world.broken and number == 2:
            raise KeyboardInterrupt
        return number

    @flow
    def main() -> int:
        return sum(step(number) for number in range(4))

    with pytest.raises(KeyboardInterrupt):
        main()
    run_id = newest(project)["id"]
    assert newest(project)["state"] == "Cancelled"
    world.taken()
    world.broken = False
    assert main.resume(run_id) == 6
    assert world.taken() == [2, 3]


def test_what_completed_in_a_transaction_counts_from_its_commit_on(project: Project, world: World) -> None:
    where = ["after"]

    @task
    def step(name: str) -> str:
        world.ran.append(name)
        return name

    @flow
    def main() -> str:
        with transaction():
            found = step("a") + step("b")
            if where[0] == "inside":
                raise ValueError("inside")
        if where[0] == "after":
            raise ValueError("after")
        return found

    for place, again in (("after", []), ("inside", ["a", "b"])):
        where[0] = place
        with pytest.raises(ValueError, match=place):
            main()
        assert world.taken() == ["a", "b"]
        where[0] = ""
        run_id = newest(project)["id"]
        assert main.resume(run_id) == "ab"
        assert world.taken() == again
        assert newest(project)["tasks"] == ({"Completed": 2} if again else {"Cached": 2})


def test_a_reused_call_joins_the_transaction_of_its_attempt(project: Project, world: World) -> None:
    """A process that died before the commit: the call completed, and nothing says that it was taken back."""

    @task
    def step() -> int:
        world.ran.append("step")
        return 1

    @flow
    def main() -> int:
        with transaction():
            found = step()
            if world.broken:
                with project.projection.session() as session:
                    assert session.rows("SELECT unkept FROM facts.task_ended") == [("its transaction did not commit",)]
                raise ValueError("no")
        return found

    with pytest.raises(ValueError, match="no"):
        main()
    world.broken = False
    assert main.resume(newest(project)["id"]) == 1
    assert world.ran == ["step", "step"]


def cached_step(world: World) -> Callable[[int], int]:
    @task(cache=INPUTS - "world")
    def step(number: int) -> int:
        world.ran.append(number)
        return number

    return step


def test_a_cached_result_in_a_transaction_is_reused_though_the_cache_was_cleared(
    project: Project, world: World
) -> None:
    step = cached_step(world)

    @flow
    def main() -> int:
        with transaction():
            found = step(1)
        if world.ran and world.broken:
            raise ValueError("no")
        return found

    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            main()
    for name, _ in list(project.results.names()):
        project.results.remove(name)
    world.broken = False
    run_id = newest(project)["id"]
    assert main.resume(run_id) == 1
    assert world.ran == [1]
    assert reasons(project, run_id) == []


def test_what_a_transaction_has_cached_and_taken_back_is_not_reused(project: Project, world: World) -> None:
    step = cached_step(world)

    @flow
    def main() -> int:
        with transaction():
            found = step(1) + step(1)
            if world.broken:
                raise ValueError("no")
        return found

    with pytest.raises(ValueError, match="no"):
        main()
    assert world.taken() == [1]
    world.broken = False
    assert main.resume(newest(project)["id"]) == 2
    assert world.taken() == [1]


def test_secrets_in_results_are_not_kept(project: Project, world: World) -> None:
    @task
    def sign_in() -> dict[str, Any]:
        world.ran.append("sign_in")
        return {"user": "ada", "session": [{"api_key": "hunter2"}]}

    @task
    def many() -> list[int]:
        return [1] * 5_000

    @task
    def numbers() -> list[int]:
        world.ran.append("numbers")
        return [1] * 1_500

    @flow
    def main() -> int:
        found = len(sign_in()) + len(numbers()) + len(many())
        if world.broken:
            raise ValueError("no")
        return found

    with pytest.raises(ValueError, match="no"):
        main()
    project.journal.close()
    segments = b"".join(path.read_bytes() for path in project.home.path.rglob("*") if path.is_file())
    assert base64.b64encode(b"hunter2")[:8] not in segments
    assert b"hunter2" not in segments
    with project.projection.session() as session:
        kept = dict(session.rows("SELECT task, unkept FROM facts.task_ended"))
    assert kept["numbers"] is None
    assert kept["many"] == "result is larger than 4,096 bytes"
    assert "secret by its name" in kept["sign_in"]


def test_a_run_that_was_stopped_while_it_waited_for_its_retry_is_resumed(project: Project, world: World) -> None:
    def stop(change: Any) -> None:
        raise KeyboardInterrupt

    @flow(retries=1, hooks={State.AWAITING_RETRY: stop})
    def main() -> int:
        if world.broken:
            raise ValueError("no")
        return 1

    with pytest.raises(KeyboardInterrupt) as stopped:
        main()
    world.broken = False
    assert main.resume(newest(project)["id"]) == 1
    assert stopped.value is not None  # nobody frees the claim by letting go of the error
