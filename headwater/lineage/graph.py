"""The lineage graph as a value: assets or columns, the edges between them, and the forms that others read."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any

from headwater.errors import UnknownNameError
from headwater.lineage.walking import Direction, distances, shortest, steps
from headwater.records import dataclass

if TYPE_CHECKING:
    import networkx  # type: ignore[import-untyped]


@dataclass(frozen=True, slots=True, kw_only=True)
class LineageNode:
    """An asset or a column. `kind` is "asset" or "column"; a column says which asset it is of, and its type."""

    id: str
    kind: str
    name: str
    asset: str | None = None
    type: str | None = None
    tags: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The shape of a node in `lineage --json`."""
        found = {"id": self.id, "kind": self.kind, "name": self.name, "asset": self.asset, "type": self.type}
        return _known({**found, "tags": list(self.tags) or None})


@dataclass(frozen=True, slots=True, kw_only=True)
class LineageEdge:
    """That one thing is made of another: `origin` is "declared", "observed" or "reported", `last_seen` is RFC 3339.

    `type` and `subtype` are OpenLineage's, of column edges only; `runs` counts the runs that it was observed in.
    """

    source: str
    target: str
    origin: str
    runs: int = 0
    last_seen: str | None = None
    type: str | None = None
    subtype: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The shape of an edge in `lineage --json`."""
        found = {"from": self.source, "to": self.target, "origin": self.origin, "runs": self.runs}
        return {**found, "last_seen": self.last_seen, **_known({"type": self.type, "subtype": self.subtype})}


@dataclass(frozen=True, slots=True, kw_only=True)
class LineageGraph:
    """Nodes and edges around a root (None: everything there is).

    >>> nodes = tuple(LineageNode(id=name, kind="asset", name=name) for name in ("flights", "delays"))
    >>> edges = (LineageEdge(source="flights", target="delays", origin="observed", runs=3),)
    >>> print(LineageGraph(root="delays", nodes=nodes, edges=edges).tree())
    delays
    └── flights
    """

    root: str | None
    nodes: tuple[LineageNode, ...] = ()
    edges: tuple[LineageEdge, ...] = ()

    def node(self, name: str) -> LineageNode:
        """The node of this id. Raises UnknownNameError."""
        for node in self.nodes:
            if node.id == name:
                return node
        raise UnknownNameError.of("node", name, {node.id for node in self.nodes})

    def upstream(self, name: str, depth: int | None = None) -> tuple[str, ...]:
        """The ids of all that an asset or a column is made of, sorted; at most so many steps off. Raises UnknownNameError.

        >>> edges = (LineageEdge(source="a", target="b", origin="observed"),)
        >>> nodes = tuple(LineageNode(id=name, kind="asset", name=name) for name in "ab")
        >>> LineageGraph(root=None, nodes=nodes, edges=edges).upstream("b")
        ('a',)
        """
        return self._reached(name, "up", depth)

    def downstream(self, name: str, depth: int | None = None) -> tuple[str, ...]:
        """The ids of all that is made of an asset or a column, sorted; at most so many steps off. Raises UnknownNameError."""
        return self._reached(name, "down", depth)

    def path(self, source: str, target: str) -> tuple[str, ...] | None:
        """The ids along a shortest way from one to the other, in the direction of the data; None when there is none.

        Raises UnknownNameError.
        """
        columns = self.node(source).kind == "column"
        return shortest(steps(self, "down", columns=columns), source, self.node(target).id)

    def part(self, names: Collection[str], *, root: str | None = None) -> LineageGraph:
        """These nodes, and the edges between them."""
        return LineageGraph(
            root=root,
            nodes=tuple(node for node in self.nodes if node.id in names),
            edges=tuple(edge for edge in self.edges if edge.source in names and edge.target in names),
        )

    def _reached(self, name: str, direction: Direction, depth: int | None) -> tuple[str, ...]:
        columns = self.node(name).kind == "column"
        return tuple(sorted(distances(steps(self, direction, columns=columns), name, depth=depth).keys() - {name}))

    def to_json(self) -> dict[str, Any]:
        """What `lineage --json` prints of a graph: root, nodes, edges."""
        return {
            "root": self.root,
            "nodes": [node.to_json() for node in self.nodes],
            "edges": [edge.to_json() for edge in self.edges],
        }

    def to_networkx(self) -> networkx.MultiDiGraph[str]:
        """The graph for networkx: nodes by their ids, edges in the direction of the data, attributes as in the JSON."""
        import networkx as nx

        graph: networkx.MultiDiGraph[str] = nx.MultiDiGraph()
        for node in self.nodes:
            graph.add_node(node.id, **node.to_json())
        for edge in self.edges:
            attributes = edge.to_json()
            graph.add_edge(attributes.pop("from"), attributes.pop("to"), **attributes)
        return graph

    def cycles(self) -> list[list[str]]:
        """The ids along each cycle: none in a graph that can be carried out."""
        import networkx as nx

        return [list(cycle) for cycle in nx.simple_cycles(nx.DiGraph(self.to_networkx()))]

    def to_mermaid(self) -> str:
        """A Mermaid flowchart; what is declared and was never observed is dotted.

        >>> print(LineageGraph(root=None, nodes=(LineageNode(id="a", kind="asset", name="a"),)).to_mermaid())
        flowchart LR
          n0["a"]
        """
        names = {node.id: f"n{number}" for number, node in enumerate(self.nodes)}
        lines = ["flowchart LR", *(f'  {names[node.id]}["{_mermaid(node.id)}"]' for node in self.nodes)]
        for source, target, dashed in _pairs(self):
            lines.append(f"  {names[source]} {'-.->' if dashed else '-->'} {names[target]}")
        return "\n".join(lines)

    def to_dot(self) -> str:
        """A Graphviz digraph; what is declared and was never observed is dashed.

        >>> print(LineageGraph(root=None, nodes=(LineageNode(id="a", kind="asset", name="a"),)).to_dot())
        digraph lineage {
          rankdir=LR;
          "a" [shape=box];
        }
        """
        shapes = {"asset": "box", "column": "plaintext"}
        lines = [f"  {_dot(node.id)} [shape={shapes.get(node.kind, 'box')}];" for node in self.nodes]
        for source, target, dashed in _pairs(self):
            lines.append(f"  {_dot(source)} -> {_dot(target)}{' [style=dashed]' if dashed else ''};")
        return "\n".join(["digraph lineage {", "  rankdir=LR;", *lines, "}"])

    def to_svg(self, *, limit: int = 300) -> str:
        """A picture that needs nothing else: assets as cards with their columns, data from left to right.

        Of more than `limit` assets those nearest to the root are drawn, and it says how many are left out.
        """
        from headwater.lineage.svg import svg

        return svg(self, limit=limit)

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return self.to_svg()

    def tree(self, root: str | None = None, *, direction: str = "up") -> str:
        """What a node is made of (`direction="up"`), or what is made of it ("down"), as an indented tree.

        A node stands out with its branches once; where it comes again, "…" says that they are shown already, and "↺" that
        it is a node on the way there. Raises UnknownNameError.
        """
        start = root if root is not None else self.root
        known = {node.id for node in self.nodes}
        if start is None or start not in known:
            raise UnknownNameError.of("node", str(start), known)
        return "\n".join([start, *_branches(_neighbours(self, direction), start)])


def _neighbours(graph: LineageGraph, direction: str) -> dict[str, list[str]]:
    found: dict[str, set[str]] = {}
    for edge in graph.edges:
        here, there = (edge.target, edge.source) if direction == "up" else (edge.source, edge.target)
        found.setdefault(here, set()).add(there)
    return {here: sorted(there) for here, there in found.items()}


def _branches(neighbours: dict[str, list[str]], start: str) -> Iterator[str]:
    # A stack of our own: a long chain of assets must not meet Python's limit of recursion.
    shown, path = {start}, [start]
    stack = [(iter(children := neighbours.get(start, [])), len(children), "")]
    while stack:
        children_left, left, indent = stack[-1]
        name = next(children_left, None)
        if name is None:
            stack.pop()
            path.pop()
            continue
        stack[-1] = (children_left, left - 1, indent)
        below = neighbours.get(name, [])
        mark = " ↺" if name in path else " …" if name in shown and below else ""
        yield f"{indent}{'├── ' if left > 1 else '└── '}{name}{mark}"
        if not mark:
            shown.add(name)
            path.append(name)
            stack.append((iter(below), len(below), indent + ("│   " if left > 1 else "    ")))


def _pairs(graph: LineageGraph) -> list[tuple[str, str, bool]]:
    origins: dict[tuple[str, str], set[str]] = {}
    for edge in graph.edges:
        origins.setdefault((edge.source, edge.target), set()).add(edge.origin)
    return [(*pair, found == {"declared"}) for pair, found in origins.items()]


def _known(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


def _mermaid(text: str) -> str:
    # Mermaid has no escapes in labels, only HTML's numbered entities, written with '#'.
    return "".join(letter if letter.isalnum() or letter in " ._-/" else f"#{ord(letter)};" for letter in text)


def _dot(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    # What can't be printed is written out: some of it would end the text for Graphviz, or act upon a terminal.
    return '"' + "".join(letter if letter.isprintable() else f"\\{ascii(letter)[1:-1]}" for letter in escaped) + '"'
