"""What the reader answers, in the shapes that `--json` prints."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from clocks import Stopped
from lineage_world import defined, ended, made, ref, started, story, task_story, write

from headwater import clock
from headwater.assets.backfill_events import (
    BackfillAsked,
    BackfillPartitionEnded,
    BackfillPartitionLaunched,
    BackfillRequested,
    BackfillStopped,
)
from headwater.assets.events import UnknownColumn
from headwater.core.events import LogWritten
from headwater.core.journal.events import Body
from headwater.core.journal.home import Home
from headwater.errors import ProjectionError, UnknownNameError
from headwater.lineage import log_pages
from headwater.lineage.projection import Projection
from headwater.lineage.reader import Reader
from headwater.types import ErrorInfo

Live = Callable[[list[Body]], object]


@pytest.fixture
def reader(projection: Projection) -> Reader:
    return Reader(projection)


def edges(answer: dict[str, Any]) -> set[tuple[str, str]]:
    return {(edge["from"], edge["to"]) for edge in answer["edges"]}


def ids(answer: dict[str, Any]) -> list[str]:
    return [node["id"] for node in answer["nodes"]]


def chain(home: Home) -> None:
    """a -> b -> c -> d, a -> c, b -> side, and an island."""
    write(
        home,
        [
            made("b", None, "b1", [("a", None, "a1")]),
            made("c", None, "c1", [("b", None, "b1"), ("a", None, "a1")]),
            made("d", None, "d1", [("c", None, "c1")]),
            made("side", None, "s1", [("b", None, "b1")]),
            defined("island"),
        ],
    )


def test_runs_are_newest_first_with_their_tasks(live: Live, reader: Reader) -> None:
    error = ErrorInfo(type="ValueError", message="boom")
    live([started("r1"), *task_story("t1"), *task_story("t2")[:2], ended("r1")])
    live([started("r2", flow="hourly"), ended("r2", "Failed", flow="hourly", error=error), started("r3")])
    answer = reader.runs()
    assert [run["state"] for run in answer["runs"] if run["id"] == "r3"] == ["Running"]
    assert answer["runs"][0]["id"] == "r3"
    by_id = {run["id"]: run for run in answer["runs"]}
    assert by_id["r1"]["tasks"] == {"Completed": 1, "AwaitingRetry": 1}
    assert by_id["r2"]["error"] == "boom"
    assert "error" not in by_id["r1"]
    assert by_id["r3"]["ended"] is None
    assert by_id["r3"]["duration"] is None
    assert by_id["r1"]["ended"].endswith("Z")
    assert by_id["r1"]["duration"] > 0
    assert [run["id"] for run in reader.runs(flow="hourly")["runs"]] == ["r2"]
    assert len(reader.runs(limit=2)["runs"]) == 2
    json.dumps(answer)


def test_a_run_shows_its_newest_attempt_and_that_attempts_tasks(live: Live, reader: Reader) -> None:
    live([started("r1"), *task_story("t1"), ended("r1", "Crashed"), started("r1", attempt=2)])
    (run,) = reader.runs()["runs"]
    assert (run["attempt"], run["state"], run["tasks"]) == (2, "Running", {})


def test_task_runs_and_logs_of_a_run(home: Home, reader: Reader) -> None:
    logs = [LogWritten(run_id="r1", level=level, logger="shop", message=f"m{level}") for level in (20, 30)]
    write(home, [started("r1"), *task_story("t1"), *logs])
    assert [(one["id"], one["state"], one["tries"]) for one in reader.task_runs("r1")["task_runs"]] == [
        ("t1", "Completed", 2)
    ]
    assert [one["message"] for one in reader.logs("r1")["logs"]] == ["m20", "m30"]
    assert [one["message"] for one in reader.logs("r1", level=30)["logs"]] == ["m30"]
    with pytest.raises(UnknownNameError):
        reader.logs("r9")


def test_pages_of_a_log_are_the_log(home: Home, reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    many = [LogWritten(run_id="r1", level=20 + n % 3, logger="shop", message="x" * (n % 7)) for n in range(12)]
    with clock.use(Stopped()):  # all at the same time: their ids tell them apart
        write(home, [started("r1"), *many[:6]])
        write(home, [*many[6:], started("r2")])
    sizes = [(1, 1_000), (5, 1_000), (5, 5), (12, 0), (12, 1_000), (13, 1_000)]
    for level, (records, size) in itertools.product((0, 21, 90), sizes):
        monkeypatch.setattr(log_pages, "_RECORDS", records)
        monkeypatch.setattr(log_pages, "_BYTES", size)
        pages = list(reader.log_pages("r1", level=level))
        assert {"run": "r1", "logs": [row for page in pages for row in page["logs"]]} == reader.logs("r1", level=level)
        for rows in (page["logs"] for page in pages):
            assert len(rows) <= records
            assert sum(len(row["message"]) for row in rows[:-1]) <= size
    assert list(reader.log_pages("r2")) == [{"run": "r2", "logs": []}]


def test_materializations_tell_every_outcome_newest_first(home: Home, reader: Reader) -> None:
    write(home, story())
    found = reader.materializations("delays")["materializations"]
    assert [(one["state"], one["version"]) for one in found] == [
        ("failed", None),
        ("published", "v3"),
        ("published", "v2"),
        ("published", "v1"),
    ]
    assert found[0]["error"] == "no such day"
    with pytest.raises(UnknownNameError, match="delys"):
        reader.materializations("delys")


def test_lineage_walks_up_and_down_but_not_around(home: Home, reader: Reader) -> None:
    chain(home)
    both = reader.lineage("c")
    assert both["root"] == "c"
    assert edges(both) == {("a", "b"), ("b", "c"), ("a", "c"), ("c", "d")}
    assert ids(both) == ["a", "b", "c", "d"]
    assert edges(reader.lineage("c", down=False)) == {("a", "b"), ("b", "c"), ("a", "c")}
    assert edges(reader.lineage("c", up=False)) == {("c", "d")}
    assert edges(reader.lineage("d", depth=1)) == {("c", "d")}
    assert edges(reader.lineage("d", depth=2)) == {("c", "d"), ("b", "c"), ("a", "c")}
    assert ids(reader.lineage("island")) == ["island"]
    everything = reader.lineage()
    assert everything["root"] is None
    assert set(ids(everything)) == {"a", "b", "c", "d", "side", "island"}
    with pytest.raises(UnknownNameError, match="nowhere"):
        reader.lineage("nowhere")


def test_lineage_ends_on_a_cycle(home: Home, reader: Reader) -> None:
    write(home, [made("a", None, "1", [("b", None, "0")]), made("b", None, "2", [("a", None, "1"), ("b", None, "0")])])
    assert edges(reader.lineage("a")) == {("b", "a"), ("a", "b"), ("b", "b")}


def test_an_edge_says_what_was_declared_what_observed_and_how_often(home: Home, reader: Reader) -> None:
    write(
        home,
        [
            defined("delays", ["flights", "planes"]),
            made("delays", "d1", "v1", [("flights", "d1", "f1")], run="r1"),
            made("delays", "d2", "v2", [("flights", "d2", "f2")], run="r1"),
            made("delays", "d3", "v3", [("flights", "d3", "f3"), ("weather", None, "w")], run="r2"),
            made("delays", "d4", "v4", [("ghost", None, "g")], run="r3", state="failed"),
        ],
    )
    found = {edge["from"]: edge for edge in reader.lineage("delays")["edges"]}
    assert {name: (edge["origin"], edge["runs"]) for name, edge in found.items()} == {
        "flights": ("observed", 2),
        "planes": ("declared", 0),
        "weather": ("observed", 1),
    }
    assert found["planes"]["last_seen"] is None
    assert found["flights"]["last_seen"].endswith("Z")
    drift = reader.drift()
    assert [(edge["from"], edge["to"], edge["made"]) for edge in drift["declared_only"]] == [("planes", "delays", True)]
    assert [(edge["from"], edge["to"], edge["runs"]) for edge in drift["observed_only"]] == [("weather", "delays", 1)]


def test_only_the_newest_definition_declares(home: Home, reader: Reader) -> None:
    write(home, [defined("delays", ["old"]), defined("delays", ["new"])])
    assert edges(reader.lineage("delays")) == {("new", "delays")}


def test_an_input_declared_without_its_dataset_is_found_by_name(home: Home, reader: Reader) -> None:
    nameless = {"inputs": [{"parameter": "f", "asset": "flights"}]}
    write(home, [defined("flights"), replace(defined("delays"), definition=nameless)])
    assert edges(reader.lineage("flights")) == {("flights", "delays")}


def test_dev_and_prod_never_mix(home: Home, reader: Reader) -> None:
    write(home, [made("delays", None, "p", [("flights", None, "1")], place="/prod"), defined("delays", place="/prod")])
    write(home, [made("delays", None, "d", [("weather", None, "1")], place="/dev"), defined("delays", place="/dev")])
    assert edges(reader.lineage("delays")) == {("weather", "delays")}
    assert set(ids(reader.lineage())) == {"delays", "file /prod/delays.parquet", "flights", "weather"}


def columns_world(home: Home) -> None:
    write(
        home,
        [
            made("b", None, "b1", [("a", None, "a1")], columns={"x": [("a", "p")], "y": [("a", "q.r")]}),
            made("c", None, "c1", [("b", None, "b1")], columns={"z": [("b", "x")], None: [("b", "y")]}),
            made("e", None, "e1", [("c", None, "c1")], columns={"w": [("c", "z")]}),
        ],
    )


def test_column_lineage_upward_follows_direct_and_indirect_edges(home: Home, reader: Reader) -> None:
    columns_world(home)
    answer = reader.lineage("c.z", down=False)
    assert answer["root"] == "c.z"
    assert edges(answer) == {("b.x", "c.z"), ("b.y", "c"), ("a.p", "b.x"), ('a."q.r"', "b.y")}
    nodes = {node["id"]: node for node in answer["nodes"]}
    assert nodes["c.z"] == {"id": "c.z", "kind": "column", "name": "z", "asset": "c", "type": "Int64"}
    assert nodes['a."q.r"'] == {"id": 'a."q.r"', "kind": "column", "name": "q.r", "asset": "a"}
    assert nodes["c"]["kind"] == "asset"


def test_the_impact_of_a_column_reaches_all_that_it_filters(home: Home, reader: Reader) -> None:
    columns_world(home)
    assert edges(reader.lineage('a."q.r"', up=False)) == {('a."q.r"', "b.y"), ("b.y", "c"), ("c.z", "e.w")}
    assert edges(reader.lineage("a.p", up=False)) == {("a.p", "b.x"), ("b.x", "c.z"), ("c.z", "e.w")}
    assert edges(reader.lineage("a.p", up=False, depth=1)) == {("a.p", "b.x")}


def test_lineage_with_columns_shows_assets_and_columns(home: Home, reader: Reader) -> None:
    columns_world(home)
    answer = reader.lineage("b", columns=True)
    assert {("a", "b"), ("b", "c"), ("a.p", "b.x"), ("b.x", "c.z"), ("b.y", "c")} <= edges(answer)
    found = {(edge["from"], edge["to"]): edge for edge in answer["edges"]}
    assert (found["b.y", "c"]["type"], found["b.y", "c"]["subtype"]) == ("INDIRECT", "FILTER")
    assert "type" not in found["a", "b"]
    assert {node["kind"] for node in answer["nodes"]} == {"asset", "column"}
    assert edges(reader.lineage(columns=True)) >= edges(answer)
    json.dumps(answer)


def test_unknown_columns_are_those_of_the_versions_in_place(home: Home, reader: Reader) -> None:
    odd = (UnknownColumn(column="x", reason="map_batches"),)
    write(home, [made("a", None, "1", unknown_columns=odd), made("b", None, "2", unknown_columns=odd)])
    write(home, [made("b", None, "3", replaces="2")])
    assert reader.unknown_columns() == [{"asset": "a", "column": "x", "reason": "map_batches"}]
    assert reader.unknown_columns("b") == []


def backfill_story(*outcomes: str, launched: int = 0, attempt: int = 1) -> list[Body]:
    found: list[Body] = []
    for number in range(max(launched, len(outcomes))):
        place = {"backfill_id": "b1", "attempt": attempt, "asset": "delays", "partition": f"d{number}"}
        found.append(BackfillPartitionLaunched(**place))
        if number < len(outcomes):
            found.append(BackfillPartitionEnded(**place, state=outcomes[number]))
    return found


def requested(count: int) -> BackfillRequested:
    return BackfillRequested(
        backfill_id="b1",
        name="year",
        targets=("delays",),
        range="d0..d2",
        options={},
        plan={},
        requested=count,
        origin={},
    )


def begun(attempt: int = 1) -> Body:
    return started("b1", kind="backfill", flow="backfill", attempt=attempt)


def over(state: str, attempt: int = 1) -> Body:
    return ended("b1", state, flow="backfill", type="backfill", attempt=attempt)


def asked(what: str) -> Body:
    return BackfillAsked(backfill_id="b1", what=what, asked_by="ann@host")


def stopped(what: str, attempt: int = 1) -> Body:
    return BackfillStopped(backfill_id="b1", attempt=attempt, what=what, asked_by="ann@host")


@pytest.mark.parametrize(
    ("events", "state", "counts"),
    [
        ([], "requested", {}),
        ([begun(), *backfill_story("completed", launched=2)], "running", {"completed": 1, "running": 1}),
        ([begun(), *backfill_story("completed", launched=2), over("Crashed")], "interrupted", {"completed": 1}),
        ([begun(), *backfill_story("completed"), over("Cancelled")], "cancelled", {"completed": 1}),
        ([begun(), *backfill_story("completed", "skipped", "completed"), over("Completed")], "completed",
         {"completed": 2, "skipped": 1}),
        ([begun(), *backfill_story("completed", "failed", "blocked"), over("Failed")], "failed",
         {"completed": 1, "failed": 1, "blocked": 1}),
        # What the first attempt left open is to be done: it does not run until it is launched again.
        ([begun(), *backfill_story("failed", "failed", launched=3), over("Crashed"), begun(2),
          *backfill_story("completed", launched=2, attempt=2)], "running", {"completed": 1, "running": 1}),
        ([begun(), *backfill_story("completed"), asked("pause")], "pausing", {"completed": 1}),
        ([begun(), *backfill_story("completed"), asked("pause"), asked("cancel")], "cancelling", {"completed": 1}),
        ([begun(), *backfill_story("completed"), asked("pause"), stopped("pause"), over("Cancelled")], "paused",
         {"completed": 1}),
        ([begun(), *backfill_story("completed", "failed"), asked("cancel"), stopped("cancel"), over("Cancelled")],
         "cancelled", {"completed": 1, "failed": 1, "cancelled": 1}),
        ([stopped("cancel", 0)], "cancelled", {"cancelled": 3}),
        # The next attempt has been asked for nothing yet.
        ([begun(), asked("pause"), stopped("pause"), over("Cancelled"), begun(2)], "running", {}),
    ],
)  # fmt: skip
def test_the_state_of_a_backfill_follows_from_its_facts(
    live: Live, reader: Reader, events: list[Body], state: str, counts: dict[str, int]
) -> None:
    live([requested(3), *events])
    answer = reader.backfill("b1")
    assert (answer["id"], answer["state"], answer["assets"], answer["range"]) == ("b1", state, ["delays"], "d0..d2")
    none = dict.fromkeys(("completed", "failed", "running", "skipped", "blocked", "cancelled"), 0)
    assert answer["partitions"] == {"requested": 3, **none, **counts}
    assert reader.backfill("year")["id"] == "b1"
    assert [one["state"] for one in reader.backfills()["backfills"]] == [state]
    json.dumps(answer)


def test_an_unknown_backfill_is_named(home: Home, reader: Reader) -> None:
    write(home, [requested(1)])
    with pytest.raises(UnknownNameError, match="b2"):
        reader.backfill("b2")


def test_sql_gives_columns_and_rows_and_says_what_is_wrong(live: Live, reader: Reader) -> None:
    live([started("r1")])
    assert reader.sql("SELECT run_id, state FROM runs") == (("run_id", "state"), [("r1", "Running")])
    with pytest.raises(ProjectionError, match="run_ids"):
        reader.sql("SELECT run_ids FROM runs")


def test_hostile_names_come_back_byte_for_byte(home: Home, reader: Reader) -> None:
    name = "a'; DROP TABLE x; --\"\u202e\U0001f30a{{7*7}}"
    write(home, [made(name, "p'\"", "v", [("q\\", None, "w")], columns={'c."d': [("q\\", "'")]}), defined(name)])
    answer = reader.lineage(name, columns=True)
    assert answer["root"] == name
    assert ("q\\", name) in edges(answer)
    root = next(node["id"] for node in answer["nodes"] if node.get("asset") == name)
    assert reader.lineage(root)["root"] == root
    assert reader.materializations(name)["materializations"][0]["partition"] == "p'\""
    assert reader.sql("SELECT name, location FROM assets") == (("name", "location"), [(name, ref(name).uri)])


def test_a_column_without_a_name_as_a_file_may_have_one_is_found_by_its_id(home: Home, reader: Reader) -> None:
    write(home, [made("copy", None, "1", [("feed", None, "f")], columns={"": [("feed", "")]})])
    ids = [node.id for node in reader.graph("copy", columns=True).nodes if node.kind == "column"]
    assert {one: reader.graph(one).upstream(one) for one in ids} == {"copy.": ("feed.",), "feed.": ()}


def test_what_was_tried_is_told_of_all_that_an_asset_was(home: Home, reader: Reader) -> None:
    write(home, [defined("old"), made("old", None, "v1"), made("old", None, "v2", state="failed")])
    write(home, [defined("new", place="/2", renamed_from="old"), made("new", None, "v3", place="/2")])
    write(home, [defined("old", place="/3"), made("old", None, "v4", place="/3")])
    for name, versions in (("new", ["v3", None, "v1"]), ("old", ["v4"])):
        rows = reader.materializations(name)["materializations"]
        assert [(row["asset"], row["version"]) for row in rows] == [(name, version) for version in versions]
