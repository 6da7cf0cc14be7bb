"""Tables: as wide as they need in files and pipes, made to fit on a terminal."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from headwater.cli import terminal
from headwater.cli.terminal import coloured, cut, one_line

Cell = str | int | float | None

_GAP = 2
_LAST = 20
_LEAST = 8


def table(
    headers: Sequence[str],
    rows: Iterable[Sequence[Cell]],
    *,
    numbers: Collection[str] = (),
    spare: Sequence[str] = (),
    colours: Mapping[str, str] | None = None,
    room: int | None = None,
) -> str:
    """Rows below their headers. `numbers` stand at the right; `colours` gives the colour of whole cells by their text.

    In a terminal, or where `room` says how many columns there are, it is made to fit: the last column is cut first, then
    those in `spare` are left out (one after the other, and in any case where they hold nothing), then the widest are cut.
    Elsewhere all is written in full.

    >>> print(table(["name", "rows", "why"], [["flights", 842, None], ["weather", 26115, "code changed"]], numbers=["rows"]))
    name      rows  why
    flights    842  -
    weather  26115  code changed
    >>> print(table(["name", "rows", "why"], [["weather", 26115, "code changed"]], spare=["rows"], room=16))
    name     why
    weather  code ch…
    """
    cells = [["-" if cell is None else one_line(str(cell)) for cell in row] for row in rows]
    columns = [list(column) for column in zip(headers, *cells, strict=True)]
    if room is None:
        size = terminal.size()
        room = size.columns if size else None
    widths = [max(map(terminal.width, column)) for column in columns]
    if room is not None:
        empty = [column[0] in spare and set(column[1:]) == {"-"} for column in columns]
        widths = fitted(headers, [0 if none else one for none, one in zip(empty, widths, strict=True)], room, spare)
    shown = [
        _column(column, width, column[0] in numbers, colours or {})
        for column, width in zip(columns, widths, strict=True)
        if width
    ]
    return "\n".join("  ".join(line).rstrip() for line in zip(*shown, strict=True))


def fitted(headers: Sequence[str], widths: Sequence[int], room: int, spare: Sequence[str] = ()) -> list[int]:
    """The widths of the columns in so much room; 0 for a column that is left out.

    >>> fitted(["name", "rows", "why"], [7, 5, 40], 40, ["rows"]), fitted(["name", "rows", "why"], [7, 5, 40], 20, ["rows"])
    ([7, 5, 24], [7, 0, 11])
    """
    found = list(widths)
    last = len(found) - 1
    for name in spare:
        if _total([*found[:last], min(found[last], _LAST)]) <= room:
            break
        found[headers.index(name)] = 0
    over = _total(found) - room
    if over > 0:
        found[last] = max(found[last] - over, min(found[last], _LEAST))
    for places in (range(1, len(found)), range(1)):
        # The first column is the name by which one goes on: it is cut when nothing else can be.
        while (over := _total(found) - room) > 0 and max(found[place] for place in places or (0,)) > _LEAST:
            # The widest is brought down to the next one, so that several wide ones share what is missing.
            widest = max(places, key=found.__getitem__)
            second = max((found[place] for place in places if place != widest), default=0)
            found[widest] = max(found[widest] - over, min(second, found[widest] - 1), _LEAST)
    return found


def _total(widths: Sequence[int]) -> int:
    shown = [width for width in widths if width]
    return sum(shown) + _GAP * (len(shown) - 1)


def _column(cells: Sequence[str], room: int, right: bool, colours: Mapping[str, str]) -> list[str]:
    return [_cell(cell, room, right, "bold" if place == 0 else "", colours) for place, cell in enumerate(cells)]


def _cell(cell: str, room: int, right: bool, always: str, colours: Mapping[str, str]) -> str:
    shown = cut(cell, room)
    pad = " " * (room - terminal.width(shown))
    colour = always or colours.get(cell)
    if colour:
        shown = coloured(shown, colour)
    return pad + shown if right else shown + pad
