"""What is near an asset: so many steps up and down, no more than can be drawn, with a count of what lies beyond.

A graph may hold a million edges and a source may have thousands of readers. The walk ends where enough is found, and asks for
no more than that.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import field
from typing import Any

from headwater.lineage.drawing import Sql, Walk, asked_by, column_ends, draw, root_of, types_of
from headwater.lineage.graph import LineageGraph
from headwater.lineage.names import Dataset, dataset_ids, keys_of
from headwater.lineage.session import Session
from headwater.lineage.statements import statements
from headwater.records import dataclass

_SIDES = (("target", "source"), ("source", "target"))


@dataclass(frozen=True, slots=True, kw_only=True)
class NearEdge:
    """That one asset is made of another; `origin` is "declared", "observed" or "reported"."""

    source: str
    target: str
    origin: str
    runs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NearColumnEdge:
    """That a column, or the asset `target` as a whole, is made of a column; `type` and `subtype` are OpenLineage's."""

    source: str
    source_column: str
    target: str
    target_column: str | None
    type: str
    subtype: str
    runs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Near:
    """Assets by name with their datasets, and what joins them. `more` counts what each has above and below that is not there;
    `truncated` says that the walk ended early."""

    root: str | None
    datasets: Mapping[str, Dataset]
    edges: tuple[NearEdge, ...] = ()
    more: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    truncated: bool = False


def near(
    session: Session, root: str, *, up: int, down: int, further: Iterable[tuple[str, str]] = (), limit: int = 400
) -> Near:
    """The assets around one, at most so many steps `up` and `down`; and one step more ("up" or "down") from each of `further`.

    Raises UnknownNameError.
    """
    dataset, column = root_of(session, root)
    sql = Sql(session)
    (start,) = _places(session, sql, [dataset])
    walk = _Walk(session, sql, {start: None}, limit)
    for sides, depth in zip(_SIDES, (up, down), strict=True):
        border = [start]
        while border and depth > 0 and not walk.truncated:
            border, depth = walk.step(sides, border), depth - 1
    for name, direction in further:
        (place,) = _places(session, sql, [root_of(session, name)[0]])
        if place in walk.found and not walk.truncated:
            walk.step(_SIDES[direction == "down"], [place])
    at, names = _named(walk)
    # What was only made stands at no edge: it is called what it was asked for by.
    return _between(walk, {start: dataset} | at, dataset, {dataset: asked_by(root, column)} | names)


def among(session: Session, names: Mapping[Dataset, str], root: Dataset | None = None) -> Near:
    """These datasets, and what joins them."""
    sql = Sql(session)
    at = dict(zip(_places(session, sql, names), names, strict=True))
    walk = _Walk(session, sql, dict.fromkeys(at), len(at))
    return _between(walk, at, root, names)


def traced(session: Session, column: str, *, up: int, down: int) -> tuple[LineageGraph, LineageGraph]:
    """What a column is made of, and what is made of it, at most so many steps off. Raises UnknownNameError."""
    above = draw(session, column, Walk(up=up > 0, down=False, depth=max(up, 1)), columns=True)
    return above, draw(session, column, Walk(up=False, down=down > 0, depth=max(down, 1)), columns=True)


def column_edges(session: Session, found: Near, limit: int) -> list[NearColumnEdge]:
    """What joins the columns of these assets."""
    names = {dataset: name for name, dataset in found.datasets.items()}
    sql = Sql(session)
    places = _places(session, sql, found.datasets.values())
    within = statements("near.sql")["columns_within"].format(edges=sql.column_edges, kind=sql.kind)
    rows = session.rows(within, {"places": places, "limit": limit}) if places else []
    ends = column_ends(session, sql, {end for row in rows for end in row[:2]})
    edges = [
        NearColumnEdge(
            source=names[ends[source][:2]],
            source_column=ends[source][2],
            target=names[ends[target][:2]],
            target_column=ends[target][2],
            type=kind,
            subtype=subtype,
            runs=runs,
        )
        for source, target, kind, subtype, runs in rows
    ]
    return sorted(edges, key=lambda edge: (edge.source, edge.target, edge.source_column, edge.target_column or ""))


def columns_of(session: Session, found: Near) -> dict[str, list[tuple[str, str | None]]]:
    """The columns of these assets with their types, in the order of the table."""
    names = {dataset: name for name, dataset in found.datasets.items()}
    columns: dict[str, list[tuple[str, str | None]]] = {}
    for namespace, dataset, column, kind in types_of(session, names):
        columns.setdefault(names[namespace, dataset], []).append((column, kind))
    return columns


