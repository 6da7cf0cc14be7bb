"""From rows of edges to a `LineageGraph`: which dataset is meant by a name, and what everything is called."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from headwater.errors import UnknownNameError
from headwater.lineage.graph import LineageEdge, LineageGraph, LineageNode
from headwater.lineage.names import Dataset, column_id, dataset_ids, split_column_id
from headwater.lineage.session import Session
from headwater.lineage.statements import statements

_DEEPEST = 2**31 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """Which way from the root, and how many steps at most (None: as far as it goes)."""

    up: bool = True
    down: bool = True
    depth: int | None = None

    def parameters(self) -> dict[str, object]:
        """As the SQL takes it."""
        return {"up": self.up, "down": self.down, "depth": _DEEPEST if self.depth is None else self.depth}


class Names:
    """Which dataset an asset's name stands for (the newest definition decides), and the name of each dataset."""

    def __init__(self, session: Session) -> None:
        sql = statements("lineage.sql")
        self.of: dict[Dataset, str] = {}
        self._datasets: dict[str, Dataset] = {}
        for name, namespace, dataset in session.rows(sql["mentioned_datasets"]):
            self.of[namespace, dataset] = name
            self._datasets[name] = (namespace, dataset)
        # Definitions come last: what a definition says of a name beats what was called so in passing.
        for name, namespace, dataset in session.rows(sql["datasets"]):
            self.of[namespace, dataset] = name
            self._datasets[name] = (namespace, dataset)

    def dataset(self, asset: str) -> Dataset:
        """The dataset of an asset. Raises UnknownNameError."""
        if asset not in self._datasets:
            raise UnknownNameError.of("asset", asset, self._datasets)
        return self._datasets[asset]

    def root(self, text: str) -> tuple[Dataset, str | None]:
        """The dataset, and the column, that an asset's name or a column's id stands for. Raises UnknownNameError."""
        parts = None if text in self._datasets else split_column_id(text)
        return (self.dataset(parts[0]), parts[1]) if parts else (self.dataset(text), None)


def draw(session: Session, text: str | None, walk: Walk, *, columns: bool) -> LineageGraph:
    """The graph around an asset or a column, or of everything. Raises UnknownNameError."""
    names = Names(session)
    root, column = (None, None) if text is None else names.root(text)
    edges = [] if column is not None else _asset_rows(session, root, walk)
    column_edges = _column_rows(session, root, column, walk) if columns or column is not None else []
    if root is not None and column is not None:
        known = {row[2] for row in session.rows(statements("lineage.sql")["schemas"]) if (row[0], row[1]) == root}
        known |= {row["target_column"] for row in column_edges if _target(row) == root and row["target_column"]}
        known |= {row["source_column"] for row in column_edges if _source(row) == root}
        if column not in known:
            raise UnknownNameError.of("column", column, known, where=f"the asset '{names.of.get(root, root[1])}'")
    return _Drawing(session, names, root, column, edges, column_edges).graph()


def _asset_rows(session: Session, root: Dataset | None, walk: Walk) -> list[dict[str, Any]]:
    sql = statements("lineage.sql")
    if root is None:
        return session.dicts(sql["all_edges"])
    return session.dicts(sql["edges"], {"namespace": root[0], "dataset": root[1], **walk.parameters()})


def _column_rows(session: Session, root: Dataset | None, column: str | None, walk: Walk) -> list[dict[str, Any]]:
    sql = statements("lineage.sql")
    if root is None:
        return session.dicts(sql["all_column_edges"])
    place = {"namespace": root[0], "dataset": root[1], "column": column}
    return session.dicts(sql["column_edges"], {**place, **walk.parameters()})


class _Drawing:
    def __init__(
        self,
        session: Session,
        names: Names,
        root: Dataset | None,
        column: str | None,
        edges: list[dict[str, Any]],
        column_edges: list[dict[str, Any]],
    ) -> None:
        self._root, self._column, self._edges, self._column_edges = root, column, edges, column_edges
        found = {_source(row) for row in edges + column_edges} | {_target(row) for row in edges + column_edges}
        found |= {root} if root is not None else set() if column is not None else set(names.of)
        self._ids = dataset_ids(found, names.of, root)
        self._types: dict[tuple[str, str, str], str] = {}
        if column_edges or column is not None:
            for namespace, dataset, name, kind in session.rows(statements("lineage.sql")["schemas"]):
                self._types[namespace, dataset, name] = kind

    def graph(self) -> LineageGraph:
        edges = [self._edge(row) for row in self._edges] + [self._column_edge(row) for row in self._column_edges]
        return LineageGraph(root=self._root_id(), nodes=tuple(self._nodes()), edges=tuple(edges))

    def _root_id(self) -> str | None:
        if self._root is None:
            return None
        asset = self._ids[self._root]
        return asset if self._column is None else column_id(asset, self._column)

    def _nodes(self) -> list[LineageNode]:
        whole = set(self._ids) if self._column is None else set()
        whole |= {_target(row) for row in self._column_edges if row["target_column"] is None}
        nodes = [
            LineageNode(id=self._ids[one], kind="asset", name=self._ids[one])
            for one in sorted(whole, key=lambda one: self._ids[one])
        ]
        columns = {(*_source(row), row["source_column"]) for row in self._column_edges}
        columns |= {
            (*_target(row), row["target_column"]) for row in self._column_edges if row["target_column"] is not None
        }
        if self._root is not None and self._column is not None:
            columns.add((*self._root, self._column))
        return nodes + [self._column_node(*one) for one in sorted(columns)]

    def _column_node(self, namespace: str, dataset: str, name: str) -> LineageNode:
        asset, kind = self._ids[namespace, dataset], self._types.get((namespace, dataset, name))
        return LineageNode(id=column_id(asset, name), kind="column", name=name, asset=asset, type=kind)

    def _edge(self, row: dict[str, Any]) -> LineageEdge:
        return LineageEdge(
            source=self._ids[_source(row)],
            target=self._ids[_target(row)],
            origin=row["origin"],
            runs=row["runs"],
            last_seen=_rfc3339(row["last_seen"]),
        )

    def _column_edge(self, row: dict[str, Any]) -> LineageEdge:
        target = self._ids[_target(row)]
        return LineageEdge(
            source=column_id(self._ids[_source(row)], row["source_column"]),
            target=target if row["target_column"] is None else column_id(target, row["target_column"]),
            origin="observed",
            runs=row["runs"],
            last_seen=_rfc3339(row["last_seen"]),
            type=row["type"],
            subtype=row["subtype"],
        )


def _source(row: dict[str, Any]) -> Dataset:
    return row["source_namespace"], row["source_dataset"]


def _target(row: dict[str, Any]) -> Dataset:
    return row["target_namespace"], row["target_dataset"]


def _rfc3339(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="microseconds") + "Z"
