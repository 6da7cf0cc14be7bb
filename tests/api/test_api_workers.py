"""Who takes a request: once, whatever dies, hangs or has its clock set back, and taken back while nothing has begun."""

import contextlib
import errno
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from api_world import served, until
from clocks import SetBack
from work_world import ended, kinds, working

from headwater import clock
from headwater.api import commands, work
from headwater.core.events import RunEnded, RunStarted
from headwater.core.journal.home import Home
from headwater.core.journal.reader import Reader
from headwater.core.request_events import WorkAsked, WorkCancelRequested, WorkStarted, WorkTaken
from headwater.lineage import asking
from headwater.lineage.asking import request_lock


def test_a_request_is_taken_once_however_many_look(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "command", lambda what, arguments, where: ["--version"])
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


def test_what_no_worker_has_begun_is_taken_back(shop: Path) -> None:
    with served(shop, insecure=True) as (client, app):
        backfill = {"selection": "sales", "partition": "2024-01-06"}
        asked = [client.post("/api/backfills", json=backfill).json()["id"] for _ in range(4)]
        run = client.post("/api/materializations", json=backfill).json()["id"]
        taken = client.post(f"/api/requests/{asked[0]}/cancel").json()
        assert (taken["state"], taken["exit_code"]) == ("cancelled", 130)
        for what in (f"backfills/{asked[1]}", f"runs/{run}"):
            assert client.post(f"/api/{what}/cancel").json()["state"] == "cancelled"
        # One that a worker is about to take is no longer taken back: it holds the lock.
        project = app.state.service.project
        lock = project.locks.try_hold(request_lock(asked[2]))
        assert lock is not None
        with lock:
            told = client.post(f"/api/requests/{asked[2]}/cancel")
            assert (told.status_code, told.json()["type"]) == (400, "urn:headwater:error:usage")
            assert told.json()["detail"] == f"a worker has begun the request {asked[2]}"
        with working(shop):
            for one in asked[2:]:
                assert ended(client, one)["state"] == "done"
        for one in (asked[0], asked[1], run):
            assert client.get(f"/api/requests/{one}").json()["state"] == "cancelled"
            assert client.get(f"/api/runs/{one}").status_code == 404
        again = client.post(f"/api/requests/{asked[0]}/cancel")
        assert again.json()["detail"] == f"the request {asked[0]} is over: it is cancelled"
        for what in ("requests/nope", "backfills/nope", "runs/nope"):
            assert client.post(f"/api/{what}/cancel").status_code == 404
        assert client.post(f"/api/backfills/{asked[3]}/pause").status_code == 400  # it is over
        changes = client.get("/api/audit").json()["changes"]
        assert [one["subject"] for one in changes if one["what"] == "work: cancel"] == [run, asked[1], asked[0]]


def test_what_a_worker_took_and_died_is_taken_back(shop: Path) -> None:
    with served(shop, insecure=True) as (client, app):
        backfill = {"selection": "sales", "partition": "2024-01-06"}
        asked, begun = (client.post("/api/backfills", json=backfill).json()["id"] for _ in range(2))
        journal = app.state.service.project.journal
        journal.append(*(WorkTaken(request_id=one, pid=1, host="gone") for one in (asked, begun)))
        run = RunStarted(
            run_id=begun, flow="b", root_run_id=begun, root_flow="b", project="shop", parameters={}, type="backfill"
        )
        journal.append(run)
        assert client.post(f"/api/runs/{asked}/cancel").json()["state"] == "cancelled"
        told = client.post(f"/api/requests/{begun}/cancel")
        assert (told.status_code, told.json()["detail"]) == (400, f"a worker has begun the request {begun}")
        with working(shop):
            again = client.post("/api/backfills", json=backfill).json()["id"]
            assert ended(client, again)["state"] == "done"
        assert client.get(f"/api/requests/{asked}").json()["state"] == "cancelled"
        assert client.get(f"/api/runs/{asked}").status_code == 404


HANGS = """\
import signal, time
from pathlib import Path
from headwater import flow

@flow
def hangs(): ...

if Path("deaf").exists():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
Path("loads").touch()
time.sleep(600)
"""


