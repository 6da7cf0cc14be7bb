from __future__ import annotations

import asyncio
import io
import logging
import sys
import threading
from contextlib import redirect_stdout
from typing import Any

import pytest

from headwater import flow, task
from headwater.core.prints import Tee


@task
def speaks(word: str) -> None:
    print("hello", word)
    print("half a line", end="")


def lines(project: Any) -> list[tuple[str, str]]:
    return [(one.logger, one.message) for one in project.all("log.written")]


def test_printed_lines_are_kept_with_the_task_run_and_still_printed(project: Any, capsys: Any) -> None:
    @flow
    def main() -> None:
        print("begin")
        speaks("world")
        print("two\nlines")

    before = sys.stdout
    main()
    assert sys.stdout is before
    assert capsys.readouterr().out == "begin\nhello world\nhalf a linetwo\nlines\n"
    assert lines(project) == [
        ("print", "begin"),
        ("print", "hello world"),
        ("print", "half a line"),
        ("print", "two"),
        ("print", "lines"),
    ]
    of_task = project.one("task.started").task_run_id
    assert [one.task_run_id for one in project.all("log.written")] == [None, of_task, of_task, None, None]
    assert {one.level for one in project.all("log.written")} == {logging.INFO}


def test_what_is_printed_before_an_error_is_kept(project: Any, capsys: Any) -> None:
    @flow
    def main() -> None:
        print("so far", end="")
        raise ValueError("no further")

    with pytest.raises(ValueError, match="no further"):
        main()
    assert lines(project) == [("print", "so far")]
    kinds = [body.kind for body in project.bodies]
    assert kinds.index("log.written") < kinds.index("run.ended")


def test_lines_of_threads_and_coroutines_are_not_mixed(project: Any, capsys: Any) -> None:
    barrier = threading.Barrier(2, timeout=10)

    @task
    def by_halves(name: str) -> None:
        print(name, end="")
        barrier.wait()
        print("", name)

    @task
    async def slowly(name: str) -> None:
        print(name, end="")
        await asyncio.sleep(0)
        print("", name)

    @flow
    async def main() -> None:
        await asyncio.gather(slowly("c"), slowly("d"))

    @flow
    def threads() -> None:
        by_halves.map(["a", "b"]).wait()

    threads()
    asyncio.run(main())
    assert sorted(message for _, message in lines(project)) == ["a a", "b b", "c c", "d d"]


def test_of_a_progress_bar_the_last_state_is_kept_and_empty_lines_are_not(project: Any, capsys: Any) -> None:
    @flow
    def main() -> None:
        for done in range(3):
            print(f"\r{done} of 2", end="")
        print("\n\n")

    main()
    assert lines(project) == [("print", "2 of 2")]


def test_lines_that_end_as_on_windows_are_kept(project: Any, capsys: Any) -> None:
    @flow
    def main() -> None:
        print("one\r\ntwo\r\n\r\nthree\r")
        print("four\r", end="")
        print("\nfive\r", end="")

    main()
    assert lines(project) == [("print", word) for word in ("one", "two", "three", "four", "five")]


def test_of_a_long_progress_bar_the_last_state_is_kept(project: Any, capsys: Any) -> None:
    @flow
    def main() -> None:
        for done in range(2_000):
            print(f"\r{done} done", end="")
        print()
        for done in range(2_000):
            print(f"{done} done", end="\r")

    main()
    assert lines(project) == [("print", "1999 done"), ("print", "1999 done")]


def test_what_is_printed_elsewhere_is_not_kept(project: Any, capsys: Any) -> None:
    @flow
    def main() -> None:
        print("to the errors", file=sys.stderr)
        with redirect_stdout(io.StringIO()):
            print("caught")
        shown = logging.getLogger("shop.shown")
        handler = logging.StreamHandler(sys.stdout)
        shown.addHandler(handler)
        try:
            shown.warning("logged")
        finally:
            shown.removeHandler(handler)

    main()
    print("after the run")
    assert lines(project) == [("shop.shown", "logged")]


def test_the_stream_is_itself_in_everything_else(capsys: Any) -> None:
    tee = Tee(sys.stdout)
    assert tee.encoding == sys.stdout.encoding
    assert tee.isatty() is False
    tee.writelines(["a", "b\n"])
    tee.flush()
    assert capsys.readouterr().out == "ab\n"


def test_an_endless_line_is_bounded(project: Any, capsys: Any) -> None:
    @flow
    def main() -> None:
        for _ in range(30):
            print("x" * 1_000, end="")

    main()
    ((_, message),) = lines(project)
    assert message == "x" * 10_000
