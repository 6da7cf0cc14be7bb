"""The courier: events go out beside the run, and nothing stays behind when the process ends, however it ends."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from collector import OK, Answer, Collector, running
from courier_script import clean_environment, run_flows
from outbox import Outbox, a_run

from headwater.lineage.openlineage.courier import Courier, wake

LONG = """
import os, sys, time
from pathlib import Path
from headwater import flow

@flow
def nightly():
    Path("began").touch()
    until = time.monotonic() + 30
    while not Path("go").exists() and time.monotonic() < until:
        time.sleep(0.01)

@flow
def forks():
    child = os.fork()
    if child == 0:
        Path("began").touch()
        until = time.monotonic() + 30
        while not Path("gone").exists() and time.monotonic() < until:
            time.sleep(0.01)
        os._exit(0)
    nightly()
    os.waitpid(child, 0)

globals()[sys.argv[1]]()
"""


def wait_until(condition: Callable[[], bool], seconds: float = 20) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def couriers(folder: Path) -> list[int]:
    """The couriers that serve the home in this folder."""
    listed = subprocess.run(
        ["ps", "-A", "-ww", "-o", "pid=,command="], capture_output=True, text=True, check=True
    ).stdout
    found = [line.split(None, 1) for line in listed.splitlines() if "openlineage.courier" in line]
    return [int(pid) for pid, command in found if str(folder) in command]


def start(folder: Path, url: str, flow: str = "nightly") -> subprocess.Popen[bytes]:
    (folder / "long.py").write_text(LONG)
    # More time than there is usually, so that a busy machine does not decide what is seen.
    environment = clean_environment(folder, url, HEADWATER_OPENLINEAGE_DRAIN="1")
    process = subprocess.Popen([sys.executable, "long.py", flow], cwd=folder, env=environment)
    wait_until((folder / "began").exists)
    return process


def test_events_arrive_while_the_run_goes_on_and_its_end_follows(tmp_path: Path) -> None:
    with running() as collector, start(tmp_path, collector.url) as process:
        wait_until(lambda: len(collector.arrived) == 1)
        assert process.poll() is None
        (tmp_path / "go").touch()
        assert process.wait(20) == 0
        assert couriers(tmp_path) == []
        # On a machine that is very busy the end goes with the next process.
        kinds = [event["eventType"] for event in collector.arrived]
        assert kinds in (["START", "COMPLETE"], ["START"])


@pytest.mark.parametrize("flow", ["nightly", "forks"])
def test_it_ends_when_its_process_is_killed(tmp_path: Path, flow: str) -> None:
    with running() as collector, start(tmp_path, collector.url, flow) as process:
        wait_until(lambda: len(couriers(tmp_path)) == 1 and len(collector.arrived) >= 1)
        process.kill()
        process.wait(20)
        wait_until(lambda: couriers(tmp_path) == [])
        (tmp_path / "gone").touch()


def test_a_hanging_collector_gets_an_event_once_and_is_then_left_alone(tmp_path: Path) -> None:
    with running(lambda number, event: Answer(hangs=True, keeps=False)) as collector:
        process = start(tmp_path, collector.url)
        with process:
            wait_until(lambda: collector.requests == 1)
            (tmp_path / "go").touch()
            began = time.monotonic()
            assert process.wait(20) == 0
            assert time.monotonic() - began < 4
        rest = json.loads((tmp_path / ".headwater/openlineage/rest.json").read_bytes())
        assert rest["until"] > 0
        assert collector.requests == 1
        (state,) = (tmp_path / ".headwater/openlineage").glob("http-*.json")
        assert "had not answered" in json.loads(state.read_bytes())["error"]


def test_while_all_rest_no_courier_starts(tmp_path: Path) -> None:
    with running() as collector:
        folder = tmp_path / ".headwater/openlineage"
        run_flows(tmp_path, 1)
        folder.mkdir(exist_ok=True)
        (folder / "rest.json").write_text(json.dumps({"until": time.time_ns() // 1_000 + 10**9}))
        run_flows(tmp_path, 1, collector.url)
        assert collector.requests == 0
        outbox = Outbox(tmp_path, collector)
        wake(outbox.home)
        assert list(folder.glob("rest.json")) == []


def test_a_run_tells_that_the_configuration_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "wrong.yml").write_text("transport:\n  type: http\n   url: http://localhost:1\n")
    (tmp_path / "script.py").write_text("from headwater import flow\n\n@flow\ndef nightly():\n    pass\n\nnightly()\n")
    environment = clean_environment(tmp_path, OPENLINEAGE_CONFIG="wrong.yml", HEADWATER_OPENLINEAGE_DRAIN="20")

    def told() -> str:
        done = subprocess.run(
            [sys.executable, "script.py"], cwd=tmp_path, env=environment, check=True, capture_output=True, text=True
        )
        return done.stderr

    first, second = told(), told()
    assert first.startswith(
        "OpenLineage events wait: wrong.yml is no YAML, from line 3, column 7 on (wrong.yml); it is "
    )
    assert second == first, "the second looks at no configuration: what was found a moment ago is told again"
    (tmp_path / "wrong.yml").write_text("transport:\n  type: file\n  log_file_path: events\n  append: true\n")
    (tmp_path / ".headwater/openlineage/rest.json").unlink()  # its time is over
    assert told() == ""
    assert len((tmp_path / "events").read_text().splitlines()) == 6


def test_what_is_left_goes_with_the_next_process(tmp_path: Path) -> None:
    with running() as collector:
        run_flows(tmp_path, 3)
        wanted = len(Outbox(tmp_path, collector).expected())
        with start(tmp_path, collector.url) as process:
            wait_until(lambda: len(collector.arrived) == wanted + 1)
            (tmp_path / "go").touch()
            assert process.wait(20) == 0
        assert [event["eventType"] for event in collector.arrived[:7]] == ["START", "COMPLETE"] * 3 + ["START"]


class TestInThisProcess:
    def courier(self, folder: Path, url: str, monkeypatch: pytest.MonkeyPatch, seconds: float = 10.0) -> Courier:
        for name, value in clean_environment(folder, url).items():
            monkeypatch.setenv(name, value)
        return Courier(folder / ".headwater", folder, "", seconds)

    def test_it_delivers_and_is_gone(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        with running() as collector:
            outbox = Outbox(tmp_path, collector)
            outbox.write(*a_run())
            courier = self.courier(tmp_path, collector.url, monkeypatch)
            courier.start()
            courier.finish()
            courier.finish()
            assert collector.arrived == outbox.expected()

    def test_one_that_does_not_end_is_killed(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        courier = self.courier(tmp_path, "http://127.0.0.1:9", monkeypatch, seconds=0.0)
        Outbox(tmp_path, Collector())
        courier.start()
        began = time.monotonic()
        courier.finish()
        assert time.monotonic() - began < 2

    def test_in_a_forked_child_it_is_the_parents(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        with running() as collector:
            outbox = Outbox(tmp_path, collector)
            courier = self.courier(tmp_path, collector.url, monkeypatch)
            courier.start()
            child = os.fork()
            if child == 0:
                courier.finish()
                os._exit(0)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
            outbox.write(*a_run())
            wait_until(lambda: len(collector.arrived) == 4)
            courier.finish()

    def test_without_an_interpreter_events_wait(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        courier = self.courier(tmp_path, "http://127.0.0.1:9", monkeypatch)
        monkeypatch.setattr(sys, "executable", "/nowhere/python")
        courier.start()
        courier.finish()


def test_a_wrong_configuration_stops_no_run(tmp_path: Path) -> None:
    run_flows(tmp_path, 1, "not a url")
    assert not couriers(tmp_path)


def test_a_client_that_the_configuration_asks_for_delivers_too(tmp_path: Path) -> None:
    with running(lambda number, event: OK) as collector:
        config = {"transport": {"type": "http", "url": collector.url}}
        (tmp_path / "openlineage.yml").write_text(json.dumps(config))
        run_flows(tmp_path, 1, HEADWATER_OPENLINEAGE_DRAIN="20")
        assert [event["eventType"] for event in collector.arrived] == ["START", "COMPLETE"]


def test_a_position_that_cannot_be_read_holds_up_no_other_destination(tmp_path: Path) -> None:
    with running() as collector:
        places = [{"type": "file", "log_file_path": str(tmp_path / "lineage.log"), "append": True}]
        transport = {"type": "composite", "transports": [*places, {"type": "http", "url": collector.url}]}
        (tmp_path / "openlineage.yml").write_text(json.dumps({"transport": transport}))
        run_flows(tmp_path, 1, HEADWATER_OPENLINEAGE_DRAIN="20")
        assert len(collector.arrived) == 2
        (position,) = (tmp_path / ".headwater/openlineage").glob("transport-*.json")
        position.write_text("{")
        run_flows(tmp_path, 1, sleep=1.0, HEADWATER_OPENLINEAGE_DRAIN="20")
        assert [event["eventType"] for event in collector.arrived] == ["START", "COMPLETE"] * 2
        assert position.read_text() == "{"


def test_ctrl_c_ends_both(tmp_path: Path) -> None:
    with running() as collector, start(tmp_path, collector.url) as process:
        wait_until(lambda: len(collector.arrived) == 1)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == -signal.SIGINT
        wait_until(lambda: couriers(tmp_path) == [])
