"""Runs are found by the beginning of their ids, as people type them."""

from __future__ import annotations

from pathlib import Path

import pytest

from headwater import flow, get_logger
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
