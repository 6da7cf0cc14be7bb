"""Where a Polars plan starts: files, io sources, frames in memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from headwater.assets.protocols import Leaf
from headwater.lineage.columns.polars_expressions import Node
from headwater.lineage.columns.polars_memory import buffers

_LEAVES = frozenset({"Scan", "PythonScan", "DataFrameScan"})
"""The plan nodes that read."""


def leaf_of(node: Node) -> Leaf:
    """What a plan node reads; nothing when it is none that reads."""
    import polars as pl

    name = type(node).__name__
    if name == "Scan":
        return Leaf(paths=tuple(str(path) for path in node.paths))
    if name == "PythonScan":
        return Leaf(io_source=getattr(node.options[0], "io_source", node.options[0]))
    if name == "DataFrameScan":
        return Leaf(buffers=buffers(pl.DataFrame._from_pydf(node.df)))
    return Leaf()


def leaves_of(nodes: Any, limit: int) -> Iterator[Leaf]:
    """The leaves of a plan that Polars shows, of its first `limit` nodes; `nodes` is Polars' plan visitor."""
    todo, seen = [nodes.get_node()], set[int]()
    while todo and len(seen) < limit:
        number = todo.pop()
        if number in seen:
            continue
        seen.add(number)
        nodes.set_node(number)
        inputs = nodes.get_inputs()
        todo += reversed(inputs)
        if not inputs:
            yield from _shown(nodes)


def _shown(nodes: Any) -> Iterator[Leaf]:
    try:
        node = nodes.view_current_node()
    except NotImplementedError:
        return
    if type(node).__name__ in _LEAVES:
        yield leaf_of(node)
