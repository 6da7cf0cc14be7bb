"""Traces: a server sends what ran as spans, once, whatever happens to it, to the collector and to the runs."""

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import openlineage_cases as cases
import pytest
from api_world import served, until
from cli_project import as_in_a_new_process
from otlp_receiver import Receiver, receiving

from headwater import clock, ids
from headwater.cli import app as command_line
from headwater.core.events import RunStarted, TaskEnded, TaskStarted
from headwater.core.journal.events import Body
from headwater.core.journal.files import FileCarrier
from headwater.core.journal.home import Home
from headwater.core.journal.writer import Writer
from headwater.errors import ExportError, SettingsError
from headwater.integrations.opentelemetry import configured
from headwater.integrations.opentelemetry.origins import Origins
from headwater.integrations.opentelemetry.spans import KINDS, Spans, span_id, trace_id
from headwater.lineage.openlineage.exporter import Exporter
from headwater.lineage.projection import Projection
from headwater.project import Project
from headwater.settings import Settings

SLEEPER = """\
import time
from headwater import flow, task

@task
def nap():
    print("asleep", flush=True)
    time.sleep(600)

@flow
def night():
    nap()
"""


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    with receiving() as found:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", found.url)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-key=canary-k3y")
        yield found


class World:
    """A home whose spans go to the collector that is configured, without a server."""

    def __init__(self, folder: Path) -> None:
        self.home = Home.open(folder / ".headwater", create=True)

    def write(self, *bodies: Body) -> None:
        writer = Writer(self.home)
        writer.append(*bodies)
        writer.close()

    def drain(self) -> int:
        """As a new process would."""
        destination = configured.collector()
        assert destination is not None
        spans = Spans(Origins(Projection(self.home)))
        return Exporter(self.home, FileCarrier(self.home), destination, tell=spans.tell, kinds=KINDS).drain()


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def task_ended(run_id: str, task_run_id: str, state: str = "Completed") -> TaskEnded:
    return TaskEnded(task_run_id=task_run_id, run_id=run_id, task="t", state=state, tries=1, started=clock.now_us())


