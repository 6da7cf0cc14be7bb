"""The drawn graph: places, states, columns, groups, what a change reaches; and the same as a picture."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from api_world import served, until
from fastapi.testclient import TestClient
from lineage_world import defined, made, started, write

from headwater.api import graph_routes
from headwater.api.board import Board
from headwater.core.journal.home import Home
from headwater.lineage.standings import Standings

HOSTILE = '<script>alert(1)</script>"\n'


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """raw → clean → report and many readers, in two groups, and a name that is none of a friend."""
    folder: Path = tmp_path_factory.mktemp("drawn")
    (folder / "pyproject.toml").write_text('[tool.headwater]\nproject = "shop"\n')
    bodies = [started(), *(defined(name, group="raw data") for name in ("raw", HOSTILE))]
    bodies += [defined("clean", ["raw"], group="core", owners=["team:ops"]), defined("report", ["clean"], group="core")]
    bodies += [made("clean", None, "v1", [("raw", None, None)], columns={"day": [("raw", "day")], "n": [("raw", "m")]})]
    bodies += [made("report", None, "v2", [("clean", None, "v1")], columns={"day": [("clean", "day")]})]
    bodies += [made(f"r{n}", None, f"w{n}", [("clean", None, "v1")]) for n in range(9)]
    write(Home.open(folder / ".headwater", create=True), bodies)
    return folder


@pytest.fixture
def drawn(many: Path) -> Iterator[TestClient]:
    with served(many, insecure=True) as (client, _):
        yield client


def graph(client: TestClient, **asked: Any) -> dict[str, Any]:
    answer = client.get("/api/graph", params=asked)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_cards_have_places_and_states_and_say_what_is_hidden(drawn: TestClient) -> None:
    found = graph(drawn, root="report", up=1, down=1)
    nodes = {node["name"]: node for node in found["nodes"]}
    assert (found["root"], found["truncated"], set(nodes)) == ("report", False, {"report", "clean"})
    assert nodes["clean"]["x"] + nodes["clean"]["width"] < nodes["report"]["x"]
    assert (nodes["clean"]["more_up"], nodes["clean"]["more_down"], nodes["clean"]["verdict"]) == (1, 9, "none")
    (edge,) = found["edges"]
    assert (edge["source"], edge["target"], edge["origin"]) == ("asset:clean", "asset:report", "observed")
    assert edge["path"].startswith("M")
    further = graph(drawn, root="report", up=1, down=1, further=["up:clean"])
    assert {node["name"] for node in further["nodes"]} == {"report", "clean", "raw"}
    few = graph(drawn, root="clean", limit=4)
    assert (len(few["nodes"]), few["truncated"]) == (4, True)
    assert "fewer steps" in few["hint"]


def test_a_column_is_traced_with_the_assets_it_runs_through(drawn: TestClient) -> None:
    found = graph(drawn, root="clean.day")
    assert (found["root"], found["column"]) == ("clean", "day")
    assert set(found["trace"]) == {"raw.day", "clean.day", "report.day"}
    assert {node["name"] for node in found["nodes"]} == {"raw", "clean", "report"}
    lines = {(one["from_id"], one["to_id"], one["type"], one["subtype"]) for one in found["edges"] if one["type"]}
    assert ("clean.day", "report.day", "DIRECT", "IDENTITY") in lines
    clean = next(node for node in found["nodes"] if node["name"] == "clean")
    assert [one["name"] for one in clean["columns"]] == ["day", "n"]
    assert [one["type"] for one in clean["columns"]] == ["Int64", "Int64"]


def test_groups_stand_for_their_assets_until_they_are_opened(drawn: TestClient) -> None:
    found = graph(drawn, collapse="group")
    assert {node["name"]: node["assets"] for node in found["nodes"]} == {"core": 2, "raw data": 2}
    (edge,) = found["edges"]
    assert (edge["source"], edge["target"], edge["origin"], edge["count"]) == (
        "group:raw data", "group:core", "grouped", 1,
    )  # fmt: skip
    opened = graph(drawn, collapse="group", opened=["core"])
    assert {node["id"] for node in opened["nodes"]} == {"asset:clean", "asset:report", "group:raw data"}
    assert ("group:raw data", "asset:clean") in {(one["source"], one["target"]) for one in opened["edges"]}
    assert {node["name"] for node in graph(drawn, selection="owner:team:ops")["nodes"]} == {"clean"}


def test_a_group_stands_as_its_assets_do_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    judge = Board.verdicts

    def judged(board: Board) -> Standings:
        threading.Event().wait(0.05)  # as with many assets: what takes long is what one would keep
        return judge(board)

    monkeypatch.setattr(Board, "verdicts", judged)
    (tmp_path / "pyproject.toml").write_text('[tool.headwater]\nproject = "shop"\n')
    home = Home.open(tmp_path / ".headwater", create=True)
    policy = {"max_lag": 3_600, "clock": "last_materialized"}
    write(home, [started(), defined("clean", group="core", freshness=policy)])
    with served(tmp_path, insecure=True) as (client, app):
        projection = app.state.service.project.projection
        (before,) = graph(client, collapse="group")["nodes"]
        version = projection.version
        write(home, [made("clean", None, "v1")])
        until(lambda: projection.version > version)
        # Asked at once: what is kept of this moment must be of this moment.
        (after,) = graph(client, collapse="group")["nodes"]
    assert (before["verdict"], after["verdict"]) == ("unknown", "fresh")


def test_a_picture_to_take_along_holds_no_markup_of_names(drawn: TestClient) -> None:
    answer = drawn.get("/api/graph.svg", params={"columns": True})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/svg+xml")
    assert "attachment" in answer.headers["content-disposition"]
    texts = ["".join(one.itertext()) for one in ElementTree.fromstring(answer.text).iter()]
    assert "<script" not in answer.text
    assert any(one.startswith("<script>alert(1)</script>") for one in texts)
    assert any("no policy · parquet" in one or "no policy · " in one for one in texts)


def test_what_a_change_reaches(drawn: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    found = drawn.get("/api/impact", params={"root": "raw.day"}).json()
    assert {one["id"]: one["steps"] for one in found["columns"]} == {"clean.day": 1, "report.day": 2}
    assert (found["totals"]["columns"], found["truncated"]) == (2, False)
    monkeypatch.setattr(graph_routes, "MOST", 4)
    whole = drawn.get("/api/impact", params={"root": "clean"}).json()
    assert (whole["totals"]["assets"], len(whole["assets"]), whole["truncated"]) == (10, 4, True)


def test_what_is_not_there_is_said_and_what_is_out_of_bounds_refused(drawn: TestClient) -> None:
    for asked, hint in (
        ({"root": "claen"}, "clean"),
        ({"root": "clean.dya"}, "day"),
        ({"selection": "claen"}, "clean"),
    ):
        answer = drawn.get("/api/graph", params=asked)
        assert (answer.status_code, hint in answer.json()["hint"]) == (404, True)
    for beyond in ({"up": "11"}, {"further": "sideways:clean"}, {"collapse": "colour"}, {"limit": "0"}):
        assert drawn.get("/api/graph", params=beyond).status_code == 422
