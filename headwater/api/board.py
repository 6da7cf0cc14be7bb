"""The board, page by page: which assets are meant, in which order, and everything about those on the page alone."""

from __future__ import annotations

import base64
import binascii
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from headwater import clock
from headwater.api.problems import ApiError
from headwater.assets import board
from headwater.assets.facts import Facts
from headwater.assets.partitions import partitioning
from headwater.assets.selection import select
from headwater.assets.staleness import Staleness, staleness
from headwater.errors import UnknownNameError

if TYPE_CHECKING:
    from headwater.assets.freshness import Standing
    from headwater.lineage.catalog import ProjectionCatalog
    from headwater.lineage.live import LiveProjection

T = TypeVar("T")
_PAGES = 64
"""Pages whose facts are kept."""
WORST_FIRST = ("late", "unknown", "warn", "fresh", "none")


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which assets: a selection, verdicts (none: all), whether stale (None: either), and a part of the name."""

    selection: str = "*"
    verdicts: tuple[str, ...] = ()
    stale: bool | None = None
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageOf:
    """The names on a page, the facts that they are judged by, how many there are in all, and where the next one begins."""

    names: tuple[str, ...]
    facts: Facts
    total: int
    next: str | None
    as_of: int


class Board:
    """Answers about assets. What takes long is kept until something new has come, and judged again each second."""

    def __init__(self, projection: LiveProjection, catalog: ProjectionCatalog) -> None:
        self._projection, self._catalog = projection, catalog
        self._kept: dict[str, tuple[object, Any]] = {}
        self._pages: dict[tuple[int, tuple[str, ...]], Facts] = {}
        self._lock = threading.Lock()

    def facts(self) -> Facts:
        """All facts."""
        return self._keep("facts", self._projection.version, self._catalog.facts)

    def page(self, wanted: Filter, *, as_of: int | None, limit: int, cursor: str | None) -> PageOf:
        """A page of assets, the worst first. Raises UsageError, UnknownNameError."""
        at = clock.now_us() if as_of is None else as_of
        kept = (self._projection.version, at // 1_000_000 if as_of is None else at)
        verdicts = self._keep("verdicts", kept, lambda: self._catalog.verdicts(at))
        names = [name for name in self._selected(wanted, kept, at) if name in verdicts]
        order = {name: (WORST_FIRST.index(verdicts[name].verdict), name) for name in names}
        names.sort(key=order.__getitem__)
        after = decoded(cursor, 2)
        rest = names if after is None else [name for name in names if list(order[name]) > after]
        shown = tuple(rest[:limit])
        last = encoded_cursor(*order[shown[-1]]) if len(rest) > limit else None
        return PageOf(names=shown, facts=self._facts_of(shown), total=len(names), next=last, as_of=at)

    def summary(self, wanted: Filter) -> dict[str, Any]:
        """How many assets have each verdict, and how many are stale."""
        at = clock.now_us()
        kept = (self._projection.version, at // 1_000_000)
        verdicts = self._keep("verdicts", kept, lambda: self._catalog.verdicts(at))
        stale = self._keep("stale", kept, lambda: self._catalog.staleness(at))
        names = [name for name in self._selected(wanted, kept, at) if name in verdicts]
        return {
            "as_of": clock.rfc3339(at),
            "assets": len(names),
            "verdicts": {one: sum(verdicts[name].verdict == one for name in names) for one in WORST_FIRST},
            "stale": sum(stale[name].is_stale for name in names if name in stale),
        }

    def verdicts(self, at: int) -> Mapping[str, Standing]:
        """The verdict on every asset."""
        kept = (self._projection.version, at // 1_000_000)
        return self._keep("verdicts", kept, lambda: self._catalog.verdicts(at))

    def names(self, selection: str) -> Sequence[str]:
        """The assets that a selection means. Raises UsageError, UnknownNameError."""
        now = clock.now_us()
        return self._selected(Filter(selection=selection), (self._projection.version, now // 1_000_000), now)

    def check_selection(self, selection: str) -> None:
        """Raise UsageError or UnknownNameError for a selection that can't be meant, or that nothing here makes."""
        names = self.names(selection)
        definitions = self.facts().definitions
        if all(definitions[name].is_source for name in names) and "stale(" not in selection:
            raise ApiError(400, "usage", f"nothing produces '{selection}'", hint="select what @materialize makes")

    def one(self, name: str, as_of: int | None) -> dict[str, Any]:
        """An asset with its definition. Raises UnknownNameError."""
        facts, at = self.about(name), clock.now_us() if as_of is None else as_of
        definition = facts.definitions[name]
        inputs = [
            {"asset": one.asset, "parameter": one.parameter, "mapping": one.mapping.describe()}
            for one in definition.inputs
        ]
        return {
            **board.status(facts, [name], at)["assets"][0],
            "description": definition.description,
            "inputs": inputs,
            "partitioned": None if definition.partitions is None else definition.partitions.describe(),
            "producer": definition.producer,
        }

    def explain(self, subject: str, as_of: int | None) -> dict[str, Any]:
        """Why an asset, or one of its partitions, is as it is. Raises UnknownNameError, PartitionError."""
        known = self.facts().definitions
        name, _, key = (subject, "", "") if subject in known else subject.partition("@")
        return board.explain(self.about(name), name, key or None, clock.now_us() if as_of is None else as_of)

    def partitions(self, name: str, *, limit: int, cursor: str | None) -> dict[str, Any]:
        """The partitions of an asset, in their order. Raises UnknownNameError."""
        facts, at, start = self.about(name), clock.now_us(), offset(cursor)
        every = partitioning(facts.definitions[name]).all(at)
        stale = staleness(facts, at).get(name)
        known = facts.of(name)
        rows = []
        for key in islice(every.keys(), start, start + limit):
            made, failed = known.made.get(key), known.failed.get(key)
            rows.append(
                {
                    "partition": key,
                    "state": "failed" if failed else "materialized" if made else "missing",
                    "stale": stale is not None and key in stale.stale,
                    "version": made.version if made else None,
                    "at": clock.rfc3339(made.at) if made else None,
                    "rows": made.rows if made else None,
                    "run": made.run_id if made else None,
                    "error": failed.message if failed else None,
                }
            )
        more = encoded_cursor(start + limit) if start + limit < len(every) else None
        return {"asset": name, "total": len(every), "partitions": rows, "next": more}

    def about(self, name: str) -> Facts:
        """The facts of an asset and of all that is upstream of it. Raises UnknownNameError."""
        definitions = self.facts().definitions
        if name not in definitions:
            raise UnknownNameError.of("asset", name, definitions)
        return self._facts_of((name,))

    def _facts_of(self, names: tuple[str, ...]) -> Facts:
        """The facts of these assets and of all that is upstream of them; those that were asked for last are kept."""
        key = (self._projection.version, names)
        with self._lock:
            found = self._pages.get(key)
        if found is None:
            definitions = self.facts().definitions
            refs = [definitions[name].ref for name in names if name in definitions]
            found = self._catalog.facts(refs) if refs else Facts()
            with self._lock:
                while len(self._pages) >= _PAGES:
                    del self._pages[next(iter(self._pages))]
                self._pages[key] = found
        return found

    def _selected(self, wanted: Filter, kept: tuple[object, object], at: int) -> Sequence[str]:
        definitions = self.facts().definitions

        def stale() -> Mapping[str, Staleness]:
            return self._keep("stale", kept, lambda: self._catalog.staleness(at))

        names: Sequence[str] = tuple(definitions)
        if wanted.selection != "*":
            names = select(wanted.selection, definitions, stale=lambda name: name in stale() and stale()[name].is_stale)
            if not names and "stale(" not in wanted.selection:
                raise UnknownNameError.of("asset", wanted.selection, definitions, where="the selection")
        if wanted.verdicts:
            verdicts = self._keep("verdicts", kept, lambda: self._catalog.verdicts(at))
            names = [name for name in names if name in verdicts and verdicts[name].verdict in wanted.verdicts]
        if wanted.stale is not None:
            judged = stale()
            names = [name for name in names if (name in judged and judged[name].is_stale) == wanted.stale]
        text = wanted.text.casefold()
        return [name for name in names if text in name.casefold()] if text else names

    def _keep(self, what: str, key: object, make: Callable[[], T]) -> T:
        # One thread works it out while the others wait for it: they would all do the same work.
        with self._lock:
            found = self._kept.get(what)
            if found is None or found[0] != key:
                found = self._kept[what] = (key, make())
            made: T = found[1]
            return made


def encoded_cursor(*values: str | int | None) -> str:
    """Where a page ends, as a text that stands for itself in a URL.

    >>> decoded(encoded_cursor("2026", 7), 2)
    ['2026', 7]
    """
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


def decoded(cursor: str | None, length: int) -> list[Any] | None:
    """What a cursor holds; None when there is none. Raises ApiError for one that is not ours."""
    if cursor is None:
        return None
    try:
        data = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        found = json.loads(data)
    except (binascii.Error, ValueError, RecursionError):
        found = None
    if not isinstance(found, list) or len(found) != length or not all(type(one) in (str, int) for one in found):
        raise ApiError(400, "cursor", "that is no cursor of this list", hint="take `next` of the page before")
    return found


def offset(cursor: str | None) -> int:
    """Where a page of a list with places begins. Raises ApiError."""
    found = decoded(cursor, 1)
    if found is None:
        return 0
    if type(found[0]) is not int or not 0 <= found[0] < 2**53:
        raise ApiError(400, "cursor", "that is no cursor of this list", hint="take `next` of the page before")
    start: int = found[0]
    return start