def test_what_ran_is_told_once_by_whichever_server(
    shop: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "the shop")
    receiver.answer = lambda number, spans: 503 if number == 1 else 200
    with served(shop, insecure=True) as (client, _):
        until(lambda: len(receiver.spans) >= 11)
        run = client.get("/api/runs").json()["runs"][0]
        until(lambda: (to := client.get("/api/openlineage").json()["destinations"]) and to[0]["delivered"] == 11)
        (to,) = client.get("/api/openlineage").json()["destinations"]
        assert to == to | {"destination": f"{receiver.url}/v1/traces", "what": "traces", "pending": 0, "error": None}
        figures = client.get("/metrics").text
        assert f'headwater_traces_pending{{destination="{receiver.url}/v1/traces"}} 0.0' in figures
        assert "headwater_openlineage_pending{" not in figures
    (top,) = receiver.named("backfill sales")
    assert (top.trace, top.id, top.parent) == (trace_id((run["id"], 1)), span_id("run", run["id"]), "")
    assert clock.rfc3339(top.start // 1_000) == run["started"]
    assert top.attributes["headwater.run.type"] == "backfill"
    assert top.resource["service.name"] == "the shop"
    tasks = receiver.named("ingest")
    made = receiver.named("materialize sales")
    assert [one.parent for one in tasks] == [top.id] * 5
    assert {one.parent for one in made} == {one.id for one in tasks}
    assert {one.trace for one in receiver.spans} == {top.trace}
    assert all(top.start <= one.start <= one.end <= top.end and not one.failed for one in made)
    assert {one.attributes["headwater.partition"] for one in made} == {f"2024-01-0{day}" for day in range(1, 6)}
    assert {(one.attributes["headwater.asset"], one.attributes["headwater.materialization.rows"]) for one in made} == {
        ("sales", 2)
    }
    assert set(receiver.paths) == {"/v1/traces"}
    assert all(one["x-key"] == "canary-k3y" for one in receiver.headers)
    with (
        served(shop, insecure=True) as (client, _),
        subprocess.Popen(
            [sys.executable, "-m", "headwater", "run", "shop.py:breaks"],
            cwd=shop,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process,
    ):
        assert process.wait(60) == 1
        until(lambda: receiver.named("breaks"))
    (broken,) = receiver.named("breaks")
    assert broken.failed
    assert broken.attributes["error.type"] == broken.events["exception"]["exception.type"] == "RuntimeError"
    assert "the roof is leaking" in broken.events["exception"]["exception.stacktrace"]
    assert broken.attributes["code.function.name"] == "breaks"
    assert len({one.id for one in receiver.spans}) == len(receiver.spans) == 13


def test_what_has_not_been_told_does_not_expire(world: World, receiver: Receiver) -> None:
    project = Project(Settings(root=world.home.path.parent, project="shop"))

    def work() -> None:
        run, task = ids.new_id(), ids.new_id()
        world.write(
            cases.run_started(run),
            TaskStarted(task_run_id=task, run_id=run, task="t"),
            task_ended(run, task),
            cases.run_ended(run),
        )

    def pruned() -> tuple[int, bool]:
        found = project.prune(timedelta(microseconds=1))
        return sum(found.events.values()), found.undelivered is not None

    work()
    assert pruned() == (2, False)  # nobody has ever been told anything
    work()
    assert world.drain() > 0
    work()
    told = len(receiver.spans)
    assert pruned() == (2, True)
    assert pruned() == (0, True)
    assert world.drain() == 2
    assert len(receiver.spans) == told + 2
    assert pruned() == (2, False)
    project.close()


def test_a_killed_run_yields_its_spans(tmp_path: Path, receiver: Receiver) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.headwater]\nproject = "night"\n')
    (tmp_path / "night.py").write_text(SLEEPER)
    with subprocess.Popen(
        [sys.executable, "-m", "headwater", "run", "night.py:night"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        with contextlib.suppress(StopIteration):
            assert "asleep" in next(line for line in process.stdout if "asleep" in line)
        process.send_signal(signal.SIGKILL)
    with served(tmp_path, insecure=True):
        until(lambda: len(receiver.spans) == 2)
    nap, night = receiver.named("nap")[0], receiver.named("night")[0]
    assert (nap.parent, nap.trace) == (night.id, night.trace)
    assert nap.failed
    assert night.failed
    assert night.attributes["headwater.run.state"] == "Crashed"


def test_where_a_run_belongs_is_known_to_a_process_that_did_not_see_it_begin(world: World, receiver: Receiver) -> None:
    root, inner, outer_task, inner_task = (ids.new_id() for _ in range(4))
    within = {"parent_run_id": root, "parent_task_run_id": outer_task, "root_run_id": root}
    writer = Writer(world.home)  # it lives on, as its runs do
    writer.append(
        cases.run_started(root),
        TaskStarted(task_run_id=outer_task, run_id=root, task="t"),
        RunStarted(run_id=inner, flow="inner", root_flow="nightly", project="shop", parameters={}, **within),
        TaskStarted(task_run_id=inner_task, run_id=inner, task="t"),
    )
    assert world.drain() == 0
    writer.append(
        task_ended(inner, inner_task),
        cases.run_ended(inner, flow="inner", parent_run_id=root, root_run_id=root, started=clock.now_us()),
        task_ended(root, outer_task),
        task_ended(root, outer_task, "RolledBack"),
        cases.run_ended(
            inner, "RolledBack", flow="inner", parent_run_id=root, root_run_id=root, started=clock.now_us()
        ),
        cases.run_ended(root, started=clock.now_us()),
    )
    writer.close()
    assert world.drain() == 4
    assert world.drain() == 0
    of = {one.id: one for one in receiver.spans}
    assert {one.trace for one in receiver.spans} == {trace_id((root, 1))}
    assert of[span_id("task", inner_task)].parent == span_id("run", inner)
    assert of[span_id("run", inner)].parent == span_id("task", outer_task)
    assert of[span_id("task", outer_task)].parent == span_id("run", root)


def test_what_is_long_past_is_not_sent(world: World, receiver: Receiver) -> None:
    old = clock.now_us() - 2 * 3_600 * 1_000_000
    moved = clock.now_us
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clock, "now_us", lambda: old)
        world.write(cases.run_ended(ids.new_id(), flow="long ago", started=old))
    assert clock.now_us is moved
    world.write(cases.run_ended(ids.new_id(), flow="just now", started=clock.now_us()))
    world.drain()
    assert [one.name for one in receiver.spans] == ["just now"]


def test_a_span_that_is_refused_holds_up_no_other(
    world: World, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(world.home.path.parent)

    def told(*command: str) -> Any:
        with as_in_a_new_process():
            assert command_line.run(["openlineage", *command, "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    receiver.answer = lambda number, spans: 400 if any(one.name == "bad" for one in spans) else 200
    world.write(task_ended(ids.new_id(), ids.new_id(), "RolledBack"))
    world.write(*(cases.run_ended(ids.new_id(), flow=flow, started=clock.now_us()) for flow in ("a", "bad", "b")))
    (row,) = told("status")["destinations"]
    assert (row["what"], row["delivered"], row["pending"], row["dead"]) == ("traces", 0, 3, 0)
    assert world.drain() == 2
    (row,) = told("status")["destinations"]
    assert (row["delivered"], row["pending"], row["dead"]) == (2, 0, 1)
    (dead,) = told("dead")["dead"]
    assert (dead["event"], dead["job"], dead["run"]) == ("span", "bad", dead["body"]["attributes"]["headwater.run.id"])
    assert [one.name for one in receiver.spans] == ["a", "b"]
    (path,) = (world.home.path / "openlineage").glob("*.dead.ndjson")
    letter = json.loads(path.read_text())
    assert "400 Bad Request: no: ***" in letter["reason"]
    receiver.answer = lambda number, spans: 200
    assert told("replay")["destinations"] == [{"destination": row["destination"], "replayed": 1, "dead": 0}]
    assert [one.name for one in receiver.spans] == ["a", "b", "bad"]


@pytest.mark.parametrize("status", [401, 302, 503])
def test_trouble_is_told_without_a_secret_and_tried_again(
    world: World, receiver: Receiver, status: int, capfd: pytest.CaptureFixture[str]
) -> None:
    receiver.answer = lambda number, spans: status
    world.write(cases.run_ended(ids.new_id(), started=clock.now_us()))
    with pytest.raises(ExportError) as raised:
        world.drain()
    told = f"{raised.value}{raised.value.hint}{capfd.readouterr()}"
    assert str(status) in told
    assert ("OTEL_EXPORTER_OTLP_HEADERS" in told) == (status != 503)
    assert "k3y" not in told
    assert len(receiver.paths) == 1  # the exporter's own retries would hold up the server
    receiver.answer = lambda number, spans: 200
    assert world.drain() == 1


def test_nothing_is_sent_or_imported_unless_it_is_configured(shop: Path) -> None:
    code = (
        "import sys; from headwater import settings; from headwater.project import ServingProject; import headwater.api.app\n"
        "assert ServingProject(settings.load()).trace_exporters() == []\n"
        "assert not [name for name in sys.modules if name.startswith(('opentelemetry', 'google'))]"
    )
    subprocess.run([sys.executable, "-c", code], cwd=shop, check=True)


def test_what_can_not_be_is_said(
    shop: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://127.0.0.1:4317")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    with pytest.raises(SettingsError, match="only by http/protobuf"):
        configured.collector()
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_PROTOCOL")
    monkeypatch.setitem(sys.modules, "headwater.integrations.opentelemetry.collector", None)
    with pytest.raises(SettingsError) as raised:
        configured.collector()
    assert "headwater[otel]" in str(raised.value.hint)
    with contextlib.chdir(shop), as_in_a_new_process():
        assert command_line.run(["openlineage", "status"]) == 0
        assert command_line.run(["doctor"]) == 0
    told = capsys.readouterr()
    assert "traces can't be sent" in told.err  # the variables may be meant for others
    assert "headwater[otel]" in told.out
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    assert configured.collector() is None
