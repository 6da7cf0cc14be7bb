"""Starting and stopping work through the API: by requests in the journal, in processes of their own."""

import contextlib
import errno
import json
import os
import signal
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
from clocks import SetBack
from fastapi.testclient import TestClient

from headwater import clock, settings
from headwater.api import commands, work
from headwater.assets.backfill_events import BackfillRequested
from headwater.cli import app as command_line
from headwater.core import runtime
from headwater.core.events import RunEnded, RunStarted
from headwater.core.journal.home import Home
from headwater.core.journal.reader import Reader
from headwater.core.request_events import WorkAsked, WorkCancelRequested, WorkStarted, WorkTaken
from headwater.lineage import asking
from headwater.lineage.asking import request_lock
from headwater.lineage.reader import Reader as Answers
from headwater.project import Project


@contextmanager
def working(shop: Path, *files: Path, limit: int | None = None) -> Iterator[Project]:
    """A worker in a thread; what it started has ended when this does."""
    project, over = Project(settings.load(shop)), threading.Event()
    worker = work.Worker(project, files, limit=limit)
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


def kinds(shop: Path) -> list[str]:
    """The kinds of the events in a journal."""
    return [event.kind for event in Reader(Home.open(shop / ".headwater", create=False)).events()]


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
