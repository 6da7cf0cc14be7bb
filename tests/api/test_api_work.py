"""Starting and stopping work through the API: by requests in the journal, in processes of their own."""

import contextlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import cli_project
import pytest
from api_world import bearer, served, until
from work_world import ended, working

from headwater import clock, settings
from headwater.api import commands, work
from headwater.assets.backfill_events import BackfillRequested
from headwater.cli import app as command_line
from headwater.core import runtime
from headwater.core.events import RunEnded, RunStarted
from headwater.core.journal.home import Home
from headwater.core.journal.reader import Reader
from headwater.core.request_events import WorkAsked, WorkStarted, WorkTaken
from headwater.lineage.reader import Reader as Answers
from headwater.project import Project


def test_a_backfill_that_is_asked_for_is_done_by_a_worker(shop: Path) -> None:
    with served(shop) as (client, _):
        client.headers.update(bearer(shop, "run"))
        asked = client.post("/api/backfills", json={"selection": "sales", "from": "2024-01-06", "to": "2024-01-07"})
        assert (asked.status_code, asked.json()["state"]) == (202, "asked")
        wrong = client.post("/api/backfills", json={"selection": "sales", "partition": "never"}).json()
        with working(shop):
            done, failed = ended(client, asked.json()["id"]), ended(client, wrong["id"])
        assert (done["state"], done["exit_code"], done["asked_by"]) == ("done", 0, "a runer")
        assert (asked.json()["run"], done["run"], failed["run"]) == (None, done["id"], None)
        assert (failed["state"], failed["exit_code"]) == ("failed", 2)
        assert "never" in failed["message"]
        backfill = client.get(f"/api/backfills/{done['id']}").json()
        assert (backfill["state"], backfill["partitions"]["completed"]) == ("completed", 2)
        assert client.get("/api/requests?open=true").json()["requests"] == []


def test_what_no_command_line_can_say_has_failed_and_holds_up_nothing_else(shop: Path) -> None:
    with served(shop) as (client, _):
        client.headers.update(bearer(shop, "run"))
        asked = [
            client.post("/api/materializations", json={"selection": "sales", "partition": partition}).json()["id"]
            for partition in ("2024-01-06\0", "2024-01-06")
        ]
        long = client.post("/api/runs", json={"flow": "shop.py:hello", "parameters": {"name": "x" * 200_000}}).json()[
            "id"
        ]
        with working(shop, shop / "shop.py"):
            nul, good, too_long = (ended(client, one) for one in (*asked, long))
        assert (nul["state"], nul["exit_code"]) == ("failed", work.EXIT_REFUSED)
        assert "no command line can hold" in nul["message"]
        assert (too_long["state"], too_long["exit_code"]) == ("failed", work.EXIT_REFUSED)
        assert "too long" in too_long["message"]
        assert (good["state"], good["exit_code"]) == ("done", 0)


