from __future__ import annotations

import logging
import logging.config
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from headwater.core.flow import flow
from headwater.core.logs import get_logger
from headwater.core.task import task


@contextmanager
def unconfigured() -> Iterator[None]:
    """Logging as a script finds it: pytest puts handlers of its own on the root logger."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    root.handlers[:] = []
    root.setLevel(logging.WARNING)
    try:
        yield
    finally:
        root.handlers[:] = before[0]
        root.setLevel(before[1])


@task
def speaks(word: str) -> None:
    get_logger().info("said %s", word)
    logging.getLogger("shop.orders").info("plain logging")
    logging.getLogger("shop.orders").debug("too fine")


@unconfigured()
def test_records_inside_a_run_are_kept_with_it(project: Any) -> None:
    @flow
    def main() -> None:
        get_logger().warning("outside of tasks")
        speaks.submit("hello").result()

    main()
    found = project.all("log.written")
    assert [(one.logger, one.level, one.message) for one in found] == [
        ("headwater.run", 30, "outside of tasks"),
        ("headwater.run", 20, "said hello"),
        ("shop.orders", 20, "plain logging"),
    ]
    assert found[0].task_run_id is None
    assert found[1].task_run_id == project.one("task.started").task_run_id
    assert {one.run_id for one in found} == {project.one("run.started").run_id}


@unconfigured()
def test_records_outside_of_runs_are_not_kept_and_logging_is_left_as_it_was(project: Any) -> None:
    root = logging.getLogger()
    speaks("x")
    written = len(project.all("log.written"))
    get_logger().warning("after the run")
    assert len(project.all("log.written")) == written
    assert root.handlers == []
    assert root.level == logging.WARNING


@unconfigured()
def test_warnings_still_reach_the_terminal(project: Any, capsys: pytest.CaptureFixture[str]) -> None:
    @flow
    def main() -> None:
        logging.getLogger("shop").warning("look at this")

    main()
    assert capsys.readouterr().err.count("look at this") == 1


@unconfigured()
def test_errors_are_kept_with_their_traceback(project: Any) -> None:
    @flow
    def main() -> None:
        try:
            raise ValueError("inner")
        except ValueError:
            get_logger().exception("it went wrong")

    main()
    assert "ValueError: inner" in project.one("log.written").message


@unconfigured()
def test_who_configured_logging_keeps_his_level(project: Any) -> None:
    root = logging.getLogger()
    handler = logging.NullHandler()
    root.addHandler(handler)

    @flow
    def main() -> None:
        logging.getLogger("shop").info("not wanted")
        logging.getLogger("shop").warning("wanted")

    main()
    assert [one.message for one in project.all("log.written")] == ["wanted"]
    assert root.handlers == [handler]


@unconfigured()
def test_a_level_that_is_set_during_a_run_stays(project: Any) -> None:
    @flow
    def main() -> None:
        logging.getLogger().setLevel(logging.DEBUG)

    main()
    assert logging.getLogger().level == logging.DEBUG


@unconfigured()
def test_the_level_of_before_is_back_after_a_run_where_only_a_handler_was_added(project: Any) -> None:
    @flow
    def main() -> None:
        logging.basicConfig()

    main()
    assert logging.getLogger().level == logging.WARNING


DICT = {
    "version": 1,
    "handlers": {"one": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["one"], "level": "INFO"},
}


@pytest.mark.parametrize(
    "configure",
    [
        lambda: logging.basicConfig(level=logging.INFO),
        lambda: logging.basicConfig(level=logging.INFO, force=True),
        lambda: logging.config.dictConfig({**DICT, "disable_existing_loggers": False}),
    ],
    ids=["basicConfig", "force", "dictConfig"],
)
@unconfigured()
def test_logging_can_be_configured_within_a_flow(
    project: Any, capsys: pytest.CaptureFixture[str], configure: Callable[[], None]
) -> None:
    @task
    def work() -> None:
        logging.getLogger("shop").info("in a task")

    @flow
    def main() -> None:
        configure()
        logging.getLogger("shop").info("in the flow")
        work.submit().result()

    main()
    logging.getLogger("shop").info("after it")
    shown = [line.removeprefix("INFO:shop:") for line in capsys.readouterr().err.splitlines()]
    assert shown == ["in the flow", "in a task", "after it"]
    assert [one.message for one in project.all("log.written")] == ["in the flow", "in a task"]
    main()
    assert len(project.all("log.written")) == 4
