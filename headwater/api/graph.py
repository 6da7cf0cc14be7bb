"""The drawn graph: which assets are shown, what stands on their cards, and where they stand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from headwater import clock
from headwater.api.board import WORST_FIRST
from headwater.api.grouping import Grouping, by_what, group_of
from headwater.lineage import shown
from headwater.lineage.cards import Card, CardColumn, Line, Picture, picture
from headwater.lineage.drawing import root_of
from headwater.lineage.graph import LineageGraph
from headwater.lineage.names import Dataset, column_id, split_column_id
from headwater.lineage.near import (
    Near,
    NearColumnEdge,
    NearEdge,
    among,
    column_edges,
    columns_of,
    joined,
    near,
    traced,
    unknown_of,
)
from headwater.records import dataclass
from headwater.wording import counted

if TYPE_CHECKING:
    from headwater.api.service import Service
    from headwater.assets.definitions import AssetDefinition
    from headwater.lineage.session import Session
    from headwater.lineage.standings import Standings

CARDS = 300
"""Cards that are drawn, unless more or fewer are asked for."""
SMALL = 120
"""So many assets are drawn one by one when nobody says around which one, and how they are grouped."""
ROWS = 10
"""So many columns of a card are drawn."""
_LINES = 6_000
_OTHERS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is to be drawn: around `root` (an asset or a column) so many steps `up` and `down`, one more from each of `further`
    ("up:NAME", "down:NAME"), or of a selection; assets of a group as one card unless the group is `opened`."""

    root: str | None = None
    up: int = 2
    down: int = 2
    columns: bool = False
    selection: str = "*"
    collapse: Grouping = "auto"
    opened: tuple[str, ...] = ()
    further: tuple[str, ...] = ()
    limit: int = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """A picture, and what is known of each card (by its id) and of each line (in their order)."""

    picture: Picture
    root: str | None
    column: str | None
    collapse: str
    as_of: int
    total: int
    truncated: bool
    nodes: Mapping[str, dict[str, Any]]
    lines: Sequence[dict[str, Any]]
    trace: Sequence[str]

    @property
    def left_out(self) -> dict[str, tuple[int, int]]:
        """How many inputs and readers of each card are not drawn."""
        return {name: (one["more_up"], one["more_down"]) for name, one in self.nodes.items()}


class _Judged(NamedTuple):
    """The verdicts on all assets, and those that are stale."""

    verdicts: Standings
    stale: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Grouped:
    """Assets by group: what is known of each card, by its id, and which card each dataset is on."""

    by: str
    nodes: Mapping[str, dict[str, Any]]
    cards: Sequence[Card]
    groups: Mapping[Dataset, str]
    truncated: bool