def unknown_of(session: Session, found: Near) -> dict[str, dict[str | None, str]]:
    """Why the origin of columns of these assets can't be told, by column (None: of all of them)."""
    names = {dataset: name for name, dataset in found.datasets.items()}
    reasons: dict[str, dict[str | None, str]] = {}
    for namespace, dataset, column, reason in session.rows(statements("near.sql")["unknown_of"], keys_of(names)):
        reasons.setdefault(names[namespace, dataset], {})[column] = reason
    return reasons


def joined(session: Session, groups: Mapping[Dataset, str]) -> Iterator[tuple[str, str, int]]:
    """How many edges lead from each group of datasets to each other one."""
    yield from session.rows(Sql(session)["joined"], {**keys_of(groups), "groups": list(groups.values())})


class _Walk:
    """What a walk has found, in the order in which it did, and whether there was more."""

    def __init__(self, session: Session, sql: Sql, found: dict[int, None], limit: int) -> None:
        self.session, self.sql, self.found, self.limit, self.truncated = session, sql, found, limit, False

    def edges(self) -> dict[tuple[int, int], tuple[str, int]]:
        """The edges between what was found, each with its origin and its number of runs."""
        rows: dict[tuple[int, int], tuple[str, int]] = {}
        for source, target, origin, runs in self._ask("within"):
            # What was declared and observed is one edge, and observed.
            if source != target and ((source, target) not in rows or rows[source, target][0] == "declared"):
                rows[source, target] = origin, runs
        return rows

    def beyond(self, here: str, there: str) -> dict[int, int]:
        """How many are joined to each place on the other side that were not found."""
        return dict(self._ask("beyond", here=here, there=there))

    def _ask(self, name: str, **sides: str) -> list[tuple[Any, ...]]:
        pairs = self.sql["pairs"].rstrip(";")
        statement = statements("near.sql")[name].format(pairs=pairs, kind=self.sql.kind, **sides)
        return self.session.rows(statement, {"places": list(self.found)})

    def step(self, sides: tuple[str, str], border: Collection[int]) -> list[int]:
        """What is one step on from these places and was not found before, as much as there is room for."""
        here, there = sides
        step = self.sql["step"].format(here=here)
        rows = self.session.rows(step, {"keys": list(border)}) if border else []
        new = sorted({row[there == "target"] for row in rows} - self.found.keys())
        room = max(self.limit - len(self.found), 0)
        self.truncated = self.truncated or room < len(new)
        taken = new if room >= len(new) else self._by_dataset(new)[:room]
        self.found.update(dict.fromkeys(taken))
        return taken

    def _by_dataset(self, places: Collection[int]) -> list[int]:
        """In the order of what they are called: their numbers differ from one file to another."""
        rows = self.session.rows(self.sql["ends"], {"places": list(places)})
        texts = {place: (namespace, dataset) for place, namespace, dataset, _ in rows}
        return sorted(places, key=texts.__getitem__)


def _between(walk: _Walk, at: dict[int, Dataset], root: Dataset | None, names: Mapping[Dataset, str]) -> Near:
    if not walk.found:
        return Near(root=None, datasets={})
    ids = dataset_ids(at.values(), names, root)
    above, below = (walk.beyond(*sides) for sides in _SIDES)
    return Near(
        root=None if root is None else ids[root],
        datasets=dict(sorted((ids[dataset], dataset) for dataset in at.values())),
        edges=tuple(
            NearEdge(source=source, target=target, origin=origin, runs=runs)
            for source, target, origin, runs in sorted(
                (ids[at[source]], ids[at[target]], *about) for (source, target), about in walk.edges().items()
            )
        ),
        more={ids[dataset]: (above.get(place, 0), below.get(place, 0)) for place, dataset in at.items()},
        truncated=walk.truncated,
    )


def _places(session: Session, sql: Sql, datasets: Iterable[Dataset]) -> list[int]:
    return [row[0] for row in session.rows(sql["places"], keys_of(datasets))]


def _named(walk: _Walk) -> tuple[dict[int, Dataset], dict[Dataset, str]]:
    """The datasets at the places of a walk, and what they are called: by their newest definitions, or else in passing."""
    at: dict[int, Dataset] = {}
    names: dict[Dataset, str] = {}
    for statement in ("named", "ends"):
        left = [place for place in walk.found if place not in at]
        for place, namespace, dataset, name in walk.session.rows(walk.sql[statement], {"places": left}) if left else ():
            at[place] = (namespace, dataset)
            names[namespace, dataset] = name
    return {place: at[place] for place in walk.found if place in at}, names
