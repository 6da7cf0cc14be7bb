"""`headwater prune`: what it says, what it lets go, and what is the same afterwards."""

import re
from pathlib import Path
from typing import Any

import pytest
from cli_project import Cli

from headwater.testing import project

ALL = ("--older-than", "0.001s")
KINDS = ["log.written", "task.started", "task.state", "task.ended", "task.cache", "task.kept"]


@pytest.fixture
def ran(cli: Cli, shop: Path) -> Cli:
    """The command line in a project in which a flow ran, and a day of two assets was made."""
    assert cli("materialize", "+daily", "-p", "2024-01-01").code == 0
    assert cli("run", "shop.py:report", "-p", "day=2024-01-05").code == 0
    return cli


def logged(cli: Cli) -> int:
    """How many log records there are, of all runs."""
    runs = cli("runs", "--json").json["runs"]
    return sum(len(cli("logs", row["id"], "--json").json["logs"]) for row in runs)


def seen(cli: Cli) -> dict[str, Any]:
    """What the other commands print."""
    runs = cli("runs", "--json").json["runs"]
    return {
        "runs": [{name: value for name, value in row.items() if name != "pruned"} for row in runs],
        "status": cli("status", "--as-of", "2024-02-01", "--json").json,
        "lineage": cli("lineage", "daily", "--columns", "--json").json,
        "explain": cli("explain", "daily@2024-01-01", "--json").json,
    }


def test_prune_lets_detail_go_and_nothing_else(ran: Cli, shop: Path) -> None:
    before, count = seen(ran), logged(ran)
    run = before["runs"][0]["id"]
    assert ran("logs", run).out.endswith("doubling 1\n")

    dry = ran("prune", *ALL, "--dry-run", "--json")
    assert (dry.code, dry.json["dry_run"], dry.json["bytes"]["estimated"]) == (0, True, True)
    assert list(dry.json["events"]) == KINDS
    assert dry.json["events"]["log.written"] == count > 0
    assert (ran("logs", run).out.endswith("doubling 1\n"), seen(ran)) == (True, before)

    done = ran("prune", *ALL, "--json")
    assert (done.code, done.json["dry_run"], done.json["bytes"]["estimated"]) == (0, False, False)
    assert (done.json["events"], done.json["runs"]) == (dry.json["events"], dry.json["runs"])
    assert done.json["runs"]["count"] == 2
    assert done.json["runs"]["oldest"] == before["runs"][-1]["started"]
    assert done.json["runs"]["newest"] == before["runs"][0]["started"]
    assert seen(ran) == before
    assert ran("verify", "--json").json == {"ok": True, "problems": []}
    assert ran("logs", run, "--json").json == {"run": run, "logs": [], "pruned": done.json["before"]}
    moment = done.json["before"][:19].replace("T", " ")
    assert ran("logs", run).out == f"what it logged before {moment}Z has expired (headwater prune)\n"
    assert {row["pruned"] for row in ran("runs", "--json").json["runs"]} == {done.json["before"]}

    again = ran("prune", *ALL, "--json").json
    assert (again["events"], again["runs"]) == (
        dict.fromkeys(KINDS, 0), {"count": 0, "oldest": None, "newest": None},
    )  # fmt: skip


def test_prune_tells_people(ran: Cli) -> None:
    count = logged(ran)
    dry = ran("prune", *ALL, "--dry-run").out
    done = ran("prune", *ALL).out
    for out, head, bytes_after in ((dry, "would expire: ", "about "), (done, "expired: ", "")):
        assert re.match(rf"{head}what is older than 20\d\d-\d\d-\d\dT\S+Z\n\n", out)
        assert re.search(rf"\nlog.written +{count}\n", out)
        assert re.search(r"\n2 runs lose detail, started from \S+Z to \S+Z\n", out)
        assert re.search(rf"\njournal: [\d.]+ k?B, then {bytes_after}[\d.]+ k?B\n\Z", out)
    assert dry.splitlines()[2:7] == done.splitlines()[2:7]
    assert ran("prune", *ALL).out.startswith("nothing is older than ")


def test_prune_leaves_what_is_young(ran: Cli) -> None:
    assert set(ran("prune", "--older-than", "1d", "--json").json["events"].values()) == {0}
    assert "pruned" not in ran("runs", "--json").json["runs"][0]


def test_prune_of_logs_alone(ran: Cli) -> None:
    count = logged(ran)
    assert ran("prune", *ALL, "--logs", "--json").json["events"] == {"log.written": count}
    assert logged(ran) == 0
    assert ran("prune", *ALL, "--json").json["events"]["log.written"] == 0


@pytest.mark.parametrize("wrong", ["soon", "0d", "1y"])
def test_an_age_that_is_none(ran: Cli, wrong: str) -> None:
    done = ran("prune", "--older-than", wrong, "--json")
    assert (done.code, done.json["error"]["kind"], done.json["error"]["where"]) == (2, "definition", "--older-than")


def test_an_age_must_be_given(ran: Cli) -> None:
    done = ran("prune", "--json")
    assert (done.code, done.json["error"]["kind"]) == (2, "usage")
    assert "--older-than" in done.json["error"]["message"]


def test_where_nothing_ever_ran(cli: Cli, folder: Path) -> None:
    done = cli("prune", *ALL, "--json")
    assert (done.code, done.json["error"]["message"]) == (1, "nothing has been recorded here yet")
    assert list(folder.iterdir()) == []


def test_the_same_in_python(ran: Cli, shop: Path) -> None:
    told = ran("prune", *ALL, "--dry-run", "--json").json
    with project(shop) as found:
        dry, done = found.prune(0.001, dry_run=True), found.prune("0.001s")
    for value in (dry.to_json(), done.to_json()):
        assert (value["events"], value["runs"]) == (told["events"], told["runs"])
