"""The documentation holds: its Python runs as pasted, its commands do what stands beside them, its links lead somewhere."""

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import duckdb
import pytest

from headwater.api.app import create_app
from headwater.api.client import Client
from headwater.cli.app import build
from headwater.lineage.reader import Reader
from headwater.lineage.retention import DETAIL
from headwater.testing import project

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)#]+)(?:#[^)]*)?\)")


def blocks(page: Path, language: str) -> list[str]:
    return [text for found, text in FENCE.findall(page.read_text(encoding="utf-8")) if found == language]


def commands(page: Path) -> list[str]:
    """The `headwater …` lines of the shell blocks of a page, without what is said beside them."""
    lines = [line for block in blocks(page, "sh") for line in block.splitlines()]
    return [line.split("  #")[0].strip() for line in lines if line.startswith("headwater ")]


def named(pages: list[Path], language: str) -> list[object]:
    return [
        pytest.param(text, id=f"{page.stem}-{number}")
        for page in pages
        for number, text in enumerate(blocks(page, language))
    ]


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HEADWATER_")}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("snippet", named(PAGES, "python"))
def test_python_runs_as_pasted(snippet: str, tmp_path: Path) -> None:
    (tmp_path / "pasted.py").write_text(snippet)
    done = run(tmp_path, sys.executable, "-W", "error", "pasted.py")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_format_of_ones_own_works_as_its_page_says(tmp_path: Path) -> None:
    page = ROOT / "docs" / "materializers.md"
    installed = tmp_path / "model_files-1.dist-info"  # what `pip install` leaves of the entry point
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: model_files\nVersion: 1\n")
    (entry,) = tomllib.loads(blocks(page, "toml")[0])["project"]["entry-points"].items()
    (installed / "entry_points.txt").write_text(f"[{entry[0]}]\n" + "\n".join(map(" = ".join, entry[1].items())))
    (tmp_path / "model_files.py").write_text(blocks(page, "python")[0])
    (tmp_path / "demand.py").write_text(blocks(page, "py")[0])

    done = run(tmp_path, sys.executable, "-W", "error", "demand.py")
    assert (done.returncode, done.stderr) == (0, "")
    assert "{'slope': 2.0}" in done.stdout
    for asked in ("materialize", "check"):
        options = {"materialize": ["forecast", "--partition", "2026-01-30"], "check": ["model@2026-01-30"]}[asked]
        done = run(tmp_path, sys.executable, "-m", "headwater", asked, "-f", "demand.py", *options)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("snippet", named(PAGES, "toml"))