@pytest.mark.stress
def test_what_failed_in_a_backfill_is_tried_again(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (shop / "broken-2024-01-06").touch()
    with contextlib.chdir(shop), cli_project.as_in_a_new_process():
        assert command_line.run(["backfill", "sales", "--from", "2024-01-06", "--to", "2024-01-07", "--json"]) == 1
    failed = json.loads(capsys.readouterr().out)["id"]
    (shop / "broken-2024-01-06").unlink()
    with served(shop, insecure=True) as (client, _), working(shop):
        assert client.get(f"/api/backfills/{failed}").json()["partitions"]["failed"] == 1
        again = client.post(f"/api/backfills/{failed[:13]}/retry").json()
        assert again["arguments"] == {"backfill": failed}
        assert ended(client, again["id"])["state"] == "done"
        assert client.get(f"/api/backfills/{failed}").json()["state"] == "completed"


FLOWS = """\
from headwater import flow, task

@task
def half(x: int) -> float:
    if x % 2:
        raise ValueError(f"{x} is odd")
    return x / 2

@task
def told(x: int) -> int:
    print("told", x)
    return x

@flow(name="the half")
def halves(x: int, name: str = "", other=None) -> float:
    return half(told(x))
"""


def test_flows_are_started_resumed_and_their_mistakes_reach_who_asked(shop: Path) -> None:
    (shop / "halves.py").write_text(FLOWS)
    with served(shop) as (client, _):
        client.headers.update(bearer(shop, "run"))
        never = client.post("/api/runs", json={"flow": "halves.py:halves", "parameters": {"x": 4}}).json()
        with working(shop):
            refused = ended(client, never["id"])
        assert (refused["state"], refused["exit_code"]) == ("failed", 3)
        assert "headwater worker -f halves.py" in refused["message"]

        first = client.post(
            "/api/runs", json={"flow": "halves.py:halves", "parameters": {"x": "3", "name": "7", "other": "1"}}
        )
        assert (first.status_code, first.json()["state"], first.json()["asked_by"]) == (202, "asked", "a runer")
        with working(shop, shop / "halves.py"):
            failed = ended(client, first.json()["id"])
            wrong = client.post("/api/runs", json={"flow": "the half", "parameters": {"x": "no number"}}).json()
            again = client.post("/api/runs", json={"flow": "the half", "parameters": {"x": 8}}).json()
            missing, fine = ended(client, wrong["id"]), ended(client, again["id"])
            resumed = client.post(f"/api/runs/{failed['id']}/resume", json={"parameters": {"x": 6}}).json()
            assert ended(client, resumed["id"])["state"] == "done"
            retried = client.post(f"/api/runs/{failed['id']}/retry", json={"from": "half"}).json()
            assert ended(client, retried["id"])["state"] == "done"
        assert "3 is odd" in failed["message"]
        assert (missing["exit_code"], "x" in missing["message"]) == (2, True)
        assert fine["state"] == "done"
        run = client.get(f"/api/runs/{failed['id']}").json()
        assert [one["state"] for one in run["attempts"]] == ["Completed", "Completed", "Failed"]
        assert run["attempts"][2]["error"]["type"] == "ValueError"
        assert "is odd" in run["attempts"][2]["error"]["traceback"]
        assert (run["asked_by"], run["source"]["file"], run["parameters"]) == (
            "a runer",
            "halves.py",
            {"x": 6, "name": "7", "other": "1"},
        )
        odd = client.get("/api/runs", params={"flow": "the half", "state": "Completed"}).json()["runs"]
        assert {one["id"] for one in odd} == {failed["id"], fine["id"]}


def test_a_flow_waits_for_the_worker_that_was_told_of_its_file(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "command", lambda what, arguments, where: ["--version"])
    monkeypatch.setattr(work, "_LEFT", 60.0)
    (shop / "halves.py").write_text(FLOWS)
    with served(shop, insecure=True) as (client, _):
        asked = client.post("/api/runs", json={"flow": "halves.py:halves", "parameters": {"x": 4}}).json()["id"]
        project = Project(settings.load(shop))
        with runtime.use(project):
            work.Worker(project).once()
        project.close()
        assert client.get(f"/api/requests/{asked}").json()["state"] == "asked"
        with working(shop, shop / "halves.py"):
            assert ended(client, asked)["state"] == "done"


def test_which_flows_are_known_is_asked_once_a_look(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "command", lambda what, arguments, where: ["--version"])
    known, asked = Answers.known_flows, list[str | None]()

    def noted(reader: Answers, flow: str | None = None, *, project: str | None = None) -> list[dict[str, Any]]:
        asked.append(flow)
        return known(reader, flow, project=project)

    (shop / "halves.py").write_text(FLOWS)
    with contextlib.chdir(shop), cli_project.as_in_a_new_process():
        assert command_line.run(["run", "halves.py:halves", "-p", "x=4", "--json"]) == 0
    with served(shop, insecure=True) as (client, _):
        for _ in range(3):
            client.post("/api/runs", json={"flow": "the half", "parameters": {"x": 4}})
        monkeypatch.setattr(Answers, "known_flows", noted)
        project = Project(settings.load(shop))
        with runtime.use(project):
            worker = work.Worker(project)
            worker.once()
            assert asked == [None]
            assert len(worker._started) == 3
            until(lambda: worker._settle_ended() or not worker._started)
        project.close()


def test_a_resumption_is_known_by_what_its_attempt_says(shop: Path) -> None:
    (shop / "halves.py").write_text(FLOWS)
    with contextlib.chdir(shop), cli_project.as_in_a_new_process():
        assert command_line.run(["run", "halves.py:halves", "-p", "x=3", "--json"]) == 1
    with served(shop, insecure=True) as (client, app):
        (run,) = client.get("/api/runs?flow=the half").json()["runs"]
        asked = client.post(f"/api/runs/{run['id']}/resume", json={"parameters": {"x": 8}}).json()["id"]
        # Somebody else has gone on with the run meanwhile, and the worker that then took the request died with its process.
        with contextlib.chdir(shop), cli_project.as_in_a_new_process():
            assert command_line.run(["runs", "resume", run["id"], "--json"]) == 1
        journal = app.state.service.project.journal
        journal.append(
            WorkTaken(request_id=asked, pid=1, host="gone"), WorkStarted(request_id=asked, pid=1, host="gone")
        )
        with working(shop):
            done = ended(client, asked)
        assert (done["state"], done["takes"], done["run"]) == ("done", 2, run["id"])
        attempts = client.get(f"/api/runs/{run['id']}").json()["attempts"]
        assert [one["state"] for one in attempts] == ["Completed", "Failed", "Failed"]
        # The attempt names what asked for it.
        started = [
            event.body
            for event in Reader(Home.open(shop / ".headwater", create=False)).events()
            if event.kind == "run.started"
        ]
        told = {one["attempt"]: one["request_id"] for one in started if one["run_id"] == run["id"]}
        assert told == {1: None, 2: None, 3: asked}


def test_a_resumption_of_an_old_journal_is_known_by_its_time(shop: Path) -> None:
    with served(shop, insecure=True) as (_, app):
        journal, reader = app.state.service.project.journal, app.state.service.reader
        run = {"run_id": "old", "flow": "f", "root_run_id": "old", "root_flow": "f", "project": "shop"}
        journal.append(RunStarted(**run, parameters={}), RunEnded(**run, state="Failed", started=clock.now_us()))
        journal.append(WorkAsked(request_id="asked", what="runs.resume", arguments={"run": "old"}))
        journal.append(WorkTaken(request_id="asked", pid=1, host="gone"))
        until(lambda: (reader.work_request("asked") or {"state": ""})["state"] == "running")
        assert reader.began("asked") is None
        journal.append(RunStarted(**run, parameters={}, attempt=2))
        until(lambda: reader.began("asked") == "Running")


NIGHTLY = """\
from pathlib import Path
from headwater import flow

@flow
def nightly():
    Path("ran").touch()
"""


def test_a_worker_leaves_what_was_asked_of_another_project_of_its_home(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder, file in ((first, "flows.py"), (second, "flows.py"), (second, "newer.py")):
        folder.mkdir(exist_ok=True)
        (folder / "pyproject.toml").write_text('[tool.headwater]\nhome = "../home"\n')
        (folder / file).write_text(NIGHTLY)
        with contextlib.chdir(folder), cli_project.as_in_a_new_process():
            assert command_line.run(["run", f"{file}:nightly", "--json"]) == 0
    for folder in (first, second):
        (folder / "ran").unlink()
    with served(first, insecure=True) as (client, _), served(second, insecure=True) as (other, _):
        asked = client.post("/api/runs", json={"flow": "nightly"}).json()
        with working(second):
            assert ended(other, other.post("/api/runs", json={"flow": "nightly"}).json()["id"])["state"] == "done"
        assert ((first / "ran").exists(), (second / "ran").exists()) == (False, True)
        assert client.get(f"/api/requests/{asked['id']}").json()["state"] == "asked"
        with working(first):
            assert ended(client, asked["id"])["state"] == "done"
        assert (first / "ran").exists()
        assert (asked["arguments"], asked["project"]) == ({"target": "flows.py:nightly"}, "first")


TALKS = """\
import os, signal
from headwater import flow

@flow
def talks(killed: bool):
    print("error: the cache is cold, going on", *range(5), sep="\\n", flush=True)
    if killed:
        os.kill(os.getpid(), signal.SIGKILL)
    raise ValueError("the warehouse is closed")
"""


def test_what_a_flow_prints_is_not_taken_for_why_it_failed(shop: Path) -> None:
    (shop / "talks.py").write_text(TALKS)
    with served(shop, insecure=True) as (client, _), working(shop, shop / "talks.py"):
        for killed, code, why in (
            (False, 1, "error: talks failed: ValueError: the warehouse is closed"),
            (True, -9, "its process was ended by signal 9 ("),
        ):
            asked = client.post("/api/runs", json={"flow": "talks.py:talks", "parameters": {"killed": killed}})
            done = ended(client, asked.json()["id"])
            assert (done["state"], done["exit_code"], done["message"][: len(why)]) == ("failed", code, why)


WRONG: list[tuple[str, dict[str, Any] | str, int]] = [
    ("runs", {"flow": "nothing"}, 404),
    ("runs", {"flow": "../x.py:f"}, 400),
    ("runs", {"flow": "/etc/x.py:f"}, 400),
    ("runs", {"flow": "x.py:f()"}, 400),
    ("runs", {"flow": "x.py:f", "parameters": {"a=b": 1}}, 400),
    ("runs", {"flow": "x.py:f", "parameters": 3}, 422),
    ("runs", '{"flow": "x.py:f", "parameters": {"a": 1e400}}', 400),
    ("runs", '{"flow": "x.py:f", "parameters": {"a": [{"b": NaN}]}}', 400),
    ("runs", '{"flow": "x.py:f", "parameters": {"a": "\\ud800"}}', 400),
    ("runs/0198a2/resume", {}, 404),
    ("runs/0198a2/retry", {}, 422),
    ("materializations", {"selection": "nothing"}, 404),
    ("materializations", {"selection": "sales", "parallel": 0}, 422),
]


def test_what_can_not_be_started_is_refused_at_once(shop: Path) -> None:
    with served(shop, insecure=True) as (client, app):
        for path, body, status in WRONG:
            text = body if isinstance(body, str) else json.dumps(body)
            answer = client.post(f"/api/{path}", content=text, headers={"Content-Type": "application/json"})
            assert answer.status_code == status, (path, body)
        run = RunStarted(
            run_id="0199", flow="f", root_run_id="0199", root_flow="f", project="shop", parameters={}, lost=("key",)
        )
        app.state.service.project.journal.append(run)
        until(lambda: client.get("/api/runs/0199").status_code == 200)
        asked = client.post("/api/runs", json={"flow": "f", "parameters": {"key": "hunter2"}})
        assert asked.status_code == 400
        assert client.post("/api/runs/0199/resume").status_code == 400  # it has not ended
        over = RunEnded(
            run_id="0199", flow="f", state="Completed", started=1, root_run_id="0199", root_flow="f", project="shop"
        )
        app.state.service.project.journal.append(over)
        until(lambda: client.get("/api/runs/0199").json()["state"] == "Completed")
        told = client.post("/api/runs/0199/resume")
        assert (told.status_code, told.json()["detail"]) == (400, "the run completed: there is nothing to resume")
        (backfill,) = client.get("/api/runs", params={"state": "Completed", "flow": "backfill sales"}).json()["runs"]
        assert "headwater backfill resume" in client.post(f"/api/runs/{backfill['id']}/resume").json()["hint"]
        assert client.post("/api/runs/0199/retry", json={"from": "half"}).status_code == 202
        assert "hunter2" not in "".join(map(str, Reader(Home.open(shop / ".headwater", create=False)).events()))


def test_assets_are_brought_up_to_date(shop: Path) -> None:
    with served(shop, insecure=True) as (client, _):
        body = {"selection": "sales", "partition": "2024-01-06..2024-01-07"}
        asked = client.post("/api/materializations", json=body).json()
        with working(shop):
            assert ended(client, asked["id"])["state"] == "done"
        run = client.get(f"/api/runs/{asked['id']}").json()
        assert (run["type"], run["state"]) == ("materialize", "Completed")
        made = client.get(f"/api/runs/{asked['id']}/artifacts").json()["artifacts"]
        assert {(one["kind"], one["name"], one["partition"], one["state"]) for one in made} == {
            (kind, name, f"2024-01-0{day}", state)
            for kind, name, state in (
                ("materialization", "sales", "published"),
                ("check", "sales: some_sales", "passed"),
            )
            for day in (6, 7)
        }
        page = client.get("/api/materializations", params={"asset": "sales", "limit": 1}).json()
        rest = client.get("/api/materializations", params={"asset": "sales", "cursor": page["next"]}).json()
        every = [one["partition"] for one in page["materializations"] + rest["materializations"]]
        assert (every, rest["next"]) == (["2024-01-07", "2024-01-06"], None)


def test_a_server_may_start_work_itself(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "command", lambda what, arguments, where: ["--version"])
    with served(shop, insecure=True, runs_work=True) as (client, _):
        asked = client.post("/api/backfills", json={"selection": "sales", "partition": "2024-01-08"}).json()
        assert ended(client, asked["id"])["state"] == "done"


def test_an_asset_that_looks_like_an_option_is_none(shop: Path) -> None:
    with served(shop, insecure=True) as (client, _):
        for selection in ("-rf", "--help", "list"):
            assert client.post("/api/backfills", json={"selection": selection}).status_code in (400, 404)


def test_a_backfill_that_nobody_drives_is_cancelled_at_once(shop: Path) -> None:
    with served(shop) as (client, app):
        client.headers.update(bearer(shop, "run"))
        name = "01989c00-0000-7000-8000-000000000001"
        app.state.service.project.journal.append(
            BackfillRequested(
                backfill_id=name, name="b", targets=("sales",), options={}, plan={"steps": []}, requested=2, origin={}
            )
        )
        until(lambda: client.get(f"/api/backfills/{name}").status_code == 200)
        assert client.post(f"/api/backfills/{name}/pause").status_code == 400
        assert client.post(f"/api/backfills/{name}/cancel").json()["state"] == "cancelled"
        stopped = app.state.service.reader.sql(
            f"SELECT asked_by FROM facts.backfill_stopped WHERE backfill_id = '{name}'"
        )[1]
        assert stopped == [("a runer",)]  # the audit: who asked stands in the journal


RUNNING = """\
from headwater import flow
import threading

@flow
def waits():
    print("here", flush=True)
    threading.Event().wait(60)

if __name__ == "__main__":
    waits()
"""


def test_a_run_is_cancelled_wherever_it_runs(shop: Path) -> None:
    (shop / "waits.py").write_text(RUNNING)
    with served(shop, insecure=True) as (client, _):
        process = subprocess.Popen([sys.executable, "waits.py"], cwd=shop, stderr=subprocess.DEVNULL)
        try:
            rows = until(lambda: client.get("/api/runs?flow=waits").json().get("runs"))
            assert client.post(f"/api/runs/{rows[0]['id']}/cancel").json()["state"] in ("Cancelling", "Cancelled")
            until(lambda: client.get(f"/api/runs/{rows[0]['id']}").json()["state"] == "Cancelled")
            assert process.wait(30) != 0
        finally:
            process.kill()
            process.wait()


def test_a_run_whose_process_was_killed_is_shown_as_crashed(shop: Path) -> None:
    (shop / "waits.py").write_text(RUNNING)
    with served(shop, insecure=True) as (client, _):
        process = subprocess.Popen([sys.executable, "waits.py"], cwd=shop, stderr=subprocess.DEVNULL)
        try:
            until(lambda: client.get("/api/runs?flow=waits").json().get("runs"))
        finally:
            process.kill()
            process.wait()
        until(lambda: client.get("/api/runs?flow=waits").json()["runs"][0]["state"] == "Crashed", seconds=10)


def test_in_a_new_home_what_is_defined_can_be_asked_for_once_it_was_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli_project.write_shop(tmp_path)
    monkeypatch.chdir(tmp_path)
    asked = {"selection": "sales", "partition": "2024-01-06"}
    with served(tmp_path, insecure=True) as (client, _), working(tmp_path):
        for selection, status in (("sales", 404), ("*", 400)):
            refused = client.post("/api/materializations", json=asked | {"selection": selection})
            assert refused.status_code == status
            assert "headwater assets -f FILE" in refused.json()["hint"]
        with cli_project.as_in_a_new_process():
            assert command_line.run(["assets"]) == 0
        again = until(lambda: client.post("/api/materializations", json=asked).json().get("id"))
        assert ended(client, again)["state"] == "done"
