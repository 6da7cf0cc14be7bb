"""Settings: where each comes from, what wins, and the page that lists them."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import headwater
from headwater import settings
from headwater.errors import SettingsError
from headwater.project import Project
from headwater.settings import Settings, load, origins
from headwater.testing import project

PAGE = (Path(headwater.__file__).parents[1] / "docs" / "settings.md").read_text(encoding="utf-8")
NAMES = [field.name for field in dataclasses.fields(Settings) if field.name != "root"]
TABLE = """
[project]
name = "shop"
[tool.headwater]
home = "state"
modules = ["one"]
openlineage_file = "events.ndjson"
openlineage_namespace = "warehouse"
openlineage_drain = 1.5
results = "kept"
refresh = true
locations = { lake = "/data/lake" }
limits = { warehouse = 3 }
"""
SET: dict[str, tuple[str, Any]] = {
    "project": ("till", "till"),
    "home": ("elsewhere", "elsewhere"),
    "modules": ("a,b", ("a", "b")),
    "openlineage_file": ("more.ndjson", "more.ndjson"),
    "openlineage_namespace": ("prod", "prod"),
    "openlineage_drain": ("2.5", 2.5),
    "results": ("results", "results"),
    "refresh": ("0", False),
    "limits": ("warehouse=5,tag:etl=2", {"warehouse": 5, "tag:etl": 2}),
}
"""What a variable may say, and what comes of it."""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    (tmp_path / "pyproject.toml").write_text(TABLE, encoding="utf-8")
    return tmp_path


def test_without_anything_set_each_has_its_default(tmp_path: Path) -> None:
    found = load(tmp_path, {})
    assert found == Settings(root=tmp_path, project=tmp_path.name)
    assert origins(tmp_path, {}) == {}
    assert found.home_path == tmp_path / ".headwater"


def test_a_project_says_what_holds_in_it_and_below(shop: Path) -> None:
    (shop / "jobs").mkdir()
    found = load(shop / "jobs", {})
    assert (found.root, found.project, found.home_path) == (shop, "shop", shop / "state")
    assert (found.modules, found.limits, found.locations) == (("one",), {"warehouse": 3}, {"lake": "/data/lake"})
    assert (found.openlineage_drain, found.refresh, found.results) == (1.5, True, "kept")
    assert set(origins(shop, {})) == set(NAMES)


def test_a_folder_may_be_given_as_text(shop: Path) -> None:
    with closing(Project.open(str(shop))) as opened, project(str(shop)) as tested:
        assert (opened.settings.root, tested.settings.root) == (shop, shop)


def test_the_name_of_the_package_is_that_of_the_project_and_told_as_such(tmp_path: Path) -> None:
    file = tmp_path / "pyproject.toml"
    file.write_text('[project]\nname = "shop"\n')
    assert (load(tmp_path, {}).project, origins(tmp_path, {})) == ("shop", {"project": f"[project] in {file}"})
    file.write_text('[project]\nname = "shop"\n[tool.headwater]\nproject = "store"\n')
    assert (load(tmp_path, {}).project, origins(tmp_path, {})) == ("store", {"project": f"[tool.headwater] in {file}"})
    file.write_text("[project]\nname = 3\n")
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, {})
    assert caught.value.where == f"[project] in {file}"


@pytest.mark.parametrize("name", SET)
def test_the_environment_wins(shop: Path, name: str) -> None:
    text, value = SET[name]
    variable = f"HEADWATER_{name.upper()}"
    found = load(shop, {variable: text})
    assert getattr(found, name) == value
    assert dataclasses.replace(found, **{name: getattr(load(shop, {}), name)}) == load(shop, {})
    assert origins(shop, {variable: text})[name] == f"the environment variable {variable}"


@pytest.mark.parametrize("name", SET)
def test_an_empty_variable_takes_away_or_is_none(shop: Path, name: str) -> None:
    found, without = load(shop, {f"HEADWATER_{name.upper()}": ""}), load(shop, {})
    if name in settings._NONE_WHEN_EMPTY:
        assert not getattr(found, name)
    else:
        assert found == without


@pytest.mark.parametrize(
    ("name", "text"), [("openlineage_drain", "soon"), ("refresh", "perhaps"), ("limits", "warehouse=0")]
)
def test_what_is_wrong_is_refused_with_its_name_and_place(shop: Path, name: str, text: str) -> None:
    variable = f"HEADWATER_{name.upper()}"
    with pytest.raises(SettingsError) as caught:
        load(shop, {variable: text})
    assert name in caught.value.message or "limit" in caught.value.message
    assert caught.value.where == f"the environment variable {variable}"
    assert caught.value.hint


@pytest.mark.parametrize("name", ["home", "results", "openlineage_file"])
def test_a_path_may_begin_with_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("HOME", "/home/you")
    (tmp_path / "pyproject.toml").write_text(f'[tool.headwater]\n{name} = "~/hw"\n', encoding="utf-8")
    assert getattr(load(tmp_path, {}), name) == "/home/you/hw"
    assert getattr(load(tmp_path, {f"HEADWATER_{name.upper()}": "~/else"}), name) == "/home/you/else"
    assert getattr(load(tmp_path, {f"HEADWATER_{name.upper()}": "a~b/~"}), name) == "a~b/~"
    with pytest.raises(SettingsError, match="nobody knows where that home folder is") as caught:
        load(tmp_path, {f"HEADWATER_{name.upper()}": "~nobody-of-that-name/hw"})
    assert caught.value.hint == "write the whole path, or './~nobody-of-that-name/hw' for a folder of that name"


def test_a_location_may_begin_with_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/you")
    text = '[tool.headwater]\nlocations = { lake = "~/lake", old = "lake~", part = "~1" }\n'
    (tmp_path / "pyproject.toml").write_text(text, encoding="utf-8")
    assert load(tmp_path, {}).locations == {"lake": "/home/you/lake", "old": "lake~", "part": "~1"}


def test_the_environment_says_all_locations_or_none(shop: Path) -> None:
    """What prod leaves out is not set: were it dev's, half of prod's data would lie there."""
    given = {"HEADWATER_LOCATIONS": " db = /prod/shop.duckdb, bucket=/prod/year=2024 ,"}
    assert load(shop, given).locations == {"db": "/prod/shop.duckdb", "bucket": "/prod/year=2024"}
    assert origins(shop, given)["locations"] == "the environment variable HEADWATER_LOCATIONS"
    assert not load(shop, {"HEADWATER_LOCATIONS": ""}).locations
    for wrong in ("/prod/lake", "=/prod/lake"):
        with pytest.raises(SettingsError, match=f"the location '{wrong}' has no name") as caught:
            load(shop, {"HEADWATER_LOCATIONS": wrong})
        assert caught.value.where == "the environment variable HEADWATER_LOCATIONS"


def test_the_page_lists_each_with_its_variable() -> None:
    rows = [line.split("|")[1:3] for line in PAGE.splitlines() if line.startswith("| `")]
    told = {name.strip(" `"): re.search(r"HEADWATER_[A-Z_]+", variable) for name, variable in rows}
    assert list(told) == NAMES
    for name, variable in told.items():
        assert (variable and variable[0]) == f"HEADWATER_{name.upper()}"
    empty = PAGE.partition("An empty variable takes away")[2].partition(";")[0]
    assert set(re.findall(r"`([a-z_]+)`", empty)) == settings._NONE_WHEN_EMPTY


def test_a_limit_of_the_environment_without_a_number_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="the limit 'warehouse' is a number from 1") as caught:
        load(tmp_path, {"HEADWATER_LIMITS": "etl=2,warehouse"})
    assert caught.value.where == "the environment variable HEADWATER_LIMITS"


NOBODY = "os.setuid(65534) if os.geteuid() == 0 else None"
"""Only root may read what is closed."""


@pytest.mark.parametrize(
    ("before", "what", "hint"),
    [
        ("os.mkdir('gone'); os.chdir('gone'); os.rmdir('../gone')", "can't be looked for: No such", "that is there"),
        ("os.chmod('pyproject.toml', 0)", "pyproject.toml can't be read: Permission", "permissions"),
        ("os.chmod('.', 0)", "can't be looked for: Permission", "may read"),
    ],
)
@pytest.mark.parametrize("command", [["status"], ["doctor"], ["run", "flows.py:nightly"]])
def test_a_project_out_of_reach_is_told_in_a_line(
    tmp_path: Path, before: str, what: str, hint: str, command: list[str]
) -> None:
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "pyproject.toml").write_text(TABLE, encoding="utf-8")
    # Whoever it becomes has imported it all while it could.
    code = "import os, sys, tomllib; from headwater.cli import app, board, doctor, start; "
    code += f"{before}; {NOBODY}; sys.exit(app.run({command}))"
    for one in (folder, *folder.parents):
        if not one.stat().st_mode & 0o001:
            one.chmod(0o755)
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True)
    folder.chmod(0o755)
    assert done.returncode == 2, done.stderr
    assert what in done.stderr
    assert hint in done.stderr
    assert "where: " in done.stderr


@pytest.mark.parametrize("text", ["openlineage_drain = " + "9" * 5_000, "modules = " + "[" * 5_000 + "]" * 5_000])
def test_what_is_beyond_python_in_pyproject_is_told_with_its_place(tmp_path: Path, text: str) -> None:
    (tmp_path / "pyproject.toml").write_text(f"[tool.headwater]\n{text}\n", encoding="utf-8")
    with pytest.raises(SettingsError, match=r"pyproject\.toml can't be read") as caught:
        load(tmp_path, {})
    assert caught.value.where == str(tmp_path / "pyproject.toml")


def test_a_limit_of_thousands_of_digits_is_refused_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="the limit 'warehouse' is a number from 1"):
        load(tmp_path, {"HEADWATER_LIMITS": "warehouse=" + "9" * 5_000})