def test_settings_are_settings(snippet: str, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(snippet)
    code = "from headwater.project import Project; Project.open()"
    assert run(tmp_path, sys.executable, "-c", code).stderr == ""


def test_the_readmes_example_and_the_commands_below_it(tmp_path: Path) -> None:
    (example,) = blocks(ROOT / "README.md", "python")
    assert len([line for line in example.splitlines() if line.strip()]) <= 20
    (tmp_path / "shop.py").write_text(example)
    assert run(tmp_path, sys.executable, "shop.py").returncode == 0

    told = {}
    for command in commands(ROOT / "README.md"):
        done = run(tmp_path, sys.executable, "-m", *shlex.split(command))
        assert (done.returncode, done.stderr) == (0, ""), command
        told[command.split()[1]] = done.stdout
    assert list(told) == ["status", "lineage", "explain", "runs"]
    (orders,) = [line for line in told["status"].splitlines() if line.startswith("orders ")]
    assert "late" in orders
    assert "2024-01-03" in orders
    assert "limit 26h" in orders
    assert "revenue.total ← orders.amount (aggregation)" in told["lineage"].splitlines()
    assert told["explain"].splitlines()[0].startswith("revenue")
    assert "orders" in told["explain"]
    assert re.search(r"daily +● Completed", told["runs"])
    done = run(tmp_path, sys.executable, "-m", "headwater", "status", "--json")
    assert {row["name"]: row["rows"] for row in json.loads(done.stdout)["assets"]} == {"orders": 49, "revenue": 3}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_and_their_options_exist(page: Path) -> None:
    for line in commands(page):
        arguments = shlex.split(line.replace("…", "0"))[1:]
        command = build().parse_args(arguments, exit_on_error=False, print_error=False)[0]
        assert callable(command)


def test_the_commands_that_the_examples_name_exist() -> None:
    for example in sorted((ROOT / "examples").rglob("*.py")):
        for line in re.findall(r"`(headwater [^`]+)`", example.read_text(encoding="utf-8")):
            assert callable(build().parse_args(line.split()[1:], exit_on_error=False, print_error=False)[0]), line


def test_the_table_of_commands_is_the_command_tree() -> None:
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    told = set(re.findall(r"^\| `headwater (\w+)|, `headwater (\w+)", page, re.MULTILINE))
    names = {name for pair in told for name in pair if name}
    assert names == {name for name in build() if not name.startswith("-")}


def test_every_option_is_told_on_a_page() -> None:
    told = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", "".join(page.read_text(encoding="utf-8") for page in PAGES)))
    pending = [build()]
    while pending:
        app = pending.pop()
        pending += [app[name] for name in app if not name.startswith("-")]
        for argument in app.assemble_argument_collection() if app.default_command else ():
            options = {name for name in argument.names if name.startswith("--")}
            assert not options or told & set(argument.names), f"{' '.join(app.name)} {' '.join(options)}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        if not target.startswith(("http://", "https://")):
            assert (page.parent / target).exists(), target


def test_what_the_page_on_tests_says_of_the_reader_is_there() -> None:
    page = (ROOT / "docs" / "testing.md").read_text(encoding="utf-8")
    (told,) = re.findall(r"`\.reader` answers .*?\(([^)]*)\)", page)
    names = re.findall(r"`(\w+)`", told)
    assert names
    assert [name for name in names if not hasattr(Reader, name)] == []


def test_what_the_page_on_the_server_says_of_its_client_is_all_that_there_is() -> None:
    page = (ROOT / "docs" / "server.md").read_text(encoding="utf-8")
    (told,) = re.findall(r"asks a server what the local reader.*?It raises", page, re.DOTALL)
    shared, _, others = told.partition("by the same methods: ")[2].partition("It asks besides")
    names = [set(re.findall(r"`(\w+)`", text)) for text in (shared, others)]
    assert [name for name in names[0] if not hasattr(Reader, name)] == []
    assert names[0] | names[1] == {name for name in vars(Client) if not name.startswith("_")} - {"pages"}


def test_every_route_is_told() -> None:
    page = (ROOT / "docs" / "server.md").read_text(encoding="utf-8")
    with project() as shop:
        paths = create_app(shop).openapi()["paths"]
    for path in paths:
        known = re.sub(r"{\w+}", "{id}", path)
        stem, _, last = known.rpartition("/")
        beside = rf"`[^`]*{re.escape(stem)}/\w+`(, `[^`]*`)*, `{re.escape(last)}`"  # `/api/runs/{id}/resume`, `retry`
        assert re.search(rf"{re.escape(known)}(?![\w/])", page) or re.search(beside, page), path


def test_the_layers_are_those_that_are_held() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    (told,) = re.findall(r"^testing > .*?(?=^```)", page, re.MULTILINE | re.DOTALL)
    held = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"][0]
    layers = [[name.strip().removeprefix("headwater.") for name in layer.split("|")] for layer in held["layers"]]
    assert [[name.strip() for name in layer.split(",")] for layer in told.split(">")] == layers


def test_the_kinds_of_events_that_expire_are_all_told() -> None:
    page = (ROOT / "docs" / "journal.md").read_text(encoding="utf-8")
    (told,) = re.findall(r"only of these kinds: (.*?)\. No other kind", page, re.DOTALL)
    assert re.findall(r"`([^`]+)`", told) == list(DETAIL)


def test_the_table_of_views_is_what_a_client_finds(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "lineage.md").read_text(encoding="utf-8")
    told = dict(re.findall(r"^\| `(\w+)` \| `([\w, ]+)`", page.partition("## The SQL views")[2], re.MULTILINE))
    with project(tmp_path) as shop:
        shop.projection.rebuild()
    with duckdb.connect(tmp_path / ".headwater" / "headwater.duckdb", read_only=True) as client:
        views = client.execute("SELECT view_name FROM duckdb_views() WHERE NOT internal AND schema_name = 'main'")
        assert sorted(told) == sorted(name for (name,) in views.fetchall())
        for view, columns in told.items():
            found = [name for name, *_ in client.execute(f"DESCRIBE {view}").fetchall()]
            assert [column for column in columns.split(", ") if column not in found] == [], view
