"""The forms of a lineage graph."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headwater.errors import UnknownNameError
from headwater.lineage.graph import LineageEdge, LineageGraph, LineageNode
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


@settings(max_examples=100, deadline=None)
@given(st.text(min_size=1), st.text(min_size=1))
def test_the_id_of_a_column_can_be_taken_apart_again(asset: str, column: str) -> None:
    assert split_column_id(column_id(asset, column)) == (asset, column)


@settings(max_examples=60, deadline=None)
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
