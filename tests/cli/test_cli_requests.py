"""`headwater requests`: what was asked of the server, by whom and when, what became of it; and taking it back."""

from pathlib import Path

from cli_project import Cli

from headwater import settings
from headwater.core.request_events import WorkAsked, WorkEnded, WorkTaken
from headwater.project import Project


def asked(folder: Path) -> None:
    """What servers and workers have written into a journal."""
    project = Project(settings.load(folder))
    arguments = {"selection": "sales", "from": "2024-01-01"}
    project.journal.append(
        WorkAsked(request_id="one", what="backfill", arguments=arguments, asked_by="ci"),
        WorkTaken(request_id="one", pid=1, host="there"),
        WorkEnded(request_id="one", exit_code=2, message="error: no such partition\nsecond line"),
        WorkAsked(request_id="two", what="runs.resume", arguments={"run": "0198a2"}, asked_by="ci"),
        WorkAsked(request_id="three", what="of tomorrow", arguments={}, asked_by="ci"),
    )
    project.close()


def test_requests_are_listed_with_what_became_of_them(cli: Cli, folder: Path) -> None:
    asked(folder)
    found = cli("requests", "--json").json["requests"]
    assert [(one["id"], one["state"], one["asked_by"], one["run"]) for one in found] == [
        ("three", "asked", "ci", None),
        ("two", "asked", "ci", "0198a2"),
        ("one", "failed", "ci", None),
    ]
    assert [one["id"] for one in cli("requests", "--open", "--json").json["requests"]] == ["three", "two"]
    assert [one["id"] for one in cli("requests", "--limit", "1", "--json").json["requests"]] == ["three"]
    assert cli("requests", "--limit", "0").code == 2
    newest, second, oldest = cli("requests").out.splitlines()[-3:]
    assert "of tomorrow" in newest
    assert "runs resume 0198a2" in second
    assert "backfill --from=2024-01-01 sales" in oldest
    assert "failed" in oldest
    assert oldest.rstrip().endswith("error: no such partition")


def test_a_request_is_taken_back(cli: Cli, folder: Path) -> None:
    asked(folder)
    done = cli("requests", "cancel", "two", "--json")
    assert (done.code, done.json["id"], done.json["state"]) == (0, "two", "cancelled")
    again = cli("requests", "cancel", "two")
    assert (again.code, "the request two is over: it is cancelled" in again.err) == (2, True)
    assert cli("requests", "cancel", "never").code == 2
    assert [one["id"] for one in cli("requests", "--open", "--json").json["requests"]] == ["three"]
    assert cli("requests", "cancel", "three").out.split() == ["three", "cancelled"]
    assert cli("requests", "--open").out.strip() == "nothing is open"


def test_where_nothing_was_asked_that_is_said(cli: Cli, folder: Path) -> None:
    Project(settings.load(folder)).home.check_writable()
    assert cli("requests").out.strip() == "no requests yet"