@pytest.mark.parametrize("how", ["plain", "deaf", "orphan"])
def test_what_hangs_while_it_loads_its_code_is_taken_back(
    shop: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "_GRACE", 0.5 if how == "deaf" else 30)
    (shop / "hangs.py").write_text(HANGS)
    if how == "deaf":
        (shop / "deaf").touch()
    with served(shop, insecure=True) as (client, _):
        asked = client.post("/api/runs", json={"flow": "hangs.py:hangs"}).json()["id"]
        with contextlib.ExitStack() as open_ones:
            if how == "orphan":
                worker = subprocess.Popen([sys.executable, "-m", "headwater", "worker", "-f", "hangs.py"], cwd=shop)
            else:
                open_ones.enter_context(working(shop, shop / "hangs.py"))
            until(lambda: (shop / "loads").is_file())
            until(lambda: kinds(shop).count("work.started") == 1)
            if how == "orphan":
                worker.kill()
                worker.wait()
            assert client.get(f"/api/requests/{asked}").json()["state"] == "running"
            assert client.post(f"/api/runs/{asked}/cancel").json()["state"] == "cancelled"
        with working(shop):  # nobody starts it again
            again = client.post("/api/materializations", json={"selection": "sales", "partition": "2024-01-06"}).json()
            assert ended(client, again["id"])["state"] == "done"
        found = client.get(f"/api/requests/{asked}").json()
        assert (found["state"], found["takes"], found["cancelled_by"]) == ("cancelled", 1, "local")
        assert client.get(f"/api/runs/{asked}").status_code == 404
        changes = client.get("/api/audit").json()["changes"]
        assert [one["subject"] for one in changes if one["what"] == "work: cancel"] == [asked]


def test_what_was_to_be_taken_back_is_not_started_again(shop: Path) -> None:
    with served(shop, insecure=True) as (client, app):
        asked = client.post("/api/backfills", json={"selection": "sales", "partition": "2024-01-06"}).json()["id"]
        journal = app.state.service.project.journal
        # Who took it back was killed, and so was the worker, before either could say that it has ended.
        journal.append(WorkTaken(request_id=asked, pid=1, host="gone"))
        journal.append(WorkCancelRequested(request_id=asked, asked_by="somebody"))
        with working(shop):
            until(lambda: client.get(f"/api/requests/{asked}").json()["state"] == "cancelled")
        assert client.get(f"/api/backfills/{asked}").status_code == 404


def test_a_process_that_is_another_containers_is_not_stopped_by_its_number(shop: Path) -> None:
    with (
        served(shop, insecure=True) as (client, app),
        subprocess.Popen([sys.executable, "-c", "input()"], stdin=-1) as one,
    ):
        asked = client.post("/api/backfills", json={"selection": "sales", "partition": "2024-01-06"}).json()["id"]
        project, host = app.state.service.project, os.uname().nodename
        project.journal.append(
            WorkTaken(request_id=asked, pid=1, host=host),
            WorkStarted(request_id=asked, pid=one.pid, host=host, numbers="pid:[1]"),
        )
        with project.locks.try_hold(request_lock(asked)):
            answer = client.post(f"/api/requests/{asked}/cancel")
        assert "in the container that it runs in" in answer.json()["hint"]
        assert one.poll() is None
        one.communicate(b"\n")


DYING = """
import os, signal, subprocess, sys, threading
from headwater import settings
from headwater.api import work
from headwater.core import runtime
from headwater.project import Project

class Dying(subprocess.Popen):
    def __init__(self, *given, **named):
        if sys.argv[1] == "after":
            super().__init__(*given, **named)
        os.kill(os.getpid(), signal.SIGKILL)

work.subprocess.Popen = Dying
project = Project(settings.load())
with runtime.use(project):
    work.Worker(project).work(threading.Event())
"""


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_worker_that_dies_as_it_starts_something_starts_it_once(
    shop: Path, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "_WHOLE", 0.2)  # it looks at what others have left behind more often
    with served(shop, insecure=True) as (client, _):
        asked = client.post("/api/backfills", json={"selection": "sales", "partition": "2024-01-06"}).json()
        dying = subprocess.run([sys.executable, "-c", DYING, when], cwd=shop, timeout=60, check=False)
        assert dying.returncode == -signal.SIGKILL
        # What the dead one had started lives on, and nobody starts it again: neither at once nor when it has ended.
        with working(shop):
            done = ended(client, asked["id"])
        assert (done["state"], done["exit_code"], done["takes"]) == ("done", 0, 2 if when == "before" else 1)
        assert client.get(f"/api/backfills/{asked['id']}").json()["partitions"]["completed"] == 1
        assert [one["attempt"] for one in client.get(f"/api/runs/{asked['id']}").json()["attempts"]] == [1]
        assert kinds(shop).count("backfill.requested") == 2  # the one of its past, and this one


