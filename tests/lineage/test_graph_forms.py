"""The forms of a lineage graph."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_hostile_names import HOSTILE
from tried import tried_on

from headwater.errors import UnknownNameError
from headwater.lineage.graph import LineageEdge, LineageGraph, LineageNode
from headwater.lineage.layout import layered
from headwater.lineage.names import column_id, split_column_id


def graph(*pairs: str, root: str | None = None, declared: tuple[str, ...] = ()) -> LineageGraph:
    """Of pairs like "a>b"; those in `declared` were never observed."""
    ends = [tuple(pair.split(">")) for pair in pairs]
    names = sorted({name for pair in ends for name in pair})
    return LineageGraph(
        root=root,
        nodes=tuple(LineageNode(id=name, kind="asset", name=name) for name in names),
        edges=tuple(
            LineageEdge(source=source, target=target, origin="declared" if pair in declared else "observed", runs=1)
            for pair, (source, target) in zip(pairs, ends, strict=True)
        ),
    )


def test_the_tree_of_a_diamond_shows_the_shared_part_once() -> None:
    found = graph("a>b", "a>c", "b>d", "c>d", "z>a", root="d")
    assert found.tree().splitlines() == ["d", "├── b", "│   └── a", "│       └── z", "└── c", "    └── a …"]
    assert found.tree("a", direction="down").splitlines() == ["a", "├── b", "│   └── d", "└── c", "    └── d"]


def test_the_tree_ends_on_a_cycle() -> None:
    assert graph("a>b", "b>a", "a>a", root="a").tree().splitlines() == ["a", "├── a ↺", "└── b", "    └── a ↺"]
    assert sorted(map(sorted, graph("a>b", "b>a").cycles())) == [["a", "b"]]


def test_a_chain_deeper_than_pythons_stack_is_no_trouble() -> None:
    names = [f"n{number:05}" for number in range(3000)]
    found = graph(*(f"{one}>{two}" for one, two in pairwise(names)), root=names[-1])
    assert len(found.tree().splitlines()) == 3000


def test_the_tree_of_nothing_known_is_an_error() -> None:
    with pytest.raises(UnknownNameError):
        graph("a>b").tree("c")


def test_networkx_gets_the_attributes() -> None:
    found = graph("a>b", "b>c").to_networkx()
    assert list(found.edges(data="origin")) == [("a", "b", "observed"), ("b", "c", "observed")]
    assert found.nodes["a"]["kind"] == "asset"


def test_mermaid_and_dot_tell_declared_edges_apart_and_escape_names() -> None:
    found = graph('a"]; x>b', "b>c", declared=("b>c",))
    assert found.to_mermaid().splitlines() == [
        "flowchart LR",
        '  n0["a#34;#93;#59; x"]',
        '  n1["b"]',
        '  n2["c"]',
        "  n0 --> n1",
        "  n1 -.-> n2",
    ]
    assert '  "a\\"]; x" -> "b";' in found.to_dot()
    assert '  "b" -> "c" [style=dashed];' in found.to_dot()


@tried_on(50)
@given(st.text(min_size=1), st.text())
def test_the_id_of_a_column_can_be_taken_apart_again(asset: str, column: str) -> None:
    assert split_column_id(column_id(asset, column)) == (asset, column)


@tried_on(30)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=15))
def test_a_tree_holds_exactly_what_can_be_reached(pairs: list[tuple[int, int]]) -> None:
    found = graph("0>0", *(f"{source}>{target}" for source, target in pairs), root="0")
    reached, todo = {"0"}, ["0"]
    for name in todo:
        new = {edge.source for edge in found.edges if edge.target == name} - reached
        reached |= new
        todo += new
    shown = {line.lstrip("│├└─ ").split()[0] for line in found.tree().splitlines()}
    assert shown == reached


SVG = "{http://www.w3.org/2000/svg}"


def texts(picture: str) -> list[str]:
    return ["".join(one.itertext()) for one in ElementTree.fromstring(picture).iter(f"{SVG}text")]


def hostile_graph() -> LineageGraph:
    names = [name for name in HOSTILE.values() if name]
    more = ["<script>alert(1)</script>", "</text><image href='x' onerror='alert(1)'>", "]]>", "click n0 href"]
    nodes = [LineageNode(id=name, kind="asset", name=name) for name in (*names, *more)]
    nodes.append(LineageNode(id="a.<b>", kind="column", name="<b>", asset=more[0], tags=("pii",)))
    edges = [LineageEdge(source=one.id, target=two.id, origin="observed") for one, two in pairwise(nodes[:-1])]
    return LineageGraph(root=more[0], nodes=tuple(nodes), edges=tuple(edges))


def test_hostile_names_stay_texts_in_a_picture() -> None:
    found = hostile_graph()
    picture = found.to_svg()
    assert picture == found._repr_html_()
    document = ElementTree.fromstring(picture)
    assert {one.tag.removeprefix(SVG) for one in document.iter()} <= {
        "svg", "title", "style", "defs", "marker", "path", "g", "rect", "text",
    }  # fmt: skip
    assert not {name for one in document.iter() for name in one.attrib if name.startswith("on") or "href" in name}
    assert "<script" not in picture
    shown = [one for one in texts(picture) if one.startswith("<script")]
    assert shown == ["<script>alert(1)</script>"]
    # What would turn the writing round, or act upon a terminal, is written out.
    assert not {"\u202e", "\x1b", "\x9b", "\0"} & set(picture)


def test_hostile_names_stay_in_their_place_in_mermaid_and_dot() -> None:
    found = hostile_graph()
    nodes = [line for line in found.to_mermaid().splitlines() if "[" in line]
    assert len(nodes) == len(found.nodes)
    for line in found.to_mermaid().splitlines()[1:]:
        assert not set("<>&'`{}()|\\") & set(line.replace("-->", "")), line
    dot = found.to_dot()
    assert len(dot.splitlines()) == len(found.nodes) + len(found.edges) + 3
    assert not {"\x1b", "\0"} & set(dot)


def test_a_picture_of_too_many_says_what_is_left_out() -> None:
    names = [f"n{number}" for number in range(500)]
    found = graph(*(f"{one}>{two}" for one, two in pairwise(names)), root="n250")
    shown = texts(found.to_svg(limit=20))
    assert "20 of 500 assets are drawn; 480 are left out" in shown
    assert shown.count("+1") == 2
    assert "n250" in shown
    assert not [one for one in texts(found.to_svg(limit=500)) if "left out" in one]


@tried_on(30)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=30))
def test_cards_never_overlap_and_data_goes_to_the_right(pairs: list[tuple[int, int]]) -> None:
    sizes = {str(n): (60.0 + 10 * n, 20.0 + 7 * n) for n in range(10)}
    edges = [(str(a), str(b)) for a, b in pairs]
    places = layered(sizes, edges).places
    assert places.keys() == sizes.keys()
    for one, (x, y) in places.items():
        for other, (x2, y2) in places.items():
            if one < other:
                apart = x + sizes[one][0] <= x2 or x2 + sizes[other][0] <= x
                assert apart or y + sizes[one][1] <= y2 + 0.01 or y2 + sizes[other][1] <= y + 0.01
    if all(a <= b for a, b in pairs):
        assert all(places[a][0] < places[b][0] for a, b in edges if a != b)
