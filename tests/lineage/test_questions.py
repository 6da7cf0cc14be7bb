"""Questions about a graph: pure answers against networkx, and the same asked of a project's past."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lineage_world import defined, made, started, write
from tried import tried_on

from headwater.assets.events import UnknownColumn
from headwater.core.journal.home import Home
from headwater.errors import UnknownNameError
from headwater.lineage import walking
from headwater.lineage.difference import difference
from headwater.lineage.drawing import Walk
from headwater.lineage.graph import LineageEdge, LineageGraph, LineageNode
from headwater.lineage.impact import CheckColumns, impact
from headwater.lineage.projection import Projection
from headwater.lineage.questions import Questions, around
from headwater.lineage.session import Answer, Session
from headwater.lineage.tags import TagFacts, tags_of

PAIRS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=25)
COLUMN = st.tuples(st.integers(0, 3), st.integers(0, 2))
COLUMN_EDGES = st.lists(
    st.tuples(COLUMN, st.tuples(st.integers(0, 3), st.none() | st.integers(0, 2)), st.booleans()), max_size=15
)


def assets(pairs: list[tuple[int, int]]) -> LineageGraph:
    nodes = tuple(LineageNode(id=str(n), kind="asset", name=str(n)) for n in range(10))
    edges = tuple(LineageEdge(source=str(a), target=str(b), origin="observed") for a, b in pairs)
    return LineageGraph(root=None, nodes=nodes, edges=edges)


def columns(edges: list[tuple[tuple[int, int], tuple[int, int | None], bool]]) -> LineageGraph:
    """Four assets of three columns each; a target column of None is the whole asset."""
    nodes = [LineageNode(id=f"a{a}", kind="asset", name=f"a{a}") for a in range(4)]
    nodes += [
        LineageNode(id=f"a{a}.c{c}", kind="column", name=f"c{c}", asset=f"a{a}") for a in range(4) for c in range(3)
    ]
    found = []
    for (a, c), (to, column), identity in edges:
        kind = ("INDIRECT", "FILTER") if column is None else ("DIRECT", "IDENTITY" if identity else "TRANSFORMATION")
        target = f"a{to}" if column is None else f"a{to}.c{column}"
        found.append(LineageEdge(source=f"a{a}.c{c}", target=target, origin="observed", type=kind[0], subtype=kind[1]))
        found.append(LineageEdge(source=f"a{a}", target=f"a{to}", origin="observed"))
    return LineageGraph(root=None, nodes=tuple(nodes), edges=tuple(found))


def oracle(graph: LineageGraph, *, of_columns: bool) -> Any:
    """The same as networkx has it: what reaches a whole asset reaches each of its columns."""
    found = nx.DiGraph()
    found.add_nodes_from(node.id for node in graph.nodes)
    found.add_edges_from((e.source, e.target) for e in graph.edges if (e.subtype is not None) == of_columns)
    for node in graph.nodes:
        if of_columns and node.asset is not None and found.in_degree(node.asset):
            found.add_edge(node.asset, node.id)
    return found


@tried_on(40)
@given(PAIRS, st.integers(0, 9), st.integers(0, 9))
def test_reaching_and_paths_are_as_networkx_has_them(pairs: list[tuple[int, int]], one: int, other: int) -> None:
    graph, right = assets(pairs), oracle(assets(pairs), of_columns=False)
    assert set(graph.upstream(str(one))) == nx.ancestors(right, str(one))
    assert set(graph.downstream(str(one))) == nx.descendants(right, str(one))
    near = nx.single_source_shortest_path_length(right, str(one), 2)
    assert set(graph.downstream(str(one), 2)) == set(near) - {str(one)}
    path = graph.path(str(one), str(other))
    assert (path is not None) == nx.has_path(right, str(one), str(other))
    if path is not None:
        assert len(path) == nx.shortest_path_length(right, str(one), str(other)) + 1
        assert all(right.has_edge(*step) for step in pairwise(path))


@tried_on(40)
@given(COLUMN_EDGES, COLUMN)
def test_the_impact_of_a_column_is_all_that_is_made_of_it(edges: Any, start: tuple[int, int]) -> None:
    graph, subject = columns(edges), f"a{start[0]}.c{start[1]}"
    right = oracle(graph, of_columns=True)
    far = nx.single_source_shortest_path_length(right, subject)
    checks = [CheckColumns(asset=f"a{a}", name="x", columns=("c1",)) for a in range(4)]
    found = impact(graph, subject, "rename", checks=checks, unknown=[f"a{a}" for a in range(4)])
    reached = {one.id: one for one in (*found.columns, *found.wholes)}
    assert {name: one.steps for name, one in reached.items()} == {n: d for n, d in far.items() if d}
    assert {one.effect for one in reached.values() if one.steps == 1} <= {"breaks"}
    assert {one.effect for one in reached.values() if one.steps > 1} <= {"affected"}
    touched = {*(one.id for one in found.columns), subject}
    assert {one.asset for one in found.checks} == {f"a{a}" for a in range(4) if f"a{a}.c1" in touched}
    for name, one in reached.items():
        into = {name, name.split(".")[0]}
        assert set(one.via) == {e.subtype for e in graph.edges if e.subtype and e.source in far and e.target in into}
    owners = {name.split(".")[0] for name in reached} - {f"a{start[0]}"}
    assert {one.id: one.steps for one in found.assets} == {
        owner: min(one.steps for name, one in reached.items() if name.split(".")[0] == owner) for owner in owners
    }
    of_assets = oracle(graph, of_columns=False)
    stale = set().union(owners, *(nx.descendants(of_assets, name) for name in owners)) - {f"a{start[0]}"}
    assert set(found.stale) == stale
    readers = nx.descendants(of_assets, f"a{start[0]}")
    assert set(found.unknown) == readers - owners - {f"a{start[0]}"}
    retyped = {one.id for one in impact(graph, subject, "retype").columns if one.effect == "retyped"}
    carried = nx.DiGraph([(e.source, e.target) for e in graph.edges if e.subtype == "IDENTITY"])
    assert retyped == (nx.descendants(carried, subject) if subject in carried else set())


@tried_on(30)
@given(COLUMN_EDGES, COLUMN, st.lists(COLUMN, max_size=2), st.lists(st.integers(0, 3), max_size=2))
def test_tags_flow_as_far_as_nothing_masks_them(edges: Any, start: Any, masks: Any, unknown: Any) -> None:
    def name(column: Any) -> tuple[str, str]:
        return f"a{column[0]}", f"c{column[1]}"

    masked = {name(column) for column in masks} - {name(start)}
    direct = {(name(source), name(target)) for source, target, _ in edges if target[1] is not None}
    reads = {(f"a{source[0]}", f"a{target[0]}") for source, target, _ in edges}
    facts = TagFacts(
        edges=frozenset(direct),
        declared={name(start): frozenset({"pii"})},
        masks={column: frozenset({"pii"}) for column in masked},
        unknown=frozenset((f"a{asset}", None) for asset in unknown),
        columns={f"a{a}": frozenset(f"c{c}" for c in range(3)) for a in range(4)},
        reads={f"a{a}": frozenset(source for source, target in reads if target == f"a{a}") for a in range(4)},
    )
    found = {(one.asset, one.column): one for one in tags_of(facts).columns}
    sure = nx.DiGraph([edge for edge in direct if edge[1] not in masked])
    sure.add_node(name(start))
    known = {column for column, one in found.items() if one.origin != "possible"}
    assert known == {name(start), *nx.descendants(sure, name(start))}
    for asset in unknown:
        for source, target in reads:
            if target == f"a{asset}" and any(column[0] == source for column in found):
                assert {(f"a{asset}", f"c{c}") for c in range(3)} - masked <= found.keys()
    assert not masked & found.keys()


@tried_on(30)
@given(COLUMN_EDGES, COLUMN_EDGES)
def test_a_difference_is_what_one_has_and_the_other_has_not(before: Any, after: Any) -> None:
    def told(edges: Iterable[LineageEdge]) -> list[tuple[str, str, str, str]]:
        return [(e.source, e.target, e.type or "", e.subtype or "") for e in edges]

    old, new = columns(before), columns(after)
    found = difference(old, new)
    assert told(found.added_edges) == sorted(set(told(new.edges)) - set(told(old.edges)))
    assert told(found.removed_edges) == sorted(set(told(old.edges)) - set(told(new.edges)))
    assert bool(found) == (set(told(old.edges)) != set(told(new.edges)))


@pytest.fixture
def questions(projection: Projection) -> Questions:
    return Questions(projection)


def world(home: Home) -> None:
    write(
        home,
        [
            defined("people", column_tags={"email": ["pii"]}, checks=["given"], check_columns={"given": ["email"]}),
            defined("hashed", masks={"key": ["pii"]}),
            started("r1"),
            made("mails", None, "m1", [("people", None, "p")], run="r1", columns={"to": [("people", "email")]}),
            made("hashed", None, "h1", [("mails", None, "m1")], run="r1", columns={"key": [("mails", "to")]}),
            started("r2"),
            made("mails", None, "m2", [("people", None, "p")], run="r2", columns={"id": [("people", "id")]}),
            made(
                "hashed", None, "h2", [("mails", None, "m2")], run="r2",
                columns={"key": [("mails", "to")], "copy": [("mails", "to")], None: [("mails", "id")]},
            ),
        ],
    )  # fmt: skip


def moments(questions: Questions) -> dict[str, int]:
    with questions.projection.session() as session:
        return dict(session.rows("SELECT version, time FROM facts.outcomes"))


def test_impact_of_a_column_names_columns_checks_and_what_is_stale_then(home: Home, questions: Questions) -> None:
    world(home)
    found = questions.impact("people.email").to_json()
    assert [(one["id"], one["effect"]) for one in found["columns"]] == [
        ("mails.to", "breaks"),
        ("hashed.copy", "affected"),
        ("hashed.key", "affected"),
    ]
    assert found["checks"] == [{"asset": "people", "name": "given", "columns": ["email"]}]
    assert found["stale"] == ["hashed", "mails"]
    assert [one["id"] for one in questions.impact("people").to_json()["assets"]] == ["mails", "hashed"]
    with pytest.raises(UnknownNameError):
        questions.impact("people.nothing")


def test_impact_names_those_that_may_read_the_column_unseen_whether_they_are_defined_or_not(
    home: Home, questions: Questions
) -> None:
    world(home)
    unseen = {"unknown_columns": (UnknownColumn(column=None, reason="map_batches"),)}
    write(
        home,
        [defined("told"), started("r3")]
        + [made(name, None, name, [("people", None, "p")], run="r3", **unseen) for name in ("told", "untold")],
    )
    assert questions.impact("people.email").unknown == ("told", "untold")
    assert questions.impact("people").unknown == ()


def test_impact_of_a_column_that_only_earlier_code_read_is_nothing(home: Home, questions: Questions) -> None:
    read = {"code_version": "1", "columns": {"x": [("feed", "old")]}}
    write(home, [started("r1"), made("clean", None, "c1", [("feed", None, "f")], run="r1", **read)])
    assert [one.id for one in questions.impact("feed.old").columns] == ["clean.x"]
    read = {"code_version": "2", "columns": {"x": [("feed", "new")]}}
    write(home, [started("r2"), made("clean", None, "c2", [("feed", None, "f")], run="r2", **read)])
    assert [questions.impact(f"feed.{name}").columns == () for name in ("old", "new")] == [True, False]


def test_what_impact_costs_follows_what_it_reaches(
    home: Home, questions: Questions, monkeypatch: pytest.MonkeyPatch
) -> None:
    world(home)
    others = [f"other{number}" for number in range(300)]
    write(
        home,
        [started("r3"), *(defined(name, checks=["given"], check_columns={"given": ["x"]}) for name in others)]
        + [made(name, None, "o1", [(before, None, "o1")], run="r3") for before, name in pairwise(others)],
    )
    questions.impact("people.email")  # which has taken in what is new
    read, rows = 0, Session.execute

    def counted(self: Session, *given: Any) -> Answer:
        nonlocal read
        found = rows(self, *given)
        read += len(found.rows)
        return found

    monkeypatch.setattr(Session, "execute", counted)
    assert len(questions.impact("people.email").columns) == 3
    assert questions.impact("people").checks[0].name == "given"
    assert read < 150


def test_impact_walks_each_asset_a_few_times_however_many_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"a{number}" for number in range(200)]
    nodes = [LineageNode(id=name, kind="asset", name=name) for name in names]
    nodes += [LineageNode(id=f"{name}.c", kind="column", name="c", asset=name) for name in names]
    edges = [LineageEdge(source=one, target=other, origin="observed") for one, other in pairwise(names)]
    edges += [
        LineageEdge(source=f"{one}.c", target=f"{other}.c", origin="observed", type="DIRECT", subtype="IDENTITY")
        for one, other in pairwise(names)
    ]
    walked, walk = 0, walking.distances

    def counted(*given: Any, **named: Any) -> dict[str, int]:
        nonlocal walked
        found = walk(*given, **named)
        walked += len(found)
        return found

    monkeypatch.setattr("headwater.lineage.impact.distances", counted)
    found = impact(LineageGraph(root=None, nodes=tuple(nodes), edges=tuple(edges)), "a0.c")
    assert (len(found.columns), len(found.stale)) == (199, 199)
    assert walked <= 5 * len(names)


def test_path(home: Home, questions: Questions) -> None:
    world(home)
    assert questions.path("people", "hashed") == ("people", "mails", "hashed")
    assert questions.path("people.email", "hashed.key") == ("people.email", "mails.to", "hashed.key")
    assert questions.path("hashed", "people") is None
    with pytest.raises(UnknownNameError):
        questions.path("people", "nobody")


def test_the_graph_as_of_a_time_is_what_was_seen_until_then(home: Home, questions: Questions) -> None:
    world(home)
    at = moments(questions)

    def ends(as_of: int | None, subject: str | None = None) -> set[tuple[str, str]]:
        graph = questions.graph(subject, Walk(), columns=True, as_of=as_of)
        return {(edge.source, edge.target) for edge in graph.edges}

    assert ends(at["m1"]) == {("people", "mails"), ("people.email", "mails.to")}
    assert ends(2**60) == ends(None)
    for subject in ("mails", "people.email", "hashed.key"):
        assert ends(2**60, subject) == ends(None, subject)


def test_a_column_that_was_only_read_is_there_whichever_way_is_asked(home: Home, questions: Questions) -> None:
    write(home, [made("mails", None, "m", [("people", None, "p")], columns={"to": [("people", "email")]})])
    for walk, far in ((Walk(down=False), 0), (Walk(up=False), 1), (Walk(depth=0), 0)):
        found = questions.graph("people.email", walk, columns=True)
        assert (found.root, len(found.edges)) == ("people.email", far)
    with pytest.raises(UnknownNameError, match="nothing"):
        questions.graph("people.nothing", Walk(down=False), columns=True)


def test_the_graph_as_of_now_is_the_graph(home: Home, questions: Questions) -> None:
    world(home)
    columns: dict[str | None, list[tuple[str, str]]] = {"n": [("hashed", "copy")], None: [("hashed", "key")]}
    read = [("hashed", None, "h2"), ("mails", None, "m2")]
    write(home, [made("counts", None, "c1", read, columns={**columns, "m": [("mails", "id")]})])
    everything = questions.graph(None, Walk(), columns=True)
    assert {"hashed.key", "counts.n"} < {node.id for node in everything.nodes}
    for subject in [node.id for node in everything.nodes]:
        for walk in [Walk(up=up, down=not up, depth=depth) for up in (True, False) for depth in (0, 1, 2, None)]:
            now, then = (questions.graph(subject, walk, columns=True, as_of=at) for at in (None, 2**60))
            assert {node.id for node in then.nodes} == {node.id for node in now.nodes}, (subject, walk)
            assert _told(then) == _told(now), (subject, walk)


def _told(graph: LineageGraph) -> set[tuple[str, str, str | None]]:
    return {(edge.source, edge.target, edge.subtype) for edge in graph.edges}


def test_two_runs_and_two_moments_differ_in_what_was_observed(home: Home, questions: Questions) -> None:
    world(home)
    at = moments(questions)
    runs = questions.difference("r1", "r2").to_json()
    assert {(e["from"], e["to"]) for e in runs["edges"]["removed"]} == {("people.email", "mails.to")}
    added = {("people.id", "mails.id"), ("mails.to", "hashed.copy"), ("mails.id", "hashed")}
    assert {(e["from"], e["to"]) for e in runs["edges"]["added"]} == added
    assert questions.difference(at["h1"], at["h2"]).to_json()["edges"] == runs["edges"]
    assert not questions.difference(at["h2"], at["h2"])
    with pytest.raises(UnknownNameError):
        questions.difference("r1", "r9")


def test_tags_flow_to_what_is_in_place_and_say_what_was_gained(home: Home, questions: Questions) -> None:
    world(home)
    at = moments(questions)
    first, last = questions.tags(at["h1"]), questions.tags(at["h2"])
    assert [(one.id, one.path[0]) for one in first.columns] == [
        ("mails.to", "people.email"),
        ("people.email", "people.email"),
    ]
    assert first.masked == (("hashed.key", "pii", "mails.to"),)
    assert [one.id for one in last.columns] == ["people.email"]
    gained, lost = last.since(first)
    assert (gained, [one.id for one in lost]) == ((), ["mails.to"])
    assert [one.id for one in first.since(last)[0]] == ["mails.to"]


def test_the_newest_definition_of_an_asset_says_its_tags_and_masks_after_it_was_moved(
    home: Home, questions: Questions
) -> None:
    tagged, masked = {"column_tags": {"email": ["pii"]}}, {"masks": {"key": ["pii"]}}
    write(home, [defined("people", **tagged), defined("hashed", **masked)])
    write(home, [made("hashed", None, "h", [("people", None, "p")], columns={"key": [("people", "email")]})])
    assert questions.tags(2**60).masked == (("hashed.key", "pii", "people.email"),)
    write(home, [defined("hashed", place="/new"), defined("people", place="/new", **tagged)])
    assert [one.id for one in questions.tags(2**60).columns] == ["hashed.key", "people.email"]
    write(home, [defined("people", place="/newer")])
    assert questions.tags(2**60).columns == ()


@tried_on(20)
@given(COLUMN_EDGES, st.integers(0, 3), st.sampled_from([None, 1, 2]))
def test_the_part_around_an_asset_holds_what_leads_there_and_away(edges: Any, start: int, depth: int | None) -> None:
    graph = columns(edges)
    found = around(graph, f"a{start}", Walk(depth=depth), columns=False)
    right = oracle(graph, of_columns=False)
    near = {f"a{start}"}
    for one in (right, right.reverse()):
        near |= set(nx.single_source_shortest_path_length(one, f"a{start}", depth))
    assert {node.id for node in found.nodes} == near


def test_sql_answers_the_same(home: Home, questions: Questions) -> None:
    world(home)
    with questions.projection.session() as session:
        assert session.rows("SELECT asset, steps FROM upstream('hashed') ORDER BY steps") == [
            ("mails", 1),
            ("people", 2),
        ]
        assert session.rows("SELECT asset, steps FROM downstream('people') ORDER BY steps") == [
            ("mails", 1),
            ("hashed", 2),
        ]
        rows = session.rows("SELECT asset, \"column\", steps FROM column_impact('people', 'email') ORDER BY ALL")
    assert rows == [("hashed", "copy", 2), ("hashed", "key", 2), ("mails", "to", 1)]
