"""`headwater explain RUN/TASK` and `headwater cache`: why a result was used or not, which are kept, and letting them go."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from cli_project import Cli

SHOP = """
from headwater import NO_CACHE, flow, task

@task(cache=True)
def fetch(day: str, size: int = 1) -> str:
    return day * size

@task(cache_for="1h")
def summary(rows: str) -> dict:
    return {"length": len(rows)}

@task
def plain() -> int:
    return 1

@task(cache=True)
def opened() -> object:
    return {"socket": [object()]}

@flow
def nightly(day: str = "mo", size: int = 1):
    plain()
    opened()
    return summary(fetch(day, size))

@flow
def twice():
    fetch("a")
    fetch("b")
"""


@pytest.fixture
def ran(cli: Cli, folder: Path) -> Cli:
    (folder / "shop.py").write_text(SHOP)
    return cli


def run(cli: Cli, *arguments: str) -> str:
    """Run the flow; the id of the run."""
    assert cli("run", "shop.py:nightly", *arguments).code == 0
    newest: str = cli("runs", "--json").json["runs"][0]["id"]
    return newest


def explained(cli: Cli, subject: str) -> dict[str, Any]:
    done = cli("explain", subject, "--json")
    assert done.code == 0, done.err
    found: dict[str, Any] = done.json
    return found


def kinds(reason: dict[str, Any]) -> list[str]:
    return [reason["kind"], *(kind for one in reason["because"] for kind in kinds(one))]


def test_explain_says_why_a_task_run_was_cached_or_not(ran: Cli, folder: Path) -> None:
    first = run(ran)
    found = explained(ran, f"{first}/fetch")
    assert (found["subject"], found["verdict"]) == (f"{first}/fetch", "miss")
    assert kinds(found["reason"]) == ["not_kept", "first", "kept_now"]

    second = run(ran)
    found = explained(ran, f"{second[:23]}/fetch")
    assert (found["verdict"], kinds(found["reason"])) == ("hit", ["kept", "origin", "depends_on"])
    assert first in json.dumps(found)
    assert ran("explain", f"{second}/fetch").out.splitlines()[-1] == (
        "  INPUTS + SOURCE: argument 'day', argument 'size', code as they were then"
    )

    third = run(ran, "-p", "size=3")
    found = explained(ran, f"{third}/fetch")
    assert kinds(found["reason"]) == ["not_kept", "compared", "differs", "kept_now"]
    assert found["reason"]["because"][0]["because"][0]["text"] == "argument 'size' differs"

    (folder / "shop.py").write_text(SHOP.replace("day * size", "size * day"))
    fourth = run(ran, "-p", "size=3")
    assert kinds(explained(ran, f"{fourth}/fetch")["reason"]) == ["not_kept", "compared", "code_changed", "kept_now"]
    assert explained(ran, f"{fourth}/summary")["verdict"] == "hit"


def test_explain_tells_of_what_was_not_cacheable_refreshed_or_has_no_cache(
    ran: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run(ran)
    told = explained(ran, f"{first}/opened")
    assert kinds(told["reason"]) == ["not_kept", "first", "not_cacheable"]
    assert told["reason"]["because"][1]["text"].endswith("result['socket'][0] is an object")
    assert kinds(explained(ran, f"{run(ran)}/opened")["reason"]) == ["not_kept", "not_cacheable", "not_cacheable"]
    found = explained(ran, f"{first}/plain")
    assert (found["verdict"], found["reason"]["text"]) == ("none", "'plain' has no cache")
    monkeypatch.setenv("HEADWATER_REFRESH", "true")
    assert kinds(explained(ran, f"{run(ran)}/fetch")["reason"]) == ["refreshed", "kept_now"]


def test_a_task_run_is_named_by_its_task_or_its_id_and_several_are_listed(ran: Cli) -> None:
    assert ran("run", "shop.py:twice").code == 0
    newest = ran("runs", "--json").json["runs"][0]["id"]
    done = ran("explain", f"{newest}/fetch", "--json")
    assert (done.code, done.json["error"]["kind"]) == (2, "unknown_name")
    named = [one.split(" ")[0] for one in done.json["error"]["hint"].split(": ", 1)[1].split(", ")]
    assert len(named) == 2
    for one in named:
        assert explained(ran, one)["verdict"] == "miss"
    assert ran("explain", f"{newest}/fetsh").err.count("did you mean 'fetch'?") == 1
    assert ran("explain", "0123456789/fetch").code == 2


def test_a_run_alone_is_not_explained_but_its_tasks_are(ran: Cli) -> None:
    first = run(ran)
    for subject in (first, first[:13], f"{first}/"):
        error = ran("explain", subject, "--json").json["error"]
        assert error["message"] == f"'{subject.strip('/')}' is a run: what is explained is a task run"
        assert error["hint"] == f"headwater explain {subject.strip('/')}/TASK"
    assert ran("explain", "feed").err.startswith("error: there is no asset 'feed'")


def test_kept_results_are_listed_and_let_go(ran: Cli, folder: Path) -> None:
    run(ran, "-p", "size=5000")
    run(ran)
    entries = ran("cache", "list", "--json").json["entries"]
    assert sorted(one["task"] for one in entries) == ["fetch", "fetch", "summary", "summary"]
    assert {one["task"]: one["expires"] is None for one in entries} == {"fetch": True, "summary": False}
    # For people to the second, as in other tables.
    assert re.search(r"\n ?fetch +\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ +- ", ran("cache", "list").out)
    assert max(one["bytes"] for one in entries) > 10_000
    assert len(ran("cache", "list", "fetch", "--json").json["entries"]) == 2
    assert ran("cache", "list").out.count("fetch") == 2

    assert ran("cache", "clear", "--json").json == {
        "dry_run": False, "entries": 0, "damaged": 0, "files": 0, "bytes": 0,
    }  # fmt: skip
    dry = ran("cache", "clear", "fetch", "--all", "--dry-run", "--json").json
    assert (dry["entries"], dry["files"]) == (2, 1)
    results = folder / ".headwater" / "results"
    size = sum(one.stat().st_size for one in results.iterdir())
    done = ran("cache", "clear", "fetch", "--all", "--json").json
    assert done == {**dry, "dry_run": False}
    assert size - sum(one.stat().st_size for one in results.iterdir()) == done["bytes"]
    again = run(ran)
    assert kinds(explained(ran, f"{again}/fetch")["reason"])[:2] == ["not_kept", "removed"]

    (results / f"key-{'0' * 32}").write_bytes(b"nonsense")
    assert ran("cache", "list", "--json").json["damaged"] == [f"key-{'0' * 32}"]
    assert "damaged" in ran("cache", "list").out
    done = ran("cache", "clear", "--all", "--json").json
    assert (done["entries"], done["damaged"], list(results.iterdir())) == (3, 1, [])
    assert ran("cache", "list").out == "no results are kept\n"
    assert ran("cache", "clear", "--all", "--older-than", "1d").code == 2


def test_a_task_that_never_ran_is_unknown_and_one_that_keeps_nothing_is_not(ran: Cli) -> None:
    run(ran)
    for wrong in (("list", "fetsh"), ("clear", "fetsh"), ("clear", "fetsh", "--all", "--dry-run")):
        done = ran("cache", *wrong, "--json")
        assert (done.code, done.json["error"]["kind"]) == (2, "unknown_name")
        assert done.json["error"]["hint"] == "did you mean 'fetch'?"
    assert len(ran("cache", "list", "--json").json["entries"]) == 2
    for known in ("plain", "fetch"):
        assert ran("cache", "clear", known).code == 0
    assert ran("cache", "list", "plain").out == "no results are kept\n"


def test_what_a_newer_event_names_stays(ran: Cli, folder: Path) -> None:
    run(ran, "-p", "size=5000")
    used = run(ran, "-p", "size=5000")
    kept = {one.name for one in (folder / ".headwater" / "results").iterdir()}
    # Nothing of it is older than an hour, and the second run named the first one's file.
    for age in ("1h", "999999d"):
        assert ran("cache", "clear", "--older-than", age, "--json").json["bytes"] == 0
    assert {one.name for one in (folder / ".headwater" / "results").iterdir()} == kept
    assert explained(ran, f"{used}/fetch")["verdict"] == "hit"


def test_results_lie_where_the_setting_says(ran: Cli, folder: Path) -> None:
    (folder / "pyproject.toml").write_text('[tool.headwater]\nresults = "elsewhere/kept"\n')
    run(ran)
    assert len(list((folder / "elsewhere" / "kept").iterdir())) == 2
    assert not (folder / ".headwater" / "results").exists()
    assert len(ran("cache", "list", "--json").json["entries"]) == 2


def test_what_is_kept_longer_than_time_can_be_written_is_kept_for_ever(cli: Cli, folder: Path) -> None:
    (folder / "shop.py").write_text("""
from datetime import timedelta
from headwater import flow, task

@task(cache_for=timedelta.max)
def fetch() -> int:
    return 1

@task(cache_for="9999999d")
def summary() -> int:
    return 2

@flow
def nightly():
    return fetch() + summary()
""")
    kept_by, used_by = run(cli), run(cli)
    entries = cli("cache", "list", "--json").json["entries"]
    assert [(one["task"], one["expires"], one["expired"]) for one in entries] == [
        ("summary", None, False),
        ("fetch", None, False),
    ]
    for task in ("fetch", "summary"):
        assert "kept (" in explained(cli, f"{kept_by}/{task}")["reason"]["because"][-1]["text"]
        assert explained(cli, f"{used_by}/{task}")["verdict"] == "hit"