def test_a_worker_with_a_limit_has_no_more_at_work_at_once(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "_WHOLE", 1e6)  # what waits is begun when there is room, and not at the next whole look
    with served(shop, insecure=True) as (client, _):
        asked = [
            client.post("/api/backfills", json={"selection": "sales", "partition": f"2024-01-0{day}"}).json()["id"]
            for day in (6, 7, 8)
        ]
        with working(shop, limit=1):
            assert [ended(client, one)["state"] for one in asked] == ["done"] * 3
        events = [
            event.body["request_id"]
            for event in Reader(Home.open(shop / ".headwater", create=False)).events()
            if event.kind in ("work.taken", "work.ended")
        ]
    assert events == [one for one in asked for _ in ("taken", "ended")]


def test_what_was_taken_before_the_machine_got_another_name_is_started_again(shop: Path) -> None:
    with served(shop, insecure=True) as (client, app):
        asked = client.post("/api/backfills", json={"selection": "sales", "partition": "2024-01-06"}).json()
        app.state.service.project.journal.append(WorkTaken(request_id=asked["id"], pid=1, host="its old container"))
        with working(shop):
            done = ended(client, asked["id"])
        assert (done["state"], done["exit_code"], done["takes"]) == ("done", 0, 2)


def test_a_machine_without_room_for_another_process_is_waited_for(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "_WHOLE", 0.1)
    start, refused = subprocess.Popen, iter(range(5))

    def full(*given: Any, **named: Any) -> Any:
        if next(refused, None) is not None:
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
        return start(*given, **named)

    with served(shop, insecure=True) as (client, _):
        asked = client.post("/api/backfills", json={"selection": "sales", "partition": "2024-01-06"}).json()
        monkeypatch.setattr(work.subprocess, "Popen", full)
        with working(shop):
            done = ended(client, asked["id"])
        assert (done["state"], done["exit_code"], done["takes"]) == ("done", 0, 1)


def test_a_clock_that_is_set_back_starts_nothing_again(shop: Path) -> None:
    with served(shop, insecure=True) as (client, app), clock.use(moved := SetBack()):
        asked = client.post("/api/backfills", json={"selection": "sales", "partition": "2024-01-06"}).json()["id"]
        journal = app.state.service.project.journal
        journal.append(WorkTaken(request_id=asked, pid=1, host=os.uname().nodename))
        moved.by = 3_600_000_000
        run = {"run_id": asked, "flow": "b", "root_run_id": asked, "root_flow": "b", "project": "shop"}
        journal.append(RunStarted(**run, parameters={}), RunEnded(**run, state="Completed", started=clock.now_us()))
        with working(shop):
            done = ended(client, asked)
        assert (done["state"], done["takes"], done["message"]) == ("done", 1, None)


def test_a_clock_that_is_set_back_keeps_no_worker_from_looking(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "_WHOLE", 0.5)
    monkeypatch.setattr(commands, "command", lambda what, arguments, where: ["--version"])
    consider, looked = work.Worker._consider, list[str]()

    def considered(worker: work.Worker, request_id: str, refused: str | None) -> None:
        consider(worker, request_id, refused)
        looked.append(request_id)

    monkeypatch.setattr(work.Worker, "_consider", considered)
    with served(shop, insecure=True) as (client, app), clock.use(moved := SetBack()), working(shop):
        first = client.post("/api/backfills", json={"selection": "sales"}).json()["id"]
        assert ended(client, first)["state"] == "done"
        dropped = app.state.service.project.locks.try_hold(request_lock("left behind"))
        assert dropped is not None
        with dropped:
            app.state.service.project.journal.append(
                WorkAsked(request_id="left behind", what="backfill", arguments={"selection": "sales"})
            )
            until(lambda: client.get("/api/requests/left behind").status_code == 200)
            until(lambda: "left behind" in looked)
            moved.by = 3_600_000_000
        assert ended(client, "left behind")["state"] == "done"


def test_what_never_gets_to_record_anything_is_given_up(shop: Path) -> None:
    with served(shop, insecure=True) as (client, app):
        asked = client.post("/api/backfills", json={"selection": "sales", "partition": "2024-01-06"}).json()
        taken = WorkTaken(request_id=asked["id"], pid=1, host=os.uname().nodename)
        app.state.service.project.journal.append(taken, taken, taken)
        with working(shop):
            done = ended(client, asked["id"])
        assert (done["state"], done["takes"]) == ("failed", 3)
        assert "recorded anything" in done["message"]
