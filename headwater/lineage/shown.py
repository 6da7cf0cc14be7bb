"""Answers as a notebook shows them: assets as cards, runs and backfills line by line, with the same shapes and colours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from headwater import clock
from headwater.assets.durations import format_duration
from headwater.errors import UnknownNameError
from headwater.lineage.cards import short
from headwater.lineage.graph import LineageGraph, LineageNode
from headwater.lineage.svg import TONES, CardState, framed, shape, svg, text

if TYPE_CHECKING:
    from headwater.lineage.catalog import ProjectionCatalog
    from headwater.lineage.reader import Reader

MOST = 50
"""So many lines are drawn."""
_HIGH, _WIDE, _BAR = 24.0, 890.0, 180.0

_TONES = {
    "completed": "fresh",
    "cached": "fresh",
    "running": "running",
    "resuming": "running",
    "pausing": "warn",
    "paused": "warn",
    "cancelling": "warn",
    "cancelled": "warn",
    "failed": "late",
    "crashed": "late",
    "timedout": "late",
}
_PARTS = (
    ("completed", "fresh"),
    ("running", "running"),
    ("failed", "late"),
    ("blocked", "warn"),
    ("cancelled", "warn"),
)


def note(verdict: str, lag: float | None, kind: str | None) -> str:
    """What stands below the name of an asset on its card: the verdict, how many seconds it lags behind, and its kind.

    >>> note("late", 93_600.0, "parquet"), note("none", None, None)
    ('late 26h · parquet', 'no policy · not defined')
    """
    said = "no policy" if verdict == "none" else verdict
    return f"{said if lag is None else f'{said} {format_duration(lag)}'} · {kind or 'not defined'}"


def asset(reader: Reader, catalog: ProjectionCatalog, name: str) -> str:
    """An asset with what it is made of and what is made of it, as one SVG document; alone when nothing is known of it."""
    try:
        graph = reader.graph(name, depth=1)
    except UnknownNameError:
        graph = LineageGraph(root=name, nodes=(LineageNode(id=name, kind="asset", name=name),))
    at = clock.now_us()
    definitions, verdicts, stale = catalog.definitions(), catalog.verdicts(at), catalog.staleness(at)
    states = {}
    for node in graph.nodes:
        standing, definition = verdicts.get(node.name), definitions.get(node.name)
        verdict = "none" if standing is None else standing.verdict
        lag = None if standing is None or standing.at is None else max(at - standing.at, 0) / 1e6
        kind = None if definition is None else definition.ref.kind
        is_stale = node.name in stale and stale[node.name].is_stale
        states[node.id] = CardState(note(verdict, lag, kind), verdict, is_stale)
    return svg(graph, states=states)


class Shown(dict[str, Any]):
    """An answer that a notebook shows as a picture: a dictionary in all else.

    >>> Shown(runs=[])["runs"], Shown(runs=[]) == {"runs": []}
    ([], True)
    """

    def _repr_html_(self) -> str:
        return backfills(self["backfills"]) if "backfills" in self else runs(self["runs"])


def runs(rows: Sequence[Mapping[str, Any]]) -> str:
    """Runs with their state, flow, start and duration, as one SVG document."""
    shown = rows[:MOST]
    longest = max((row.get("duration") or 0.0 for row in shown), default=0.0)
    parts: list[str] = []
    for place, row in enumerate(shown):
        y, duration = 12 + place * _HIGH, row.get("duration")
        parts += _line(y, str(row["state"]), str(row.get("flow") or ""), str(row.get("started") or "")[:16] + "Z")
        if duration is not None:
            wide = max(_BAR * duration / longest, 2.0) if longest else 2.0
            parts.append(_part(str(row["state"]), 590, y, wide))
            parts.append(_cell(600 + _BAR, y, format_duration(duration), "note"))
    return _document("Runs", len(rows), parts, len(shown), "no runs yet")


def backfills(rows: Sequence[Mapping[str, Any]]) -> str:
    """Backfills with their state, range and progress, as one SVG document."""
    shown = rows[:MOST]
    parts: list[str] = []
    for place, row in enumerate(shown):
        y, counts = 12 + place * _HIGH, row["partitions"]
        parts += _line(y, str(row["state"]), ", ".join(row["assets"]), str(row.get("range") or ""))
        total, at = max(counts["requested"], 1), 590.0
        parts.append(f'<rect class="card" x="{at:.1f}" y="{y + 3:.1f}" width="{_BAR:.1f}" height="8" rx="2"/>')
        for name, tone in _PARTS:
            wide = _BAR * min(counts.get(name, 0) / total, 1.0)
            if wide:
                parts.append(_part(tone, at, y, wide))
                at += wide
        parts.append(_cell(600 + _BAR, y, f"{counts['completed']:,} of {counts['requested']:,}", "note"))
    return _document("Backfills", len(rows), parts, len(shown), "no backfills yet")


def _document(what: str, total: int, parts: list[str], lines: int, none: str) -> str:
    said = none if not total else f"{lines:,} of {total:,} are shown" if lines < total else ""
    if said:
        parts = [*parts, _cell(16, 12 + lines * _HIGH, said, "note")]
    return framed(what, _WIDE, 16 + (lines + bool(said)) * _HIGH, parts)


def _line(y: float, state: str, name: str, when: str) -> Iterator[str]:
    tone = _tone(state)
    yield shape(tone, 16, y + 2)
    yield _cell(34, y, state.lower(), f"{tone} word")
    yield _cell(140, y, short(name), "name", whole=name)
    yield _cell(400, y, short(when, 23), "note", whole=when)


def _cell(x: float, y: float, of: str, style: str, *, whole: str = "") -> str:
    title = f"<title>{text(whole)}</title>" if whole else ""
    return f'<text class="{style}" x="{x:.1f}" y="{y + 11:.1f}">{text(of)}{title}</text>'


def _part(state: str, x: float, y: float, wide: float) -> str:
    return f'<rect class="{_tone(state)} word" x="{x:.1f}" y="{y + 3:.1f}" width="{wide:.1f}" height="8" rx="2"/>'


def _tone(state: str) -> str:
    name = "".join(letter for letter in state.lower() if letter.isalpha())
    return name if name in TONES else _TONES.get(name, "none")
