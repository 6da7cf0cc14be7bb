"""From rows of edges to a `LineageGraph`: which dataset is meant by a name, and what everything is called."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from headwater.errors import UnknownNameError
from headwater.lineage.graph import LineageEdge, LineageGraph, LineageNode
from headwater.lineage.names import Dataset, column_id, dataset_ids, keys_of, split_column_id
from headwater.lineage.outlined import are_pending
from headwater.lineage.session import Session, rfc3339
from headwater.lineage.statements import statements
from headwater.records import dataclass

_ALWAYS = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """Which way from the root, and how many steps at most (None: as far as it goes)."""

    up: bool = True
    down: bool = True
    depth: int | None = None

    @property
    def sides(self) -> list[tuple[str, str]]:
        """For each way at which end of an edge a step begins, and at which it ends."""
        ways = ((self.up, ("target", "source")), (self.down, ("source", "target")))
        return [ends for wanted, ends in ways if wanted]

    @property
    def steps(self) -> float:
        """How many steps, as a number."""
        return float("inf") if self.depth is None else self.depth


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
        if parts and parts[0] in self._datasets:
            return self.dataset(parts[0]), parts[1]
        # Where an asset's name holds a dot, a column of it is written in quotes.
        for place in [at for at, letter in enumerate(text) if letter == "."]:
            if (asset := text[:place]) in self._datasets:
                written = shlex.quote(column_id(asset, text[place + 1 :]))
                raise UnknownNameError(
                    f"there is no asset '{text}'", hint=f"a column of '{asset}' is written {written}"
                )
        return self.dataset(text if parts is None else parts[0]), None


def draw(session: Session, text: str | None, walk: Walk, *, columns: bool, current: bool = False) -> LineageGraph:
    """The graph around an asset or a column, or of everything. Raises UnknownNameError.

    Of the edges that were found those stay, with `current`, that are declared or that the code has which made the target last.
    """
    sql = Sql(session)
    root, column = (None, None) if text is None else root_of(session, text)
    name = asked_by(text, column)
    edges = [] if column is not None else _asset_rows(session, sql, root, name, walk)
    column_edges = _column_rows(session, sql, root, column, walk) if columns or column is not None else []
    names = Names(session).of if root is None else _names(session, sql, {root: name}, edges + column_edges)
    types = types_of(session, None if root is None else names) if column_edges or column is not None else []
    if root is not None and column is not None:
        known = {row[2] for row in types if (row[0], row[1]) == root} | _columns_of(root, column_edges)
        if column not in known:
            # One that is in no schema any more, or that was only read, may stand at edges the other way alone.
            known |= _columns_of(root, _column_rows(session, sql, root, column, Walk(depth=1)))
        if column not in known:
            raise UnknownNameError.of("column", column, known, where=f"the asset '{names.get(root, root[1])}'")
    if current:
        # Not before: a column that only earlier code read is known all the same.
        edges, column_edges = (_of_current_code(session, rows) for rows in (edges, column_edges))
    rows = _Rows(names=names, edges=edges, column_edges=column_edges, types=types)
    return _Drawing(rows, root, column).graph()


def root_of(session: Session, text: str) -> tuple[Dataset, str | None]:
    """What is meant: an asset that is defined or was made, a column of one, or what was only read. Raises UnknownNameError."""
    sql, parts = Sql(session), split_column_id(text)
    for statement in ("dataset_of", "dataset_read_as"):
        for name, column in ((text, None), *([parts] if parts is not None else [])):
            rows = session.rows(sql[statement], {"name": name})
            if rows:
                return (rows[0][0], rows[0][1]), column
    # It is not there: who tells knows all names.
    return Names(session).root(text)


def snapshot(session: Session, *, moment: int = _ALWAYS, run: str | None = None, newest: bool = False) -> LineageGraph:
    """Everything as it was known at a moment (microseconds since the epoch), assets and columns; or of one run alone.

    With `newest`, what the last run that made each asset until then observed, and nothing from before.
    """
    sql = statements("lineage.sql")
    given = {"moment": moment, "run": run, "newest": newest}
    edges = session.dicts(sql["edges_as_of"], given)
    column_edges = session.dicts(sql["column_edges_as_of"], given)
    names = Names(session).of
    definitions = session.rows(sql["definitions_as_of"], {"moment": moment}) if run is None else []
    edges += _declared(definitions, {(_source(row), _target(row)) for row in edges})
    types = session.rows(sql["schemas_as_of"], {"moment": moment, "run": run})
    there = {_source(row) for row in edges} | {_target(row) for row in edges} | {(row[0], row[1]) for row in types}
    there |= {(row[1], row[2]) for row in definitions}
    rows = _Rows(
        names={one: names.get(one, one[1]) for one in there}, edges=edges, column_edges=column_edges, types=types
    )
    return _Drawing(rows, None, None, every_column=True).graph()


def _declared(rows: Collection[tuple[Any, ...]], observed: set[tuple[Dataset, Dataset]]) -> list[dict[str, Any]]:
    """The inputs that definitions of a time declare, of those that were not observed until then."""
    found: list[dict[str, Any]] = []
    places = {name: (namespace, dataset) for name, namespace, dataset, _ in rows}
    for name, namespace, dataset, definition in rows:
        for one in json.loads(definition).get("inputs", ()):
            given = one.get("namespace"), one.get("dataset")
            source = given if given[1] is not None else places.get(one["asset"])
            if source is None or (source, (namespace, dataset)) in observed:
                continue
            ends = {"source_namespace": source[0], "source_dataset": source[1], "source": one["asset"]}
            ends |= {"target_namespace": namespace, "target_dataset": dataset, "target": name}
            found.append({**ends, "origin": "declared", "runs": 0, "last_seen": None})
    return list({(_source(row), _target(row)): row for row in found}.values())


class Sql:
    """The statements, which read what is worked out on demand where that is up to date: it takes no look at runs."""

    def __init__(self, session: Session) -> None:
        self._settled = not are_pending(session)
        self.kind, self.column_edges = (
            ("INTEGER", "state.column_edges") if self._settled else ("UBIGINT", "dataset_column_edges")
        )

    def __getitem__(self, name: str) -> str:
        sql = statements("lineage.sql")
        if self._settled and f"settled_{name}" in sql:
            return sql[f"settled_{name}"]
        return _VIEW.sub(r"state.\1", sql[name]) if self._settled else sql[name]

    def whole(self, place: int) -> int:
        """The key that stands for all columns of a dataset."""
        return -1 - place if self._settled else place


_VIEW = re.compile(r"\b(dataset_(?:column_)?edges)\b")


def types_of(session: Session, of: Iterable[Dataset] | None) -> list[tuple[str, str, str, str | None]]:
    """The columns of these datasets (None: of all): namespace, dataset, column, type."""
    if of is None:
        return session.rows(statements("lineage.sql")["schemas"])
    given = list(of)
    return session.rows(statements("lineage.sql")["schemas_of"], keys_of(given)) if given else []


def asked_by(text: str | None, column: str | None) -> str:
    """The name of the asset in what was asked for."""
    parts = None if text is None or column is None else split_column_id(text)
    return parts[0] if parts is not None else text or ""


def _names(
    session: Session, sql: Sql, root: Mapping[Dataset, str], rows: Iterable[dict[str, Any]]
) -> dict[Dataset, str]:
    found: dict[Dataset, str] = {}
    for row in rows:
        found[_source(row)], found[_target(row)] = row["source"], row["target"]
    # What was only made stands at no edge: it is called what it was asked for by.
    found = {**root, **found}
    for name, namespace, dataset in session.rows(sql["names_of"], keys_of(found)):
        found[namespace, dataset] = name
    return found


def _asset_rows(session: Session, sql: Sql, root: Dataset | None, called: str, walk: Walk) -> list[dict[str, Any]]:
    """The edges that lead to the root, and those that lead away from it, at most `depth` steps off."""
    if root is None:
        return session.dicts(sql["all_edges"])
    start = {row[0] for row in session.rows(sql["place"], {"namespace": root[0], "dataset": root[1], "column": None})}
    found: dict[tuple[int, int], dict[str, Any]] = {}
    for here, there in walk.sides:
        left, seen, border = walk.steps, set[int](), start
        step = sql["step"].format(here=here)
        while border and left > 0:
            seen |= border
            rows = session.dicts(step, {"keys": list(border)})
            for row in rows:
                # Observed ones come first: what was declared, too, is one and the same edge.
                known = found.setdefault((row["source_place"], row["target_place"]), row)
                known["declared"] = known["declared"] or row["declared"]
            border = {row[f"{there}_place"] for row in rows} - seen
            left -= 1
    ends: dict[int, tuple[Any, ...]] = {}
    for place, *texts in session.rows(sql["ends"], {"places": list({end for pair in found for end in pair})}):
        ends.setdefault(place, (*root, called) if place in start else tuple(texts))
    for row in found.values():
        for side in ("source", "target"):
            row[f"{side}_namespace"], row[f"{side}_dataset"], row[side] = ends[row[f"{side}_place"]]
    return _ordered(found.values())


def _column_rows(
    session: Session, sql: Sql, root: Dataset | None, column: str | None, walk: Walk
) -> list[dict[str, Any]]:
    """The same for columns.

    There is a key of a whole dataset: the root's when no column is named, and that of the target of an indirect edge (a
    filter, a join), on which every column of it depends.
    """
    if root is None:
        return session.dicts(sql["all_column_edges"])
    given = {"namespace": root[0], "dataset": root[1], "column": column}
    start = {(key, place) for place, key in session.rows(sql["place"], given)}
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for here, there in walk.sides:
        left, seen, border = walk.steps, set[tuple[int, int]](), start
        while border and left > 0:
            seen |= border
            rows = [
                row
                for end, keys in _at(sql, here, border)
                for row in session.dicts(sql["column_step"].format(here=end), {"keys": keys})
            ]
            for row in rows:
                found.setdefault((row["source_key"], row["target_key"], row["type"], row["subtype"]), row)
            border = {(row[f"{there}_key"], row[f"{there}_place"]) for row in rows} - seen
            left -= 1
    ends = column_ends(session, sql, {end for edge in found for end in edge[:2]})
    for row in found.values():
        for side in ("source", "target"):
            row[f"{side}_namespace"], row[f"{side}_dataset"], row[f"{side}_column"], row[side] = ends[
                row[f"{side}_key"]
            ]
    return _ordered(found.values())


def _columns_of(dataset: Dataset, rows: Collection[dict[str, Any]]) -> set[str]:
    """The columns of a dataset that stand at these edges."""
    found = {row["target_column"] for row in rows if _target(row) == dataset} - {None}
    return found | {row["source_column"] for row in rows if _source(row) == dataset}


def _of_current_code(session: Session, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The edges that are declared, or were seen since their target has been made by the code that made it last."""
    targets = {_target(row) for row in rows}
    found = session.rows(statements("lineage.sql")["current_code"], keys_of(targets)) if targets else []
    since = {(namespace, dataset): at for namespace, dataset, at in found}
    return [
        row
        for row in rows
        if row.get("declared") or _target(row) not in since or row["last_seen"] >= since[_target(row)]
    ]