class Graphs:
    """Draws graphs of a server's projection."""

    def __init__(self, service: Service) -> None:
        self._the = service
        self._joined: tuple[object, list[tuple[str, str, int]]] = (None, [])

    def draw(self, asked: Asked) -> Drawn:
        """What is asked for. Raises UsageError, UnknownNameError."""
        with self._the.project.projection.session() as session:
            if asked.root is not None:
                return self._around(session, asked)
            board = self._the.board
            names = board.counted(("names", asked.selection), lambda: board.names(asked.selection))
            definitions = board.definitions()
            if asked.collapse == "none" or (asked.collapse == "auto" and len(names) <= SMALL):
                places = {_dataset(definitions[name]): name for name in names[: asked.limit]}
                found = replace(among(session, places), truncated=len(names) > len(places))
                return self._drawn(session, asked, found, total=len(names))
            return self._overview(session, asked, names)

    def _judged(self) -> _Judged:
        return _Judged(self._the.board.verdicts(), self._the.board.stale())

    def _around(self, session: Session, asked: Asked) -> Drawn:
        text = str(asked.root)
        dataset, column = root_of(session, text)
        if column is None:
            further = [_split(one) for one in asked.further]
            found = near(session, text, up=asked.up, down=asked.down, further=further, limit=asked.limit)
            return self._drawn(session, asked, found)
        above, below = traced(session, text, up=asked.up, down=asked.down)
        names = list(dict.fromkeys([_asset_of(text), *_assets(above), *_assets(below)]))
        places = {root_of(session, name)[0]: name for name in names[: asked.limit]}
        found = replace(among(session, places, dataset), truncated=len(names) > asked.limit)
        trace = dict.fromkeys([column_id(str(found.root), column), *_columns(above), *_columns(below)])
        return self._drawn(session, replace(asked, columns=True), found, column=column, trace=tuple(trace))

    def _drawn(
        self,
        session: Session,
        asked: Asked,
        found: Near,
        *,
        total: int | None = None,
        column: str | None = None,
        trace: tuple[str, ...] = (),
    ) -> Drawn:
        at = clock.now_us()
        contents = _Contents(session, found, trace) if asked.columns else None
        judged = self._judged()
        nodes = {name: self._node(name, found, judged, at) for name in found.datasets}
        cards = {name: _card(node, contents) for name, node in nodes.items()}
        if contents is not None:
            for name, node in nodes.items():
                node.update(contents.about(name))
        lines, about = _lines(found.edges, contents.edges if contents else ())
        return Drawn(
            picture=picture(list(cards.values()), lines),
            root=found.root,
            column=column,
            collapse="none",
            as_of=at,
            total=len(nodes) if total is None else total,
            truncated=found.truncated,
            nodes={cards[name].id: node for name, node in nodes.items()},
            lines=about,
            trace=trace,
        )

    def _node(self, name: str, found: Near, judged: _Judged, at: int) -> dict[str, Any]:
        definition, standing = self._the.board.definitions().get(name), judged.verdicts.get(name)
        return {
            "type": "asset",
            "name": name,
            "kind": None if definition is None else definition.ref.kind,
            "group": None if definition is None else definition.group,
            "owners": [] if definition is None else list(definition.owners),
            "is_source": definition is None or definition.is_source,
            "verdict": "none" if standing is None else standing.verdict,
            "lag": None if standing is None or standing.at is None else max(at - standing.at, 0) / 1e6,
            "stale": name in judged.stale,
            "more_up": found.more.get(name, (0, 0))[0],
            "more_down": found.more.get(name, (0, 0))[1],
        }

    def _overview(self, session: Session, asked: Asked, names: Sequence[str]) -> Drawn:
        """All assets that are meant, those of a group on one card, but for the groups that are opened."""
        at = clock.now_us()

        def made() -> _Grouped:
            return self._grouped(asked, names, at)

        # A card of one asset says how old its data is, which is another thing each time.
        found = made() if asked.opened else self._the.board.counted(("groups", asked), made)
        edges = [(source, target, count) for source, target, count in self._joined_by(session, asked, found)]
        lines = [
            Line(source=source, target=target, from_id=source, to_id=target, style="grouped", about=f"{count:,} edges")
            for source, target, count in edges
        ]
        return Drawn(
            picture=picture(found.cards, lines),
            root=None,
            column=None,
            collapse=found.by,
            as_of=at,
            total=len(names),
            truncated=found.truncated,
            nodes=found.nodes,
            lines=[{"origin": "grouped", "count": count} for _, _, count in edges],
            trace=(),
        )

    def _grouped(self, asked: Asked, names: Sequence[str], at: int) -> _Grouped:
        definitions, judged = self._the.board.definitions(), self._judged()
        by = by_what(asked.collapse, (definitions[name] for name in names))
        members: dict[str, list[str]] = {}
        for name in names:
            members.setdefault(group_of(by, definitions[name]), []).append(name)
        shown = sorted(members, key=lambda group: (group not in asked.opened, -len(members[group]), group))
        room, truncated = asked.limit, False
        nodes: dict[str, dict[str, Any]] = {}
        cards: list[Card] = []
        groups: dict[Dataset, str] = {}
        for group in shown:
            opened = group in asked.opened
            wanted = members[group][:room] if opened else members[group]
            truncated = truncated or room <= 0 or len(wanted) < len(members[group])
            if room <= 0:
                continue
            room -= len(wanted) if opened else 1
            made = (
                [self._node(name, _NOTHING, judged, at) for name in wanted]
                if opened
                else [_group(group, wanted, judged)]
            )
            for node in made:
                card = _card(node, None)
                cards.append(card)
                nodes[card.id] = {**node, "group": group}
            groups |= {_dataset(definitions[name]): f"asset:{name}" if opened else f"group:{group}" for name in wanted}
        return _Grouped(by=by, nodes=nodes, cards=cards, groups=groups, truncated=truncated)

    def _joined_by(self, session: Session, asked: Asked, found: _Grouped) -> list[tuple[str, str, int]]:
        # A look at every edge there is: it is kept until something new has come, and of very many that are all meant longer.
        if replace(asked, columns=False) == Asked(limit=asked.limit):

            def made() -> list[tuple[str, str, int]]:
                with self._the.project.projection.session() as anew:
                    return list(joined(anew, found.groups))

            return self._the.board.kept(f"joined {asked.limit}", made)
        key = (self._the.project.projection.version, found.by, asked.selection, asked.opened, asked.limit)
        kept = self._joined
        if kept[0] != key or "stale(" in asked.selection:
            kept = self._joined = (key, list(joined(session, found.groups)))
        return kept[1]


