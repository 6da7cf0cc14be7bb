"""What pages draw: partitions as a picture, what a backfill would make, the course of a run, its log from the end."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from api_world import served, until
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from tried import tried_on

from headwater import DailyPartitions, HourlyPartitions, ProductPartitions, StaticPartitions, clock
from headwater.api.partition_grids import product_grid
from headwater.api.partition_picture import STATES, days, starting, states_of, years
from headwater.assets.backfill_events import BackfillRequested
from headwater.assets.definition_json import definition_from_json, definition_to_json
from headwater.assets.definitions import AssetDefinition
from headwater.assets.events import AssetRef
from headwater.assets.facts import AssetFacts, Failure, Made
from headwater.core.events import LogWritten, RunEnded, RunStarted, TaskEnded, TaskStarted, TaskState
from headwater.core.journal.files import carrier_of
from headwater.core.journal.home import Home
from headwater.ids import new_id

NOW = clock.to_us(datetime(2024, 3, 1, tzinfo=UTC))


def made(key: str | None) -> Made:
    return Made(partition=key, version="1", at=NOW, started=NOW, run_id="r")


@pytest.fixture
def reader(looked_at: Path) -> Iterator[TestClient]:
    with served(looked_at, insecure=True) as (client, _):
        yield client


def get(client: TestClient, path: str, **parameters: Any) -> Any:
    answer = client.get(path, params=parameters)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_year_of_days_has_a_cell_for_each(reader: TestClient) -> None:
    grid = get(reader, "/api/partitions/grid", asset="sales")
    assert grid["kind"] == "daily"
    assert grid["states"]["made"] + grid["states"].get("stale", 0) == 5
    assert sum(sum(cell["states"].values()) for cell in grid["years"]) == grid["total"]
    first = grid["cells"][0]
    assert (grid["year"], first["label"], first["first"], first["last"]) == (
        2024,
        "2024-01-01",
        "2024-01-01",
        "2024-01-01",
    )
    (day,) = get(reader, "/api/partitions/grid", asset="sales", day="2024-01-03")["cells"]
    assert day["label"] == "2024-01-03"


def test_one_partition_says_who_made_it_and_why_it_is_as_it_is(reader: TestClient) -> None:
    one = get(reader, "/api/partitions/one", asset="sales", partition="2024-01-03")
    assert one["state"] in ("made", "stale")
    assert one["run"] == one["tried"]["run"]
    assert "sales@2024-01-03" in one["reason"]["text"]
    assert get(reader, "/api/partitions/one", asset="sales", partition="2024-01-06")["state"] == "missing"
    assert reader.get("/api/partitions/one", params={"asset": "sales", "partition": "no"}).status_code == 400


def test_a_plan_says_what_a_backfill_would_make_and_starts_nothing(reader: TestClient) -> None:
    asked = {"selection": "sales", "partition": "2024-01-01..2024-01-08", "only": ["missing"]}
    plan = reader.post("/api/backfills/plan", json=asked).json()
    assert (plan["total"], plan["steps"][0]["partitions"]) == (3, "2024-01-06..2024-01-08")
    assert plan["seconds"] > 0
    assert get(reader, "/api/requests")["requests"] == []
    assert reader.post("/api/backfills/plan", json={"selection": "sails"}).status_code == 404


def test_a_backfill_is_a_row_of_cells_for_each_asset(reader: TestClient) -> None:
    (run,) = get(reader, "/api/runs")["runs"]
    picture = get(reader, f"/api/backfills/{run['id']}/picture")
    (row,) = picture["assets"]
    assert (picture["state"], picture["request"], row["states"]) == ("completed", None, {"completed": 5})
    assert [cell["first"] for cell in row["cells"]] == [f"2024-01-0{day}" for day in range(1, 6)]
    assert get(reader, f"/api/runs/{run['id']}/made")["assets"][0]["published"] == 5
    assert get(reader, "/api/flows")["flows"][0]["usual"] > 0


def test_what_nobody_has_begun_is_its_request(client: TestClient) -> None:
    request = client.post("/api/backfills", json={"selection": "sales", "partition": "2024-01-06"}).json()
    picture = get(client, f"/api/backfills/{request['id']}/picture")
    assert (picture["state"], picture["backfill"], picture["request"]["state"]) == ("asked", None, "asked")
    assert client.get("/api/backfills/0198a2ff/picture").status_code == 404


def test_a_backfill_tells_its_request_also_by_the_beginning_of_its_id(client: TestClient, shop: Path) -> None:
    request = client.post("/api/backfills", json={"selection": "sales", "partition": "2024-01-06"}).json()["id"]
    writer = carrier_of(Home(shop / ".headwater")).writer()
    writer.append(
        BackfillRequested(
            backfill_id=request,
            name="sales",
            targets=("sales",),
            options={},
            plan={"steps": []},
            requested=0,
            origin={"kind": "manual"},
        )
    )
    writer.close()
    until(lambda: client.get(f"/api/backfills/{request}").status_code == 200)
    picture = get(client, f"/api/backfills/{request[:-2]}/picture")
    assert (picture["id"], picture["request"]["id"]) == (request, request)


def write_run(folder: Path) -> str:
    """A failed run: thirty task runs, one of them tried twice, and three hundred lines of log."""
    run, at = new_id(), NOW
    task = {"run_id": run, "attempt": 1}
    events: list[Any] = [
        RunStarted(run_id=run, flow="nightly", root_run_id=run, root_flow="nightly", project="shop", parameters={})
    ]
    for number in range(30):
        ids = {**task, "task_run_id": f"{run[:-4]}{number:04}"}
        name = "fetch" if number else "prepare"
        events.append(TaskStarted(**ids, task=name))
        if number == 29:
            events.append(TaskState(**ids, state="AwaitingRetry", tries=1))
            events.append(TaskState(**ids, state="Running", tries=2))
        state = "Failed" if number == 29 else "Completed"
        events.append(TaskEnded(**ids, task=name, state=state, tries=1 + (number == 29), started=at))
    events += [
        LogWritten(run_id=run, level=20 + 20 * (n % 100 == 0), logger="x", message=f"line {n}") for n in range(300)
    ]
    events.append(
        RunEnded(
            run_id=run, flow="nightly", state="Failed", started=at, root_run_id=run, root_flow="nightly", project="shop"
        )
    )
    carrier = carrier_of(Home(folder / ".headwater"))
    writer = carrier.writer()
    writer.append(*events)
    writer.close()
    return run


def test_the_course_of_a_run_comes_by_task_and_one_by_one(shop: Path) -> None:
    run = write_run(shop)
    with served(shop, insecure=True) as (client, _):
        groups = get(client, f"/api/runs/{run}/groups")["groups"]
        assert {one["task"]: one["count"] for one in groups} == {"prepare": 1, "fetch": 29}
        assert all(sum(one["bins"]) == one["count"] for one in groups)
        rows: list[dict[str, Any]] = []
        cursor = None
        while cursor or not rows:
            page = get(
                client, f"/api/runs/{run}/timeline", task="fetch", limit=10, **({"cursor": cursor} if cursor else {})
            )
            rows, cursor = rows + page["task_runs"], page["next"]
        assert len({row["id"] for row in rows}) == 29
        assert [step["state"] for step in rows[-1]["steps"]] == ["AwaitingRetry", "Running"]
        late = "2999-01-01T00:00:00Z"
        assert get(client, f"/api/runs/{run}/timeline", since=late)["task_runs"] == []
        (failure,) = get(client, f"/api/runs/{run}/failures")["failures"]
        assert (failure["task"], failure["tries"]) == ("fetch", 2)


def test_the_log_is_read_from_its_end(shop: Path) -> None:
    run = write_run(shop)
    with served(shop, insecure=True) as (client, _):
        page = get(client, f"/api/runs/{run}/tail", limit=200)
        assert [page["logs"][0]["message"], page["logs"][-1]["message"]] == ["line 299", "line 100"]
        rest = get(client, f"/api/runs/{run}/tail", limit=200, cursor=page["next"])
        assert ([row["message"] for row in rest["logs"]][::99], rest["next"]) == (["line 99", "line 0"], None)
        errors = get(client, f"/api/runs/{run}/tail", level="ERROR")["logs"]
        assert [row["message"] for row in errors] == ["line 200", "line 100", "line 0"]
        assert len(get(client, f"/api/runs/{run}/tail", q="LINE 29")["logs"]) == 11
        assert client.get(f"/api/runs/{run}/tail", params={"cursor": "e30"}).status_code == 400


DAYS = DailyPartitions("2024-01-01", "2024-03-01")
some = st.sets(st.integers(0, len(DAYS.all()) - 1), max_size=20)


@given(there=some, failing=some, running=some)
@tried_on(25)
def test_every_partition_is_in_one_state(there: set[int], failing: set[int], running: set[int]) -> None:
    keys = list(DAYS.all().keys())
    known = AssetFacts(
        made={keys[n]: made(keys[n]) for n in there},
        failed={keys[n]: Failure(partition=keys[n], at=NOW, state="failed") for n in failing},
    )
    found = states_of(DAYS, known, None, [keys[n] for n in running], NOW)
    assert sum(found.total().values()) == len(keys)
    assert len(found.sets["running"]) == len(running)
    assert len(found.sets["failed"]) == len(failing - running)
    low, high = found.every.intervals[0]
    cells = [found.counts(number, number + 1) for number in range(low, high)]
    assert all(sum(cell.values()) == 1 for cell in cells)
    assert {state: sum(cell.get(state, 0) for cell in cells) for state in STATES if found.sets[state]} == found.total()


def test_days_and_years_divide_hours() -> None:
    hours = HourlyPartitions("2023-12-31T05", "2024-01-02T10", timezone="Europe/Berlin")
    within = hours.all().intervals
    assert [(year, high - low) for year, low, high in years(hours, within)] == [(2023, 19), (2024, 34)]
    found = list(days(hours, date(2023, 12, 1), date(2024, 2, 1), within))
    assert [(day.isoformat(), high - low) for day, low, high in found] == [
        ("2023-12-31", 19),
        ("2024-01-01", 24),
        ("2024-01-02", 10),
    ]
    assert hours.key(starting(hours, date(2024, 1, 1))) == "2024-01-01T00"


def test_a_product_is_cut_into_a_table_and_never_counted_as_a_whole() -> None:
    divided = ProductPartitions(
        region=StaticPartitions([f"r{n}" for n in range(70)]), kind=StaticPartitions(["a", "b"]), date=DAYS
    )
    key = "region=r3,kind=a,date=2024-02-07"
    states = states_of(divided, AssetFacts(made={key: made(key)}), None, [], NOW)
    table = product_grid(states, divided, across=None, at=[], year=2024, month=2, offset=0)
    assert (table["across"], table["along"], table["at"], table["next"]) == ("region", "date", {"kind": "a"}, 50)
    assert (len(table["rows"]), len(table["columns"]), table["columns"][6]["label"]) == (50, 29, "2024-02-07")
    assert table["rows"][3]["cells"][6] == {"made": 1}
    assert table["rows"][3]["cells"][7] == {"missing": 1}
    other = product_grid(states, divided, across="kind", at=["region=r3"], year=2024, month=2, offset=0)
    assert [row["cells"][6] for row in other["rows"]] == [{"made": 1}, {"missing": 1}]


def test_each_key_that_a_product_is_told_to_have_can_be_asked_for() -> None:
    kinds = StaticPartitions(["a", "a|b", "a,b", "1..2", "50%", "x=y", "a%7Cb"])
    divided = ProductPartitions(region=StaticPartitions(["eu"]), kind=kinds, date=DAYS)
    states = states_of(divided, AssetFacts(), None, [], NOW)
    first = product_grid(states, divided, across="region", at=[], year=2024, month=2, offset=0)
    (keys,) = [one["keys"] for one in first["dimensions"] if one["name"] == "kind"]
    assert tuple(map(kinds.read, keys)) == kinds.keys
    for key in keys:
        found = product_grid(states, divided, across="region", at=[f"kind={key}"], year=2024, month=2, offset=0)
        assert found["at"] == {"kind": key}


def test_definitions_of_lists_and_products_are_read_back() -> None:
    ref = AssetRef(name="a", uri="memory://a", kind="memory", namespace="memory", dataset="a")
    regions = StaticPartitions(["eu", "us"])
    for divided in (regions, ProductPartitions(region=regions, date=DAYS)):
        definition = AssetDefinition(ref=ref, partitions=divided)
        assert definition_from_json(definition_to_json(definition)).partitions == divided
