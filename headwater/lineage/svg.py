"""A lineage graph as one SVG document that needs nothing else: no script, no font, no network.

Names are escaped; what XML can't hold is written out (`\\x1b`). Nothing in a picture is ever executed.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from headwater.lineage.graph import LineageEdge, LineageGraph
from headwater.lineage.layout import Layout, Pair, Point, layered
from headwater.lineage.walking import distances

ROWS = 14
"""So many columns of a card are drawn."""
LETTERS = 34
"""So much of a name is drawn; all of it stands in its tooltip."""
_HEAD, _ROW, _LETTER, _PAD, _EDGE = 28.0, 18.0, 7.3, 12.0, 20.0

_STYLE = """
svg{font:12px ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;background:#fff}
text{fill:#1f2937}.card{fill:#f8fafc;stroke:#94a3b8}.root{stroke:#2563eb;stroke-width:2}.name{font-weight:600}
.row{fill:#475569}.note{fill:#64748b}.edge{fill:none;stroke:#64748b;stroke-width:1.4}
.declared{stroke-dasharray:5 4}.reported{stroke-dasharray:2 3}.direct{stroke:#2563eb;stroke-width:1.1}
.indirect{stroke:#a8a29e;stroke-width:1;stroke-dasharray:3 3}.tip{fill:#64748b}
@media(prefers-color-scheme:dark){svg{background:#0f172a}text{fill:#e2e8f0}.card{fill:#1e293b;stroke:#475569}
.row{fill:#cbd5e1}.note,.tip{fill:#94a3b8}.root{stroke:#60a5fa}.direct{stroke:#60a5fa}.indirect{stroke:#78716c}}
"""


@dataclass(slots=True)
class _Card:
    name: str
    columns: list[tuple[str, str]] = field(default_factory=list)
    """Ids and names."""

    @property
    def shown(self) -> list[tuple[str, str]]:
        return self.columns[:ROWS]

    @property
    def more(self) -> int:
        return len(self.columns) - len(self.shown)

    @property
    def size(self) -> tuple[float, float]:
        texts = [self.name, *(name for _, name in self.shown)]
        width = max(min(_width(text), LETTERS) for text in texts) * _LETTER + 2 * _PAD
        rows = len(self.shown) + (self.more > 0)
        return max(width, 90.0), _HEAD + rows * _ROW + (6.0 if rows else 0.0)


def svg(graph: LineageGraph, *, limit: int = 300) -> str:
    """The picture; of more than `limit` cards those nearest to the root, with a count of what is left out beside each."""
    cards, owner = _cards(graph)
    pairs = _pairs(graph, owner)
    root = owner.get(graph.root) if graph.root is not None else None
    kept = _nearest(cards, pairs, root, limit)
    layout = layered({name: cards[name].size for name in kept}, [pair for pair in pairs if kept >= set(pair)])
    drawn = _Drawn(graph, {name: cards[name] for name in cards if name in kept}, owner, layout, root)
    return drawn.document(_left_out(pairs, kept), len(cards))


def _cards(graph: LineageGraph) -> tuple[dict[str, _Card], dict[str, str]]:
    """The cards by the names of assets, and the card on which each node stands."""
    cards = {node.id: _Card(node.name) for node in graph.nodes if node.kind == "asset"}
    owner = {name: name for name in cards}
    for node in graph.nodes:
        if node.kind == "column" and node.asset is not None:
            cards.setdefault(node.asset, _Card(node.asset)).columns.append((node.id, node.name))
            owner[node.id] = node.asset
    return cards, owner


def _pairs(graph: LineageGraph, owner: Mapping[str, str]) -> list[Pair]:
    return sorted({(owner[edge.source], owner[edge.target]) for edge in graph.edges})


def _nearest(cards: Mapping[str, _Card], pairs: Iterable[Pair], root: str | None, limit: int) -> set[str]:
    if len(cards) <= limit:
        return set(cards)
    beside: dict[str, tuple[str, ...]] = {}
    for one, other in pairs:
        beside[one] = (*beside.get(one, ()), other)
        beside[other] = (*beside.get(other, ()), one)
    far = {} if root is None else distances(beside, root)
    # Without a root those that most is joined to say most.
    order = sorted(cards, key=lambda name: (far.get(name, len(cards)), -len(beside.get(name, ())), name))
    return set(order[:limit])


def _left_out(pairs: Iterable[Pair], kept: set[str]) -> dict[str, tuple[int, int]]:
    """How many inputs and readers of each card are not drawn."""
    found: dict[str, tuple[int, int]] = {}
    for source, target in pairs:
        if source in kept and target not in kept:
            found[source] = (found.get(source, (0, 0))[0], found.get(source, (0, 0))[1] + 1)
        if target in kept and source not in kept:
            found[target] = (found.get(target, (0, 0))[0] + 1, found.get(target, (0, 0))[1])
    return found


class _Drawn:
    def __init__(
        self,
        graph: LineageGraph,
        cards: Mapping[str, _Card],
        owner: Mapping[str, str],
        layout: Layout,
        root: str | None,
    ) -> None:
        self._graph, self._cards, self._owner, self._layout, self._root = graph, cards, owner, layout, root
        self._rows = {
            column: place
            for card in cards.values()
            for place, (column, _) in enumerate([*card.shown, *card.columns[ROWS:]])
        }

    def document(self, left_out: Mapping[str, tuple[int, int]], total: int) -> str:
        hidden = total - len(self._cards)
        width = self._layout.width + 2 * _EDGE + (120.0 if hidden else 0.0)
        height = self._layout.height + 2 * _EDGE + (24 if hidden else 0)
        shift = _EDGE + (60 if hidden else 0)
        note = f'<text class="note" x="{-shift + _EDGE:g}" y="{self._layout.height + 30:g}">' if hidden else ""
        if hidden:
            note += f"{len(self._cards):,} of {total:,} assets are drawn; {hidden:,} are left out</text>"
        size = f'width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}"'
        title = _text(f"Lineage of {self._graph.root}" if self._graph.root is not None else "Lineage")
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">',
            f"<title>{title}</title><style>{_STYLE.strip()}</style>",
            '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
            '<path class="tip" d="M0 0L8 4L0 8z"/></marker></defs>',
            f'<g transform="translate({shift:g} {_EDGE:g})">',
            *self._edges(),
            *(self._card(name, card, left_out.get(name, (0, 0))) for name, card in self._cards.items()),
            note,
            "</g></svg>",
        ]
        return "\n".join(part for part in parts if part)

    def _card(self, name: str, card: _Card, left_out: tuple[int, int]) -> str:
        (x, y), (width, height) = self._layout.places[name], card.size
        style = "card root" if name == self._root else "card"
        lines = [
            f'<g><title>{_text(name)}</title><rect class="{style}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" '
            f'height="{height:.1f}" rx="6"/>',
            f'<text class="name" x="{x + _PAD:.1f}" y="{y + 18:.1f}">{_text(_short(card.name))}</text>',
        ]
        for place, (_, column) in enumerate(card.shown):
            at = f'x="{x + _PAD:.1f}" y="{y + _HEAD + place * _ROW + 12:.1f}"'
            lines.append(f'<text class="row" {at}>{_text(_short(column))}<title>{_text(column)}</title></text>')
        if card.more:
            at = f'x="{x + _PAD:.1f}" y="{y + _HEAD + ROWS * _ROW + 12:.1f}"'
            lines.append(f'<text class="note" {at}>{card.more:,} more</text>')
        for count, beside, anchor in zip(left_out, (x - 6, x + width + 6), ("end", "start"), strict=True):
            if count:
                at = f'x="{beside:.1f}" y="{y + 18:.1f}" text-anchor="{anchor}"'
                lines.append(f'<text class="note" {at}>+{count:,}</text>')
        return "".join(lines) + "</g>"

    def _edges(self) -> Iterable[str]:
        by_column = {self._ends(edge) for edge in self._graph.edges if edge.type is not None}
        drawn: dict[tuple[str, str, str], LineageEdge] = {}
        for edge in self._graph.edges:
            ends = self._ends(edge)
            if not self._cards.keys() >= set(ends) or (edge.type is None and ends in by_column):
                continue
            style = (edge.type or edge.origin).lower()
            drawn.setdefault((edge.source, edge.target, style), edge)
        for (source, target, style), edge in drawn.items():
            about = f"{source} → {target} ({(edge.subtype or edge.origin).lower().replace('_', ' ')})"
            line = self._line(self._ends(edge), self._height(source), self._height(target))
            yield f'<path class="edge {style}" d="{line}" marker-end="url(#tip)"><title>{_text(about)}</title></path>'

    def _ends(self, edge: LineageEdge) -> Pair:
        return self._owner[edge.source], self._owner[edge.target]

    def _height(self, node: str) -> float:
        """How far below the top of its card an edge meets a node."""
        row = self._rows.get(node)
        return 14.0 if row is None else _HEAD + min(row, ROWS) * _ROW + 8

    def _line(self, ends: Pair, out: float, into: float) -> str:
        (x, y), width = self._layout.places[ends[0]], self._cards[ends[0]].size[0]
        to_x, to_y = self._layout.places[ends[1]]
        start: Point = (x + width, y + out)
        points = [start, *self._layout.bends.get(ends, ()), (to_x - 2, to_y + into)]
        return _curve(points)


def _curve(points: list[Point]) -> str:
    (x, y), *rest = points
    parts = [f"M{x:.1f} {y:.1f}"]
    for to_x, to_y in rest:
        bend = max(abs(to_x - x) / 2, 30.0) if (to_x, to_y) != (x, y) else 0.0
        parts.append(f"C{x + bend:.1f} {y:.1f} {to_x - bend:.1f} {to_y:.1f} {to_x:.1f} {to_y:.1f}")
        x, y = to_x, to_y
    return "".join(parts)


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def _short(text: str) -> str:
    return text if len(text) <= LETTERS else text[: LETTERS - 1] + "…"


def _text(text: str) -> str:
    """A text inside an element: escaped, and without what XML can't hold or what would turn the writing round."""
    return "".join(_letter(letter) for letter in text)


def _letter(letter: str) -> str:
    escaped = _ESCAPES.get(letter)
    if escaped is not None:
        return escaped
    # Cc, Cf, Cs, Co, Cn: controls, marks of direction, halves of characters, and what is none.
    return letter if not unicodedata.category(letter).startswith("C") else ascii(letter)[1:-1]


_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;"}
