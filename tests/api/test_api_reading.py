"""What can be read: the same as the command line tells, page by page."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cli_project
import pytest
from api_world import served, until
from fastapi.testclient import TestClient

import headwater
from headwater import clock
from headwater.cli import app as command_line
from headwater.core.events import LogWritten, RunEnded, RunStarted
from headwater.core.journal.files import carrier_of
from headwater.core.journal.home import Home
from headwater.errors import ProjectionError
from headwater.ids import new_id
from headwater.lineage.reader import Reader


@pytest.fixture
def reader(looked_at: Path) -> Iterator[TestClient]:
    with served(looked_at, insecure=True) as (client, _):
        yield client


def test_health_and_readiness(client: TestClient) -> None:
    assert client.get("/api/health").json() == {"status": "ok", "version": headwater.__version__, "failing": []}
    until(lambda: client.get("/api/ready").status_code == 200)


def test_assets_are_what_the_board_shows(reader: TestClient) -> None:
    page = reader.get("/api/assets").json()
    (sales,) = page["assets"]
    assert (page["total"], page["next"]) == (1, None)
    assert (sales["name"], sales["freshness"]["verdict"], sales["partitions"]["materialized"]) == ("sales", "late", 5)
    assert reader.get("/api/freshness").json()["assets"][0]["freshness"]["witness"] == sales["freshness"]["witness"]
    assert reader.get("/api/staleness").json()["assets"][0]["stale"] == sales["stale"]
    assert reader.get("/api/assets/summary").json()["verdicts"]["late"] == 1
    one = reader.get("/api/assets/one", params={"name": "sales"}).json()
    assert one["partitions"] == sales["partitions"]
    assert "daily" in one["partitioned"]


CHOSEN: list[tuple[dict[str, Any], list[str]]] = [
    ({"verdict": "late"}, ["sales"]),
    ({"verdict": ["fresh", "warn"]}, []),
    ({"stale": "true"}, ["sales"]),
    ({"stale": "false"}, []),
    ({"q": "SAL"}, ["sales"]),
    ({"q": "zz"}, []),
    ({"selection": "kind:parquet and stale()"}, ["sales"]),
]


def test_assets_can_be_chosen(reader: TestClient) -> None:
    for given, names in CHOSEN:
        assert [one["name"] for one in reader.get("/api/assets", params=given).json()["assets"]] == names, given


def test_partitions_come_in_pages(reader: TestClient) -> None:
    rows, cursor = [], None
    while True:
        given = {"asset": "sales", "limit": 7, **({"cursor": cursor} if cursor else {})}
        page = reader.get("/api/partitions", params=given).json()
        assert len(page["partitions"]) <= 7
        rows += page["partitions"]
        cursor = page["next"]
        if cursor is None:
            break
    assert [row["partition"] for row in rows] == [f"2024-01-{day:02}" for day in range(1, 32)]
    assert [row["state"] for row in rows] == ["materialized"] * 5 + ["missing"] * 26
    assert [row["stale"] for row in rows] == [False] * 5 + [True] * 26


def test_runs_come_in_pages_the_newest_first(shop: Path) -> None:
    writer = carrier_of(Home.open(shop / ".headwater", create=False)).writer()
    ids = []
    for number in range(7):
        ids.append(new_id())
        about = {"run_id": ids[-1], "flow": f"flow {number % 2}", "type": "flow"}
        writer.append(RunStarted(**about, parameters={}, project="shop", root_run_id=ids[-1], root_flow=about["flow"]))
        if number != 3:
            writer.append(
                RunEnded(
                    **about,
                    project="shop",
                    state="Completed",
                    started=clock.now_us(),
                    root_run_id=ids[-1],
                    root_flow="f",
                )
            )
    with served(shop, insecure=True) as (client, _):
        found, cursor = [], None
        while len(found) < 20:
            page = client.get("/api/runs", params={"limit": 3, **({"cursor": cursor} if cursor else {})}).json()
            found += [row["id"] for row in page["runs"]]
            cursor = page["next"]
            if cursor is None:
                break
        assert found[:7] == ids[::-1]
        assert len(found) == 8
        assert [row["id"] for row in client.get("/api/runs?state=Running").json()["runs"]] == [ids[3]]
        assert len(client.get("/api/runs", params={"flow": "flow 1"}).json()["runs"]) == 3
        metrics = client.get("/metrics").text
        assert 'headwater_runs_total{flow="flow 0",state="Completed"} 4.0' in metrics
        assert 'headwater_runs_running{flow="flow 1"} 1.0' in metrics
        assert 'headwater_run_duration_seconds_count{flow="flow 1"} 2.0' in metrics
        assert 'headwater_task_runs_total{state="Completed"} 5.0' in metrics
        assert 'headwater_asset_late{asset="sales"} 1.0' in metrics
    writer.close()


def test_figures_leave_out_an_asset_that_was_retired(tmp_path: Path) -> None:
    kept, gone = (
        f"""
