"""A picture of a graph as numbers: cards with their columns, where each stands, and the lines between them.

What draws it (an SVG document, a page) adds no place of its own, so every drawing of one graph looks the same. Pure.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from headwater.lineage.layout import Pair, Point, layered
from headwater.records import dataclass

HEAD, NOTE, ROW, FOOT = 28.0, 18.0, 18.0, 6.0
"""Heights, in pixels: of a card's name, of the line below it, of each column, and of what is left free below columns."""
PAD = 12.0
LETTER = 7.3
"""How wide a letter is drawn, about."""
ROWS = 14
"""So many columns of a card are drawn."""
LETTERS = 34
"""So much of a name is drawn; all of it stands in its tooltip."""
_NARROWEST = 90.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CardColumn:
    """A column on a card: its id, and its name."""

    id: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """An asset, or a group of assets, as it is drawn. `note` is the line below its name, `verdict` the shape before that."""

    id: str
    name: str
    note: str = ""
    verdict: str | None = None
    stale: bool = False
    group: bool = False
    columns: tuple[CardColumn, ...] = ()
    more: int = 0
    """Columns that are not drawn."""

    @property
    def head(self) -> float:
        """How high it is without its columns."""
        return HEAD + (NOTE if self.note else 0.0)

    @property
    def size(self) -> tuple[float, float]:
        """Width and height."""
        texts = [width_of(self.name), *(width_of(one.name) for one in self.columns)]
        note = width_of(self.note) + (2 if self.verdict else 0) + (8 if self.stale else 0)
        width = max(min(max(texts), LETTERS), min(note, LETTERS + 4)) * LETTER + 2 * PAD
        rows = len(self.columns) + (self.more > 0)
        return max(width, _NARROWEST), self.head + rows * ROW + (FOOT if rows else 0.0)

    def row(self, column: int) -> float:
        """How far below the top of the card the middle of a column's row is; of those that are not drawn, of the last row."""
        return self.head + min(column, len(self.columns)) * ROW + 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """An edge between two cards, or columns of them: `source` and `target` are ids of cards, `from_id` and `to_id` what it
    joins there. `style` is what kind of edge it is, `about` what a tooltip says."""

    source: str
    target: str
    from_id: str
    to_id: str
    style: str
    about: str = ""
    path: str = ""
    """As the commands of an SVG path, once it has a place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """Cards with their left upper corners and sizes, the lines between them, and the size of it all."""

    cards: tuple[Card, ...]
    places: Mapping[str, Point]
    sizes: Mapping[str, tuple[float, float]]
    lines: tuple[Line, ...]
    width: float
    height: float


def picture(cards: Sequence[Card], lines: Iterable[Line], pairs: Iterable[Pair] = ()) -> Picture:
    """Where the cards stand, and how the lines run. `pairs` are cards that stand one after the other without a line.

    >>> found = picture(
    ...     [Card(id="a", name="a"), Card(id="b", name="b")],
    ...     [Line(source="a", target="b", from_id="a", to_id="b", style="observed")],
    ... )
    >>> found.places["a"][0] < found.places["b"][0], found.lines[0].path.startswith("M90.0 14.0C")
    (True, True)
    """
    drawn, lines = {card.id: card for card in cards}, tuple(lines)
    sizes = {card.id: card.size for card in cards}
    layout = layered(sizes, [*((line.source, line.target) for line in lines), *pairs])
    # Cards of a layer are as wide as the widest of them.
    layers: dict[float, float] = {}
    for name, (left, _) in layout.places.items():
        layers[left] = max(layers.get(left, 0.0), sizes[name][0])
    sizes = {name: (layers[layout.places[name][0]], high) for name, (_, high) in sizes.items()}
    rows = {one.id: (card.id, place) for card in cards for place, one in enumerate(card.columns)}

    def height(card: str, end: str) -> float:
        if end == card:
            return HEAD / 2
        found = rows.get(end)
        return drawn[card].row(len(drawn[card].columns) if found is None else found[1])

    placed = []
    for line in lines:
        (x, y), (to_x, to_y) = layout.places[line.source], layout.places[line.target]
        start = (x + sizes[line.source][0], y + height(line.source, line.from_id))
        end = (to_x - 2, to_y + height(line.target, line.to_id))
        path = _curve([start, *layout.bends.get((line.source, line.target), ()), end])
        placed.append(replace(line, path=path))
    return Picture(
        cards=tuple(cards),
        places=layout.places,
        sizes=sizes,
        lines=tuple(placed),
        width=layout.width,
        height=layout.height,
    )


def width_of(text: str) -> int:
    """How many letters wide a text is: some take the place of two."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def short(text: str, letters: int = LETTERS) -> str:
    """As much of a text as is drawn."""
    return text if len(text) <= letters else text[: letters - 1] + "…"


def _curve(points: list[Point]) -> str:
    (x, y), *rest = points
    parts = [f"M{x:.1f} {y:.1f}"]
    for to_x, to_y in rest:
        bend = max(abs(to_x - x) / 2, 30.0) if (to_x, to_y) != (x, y) else 0.0
        parts.append(f"C{x + bend:.1f} {y:.1f} {to_x - bend:.1f} {to_y:.1f} {to_x:.1f} {to_y:.1f}")
        x, y = to_x, to_y
    return "".join(parts)
