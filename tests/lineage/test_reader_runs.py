"""Runs are listed, and found by the beginning of their ids, as people type them."""

from __future__ import annotations

from pathlib import Path

import pytest

from headwater import flow, get_logger, task, transaction
from headwater.errors import UnknownNameError
from headwater.testing import project


def test_a_run_is_found_by_the_beginning_of_its_id(tmp_path: Path) -> None:
    with project(tmp_path) as shop:

        @flow
        def talk() -> None:
            get_logger().info("hello")

        talk()
        talk()
        first, second = (run["id"] for run in shop.reader.runs()["runs"])
        common = next(length for length in range(36) if first[length] != second[length])
        for run_id in (first, second):
            short = run_id[: common + 1]
            assert shop.reader.run(short)["id"] == run_id
            answer = shop.reader.logs(short)
            assert (answer["run"], [row["message"] for row in answer["logs"]]) == (run_id, ["hello"])
        with pytest.raises(UnknownNameError, match="several runs begin with"):
            shop.reader.run(first[:common])
        with pytest.raises(UnknownNameError, match="there is no run"):
            shop.reader.run("zz")


def test_runs_with_several_attempts_hide_no_others(tmp_path: Path) -> None:
    with project(tmp_path) as shop:

        @flow
        def fails(number: int) -> None:
            raise ValueError(number)

        for number in range(4):
            with pytest.raises(ValueError, match=str(number)):
                fails(number)
        ids = [run["id"] for run in shop.reader.runs()["runs"]]
        for again in (ids[2], ids[2], ids[0], ids[0], ids[0]):
            with pytest.raises(ValueError, match=r"\d"):
                fails.resume(again)
        newest = [ids[0], ids[2], ids[1], ids[3]]
        for limit in range(1, 5):
            assert [run["id"] for run in shop.reader.runs(limit=limit)["runs"]] == newest[:limit]
        common = next(length for length in range(36) if len({run_id[:length] for run_id in ids}) > 1) - 1
        with pytest.raises(UnknownNameError, match="several runs begin with"):
            shop.reader.run(ids[0][:common])


def test_a_run_in_a_state_is_found_by_its_own_name(tmp_path: Path) -> None:
    with project(tmp_path) as shop:

        @flow(run_name="load-{day}")
        def nightly(day: str) -> None:
            if day == "tue":
                raise ValueError(day)

        nightly("mon")
        with pytest.raises(ValueError, match="tue"):
            nightly("tue")
        nightly("wed")
        failed = shop.reader.runs(state="Failed", text="LOAD-")["runs"]
        assert [run["name"] for run in failed] == ["load-tue"]
        done: list[str] = []
        page = shop.reader.runs(state="Completed", text="load-", limit=1)["runs"]
        while page:
            done.append(page[0]["name"])
            before = (page[0]["started"], page[0]["id"])
            page = shop.reader.runs(state="Completed", text="load-", limit=1, before=before)["runs"]
        assert done == ["load-wed", "load-mon"]


def test_a_task_run_that_ends_again_with_its_transaction_is_counted_once(tmp_path: Path) -> None:
    with project(tmp_path) as shop:

        @task(persist_result=True)
        def one() -> int:
            return 1

        @flow
        def both() -> None:
            one()
            with transaction():
                one()
            with transaction():
                one()
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            both()
        counts = {row["state"]: row["count"] for row in shop.reader.figures()["tasks"]}
        assert counts == {"Completed": 2, "RolledBack": 1}
