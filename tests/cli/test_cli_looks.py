"""What a command asks of the projection: one look for all of its questions, and no more of it than it needs."""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from cli_project import Cli

from headwater.assets.events import AssetRef
from headwater.assets.facts import Facts
from headwater.cli import board
from headwater.core.journal.home import Home
from headwater.errors import UsageError
from headwater.lineage import store
from headwater.lineage.catalog import ProjectionCatalog

LOOKS = [
    ("status",),
    ("status", "sales"),
    ("explain", "daily"),
    ("assets",),
    ("assets", "+daily"),
    ("checks",),
    ("checks", "sales"),
    ("lineage", "daily", "--columns"),
    ("lineage", "--drift"),
    ("lineage", "path", "sales", "totals"),
    ("lineage", "impact", "sales"),
    ("lineage", "diff", "2024-01-01", "now"),
    ("tags", "sales", "--since", "2024-01-01"),
    ("runs",),
]


@pytest.fixture
def made(shop: Path, cli: Cli) -> Cli:
    """The command line where something was made, and its definitions are known."""
    assert cli("materialize", "daily", "-p", "2024-01-05").code in (0, 1, 3)
    assert cli("assets").code == 0
    return cli


def test_a_command_opens_the_projection_once(made: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    connect, opened = store.connect, []

    def counted(path: Path, *, temp: Path) -> Any:
        opened.append(path)
        return connect(path, temp=temp)

    monkeypatch.setattr(store, "connect", counted)
    for command in LOOKS:
        opened.clear()
        assert made(*command).code == 0, command
        assert len(opened) == 1, command


def test_what_definitions_alone_select_reads_no_partitions(made: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*given: object, **named: object) -> None:
        raise UsageError("what is known of each partition was read")

    monkeypatch.setattr("headwater.lineage.catalog.known_assets", refuse)
    for command in (("assets", "+daily"), ("checks", "sales"), ("tags", "sales")):
        assert made(*command).code == 0, command
        refused = made(command[0], "stale()")
        assert refused.code == 2
        assert "each partition was read" in refused.err


def test_one_asset_is_judged_by_what_is_upstream_of_it(made: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    facts, asked = ProjectionCatalog.facts, []

    def spied(self: ProjectionCatalog, assets: Iterable[AssetRef] | None = None) -> Facts:
        asked.append(assets is None)
        return facts(self, assets)

    monkeypatch.setattr(ProjectionCatalog, "facts", spied)
    looks = (
        ("explain", "daily"),
        ("explain", "daily@2024-01-05"),
        ("status", "daily"),
        ("freshness", "daily", "--as-of", "now"),
    )
    for command in looks:
        of_all = made(*command, "--json").json
        assert asked == [False], command
        with monkeypatch.context() as patch:
            patch.setattr(board, "is_much", lambda some, of: True)
            assert in_words(made(*command, "--json").json) == in_words(of_all), command
        assert asked == [False, True], command
        asked.clear()


def in_words(document: dict[str, Any]) -> str:
    """The document without the moment of the question, and how far that is from others."""
    return re.sub(r"[0-9]+|[a-z]* ?behind", "", json.dumps(document))


def test_a_home_that_can_not_be_written_is_looked_at_with_new_code(
    made: Cli, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = (shop / "shop.py").read_text()
    (shop / "shop.py").write_text(source + '\nbudget = Asset("budget", at="csv://budget.csv")\n')
    monkeypatch.setattr(Home, "is_writable", lambda self: False)
    before = sorted(one.name for one in (shop / ".headwater/journal").iterdir())
    for command in LOOKS:
        assert made(*command).code == 0, command
    assert sorted(one.name for one in (shop / ".headwater/journal").iterdir()) == before
