"""Starting and stopping work through the API: by requests in the journal, in processes of their own."""

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cli_project
import pytest
from api_world import bearer, served, until
from fastapi.testclient import TestClient

from headwater import settings
from headwater.api import work
from headwater.assets.events import BackfillRequested
from headwater.cli import app as command_line
from headwater.core import runtime
from headwater.core.events import WorkTaken
from headwater.project import Project


@contextmanager
def working(shop: Path) -> Iterator[Project]:
    """A worker in a thread; what it started has ended when this does."""
    project, over = Project(settings.load(shop)), threading.Event()
    worker = work.Worker(project)
    thread = threading.Thread(target=worker.work, args=(over,))
    with runtime.use(project):
        thread.start()
        try:
            yield project
            until(lambda: not worker._started)
        finally:
            over.set()
            thread.join()
            project.close()


def ended(client: TestClient, request_id: str) -> dict[str, Any]:
    """A request, once it has ended."""

    def look() -> Any:
        found = client.get(f"/api/requests/{request_id}").json()
        return found["state"] in ("done", "failed") and found

    found: dict[str, Any] = until(look)
    return found


def test_a_backfill_that_is_asked_for_is_done_by_a_worker(shop: Path) -> None:
    with served(shop) as (client, _):
        client.headers.update(bearer(shop, "run"))
        asked = client.post("/api/backfills", json={"selection": "sales", "from": "2024-01-06", "to": "2024-01-07"})
        assert (asked.status_code, asked.json()["state"]) == (202, "asked")
        wrong = client.post("/api/backfills", json={"selection": "sales", "partition": "never"}).json()
        with working(shop):
            done, failed = ended(client, asked.json()["id"]), ended(client, wrong["id"])
        assert (done["state"], done["exit_code"], done["asked_by"]) == ("done", 0, "a runer")
        assert (failed["state"], failed["exit_code"]) == ("failed", 2)
        assert "never" in failed["message"]
        backfill = client.get(f"/api/backfills/{done['id']}").json()
        assert (backfill["state"], backfill["partitions"]["completed"]) == ("completed", 2)
        assert client.get("/api/requests?open=true").json()["requests"] == []


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


def test_a_request_is_taken_once_however_many_look(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "command", lambda what, arguments, where: ["--version"])
    with served(shop, insecure=True) as (client, _):
        ids = [client.post("/api/backfills", json={"selection": "sales"}).json()["id"] for _ in range(2)]
        with working(shop), working(shop):
            for one in ids:
                assert ended(client, one)["state"] == "done"
        taken = [
            line
            for path in (shop / ".headwater" / "journal").glob("*.ndjson")
            for line in path.read_text().splitlines()
            if f'"k":"{WorkTaken.kind}"' in line
        ]
        assert len(taken) == 2


def test_what_a_dead_worker_took_and_did_not_start_is_started_by_another(
    shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "command", lambda what, arguments, where: ["--version"])
    with served(shop, insecure=True) as (client, app):
        asked = client.post("/api/backfills", json={"selection": "sales", "partition": "2024-01-06"}).json()
        pid = os.posix_spawn(sys.executable, [sys.executable, "-c", ""], os.environ)
        os.waitpid(pid, 0)
        app.state.service.project.journal.append(WorkTaken(request_id=asked["id"], pid=pid, host=os.uname().nodename))
        with working(shop):
            assert ended(client, asked["id"])["state"] == "done"
        (request,) = client.get("/api/requests").json()["requests"]
        assert request["pid"] != pid


def test_a_server_may_start_work_itself(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "command", lambda what, arguments, where: ["--version"])
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