class _Contents:
    """What stands on cards beside names: columns, those that were traced first, and then those that edges lead to."""

    def __init__(self, session: Session, found: Near, trace: Iterable[str]) -> None:
        self.edges = column_edges(session, found, _LINES)
        self._unknown = unknown_of(session, found)
        order = dict.fromkeys(trace, 0)
        for edge in self.edges:
            order.setdefault(column_id(edge.source, edge.source_column), 1)
            if edge.target_column is not None:
                order.setdefault(column_id(edge.target, edge.target_column), 1)
        self._columns: dict[str, list[tuple[str, str, str | None]]] = {}
        known = columns_of(session, found)
        for asset in found.datasets:
            columns = {column_id(asset, name): (name, kind) for name, kind in known.get(asset, ())}
            for one in order:
                # What was read of a dataset that nobody looked into is known by the edges alone.
                parts = split_column_id(one)
                if parts is not None and parts[0] == asset:
                    columns.setdefault(one, (parts[1], None))
            rows = sorted(columns.items(), key=lambda item: order.get(item[0], 2))
            self._columns[asset] = [(one, *about) for one, about in rows]

    def of(self, asset: str) -> tuple[tuple[CardColumn, ...], int]:
        """The columns that are drawn, and how many are not."""
        columns = self._columns[asset]
        return tuple(CardColumn(id=one, name=name) for one, name, _ in columns[:ROWS]), max(len(columns) - ROWS, 0)

    def about(self, asset: str) -> dict[str, Any]:
        """The columns of a card with their types, the names of others, and what is unknown of where they come from."""
        columns, unknown = self._columns[asset], self._unknown.get(asset, {})
        return {
            "columns": [
                {"id": one, "name": name, "type": kind, "unknown": unknown.get(name)}
                for one, name, kind in columns[:ROWS]
            ],
            "other_columns": [one for one, _, _ in columns[ROWS : ROWS + _OTHERS]],
            "unknown": next(iter(unknown.values()), None) if None in unknown else None,
        }


def _group(group: str, names: Sequence[str], judged: _Judged) -> dict[str, Any]:
    told = judged.verdicts.told
    counts = Counter[str](told[name] for name in names if name in told)
    return {
        "type": "group",
        "name": group,
        "kind": None,
        "group": group,
        "owners": [],
        "is_source": False,
        "verdict": next((one for one in WORST_FIRST if counts[one]), "none"),
        "lag": None,
        "stale": not judged.stale.isdisjoint(names),
        "assets": len(names),
        "verdicts": {one: counts[one] for one in WORST_FIRST},
        "more_up": 0,
        "more_down": 0,
    }


def _card(node: Mapping[str, Any], contents: _Contents | None) -> Card:
    columns, more = contents.of(node["name"]) if contents is not None else ((), 0)
    return Card(
        id=f"{node['type']}:{node['name']}",
        name=node["name"],
        note=note(node),
        verdict=node["verdict"],
        stale=node["stale"],
        group=node["type"] == "group",
        columns=columns,
        more=more,
    )


def note(node: Mapping[str, Any]) -> str:
    """The line below a name: the verdict with its lag and the kind; of a group how many assets stand how.

    >>> note({"type": "asset", "verdict": "late", "lag": 93_600.0, "kind": "parquet"})
    'late 26h · parquet'
    """
    if node["type"] == "group":
        worst = [
            f"{count:,} {one}" for one, count in node["verdicts"].items() if count and one not in ("fresh", "none")
        ]
        return " · ".join([counted(node["assets"], "asset"), *worst[:2]])
    return shown.note(node["verdict"], node["lag"], node["kind"])


def _lines(edges: Iterable[NearEdge], between: Iterable[NearColumnEdge]) -> tuple[list[Line], list[dict[str, Any]]]:
    lines, about = [], []
    for edge in edges:
        source, target = f"asset:{edge.source}", f"asset:{edge.target}"
        text = f"{edge.source} → {edge.target} ({edge.origin})"
        lines.append(Line(source=source, target=target, from_id=source, to_id=target, style=edge.origin, about=text))
        about.append({"origin": edge.origin, "runs": edge.runs})
    for one in between:
        if one.source == one.target:
            continue
        source, target = f"asset:{one.source}", f"asset:{one.target}"
        from_id = column_id(one.source, one.source_column)
        to_id = target if one.target_column is None else column_id(one.target, one.target_column)
        text = f"{from_id} → {to_id.removeprefix('asset:')} ({one.subtype.lower().replace('_', ' ')})"
        style = one.type.lower()
        lines.append(Line(source=source, target=target, from_id=from_id, to_id=to_id, style=style, about=text))
        about.append({"origin": "observed", "runs": one.runs, "type": one.type, "subtype": one.subtype})
    return lines, about


def _split(text: str) -> tuple[str, str]:
    direction, _, name = text.partition(":")
    return name, direction


def _asset_of(column: str) -> str:
    parts = split_column_id(column)
    return column if parts is None else parts[0]


def _assets(graph: LineageGraph) -> list[str]:
    return [node.id if node.asset is None else node.asset for node in graph.nodes]


def _columns(graph: LineageGraph) -> list[str]:
    return [node.id for node in graph.nodes if node.kind == "column"]


def _dataset(definition: AssetDefinition) -> Dataset:
    return definition.ref.namespace, definition.ref.dataset


_NOTHING = Near(root=None, datasets={})