@materialize(Asset("{name}", at="parquet://lake/{name}", freshness=Freshness(max_lag="26h")))
def make_{name}():
    return {{"x": [1]}}
"""
        for name in ("kept", "gone")
    )
    head = "from headwater import Asset, Freshness, materialize\n"
    (tmp_path / "pyproject.toml").write_text('[tool.headwater]\nmodules = ["lake"]\n')
    for text, command in ((head + kept + gone, ["materialize", "*"]), (head + kept, ["retire", "gone"])):
        (tmp_path / "lake.py").write_text(text)
        with contextlib.chdir(tmp_path), cli_project.as_in_a_new_process():
            assert command_line.run(command) == 0
    with served(tmp_path, insecure=True) as (client, _):
        until(lambda: 'headwater_asset_late{asset="kept"} 0.0' in client.get("/metrics").text)
        assert '"gone"' not in client.get("/metrics").text


def test_task_runs_and_logs_of_a_run(client: TestClient, shop: Path) -> None:
    run = client.get("/api/runs").json()["runs"][0]
    writer = carrier_of(Home.open(shop / ".headwater", create=False)).writer()
    for number in range(5):
        writer.append(
            LogWritten(run_id=run["id"], level=20 + 10 * (number % 2), logger="shop", message=f"line {number}")
        )
    until(lambda: client.get(f"/api/runs/{run['id']}/logs").json()["logs"])
    page = client.get(f"/api/runs/{run['id']}/logs?limit=3").json()
    rest = client.get(f"/api/runs/{run['id']}/logs", params={"limit": 3, "cursor": page["next"]}).json()
    assert [row["message"] for row in page["logs"] + rest["logs"]] == [f"line {number}" for number in range(5)]
    assert rest["next"] is None
    warned = client.get(f"/api/runs/{run['id']}/logs?level=WARNING").json()["logs"]
    assert [row["message"] for row in warned] == ["line 1", "line 3"]
    tasks = client.get(f"/api/runs/{run['id'][:8]}/tasks?limit=4").json()
    assert [row["task"] for row in tasks["task_runs"]] == ["ingest"] * 4
    assert tasks["next"]
    writer.close()


def test_the_beginning_of_an_id_is_enough_wherever_one_is_taken_as_on_the_command_line(
    client: TestClient, shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (run,) = client.get("/api/runs").json()["runs"]
    short = run["id"][:2]
    with contextlib.chdir(shop), cli_project.as_in_a_new_process():
        assert command_line.run(["backfill", "show", short, "--json"]) == 0
    assert f'"id": "{run["id"]}"' in capsys.readouterr().out
    assert client.get(f"/api/runs/{short}").json()["id"] == run["id"]
    for what in ("tasks", "logs", "artifacts", "failures", "groups", "timeline", "made", "tail"):
        assert client.get(f"/api/runs/{short}/{what}").json()["run"] == run["id"], what
    for what in ("", "/picture"):
        assert client.get(f"/api/backfills/{short}{what}").json()["id"] == run["id"], what
    for what in ("cancel", "resume"):
        assert client.post(f"/api/runs/{short}/{what}").json()["type"] == "urn:headwater:error:usage", what
    writer = carrier_of(Home.open(shop / ".headwater", create=False)).writer()
    roots = {"root_run_id": run["id"], "parent_run_id": run["id"], "root_flow": "all"}
    # Ids of this process may be of another time: a test may have set its clock.
    child = RunStarted(run_id=short + new_id()[2:], flow="part", project="shop", parameters={}, **roots)
    writer.append(child)
    writer.close()
    until(lambda: len(client.get("/api/runs").json()["runs"]) == 2)
    within = client.get("/api/runs", params={"parent": run["id"][:16]}).json()["runs"]
    assert [row["id"] for row in within] == [child.run_id]
    several = client.get(f"/api/runs/{short}")
    assert (several.status_code, several.json()["detail"]) == (404, f"several runs begin with '{short}'")


def test_what_is_new_is_there_within_a_second(client: TestClient, shop: Path) -> None:
    before = client.get("/api/partitions?asset=sales&limit=10").json()["partitions"]
    with contextlib.chdir(shop), cli_project.as_in_a_new_process():
        assert command_line.run(["materialize", "sales", "--partition", "2024-01-06", "--json"]) == 0
    assert [row["state"] for row in before] == ["materialized"] * 5 + ["missing"] * 5
    until(
        lambda: client.get("/api/partitions?asset=sales&limit=10").json()["partitions"][5]["state"] == "materialized",
        seconds=1.0,
    )


PROBLEMS = [
    ("/api/assets/one?name=sael", 404, "unknown_name"),
    ("/api/assets?selection=nope", 404, "unknown_name"),
    ("/api/assets?selection=(", 400, "usage"),
    ("/api/explain?subject=sales@yesterday", 400, "partition"),
    ("/api/runs/0000", 404, "unknown_name"),
    ("/api/runs/%F0%9F%90%9F", 404, "unknown_name"),
    ("/api/runs?parent=0000", 404, "unknown_name"),
    ("/api/runs?flow=nope", 404, "unknown_name"),
    ("/api/backfills/0000", 404, "unknown_name"),
    ("/api/requests/0000", 404, "unknown_name"),
    ("/api/runs?cursor=hm", 400, "cursor"),
    ("/api/partitions?asset=sales&cursor=WyIxIl0", 400, "cursor"),
    ("/api/assets?as_of=0001-01-01T00:00:00%2B14:00", 400, "usage"),
    ("/api/assets/overview?as_of=9999-12-31T23:59:59-14:00", 400, "usage"),
    ("/api/runs?limit=501", 422, "invalid"),
    ("/api/runs?state=completed", 422, "invalid"),
    ("/api/runs/0000/tasks?state=Nope", 422, "invalid"),
    ("/api/runs/0000/timeline?state=Nope", 422, "invalid"),
    ("/api/lineage?depth=51", 422, "invalid"),
    ("/api/partitions/grid?asset=sales&day=9999-12-31", 422, "invalid"),
    ("/api/nope", 404, "not_found"),
]


def test_every_error_is_a_problem(reader: TestClient) -> None:
    for path, status, kind in PROBLEMS:
        answer = reader.get(path)
        assert answer.headers["content-type"] == "application/problem+json"
        problem = answer.json()
        assert (answer.status_code, problem["status"], problem["type"]) == (
            status,
            status,
            f"urn:headwater:error:{kind}",
        )
        assert problem["title"]
        assert problem["detail"]


def test_a_body_that_does_not_say_that_it_is_json_is_told_what_to_send(client: TestClient) -> None:
    for kind in ("application/x-www-form-urlencoded", "text/plain", ""):
        answer = client.post("/api/runs", content=b'{"flow": "hello"}', headers={"content-type": kind})
        assert answer.status_code == 422
        assert "Content-Type: application/json" in answer.json()["hint"], kind
    for body in (b"", b"[]", b"{}", b"{"):
        answer = client.post("/api/runs", content=body, headers={"content-type": "application/json"})
        assert (answer.status_code, answer.json()["hint"]) == (422, "see /api/openapi.json"), body


def test_the_history_of_checks_repeats_nothing_while_answers_come(client: TestClient, shop: Path) -> None:
    def backfill(first: str, last: str, answers: int) -> None:
        with contextlib.chdir(shop), cli_project.as_in_a_new_process():
            assert command_line.run(["backfill", "sales", "--from", first, "--to", last, "--json"]) == 0
        until(lambda: len(client.get("/api/checks", params={"history": True}).json()["checks"]) == answers)

    # What was made where this project was copied from is no history of what is made here.
    backfill("2024-01-06", "2024-01-08", 3)
    asked = {"history": True, "limit": 2}
    page = client.get("/api/checks", params=asked).json()
    found = page["checks"]
    backfill("2024-01-09", "2024-01-10", 5)
    while page["next"] is not None:
        page = client.get("/api/checks", params={**asked, "cursor": page["next"]}).json()
        found += page["checks"]
    assert [one["partition"] for one in found] == [f"2024-01-0{day}" for day in range(8, 5, -1)]
    assert client.get("/api/checks", params={"cursor": "WyIyMDI0LTAxLTAxVDAwOjAwWiIsICIxIl0"}).status_code == 400


def test_checks_are_found_by_a_part_of_their_assets_names(reader: TestClient) -> None:
    found = {
        text: {one["asset"] for one in reader.get("/api/checks", params={"q": text}).json()["checks"]}
        for text in ("", "ALE", "sales", "nothing has it", '"*sales*"')
    }
    assert found == {"": {"sales"}, "ALE": {"sales"}, "sales": {"sales"}, "nothing has it": set(), '"*sales*"': set()}


def test_a_trouble_of_the_server_is_told_without_where_the_home_is(
    reader: TestClient, looked_at: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        path = looked_at / ".headwater" / "server" / "headwater.duckdb"
        raise ProjectionError(f'the projection can\'t be built: IO Error: Cannot open file "{path}"', where=str(path))

    monkeypatch.setattr(Reader, "runs", broken)
    answer = reader.get("/api/runs?limit=7")
    assert answer.status_code == 503
    assert '".headwater/server/headwater.duckdb"' in answer.json()["detail"]
    assert str(looked_at) not in answer.text


def test_it_turns_red_when_the_journal_can_not_be_read(client: TestClient, shop: Path) -> None:
    until(lambda: client.get("/api/ready").status_code == 200)
    journal = shop / ".headwater" / "journal"
    journal.rename(shop / "elsewhere")
    journal.write_text("no folder")
    answer = until(lambda: (found := client.get("/api/health")).status_code == 503 and found)
    assert "journal" in answer.json()["failing"]
    assert client.get("/api/runs").status_code == 200  # what was read is still told
    journal.unlink()
    (shop / "elsewhere").rename(journal)
    until(lambda: client.get("/api/ready").status_code == 200)


def test_what_expires_meanwhile_is_gone_here_too(client: TestClient, shop: Path) -> None:
    run = client.get("/api/runs").json()["runs"][0]["id"]
    assert len(client.get(f"/api/runs/{run}/tasks").json()["task_runs"]) == 5
    with contextlib.chdir(shop), cli_project.as_in_a_new_process():
        assert command_line.run(["prune", "--older-than", "0.1s", "--json"]) == 0
    until(lambda: client.get(f"/api/runs/{run}/tasks").json()["task_runs"] == [])
    assert client.get(f"/api/runs/{run}").json()["tasks"] == {"Completed": 5}


def test_catalogs_get_what_they_have_not_got_yet(shop: Path) -> None:
    with (shop / "pyproject.toml").open("a") as file:
        file.write('openlineage_file = "events.ndjson"\n')
    with served(shop, insecure=True) as (client, _):
        until(lambda: client.get("/api/openlineage").json()["destinations"][0]["pending"] == 0)
        (catalog,) = client.get("/api/openlineage").json()["destinations"]
        assert catalog["delivered"] >= 10
        assert "headwater_openlineage_pending" in client.get("/metrics").text
    events = (shop / "events.ndjson").read_text().splitlines()
    assert len(events) == catalog["delivered"]


def test_any_number_of_servers_may_look_at_a_home(shop: Path) -> None:
    with served(shop, insecure=True) as (first, _), served(shop, insecure=True) as (second, _):
        assert first.get("/api/runs").json() == second.get("/api/runs").json()
    assert (shop / ".headwater" / "server" / "headwater.duckdb").exists()


def test_what_failed_at_a_key_that_was_removed_has_not_failed(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.headwater]\nproject = "guests"\nmodules = ["guests"]\n')
    (tmp_path / "guests.py").write_text(
        "from headwater import Asset, DynamicPartitions, materialize\n"
        'visits = Asset("visits", at="parquet://lake/visits", partitions=DynamicPartitions("guests"))\n'
        "@materialize(visits)\n"
        "def visit(partition):\n"
        '    raise ValueError("nobody came")\n'
    )

    def failed(*command: str) -> list[str]:
        with contextlib.chdir(tmp_path), cli_project.as_in_a_new_process():
            command_line.run([*command, "--json"])
        with served(tmp_path, insecure=True) as (client, _):
            page = client.get("/api/assets", params={"selection": "failed()"}).json()
        return [one["name"] for one in page["assets"]]

    assert failed("partitions", "add", "guests", "ada") == []
    assert failed("materialize", "visits") == ["visits"]
    assert failed("partitions", "remove", "guests", "ada") == []
