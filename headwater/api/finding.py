"""Finding assets, columns and runs by a part of their names: what the search of the web pages asks."""

from __future__ import annotations

import threading
from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from headwater import clock
from headwater.lineage.called import names_now
from headwater.lineage.names import column_id
from headwater.lineage.run_lists import worked_out_between
from headwater.lineage.statements import statements
from headwater.records import dataclass

if TYPE_CHECKING:
    from headwater.lineage.projection import Projection

_PATIENCE = 10
"""What was read is kept this many times as long as it took to read it, even when something new has come."""
_QUICK = 200_000
"""Microseconds: what takes longer to read is read behind an answer, which is of what was known before."""
_SHORTEST_RUN = 3
"""Letters of a run's id, or of its flow, that are looked for at least."""
_BEHIND_A_DOT = 2_000
"""So many columns are looked through when the asset is given as well."""


class NameIndex:
    """Names as one text, so that a hundred thousand are searched in a millisecond.

    >>> index = NameIndex(["flights", "daily_flights", "Flight", "planes"])
    >>> index.find("flight", 3), index.find("PLANES", 5), index.find("x", 5)
    (['Flight', 'flights', 'daily_flights'], ['planes'], [])
    """

    def __init__(self, names: Sequence[str]) -> None:
        # The shortest first: among names that begin alike it is the likeliest.
        self._names = sorted(set(names), key=lambda name: (len(name), name))
        folded = [_folded(name) for name in self._names]
        self._text = "\0" + "\0".join(folded) + "\0"
        self._starts = array("Q")
        place = 1
        for one in folded:
            self._starts.append(place)
            place += len(one) + 1

    def find(self, text: str, limit: int) -> list[str]:
        """Names that are the text, then those that begin with it, then those that hold it; at most `limit`."""
        text = _folded(text)
        found: dict[str, None] = {}
        for needle in (f"\0{text}\0", f"\0{text}", text) if text and self._names else ():
            for name in self._holding(needle):
                found[name] = None
                if len(found) == limit:
                    return list(found)
        return list(found)

    def _holding(self, needle: str) -> Iterator[str]:
        place = self._text.find(needle)
        while 0 <= place < len(self._text) - 1:
            number = bisect_right(self._starts, place + needle.startswith("\0")) - 1
            yield self._names[number]
            if number + 1 == len(self._names):
                return
            place = self._text.find(needle, self._starts[number + 1] - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What can be found, as it was read: names, and what belongs to each."""

    version: int
    at: int
    took: int
    assets: NameIndex
    kinds: dict[str, str]
    columns: NameIndex
    owners: dict[str, list[str]]


class Finder:
    """Answers to searches. What it reads is kept for a while: reading it takes as long as there are columns."""

    def __init__(self, projection: Projection) -> None:
        self._projection = projection
        self._known: _Known | None = None
        self._lock = threading.Lock()

    def find(self, text: str, limit: int, version: int) -> dict[str, Any]:
        """At most `limit` of each, the best first; `version` counts what has come, and says whether to read again."""
        text = text.strip()
        known = self._current(version)
        return {
            "assets": [{"name": name, "kind": known.kinds[name]} for name in known.assets.find(text, limit)],
            "columns": _columns(known, text, limit),
            "runs": self._runs(text, limit),
        }

    def warm(self, version: int) -> None:
        """Read before anybody asks."""
        self._current(version)

    def is_outdated(self, version: int) -> bool:
        """Whether it is time to read again."""
        known = self._known
        if known is None or known.version == version:
            return False
        return clock.steady_us() > known.at + _PATIENCE * known.took

    def refresh(self, version: int) -> None:
        """Read again, unless somebody else just did; searches go on with what was known before."""
        if self.is_outdated(version):
            self._known = self._read(version)

    def _current(self, version: int) -> _Known:
        with self._lock:
            known = self._known
            if known is None or (known.took < _QUICK and self.is_outdated(version)):
                known = self._known = self._read(version)
            return known

    def _read(self, version: int) -> _Known:
        sql, began = statements("pages.sql"), clock.steady_us()
        with self._projection.session() as session:
            former = names_now(session, {}).former()
            places = {key: former[key] for key in ("namespaces", "datasets")}
            kinds = dict(session.rows(sql["searched_assets"], places))
            owners = dict(session.rows(sql["searched_columns"], former))
        assets, columns, now = NameIndex(list(kinds)), NameIndex(list(owners)), clock.steady_us()
        return _Known(
            version=version, at=now, took=now - began, assets=assets, kinds=kinds, columns=columns, owners=owners
        )

    def _runs(self, text: str, limit: int) -> list[dict[str, Any]]:
        if len(text) < _SHORTEST_RUN:
            return []
        sql = statements("pages.sql")
        with self._projection.session() as session:
            # A run has a start for each of its attempts.
            rows = session.rows(sql["found_runs"], {"text": text.lower(), "limit": limit * 4})
            flows = dict(list(dict(rows).items())[:limit])
            states = {row[0]: row[1:] for row in session.rows(sql["states_of_runs"], worked_out_between(flows))}
        return [
            {"id": run, "flow": flow, "state": states[run][0], "started": clock.rfc3339(states[run][1])}
            for run, flow in flows.items()
            if run in states
        ]


def _columns(known: _Known, text: str, limit: int) -> list[dict[str, str]]:
    """Columns by their names; behind a dot, those of assets that begin with what stands before it."""
    asset, dot, column = text.rpartition(".")
    found: list[dict[str, str]] = []
    for name in known.columns.find(text, limit):
        found.extend(_column(owner, name) for owner in known.owners[name][:limit])
    if dot and column:
        for name in known.columns.find(column, _BEHIND_A_DOT):
            found.extend(_column(one, name) for one in known.owners[name] if _folded(one).startswith(_folded(asset)))
            if len(found) >= limit:
                break
    return found[:limit]


def _column(asset: str, column: str) -> dict[str, str]:
    return {"id": column_id(asset, column), "asset": asset, "column": column}


def _folded(text: str) -> str:
    return text.casefold().replace("\0", " ")
