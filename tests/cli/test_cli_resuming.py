"""`headwater runs resume` and `headwater runs retry`, as somebody uses them whose run has died."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from cli_project import Cli

FLOWS = """\
from pathlib import Path

from headwater import flow, task


def note(line):
    with Path("ran.txt").open("a") as file:
        file.write(f"{line}\\n")


@task
def load(number):
    note(f"load {number}")
    return {"number": number}


@task
def double(loaded):
    note(f"double {loaded['number']}")
    if Path("broken").exists() and loaded["number"] == 2:
        raise ValueError("two")
    return 2 * loaded["number"]


@flow(name="nightly", run_name="of {count}")
def main(count: int, token: str = "open"):
    return sum(double(load(number)) for number in range(count))


if __name__ == "__main__":
    print(main(4))
"""
MANY = """\
import sys
import threading
from pathlib import Path

from headwater import flow, task

STOP_AT = 60


@task
def work(number):
    with Path("ran.txt").open("a") as file:
        file.write(f"{number}\\n")
    return number * number


@task
def stop(number):
    if Path("broken").exists():
        print("here", flush=True)
        threading.Event().wait(600)
    return number


@flow
def main(count: int):
    total = 0
    for number in range(count):
        total += work(number)
        if number == STOP_AT:
            stop(number)
    return total


if __name__ == "__main__":
    print(main(150))
"""


@pytest.fixture
def failed(folder: Path, python: Cli, cli: Cli) -> str:
    """The id of a run that failed in its third `double`."""
    (folder / "flows.py").write_text(FLOWS)
    (folder / "broken").touch()
    assert python("flows.py").code == 1
    (folder / "broken").unlink()
    return str(cli("runs", "--json").json["runs"][0]["id"])


def ran(folder: Path) -> list[str]:
    lines = (folder / "ran.txt").read_text().splitlines()
    (folder / "ran.txt").write_text("")
    return lines


def test_resume(folder: Path, cli: Cli, failed: str) -> None:
    ran(folder)
    done = cli("runs", "resume", failed[:-2])
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [
        f"{failed}  nightly  Completed  attempt 2",
        "  reused: load (3 times), double (2 times)",
    ]
    assert ran(folder) == ["double 2", "load 3", "double 3"]
    row = cli("runs", "--json").json["runs"][0]
    assert (row["id"], row["name"], row["state"], row["attempt"]) == (failed, "of 4", "Completed", 2)
    assert cli("runs").out.splitlines()[0].split()[:5] == ["run", "flow", "name", "state", "attempt"]
    again = cli("runs", "resume", failed)
    assert again.code == 2
    assert "runs retry" in again.err


def test_resume_as_json(folder: Path, cli: Cli, failed: str) -> None:
    value = cli("runs", "resume", failed, "--json").json
    assert (value["run"], value["attempt"], value["state"], value["result"]) == (failed, 2, "Completed", 12)
    assert Counter(row["task"] for row in value["reused"]) == {"load": 3, "double": 2}
    assert {row["from"]["attempt"] for row in value["reused"]} == {1}
    assert value["again"] == []


def test_a_dry_run_does_nothing(folder: Path, cli: Cli, failed: str) -> None:
    ran(folder)
    done = cli("runs", "resume", failed, "--dry-run")
    assert done.out.splitlines() == [
        f"{failed}  nightly: what attempt 2 could reuse, if the flow calls it again",
        "  reusable: load (3 times), double (2 times)",
        "  did not complete: double: Failed",
    ]
    value = cli("runs", "retry", failed, "--from", "double", "--dry-run", "--json").json
    assert Counter(row["task"] for row in value["reusable"]) == {"load": 1}
    assert len(value["again"]) == 4
    assert ran(folder) == []
    assert cli("runs", "--json").json["runs"][0]["attempt"] == 1


def test_it_fails_again(folder: Path, cli: Cli, failed: str) -> None:
    (folder / "broken").touch()
    done = cli("runs", "resume", failed)
    assert done.code == 1
    assert "reused: load (3 times), double (2 times)" in done.err
    assert "ValueError: two" in done.err
    assert f"headwater runs resume {failed}" in done.err


def test_retry(folder: Path, cli: Cli, failed: str) -> None:
    cli("runs", "resume", failed)
    ran(folder)
    done = cli("runs", "retry", failed, "--from", "double")
    assert done.code == 0
    assert ran(folder) == ["double 0", "load 1", "double 1", "load 2", "double 2", "load 3", "double 3"]
    assert "ran again: double (4 times): it is 'double', from which on the run is retried" in done.out
    said = [row for row in cli("logs", failed, "--json").json["logs"] if row["logger"] == "headwater.resume"]
    assert len(said) == 7
    told = cli("explain", f"{failed}/{said[-1]['task_run']}", "--json").json
    assert (told["subject"], told["verdict"]) == (f"{failed}/double", "again")
    assert told["reason"]["because"][0]["text"] == said[-1]["message"]
    unknown = cli("runs", "retry", failed, "--from", "duoble")
    assert unknown.code == 2
    assert "double" in unknown.err


def test_a_secret_is_given_anew(folder: Path, cli: Cli, failed: str) -> None:
    (folder / "broken").touch()
    assert cli("run", "flows.py", "-p", "count=4", "-p", "token=hunter2").code == 1
    (folder / "broken").unlink()
    run_id = cli("runs", "--json").json["runs"][0]["id"]
    refused = cli("runs", "resume", run_id)
    assert refused.code == 2
    assert "-p token=…" in refused.err
    assert cli("runs", "resume", run_id, "-p", "token=hunter3").code == 0


def test_the_file_of_the_flow(folder: Path, cli: Cli, failed: str) -> None:
    (folder / "flows.py").rename(folder / "moved.py")
    gone = cli("runs", "resume", failed)
    assert gone.code == 2
    assert "stood in flows.py" in gone.err
    other = cli("runs", "resume", failed, "-f", "moved.py:load")
    assert other.code == 2
    assert cli("runs", "resume", failed, "-f", "moved.py:main").code == 0


def test_a_run_of_another_kind(shop: Path, cli: Cli) -> None:
    assert cli("materialize", "sales", "--partition", "2024-01-01").code == 0
    row = cli("runs", "--json").json["runs"][0]
    refused = cli("runs", "resume", row["id"])
    assert refused.code == 2
    assert "can't be resumed" in refused.err
    assert cli("backfill", "sales", "--from", "2024-01-02", "--to", "2024-01-03").code == 0
    row = cli("runs", "--json").json["runs"][0]
    refused = cli("runs", "resume", row["id"])
    assert refused.code == 2
    assert f"headwater backfill resume {row['id']}" in refused.err


def killed(folder: Path) -> None:
    """Run MANY, and kill its process when 61 of its tasks have completed."""
    (folder / "many.py").write_text(MANY)
    (folder / "broken").touch()
    process = subprocess.Popen([sys.executable, "many.py"], cwd=folder, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "here\n"
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    (folder / "broken").unlink()


def crashed_run(cli: Cli) -> dict[str, Any]:
    until = time.monotonic() + 30
    while True:
        row: dict[str, Any] = cli("runs", "--json").json["runs"][0]
        if row["state"] == "Crashed" or time.monotonic() > until:
            return row


def test_a_killed_process_is_resumed_where_it_died(folder: Path, cli: Cli, process: Cli) -> None:
    killed(folder)
    row = crashed_run(cli)
    assert row["state"] == "Crashed"
    value = process("runs", "resume", row["id"], "--json").json
    assert value["result"] == sum(number * number for number in range(150))
    assert ran(folder) == [str(number) for number in range(150)]
    assert len(value["reused"]) == 61
    tasks = cli("runs", "--json").json["runs"][0]["tasks"]
    assert tasks == {"Cached": 61, "Completed": 90}


def test_two_who_resume_at_once_make_one_attempt(folder: Path, cli: Cli) -> None:
    killed(folder)
    row = crashed_run(cli)
    command = [sys.executable, "-m", "headwater", "runs", "resume", row["id"], "--json"]
    both = [subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(2)]
    outs = [one.communicate(timeout=60) for one in both]
    codes = sorted(one.returncode for one in both)
    assert codes in ([0, 2], [0, 3]), outs
    assert sorted(map(int, ran(folder))) == list(range(150))
    winner = next(out for one, (out, _) in zip(both, outs, strict=True) if one.returncode == 0)
    assert json.loads(winner)["attempt"] == 2


CLASSES = """\
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from headwater import Asset, flow, materialize, task


