"""G2: what lies in the result store and in the journal never runs and never imports anything, whatever somebody planted."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import sys
from pathlib import Path

from headwater.core.events import TaskEnded, TaskKept, TaskStarted
from headwater.core.results import KeptResult
from headwater.testing import project as project_of

SHOP = """
from headwater import flow, task

@task(cache=True)
def small(at: int) -> dict:
    return {"rows": [1, at]}

@task(cache=True)
def large(at: int) -> str:
    return f"{at}" * 10_000

@flow
def main(count: int):
    return [[small(at), len(large(at))] for at in range(count)]
"""

LOOK = """
import json, pathlib, pickle, sys

FORBIDDEN = {"pickle.find_class", "os.system", "os.exec", "os.posix_spawn", "subprocess.Popen"}
seen, armed = [], []

def hook(event, args):
    if armed and (event in FORBIDDEN or (event == "import" and str(args[0]).startswith("planted"))):
        seen.append([event, repr(args)[:80]])

sys.addaudithook(hook)
import headwater.cli.app
import shop
from headwater.core.cache_entries import entries
from headwater.project import Project

armed.append(True)
project = Project.open(create=False)
damaged = entries(project.results)[1]
runs = project.reader.runs()["runs"]
told = [project.reader.task_runs(run["id"]) for run in runs]
first = next(one for one in told if one["task_runs"])
code = headwater.cli.app.run(["explain", first["run"] + "/" + first["task_runs"][0]["id"], "--json"])
code += headwater.cli.app.run(["cache", "list", "--json"])
value = shop.main(int(sys.argv[1]))
outcome = {"seen": list(seen), "planted": pathlib.Path("planted-ran").exists(), "value": value, "code": code,
    "damaged": len(damaged), "imported": [name for name in sys.modules if name.startswith("planted")]}
# And the hook does see it, where somebody unpickles what was planted.
pickle.loads(b"cplanted\\nrun\\n(tR.")
outcome["control"] = [bool(seen), pathlib.Path("planted-ran").exists()]
print("OUTCOME " + json.dumps(outcome))
"""

PLANTED = """
import pathlib

pathlib.Path("planted-ran").touch()

class Point:
    pass

def run(*_):
    return None
"""
POISON = (
    # What pickle would run when it is read, in several protocols.
    b"cplanted\nrun\n(tR.",
    b"\x80\x04\x8c\x07planted\x8c\x03run\x93)R.",
    # Class paths in our own encoding.
    b'{"record":["planted.Point",[["x",1]]]}',
    b'{"model":["planted.Point",[["fields",{"d":[]}],["extra",null],["set",{"e":[]}]]]}',
    b'{"enum":["planted.Point",[["name","A"]]]}',
    b'{"named":["planted.Point",[]]}',
    b'{"datetime":["2024-01-01T00:00:00",0,{"zone":"../planted"}]}',
    b'{"b":["pickle","Y3BsYW50ZWQKcnVuCih0Ui4="]}',
    b'{"py/object":"planted.Point"}',
)


def run(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_was_planted_in_results_and_journal_never_runs(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(SHOP)
    (tmp_path / "planted.py").write_text(PLANTED)
    count = len(POISON)
    run(tmp_path, "-c", f"import shop; shop.main({count})")
    plant(tmp_path / ".headwater" / "results")
    journal(tmp_path)
    outcome = json.loads(run(tmp_path, "-c", LOOK, str(count)).rpartition("OUTCOME ")[2])
    assert outcome == {
        "seen": [],
        "planted": False,
        "value": [[{"rows": [1, at]}, 10_000] for at in range(count)],
        "code": 0,
        "damaged": 0,
        "imported": [],
        "control": [True, True],
    }
    # Each was looked at, and refused.
    with project_of(tmp_path) as found:
        rows = found.reader.sql("SELECT because, count(*) FROM facts.task_cache GROUP BY 1 ORDER BY 1")[1]
    assert rows == [("not_kept", 2 * count), ("unusable", 2 * count)]


def plant(results: Path) -> None:
    """Every entry is sound, as its checksum says, and names poison: in itself, or in its file."""
    poisons = {"small": iter(POISON), "large": iter(POISON)}
    for file in sorted(results.glob("key-*")):
        entry = json.loads(file.read_bytes()[64:])
        poison, kept = next(poisons[entry["task"]]), entry["result"]
        kept |= {"encoding": "json" if poison.startswith(b"{") else "pickle", "size": len(poison)}
        if kept["file"] is None:
            kept["data"] = base64.b64encode(poison).decode()
        else:
            kept["hash"] = hashlib.sha256(poison).hexdigest()
            (results / kept["file"]).write_bytes(poison)
        plain = json.dumps(entry).encode()
        file.write_bytes(hashlib.sha256(plain).hexdigest().encode() + plain)
    assert [list(rest) for rest in poisons.values()] == [[], []]


def journal(folder: Path) -> None:
    """The journal says that task runs ended with it."""
    with project_of(folder) as found:
        for at, poison in enumerate(POISON):
            call = {"task_run_id": f"t{at}", "run_id": "r", "task": "planted.run"}
            kept = KeptResult(encoding="pickle", data=base64.b64encode(poison).decode(), size=len(poison))
            found.journal.append(
                TaskStarted(**call),
                TaskKept(**call, key="k", encoding="pickle", size=1),
                TaskEnded(**call, state="Completed", tries=1, started=1, result=kept),
            )
