"""A lineage graph as one SVG document that needs nothing else: no script, no font, no network.

Names are escaped; what XML can't hold is written out (`\\x1b`). Nothing in a picture is ever executed.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from headwater.lineage.cards import HEAD, LETTERS, PAD, ROW, ROWS, Card, CardColumn, Line, Picture, picture, short
from headwater.lineage.graph import LineageEdge, LineageGraph
from headwater.lineage.layout import Pair
from headwater.lineage.walking import distances

_EDGE = 20.0

TONES = {
    "fresh": ("#15803d", "#4ade80"),
    "warn": ("#a15c07", "#fbbf24"),
    "late": ("#b42318", "#f87171"),
    "unknown": ("#5b5f97", "#a5b4fc"),
    "none": ("#5f6f71", "#8b9a99"),
    "running": ("#1d4ed8", "#60a5fa"),
}
"""The colour of each state, light and dark: those of the pages."""
SHAPES = {
    "fresh": '<circle class="{}" cx="5" cy="5" r="4.5"/>',
    "warn": '<path class="{}" d="M5 .5 9.7 9.3H.3Z"/>',
    "late": '<path class="{}" d="M5 0 10 5 5 10 0 5Z"/>',
    "unknown": '<circle class="{} hollow" cx="5" cy="5" r="4.1" stroke-dasharray="2.2 2"/>',
    "none": '<circle class="{} hollow" cx="5" cy="5" r="3.8"/>',
    "running": '<path class="{}" d="M1.5 .6 9.3 5 1.5 9.4Z"/>',
}
"""The shape of each state, in a square of ten pixels."""


def _tones(which: int) -> str:
    return "".join(f".{name}{{fill:{both[which]};stroke:{both[which]}}}" for name, both in TONES.items())


_LIGHT = f"""
svg{{font:12px ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;background:#f7f8f8}}
text{{fill:#14201f}}.card{{fill:#fff;stroke:#c3cccc}}.root{{stroke:#0f766e;stroke-width:2}}.name{{font-weight:600}}
.row{{fill:#48575a}}.note{{fill:#5f6f71}}.edge{{fill:none;stroke:#8a9a9b;stroke-width:1.4}}
.declared{{stroke-dasharray:5 4}}.reported{{stroke-dasharray:2 3}}.direct{{stroke:#0f766e;stroke-width:1.1}}
.indirect{{stroke:#a8a29e;stroke-width:1;stroke-dasharray:3 3}}.tip{{fill:#8a9a9b}}{_tones(0)}
.hollow{{fill:none;stroke-width:1.7}}.word{{stroke:none}}
"""
_DARK = f"""
svg{{background:#0e1212}}text{{fill:#e6eceb}}.card{{fill:#151a1a;stroke:#3a4646}}
.row{{fill:#a9b7b6}}.note{{fill:#8b9a99}}.tip{{fill:#8b9a99}}.root{{stroke:#2dd4bf}}.direct{{stroke:#2dd4bf}}
.edge{{stroke:#6b7a7a}}.indirect{{stroke:#78716c}}{_tones(1)}.hollow{{fill:none}}.word{{stroke:none}}
"""


def _own(rules: str) -> str:
    """The rules for what stands in one of our pictures alone: a notebook puts them into a page with much else."""
    return re.sub(
        r"([^{}]+)(\{[^}]*\})", lambda rule: f".headwater {rule[1]}{rule[2]}", "".join(rules.split("\n"))
    ).replace(".headwater svg{", "svg.headwater{")


STYLE = f"{_own(_LIGHT)}@media(prefers-color-scheme:dark){{{_own(_DARK)}}}"
"""The colours of every picture."""


class CardState(NamedTuple):
    """How an asset stands: what is written below its name, the verdict that gives the shape, and whether it is stale."""

    note: str
    verdict: str | None = None
    stale: bool = False


_UNSAID = CardState("")


def svg(graph: LineageGraph, *, limit: int = 300, states: Mapping[str, CardState] | None = None) -> str:
    """The picture; of more than `limit` cards those nearest to the root, with a count of what is left out beside each.

    `states` says how assets stand, by name: shape and word of the verdict are drawn below the name.
    """
    cards, owner = _cards(graph, states or {})
    pairs = _pairs(graph, owner)
    root = owner.get(graph.root) if graph.root is not None else None
    kept = _nearest(cards, pairs, root, limit)
    drawn = [card for name, card in cards.items() if name in kept]
    found = picture(drawn, _lines(graph, owner, kept), [pair for pair in pairs if kept >= set(pair)])
    about = f"Lineage of {graph.root}" if graph.root is not None else "Lineage"
    return document(found, about, root=root, left_out=_left_out(pairs, kept), total=len(cards))


def document(
    found: Picture,
    about: str,
    *,
    root: str | None = None,
    left_out: Mapping[str, tuple[int, int]] | None = None,
    total: int | None = None,
) -> str:
    """A picture as a document. `left_out` counts what each card has beside it that is not drawn, to the left and right."""
    beside = left_out or {}
    hidden = (len(found.cards) if total is None else total) - len(found.cards)
    aside = 60.0 if any(any(counts) for counts in beside.values()) or hidden else 0.0
    width, height = found.width + 2 * (_EDGE + aside), found.height + 2 * _EDGE + (24 if hidden else 0)
    shift = _EDGE + aside
    note = f'<text class="note" x="{-shift + _EDGE:g}" y="{found.height + 30:g}">' if hidden else ""
    if hidden:
        note += f"{len(found.cards):,} of {total:,} assets are drawn; {hidden:,} are left out</text>"
    parts = [
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path class="tip" d="M0 0L8 4L0 8z"/></marker></defs>',
        f'<g transform="translate({shift:g} {_EDGE:g})">',
        *_edges(found.lines),
        *(_card(found, card, beside.get(card.id, (0, 0)), is_root=card.id == root) for card in found.cards),
        note,
        "</g>",
    ]
    return framed(about, width, height, parts)


def framed(about: str, width: float, height: float, parts: Iterable[str]) -> str:
    """Parts of a picture as a document with everything that they need."""
    size = f'width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" class="headwater" {size} role="img">'
    title = f"<title>{text(about)}</title><style>{STYLE}</style>"
    return "\n".join(part for part in (head, title, *parts, "</svg>") if part)


def shape(state: str, x: float, y: float) -> str:
    """The shape of a state, its left upper corner at a place."""
    tone = state if state in SHAPES else "none"
    return f'<g transform="translate({x:.1f} {y:.1f})">{SHAPES[tone].format(tone)}</g>'


def text(of: str) -> str:
    """A text inside an element: escaped, and without what XML can't hold or what would turn the writing round."""
    return "".join(_letter(letter) for letter in of)


def _cards(graph: LineageGraph, states: Mapping[str, CardState]) -> tuple[dict[str, Card], dict[str, str]]:
    """The cards by the names of assets, and the card on which each node stands."""
    names = {node.id: node.name for node in graph.nodes if node.kind == "asset"}
    columns: dict[str, list[CardColumn]] = {}
    for node in graph.nodes:
        if node.kind == "column" and node.asset is not None:
            names.setdefault(node.asset, node.asset)
            columns.setdefault(node.asset, []).append(CardColumn(id=node.id, name=node.name))
    cards = {}
    for name, shown in names.items():
        found = columns.get(name, [])
        state = states.get(name, _UNSAID)
        cards[name] = Card(
            id=name,
            name=shown,
            note=state.note,
            verdict=state.verdict,
            stale=state.stale,
            columns=tuple(found[:ROWS]),
            more=max(len(found) - ROWS, 0),
        )
    owner = {name: name for name in names}
    owner.update((one.id, name) for name, found in columns.items() for one in found)
    return cards, owner


def _pairs(graph: LineageGraph, owner: Mapping[str, str]) -> list[Pair]:
    return sorted({(owner[edge.source], owner[edge.target]) for edge in graph.edges})


def _nearest(cards: Iterable[str], pairs: Iterable[Pair], root: str | None, limit: int) -> set[str]:
    names = set(cards)
    if len(names) <= limit:
        return names
    beside: dict[str, tuple[str, ...]] = {}
    for one, other in pairs:
        beside[one] = (*beside.get(one, ()), other)
        beside[other] = (*beside.get(other, ()), one)
    far = {} if root is None else distances(beside, root)
    # Without a root those that most is joined to say most.
    order = sorted(names, key=lambda name: (far.get(name, len(names)), -len(beside.get(name, ())), name))
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


def _lines(graph: LineageGraph, owner: Mapping[str, str], kept: set[str]) -> list[Line]:
    by_column = {(owner[edge.source], owner[edge.target]) for edge in graph.edges if edge.type is not None}
    drawn: dict[tuple[str, str, str], LineageEdge] = {}
    for edge in graph.edges:
        ends = owner[edge.source], owner[edge.target]
        if kept >= set(ends) and (edge.type is not None or ends not in by_column):
            drawn.setdefault((edge.source, edge.target, (edge.type or edge.origin).lower()), edge)
    return [
        Line(
            source=owner[source],
            target=owner[target],
            from_id=source,
            to_id=target,
            style=style,
            about=f"{source} → {target} ({(edge.subtype or edge.origin).lower().replace('_', ' ')})",
        )
        for (source, target, style), edge in drawn.items()
    ]


def _edges(lines: Iterable[Line]) -> Iterator[str]:
    for line in lines:
        about = f"<title>{text(line.about)}</title>" if line.about else ""
        yield f'<path class="edge {line.style}" d="{line.path}" marker-end="url(#tip)">{about}</path>'


def _card(found: Picture, card: Card, left_out: tuple[int, int], *, is_root: bool) -> str:
    (x, y), (width, height) = found.places[card.id], found.sizes[card.id]
    box = f'width="{width:.1f}" height="{height:.1f}" rx="6"'
    behind = f'<rect class="card" x="{x + 4:.1f}" y="{y + 4:.1f}" {box}/>' if card.group else ""
    lines = [
        f"<g><title>{text(card.name)}</title>{behind}"
        f'<rect class="card{" root" if is_root else ""}" x="{x:.1f}" y="{y:.1f}" {box}/>',
        f'<text class="name" x="{x + PAD:.1f}" y="{y + 18:.1f}">{text(short(card.name))}</text>',
        *_note(card, x, y, width),
    ]
    for place, column in enumerate(card.columns):
        at = f'x="{x + PAD:.1f}" y="{y + card.head + place * ROW + 12:.1f}"'
        lines.append(f'<text class="row" {at}>{text(short(column.name))}<title>{text(column.name)}</title></text>')
    if card.more:
        at = f'x="{x + PAD:.1f}" y="{y + card.head + len(card.columns) * ROW + 12:.1f}"'
        lines.append(f'<text class="note" {at}>{card.more:,} more</text>')
    for count, beside, anchor in zip(left_out, (x - 6, x + width + 6), ("end", "start"), strict=True):
        if count:
            at = f'x="{beside:.1f}" y="{y + 18:.1f}" text-anchor="{anchor}"'
            lines.append(f'<text class="note" {at}>+{count:,}</text>')
    return "".join(lines) + "</g>"


def _note(card: Card, x: float, y: float, width: float) -> Iterator[str]:
    """The line below the name: shape and word of the verdict, and a mark when it is stale."""
    if not card.note:
        return
    at, tone = x + PAD, card.verdict if card.verdict in SHAPES else None
    if tone is not None:
        yield shape(tone, at, y + HEAD + 0.5)
        at += 15
    word = f"{tone} word" if tone is not None else "note"
    yield f'<text class="{word}" x="{at:.1f}" y="{y + HEAD + 10:.1f}">{text(short(card.note, LETTERS + 4))}</text>'
    if card.stale:
        yield f'<text class="warn word" x="{x + width - PAD:.1f}" y="{y + HEAD + 10:.1f}" text-anchor="end">stale</text>'


def _letter(letter: str) -> str:
    escaped = _ESCAPES.get(letter)
    if escaped is not None:
        return escaped
    # Cc, Cf, Cs, Co, Cn: controls, marks of direction, halves of characters, and what is none.
    return letter if not unicodedata.category(letter).startswith("C") else ascii(letter)[1:-1]


_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;"}