@dataclass(frozen=True)
class Order:
    number: int


class Kind(Enum):
    SMALL = "small"


FIRST = Order(1)


@task
def read() -> Order:
    return FIRST


@task(cache=True)
def sort(order: Order) -> dict[str, Kind]:
    print("sorting")
    return {"kind": Kind.SMALL}


@materialize(Asset("orders", at="parquet://lake/orders"))
def make(kind=Kind.SMALL):
    return [{"number": FIRST.number, "kind": kind.value}]


@task
def send():
    assert Path("ready").exists()


@flow
def main():
    read()
    sort(FIRST)
    make()
    send()


@flow(runner="processes")
def elsewhere():
    sort.submit(FIRST).result()


if __name__ == "__main__":
    elsewhere()
    main()
"""


def test_classes_of_a_script_are_the_same_when_it_is_run_and_when_it_is_loaded(
    cli: Cli, python: Cli, folder: Path
) -> None:
    (folder / "flows.py").write_text(CLASSES)
    done = python("flows.py")
    assert (done.code, done.out.count("sorting")) == (1, 1)
    assert not cli("status", "-f", "flows.py", "--json").json["assets"][0]["stale"]["is_stale"]
    (folder / "ready").write_text("")
    run_id = cli("runs", "--flow", "main", "--json").json["runs"][0]["id"]
    resumed = cli("runs", "resume", run_id, "--json")
    assert [one["task"] for one in resumed.json["reused"]] == ["read", "make"]
    for done in (resumed, cli("run", "flows.py:main"), cli("run", "flows.py:elsewhere"), python("flows.py")):
        assert (done.code, "sorting" in done.out + done.err) == (0, False)