def column_ends(session: Session, sql: Sql, keys: Iterable[int]) -> dict[int, tuple[Any, ...]]:
    """What each key stands for: namespace, dataset, column (None: all of them), and what edges call the dataset."""
    given = list(keys)
    rows = session.rows(sql["column_ends"], {"keys": given}) if given else []
    return {key: tuple(texts) for key, *texts in rows}


def _at(sql: Sql, here: str, nodes: Collection[tuple[int, int]]) -> list[tuple[str, list[int]]]:
    """By which keys the edges at these nodes are found: at a whole dataset by its place."""
    whole = {place for key, place in nodes if key == sql.whole(place)}
    found = {f"{here}_key": {key for key, _ in nodes}, f"{here}_place": whole}
    if here == "target":
        found["target_key"] |= {sql.whole(place) for _, place in nodes}
    return [(end, list(keys)) for end, keys in found.items() if keys]


def _ordered(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    ends = ("source_namespace", "source_dataset", "target_namespace", "target_dataset")
    columns = ("source_column", "target_column", "type", "subtype")
    return sorted(rows, key=lambda row: ([row[end] for end in ends], [row.get(one) or "" for one in columns]))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rows:
    names: Mapping[Dataset, str]
    edges: list[dict[str, Any]]
    column_edges: list[dict[str, Any]]
    types: Iterable[tuple[Any, ...]]


class _Drawing:
    def __init__(self, rows: _Rows, root: Dataset | None, column: str | None, *, every_column: bool = False) -> None:
        self._root, self._column, self._edges, self._column_edges = root, column, rows.edges, rows.column_edges
        both = rows.edges + rows.column_edges
        found = {_source(row) for row in both} | {_target(row) for row in both}
        found |= {root} if root is not None else set() if column is not None else set(rows.names)
        self._ids = dataset_ids(found, rows.names, root)
        self._types = {(namespace, dataset, name): kind for namespace, dataset, name, kind in rows.types}
        self._every_column = every_column

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
        if self._every_column:
            columns |= self._types.keys()
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
            last_seen=_last_seen(row),
        )

    def _column_edge(self, row: dict[str, Any]) -> LineageEdge:
        target = self._ids[_target(row)]
        return LineageEdge(
            source=column_id(self._ids[_source(row)], row["source_column"]),
            target=target if row["target_column"] is None else column_id(target, row["target_column"]),
            origin="observed",
            runs=row["runs"],
            last_seen=_last_seen(row),
            type=row["type"],
            subtype=row["subtype"],
        )


def _source(row: dict[str, Any]) -> Dataset:
    return row["source_namespace"], row["source_dataset"]


def _target(row: dict[str, Any]) -> Dataset:
    return row["target_namespace"], row["target_dataset"]


def _last_seen(row: dict[str, Any]) -> str | None:
    return None if row["last_seen"] is None else rfc3339(row["last_seen"])
