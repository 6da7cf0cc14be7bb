"""What differs between two lineage graphs: of two runs, or of two moments."""

from __future__ import annotations

from typing import Any

from headwater.lineage.graph import LineageEdge, LineageGraph, LineageNode
from headwater.records import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphDifference:
    """What stands in one graph and not in the other. An edge is the same when its ends, origin and kind are.

    >>> edge = LineageEdge(source="a", target="b", origin="observed")
    >>> node = LineageNode(id="a", kind="asset", name="a")
    >>> empty = LineageGraph(root=None)
    >>> difference(empty, LineageGraph(root=None, nodes=(node,), edges=(edge,))).to_json()["nodes"]["added"][0]["id"]
    'a'
    """

    added_nodes: tuple[LineageNode, ...] = ()
    removed_nodes: tuple[LineageNode, ...] = ()
    retyped: tuple[tuple[LineageNode, LineageNode], ...] = ()
    added_edges: tuple[LineageEdge, ...] = ()
    removed_edges: tuple[LineageEdge, ...] = ()

    def __bool__(self) -> bool:
        parts = (self.added_nodes, self.removed_nodes, self.retyped, self.added_edges, self.removed_edges)
        return any(parts)

    def to_json(self) -> dict[str, Any]:
        """The shape of `lineage diff --json`: `{nodes: {added, removed, retyped}, edges: {added, removed}}`."""
        return {
            "nodes": {
                "added": [node.to_json() for node in self.added_nodes],
                "removed": [node.to_json() for node in self.removed_nodes],
                "retyped": [{"id": new.id, "from": old.type, "to": new.type} for old, new in self.retyped],
            },
            "edges": {
                "added": [edge.to_json() for edge in self.added_edges],
                "removed": [edge.to_json() for edge in self.removed_edges],
            },
        }


def difference(before: LineageGraph, after: LineageGraph) -> GraphDifference:
    """What `after` has and `before` has not, and the reverse."""
    old, new = ({node.id: node for node in graph.nodes} for graph in (before, after))
    old_edges, new_edges = ({_key(edge): edge for edge in graph.edges} for graph in (before, after))
    return GraphDifference(
        added_nodes=tuple(new[name] for name in sorted(new.keys() - old.keys())),
        removed_nodes=tuple(old[name] for name in sorted(old.keys() - new.keys())),
        retyped=tuple(
            (old[name], new[name])
            for name in sorted(old.keys() & new.keys())
            if old[name].type is not None and new[name].type is not None and old[name].type != new[name].type
        ),
        added_edges=tuple(new_edges[key] for key in sorted(new_edges.keys() - old_edges.keys())),
        removed_edges=tuple(old_edges[key] for key in sorted(old_edges.keys() - new_edges.keys())),
    )


def _key(edge: LineageEdge) -> tuple[str, str, str, str, str]:
    return edge.source, edge.target, edge.origin, edge.type or "", edge.subtype or ""
