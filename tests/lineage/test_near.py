"""What is near an asset, asked of a projection: the same as a walk over the whole graph, and no more than there is room for."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import duckdb
import pytest
from lineage_world import defined, made, started, write

from headwater.core.journal.home import Home
from headwater.errors import UnknownNameError
from headwater.lineage.catalog import ProjectionCatalog
from headwater.lineage.drawing import Walk, draw, root_of
from headwater.lineage.near import Near, among, column_edges, columns_of, joined, near, traced, unknown_of
from headwater.lineage.projection import Projection
from headwater.lineage.reader import Reader
from headwater.lineage.shown import Shown
from headwater.lineage.shown import asset as shown_asset
from headwater.lineage.statements import statements


def pairs(found: Near) -> set[tuple[str, str, str]]:
    return {(edge.source, edge.target, edge.origin) for edge in found.edges}


@pytest.fixture
def fan(home: Home, projection: Projection) -> Projection:
    """raw → clean → report, thirty readers of clean, and a report that is declared and was never made."""
    bodies = [started(), defined("clean", ["raw"]), defined("planned", ["clean"])]
    bodies += [made("clean", None, "v1", [("raw", None, None)], columns={"day": [("raw", "day")]})]
    bodies += [made("report", None, "v2", [("clean", None, "v1")], columns={"day": [("clean", "day")]})]
    bodies += [made(f"r{n:02}", None, f"w{n}", [("clean", None, "v1")]) for n in range(30)]
    write(home, bodies)
    return projection


def test_so_many_steps_and_what_lies_beyond(fan: Projection) -> None:
    with fan.session(outlined=True) as session:
        found = near(session, "report", up=1, down=2)
        assert (found.root, set(found.datasets), found.truncated) == ("report", {"report", "clean"}, False)
        assert found.more == {"report": (0, 0), "clean": (1, 31)}
        further = near(session, "report", up=1, down=0, further=[("clean", "up"), ("nothing-shown", "up")][:1])
        assert pairs(further) == {("raw", "clean", "observed"), ("clean", "report", "observed")}
        assert near(session, "planned", up=1, down=0).edges[0].origin == "declared"
        assert near(session, "raw", up=3, down=0).datasets.keys() == {"raw"}


def test_the_same_whether_edges_are_worked_out_or_not(fan: Projection) -> None:
    asked: list[dict[str, Any]] = [{"up": 1, "down": 2}, {"up": 2, "down": 2, "limit": 9}, {"up": 0, "down": 0}]
    roots = ("raw", "clean", "report", "planned", "clean.day")
    with fan.session() as session:
        assert session.rows("FROM state.pending")
        before = [near(session, root, **one) for root in roots for one in asked]
        graphs = [draw(session, root, Walk(), columns=True) for root in roots]
    with fan.session(outlined=True) as session:
        assert not session.rows("FROM state.pending")
        assert [near(session, root, **one) for root in roots for one in asked] == before
        assert [draw(session, root, Walk(), columns=True) for root in roots] == graphs
    # Nobody defined these: they are called what edges call them.
    assert before[0].datasets.keys() >= {"raw", "clean", "r00"}


def test_edges_that_were_worked_out_step_by_step_are_those_of_all_at_once(home: Home, projection: Projection) -> None:
    knows_a_name = defined("m", ["z", "late"])
    knows_a_name.definition["inputs"][1].update(namespace=None, dataset=None)
    steps = [
        [started(), defined("z", ["y"]), made("z", None, "v1", [("y", None, None)], columns={"day": [("y", "day")]})],
        # Nobody knows what `late` is; and the numbers of these are not in the order of their names.
        [knows_a_name, made("a", None, "v2", [("z", None, "v1")], columns={None: [("z", "day")]})],
        [defined("late"), made("z", None, "v3", [("x", None, None)], columns={"day": [("x", "day")], "n": [("y", "n")]})],
    ]  # fmt: skip
    roots = ("y", "y.day", "a", "m", "z.n", "late")
    for bodies in steps:
        write(home, bodies)
        with projection.session(outlined=True) as session:
            assert near(session, "z", up=2, down=2).datasets.keys() >= {"y", "z"}
    with projection.session(outlined=True) as session:
        drawn = [draw(session, root, Walk(), columns=True) for root in roots]
        around = [near(session, root, up=2, down=2, limit=3) for root in roots]
    assert ("late", "m") in {(edge.source, edge.target) for edge in drawn[-1].edges}
    assert projection.verify() == []
    projection.rebuild()
    with projection.session(outlined=True) as session:
        assert [draw(session, root, Walk(), columns=True) for root in roots] == drawn
        assert [near(session, root, up=2, down=2, limit=3) for root in roots] == around


def test_what_was_only_made_is_called_what_it_was_asked_for_by(home: Home, projection: Projection) -> None:
    write(home, [started(), made("alone", None, "v1", [], columns={})])
    with projection.session(outlined=True) as session:
        assert near(session, "alone", up=1, down=1).datasets.keys() == {"alone"}
        assert [node.id for node in draw(session, "alone", Walk(), columns=False).nodes] == ["alone"]


def test_no_more_than_there_is_room_for(fan: Projection) -> None:
    with fan.session(outlined=True) as session:
        found = near(session, "clean", up=1, down=1, limit=10)
        assert (len(found.datasets), found.truncated) == (10, True)
        assert found.more["clean"] == (0, 32 - 8)
        assert near(session, "clean", up=1, down=1, limit=10) == found


def test_columns_their_edges_and_what_is_unknown(fan: Projection) -> None:
    with fan.session(outlined=True) as session:
        found = near(session, "report", up=2, down=0)
        assert columns_of(session, found)["clean"] == [("day", "Int64")]
        edges = {
            (one.source, one.source_column, one.target, one.target_column) for one in column_edges(session, found, 50)
        }
        assert edges == {("raw", "day", "clean", "day"), ("clean", "day", "report", "day")}
        assert len(column_edges(session, found, 1)) == 1
        assert unknown_of(session, found) == {}
        above, below = traced(session, "clean.day", up=1, down=1)
        assert {node.id for node in (*above.nodes, *below.nodes)} == {"raw.day", "clean.day", "report.day"}


def test_what_reads_itself_and_a_column_in_two_ways(home: Home, fan: Projection) -> None:
    inputs = [("clean", None, "v1"), ("ratio", None, "x0")]
    by_day = {"day": [("clean", "day")], None: [("clean", "day")]}
    write(home, [made("ratio", None, "x1", inputs, columns=by_day)])
    with fan.session(outlined=True) as session:
        found = near(session, "ratio", up=1, down=0)
        assert pairs(found) == {("clean", "ratio", "observed")}
        edges = column_edges(session, found, 50)
    assert [(one.source, one.source_column, one.target_column) for one in edges] == [
        ("clean", "day", None),
        ("clean", "day", "day"),
    ]


def test_groups_and_selections(fan: Projection) -> None:
    with fan.session(outlined=True) as session:
        found = near(session, "clean", up=1, down=1)
        groups = {dataset: name[0] for name, dataset in found.datasets.items()}
        # raw, report and the thirty are one group here.
        assert set(joined(session, groups)) == {("r", "c", 1), ("c", "r", 31), ("c", "p", 1)}
        names = {found.datasets[name]: name for name in ("raw", "clean")}
        assert pairs(among(session, names)) == {("raw", "clean", "observed")}
        assert among(session, {}).datasets == {}


def test_what_is_not_there(fan: Projection) -> None:
    with fan.session(outlined=True) as session:
        assert root_of(session, "clean.day")[1] == "day"
        with pytest.raises(UnknownNameError, match="no asset 'claen'"):
            near(session, "claen", up=1, down=1)


def test_a_notebook_shows_runs_and_backfills_as_pictures(fan: Projection) -> None:
    runs = Reader(fan).runs()
    assert runs == {"runs": runs["runs"]}
    shown = ElementTree.fromstring(runs._repr_html_())
    assert "daily" in "".join(shown.itertext())
    row = {
        "state": "failed",
        "assets": ["a<b>"],
        "range": None,
        "partitions": {"requested": 4, "completed": 1, "failed": 3},
    }
    texts = "".join(ElementTree.fromstring(Shown(backfills=[row])._repr_html_()).itertext())
    assert "a<b>" in texts
    assert "1 of 4" in texts
    assert "no backfills yet" in Shown(backfills=[])._repr_html_()


def test_a_notebook_shows_an_asset_with_what_is_around_it(fan: Projection) -> None:
    picture = shown_asset(Reader(fan), ProjectionCatalog(fan), "report")
    texts = ["".join(one.itertext()) for one in ElementTree.fromstring(picture).iter()]
    assert {"report", "clean"} <= set(texts)
    assert any("no policy" in one for one in texts)
    alone = shown_asset(Reader(fan), ProjectionCatalog(fan), "nothing")
    assert "no policy · not defined" in "".join(ElementTree.fromstring(alone).itertext())


def test_groups_are_joined_along_edges() -> None:
    """Not every dataset with every other one first: of fifty thousand that would fill the disk."""
    places = range(2_000)
    given = {"namespaces": ["n"] * len(places), "datasets": [f"d{n}" for n in places], "groups": ["g"] * len(places)}
    with duckdb.connect() as connection:
        connection.execute("""
            CREATE SCHEMA state;
            CREATE TABLE state.nodes AS SELECT range::INTEGER AS number, 'n' AS namespace, 'd' || range AS dataset FROM range(2000);
            CREATE TABLE state.edges AS
            SELECT (range % 2000)::INTEGER AS source_place, (range * 7 % 2000)::INTEGER AS target_place FROM range(100000);
            CREATE TABLE state.declared_steps AS FROM state.edges LIMIT 0;
        """)
        ((_, plan),) = connection.execute(f"EXPLAIN {statements('lineage.sql')['settled_joined']}", given).fetchall()
    assert "Hash Join" in plan
    assert not any(of_all in plan for of_all in ("Nested Loop Join", "Cross Product"))
