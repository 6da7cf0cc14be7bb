"""The board, page by page: which assets are meant, in which order, and everything about those on the page alone."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from headwater import clock
from headwater.api.cursors import encoded_cursor, offset, rank_and_name
from headwater.api.kept import Kept, Shelf
from headwater.api.problems import ApiError
from headwater.api.whole import Whole, divisions, reaching
from headwater.assets import board
from headwater.assets.facts import Facts
from headwater.assets.partitions import partitioning
from headwater.assets.selection import select
from headwater.assets.staleness import Staleness, staleness
from headwater.errors import UnknownNameError
from headwater.lineage.statements import statements

if TYPE_CHECKING:
    from headwater.assets.definitions import AssetDefinition
    from headwater.assets.freshness import Standing
    from headwater.assets.partitions import PartitionsDefinition
    from headwater.lineage.catalog import ProjectionCatalog
    from headwater.lineage.live import LiveProjection

T = TypeVar("T")
_PAGES = 64
"""Pages whose facts are kept, and counts."""
LARGE = 2_000
"""Assets: where there are more, answers may be a little behind what has come, rather than let everybody wait."""
_NOW = 1_000_000
"""Microseconds: a moment that is no further away is taken for now."""
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
    """The names on a page, the facts that they are judged by, how many there are in all, and where the next one begins.

    `judged` is what was judged before already, of very many assets.
    """

    names: tuple[str, ...]
    facts: Facts
    judged: board.Judged | None = None
    total: int
    next: str | None
    as_of: int


class Board:
    """Answers about assets. What takes long is kept until something new has come, and judged again as time goes by."""

    def __init__(self, projection: LiveProjection, catalog: ProjectionCatalog) -> None:
        self._projection, self._catalog = projection, catalog
        self._kept = Shelf()
        self._is_large = False
        self._pages: dict[tuple[str, ...], Kept[Facts]] = {}
        self._counted: dict[Hashable, tuple[tuple[object, ...], dict[str, Any]]] = {}
        self._order: tuple[Mapping[str, Standing] | None, Sequence[tuple[int, str]]] = (None, ())
        self._lock = threading.Lock()

    def renew(self) -> None:
        """Make anew what was asked for, takes long, and is out of date: for a thread that has the time."""
        self._kept.renew()
        with self._lock:
            pages = list(self._pages.values())
        for page in pages:
            page.renew()

    def warm(self) -> None:
        """Make what takes long before anybody asks for it."""
        self.definitions()
        if self._is_large:
            self._whole()
            self.verdicts()
            self.failed()

    def facts(self) -> Facts:
        """All facts."""
        return self._kept.get("facts", self._projection.version, self._catalog.facts)

    def definitions(self) -> Mapping[str, AssetDefinition]:
        """All assets, the retired ones among them."""
        found = self._kept.get(
            "definitions", self._projection.version, self._catalog.definitions, patient=self._is_large
        )
        self._is_large = len(found) > LARGE
        return found

    def page(self, wanted: Filter, *, as_of: int | None, limit: int, cursor: str | None) -> PageOf:
        """A page of assets, the worst first. Raises UsageError, UnknownNameError."""
        at = clock.now_us() if as_of is None else as_of
        verdicts = self.verdicts(as_of)
        meant, order = set(self._selected(wanted, as_of)), self._worst_first(verdicts)
        names = [name for _, name in order if name in meant]
        after = rank_and_name(cursor)
        start = 0 if after is None else bisect_right(names, after, key=lambda name: [_rank(verdicts[name]), name])
        shown = tuple(names[start : start + limit])
        last = encoded_cursor(_rank(verdicts[shown[-1]]), shown[-1]) if len(names) > start + limit else None
        facts, judged = self.seen(shown, as_of)
        return PageOf(
            # The facts may be newer than what the page was chosen by.
            names=tuple(name for name in shown if name in facts.definitions),
            facts=facts,
            judged=judged,
            total=len(names),
            next=last,
            as_of=at,
        )

    def summary(self, wanted: Filter) -> dict[str, Any]:
        """How many assets have each verdict, and how many are stale."""
        verdicts, stale = self.verdicts(), self.staleness()
        names = [name for name in self._selected(wanted, None) if name in verdicts]
        return {
            "as_of": clock.rfc3339(clock.now_us()),
            "assets": len(names),
            "verdicts": {one: sum(verdicts[name].verdict == one for name in names) for one in WORST_FIRST},
            "stale": sum(stale[name].is_stale for name in names if name in stale),
        }

    def verdicts(self, as_of: int | None = None) -> Mapping[str, Standing]:
        """The verdict on every asset, now or at a moment."""
        return self._judged("verdicts", self._catalog.verdicts, as_of)

    def staleness(self, as_of: int | None = None) -> Mapping[str, Staleness]:
        """Whether each asset is stale, now or at a moment."""
        if not self._is_large:
            return self._judged("stale", self._catalog.staleness, as_of)
        whole, at = self._whole(), clock.now_us() if as_of is None else as_of
        divided = self._divisions()
        there = reaching(divided, at)
        if abs(clock.now_us() - at) <= _NOW or there == reaching(divided, whole.as_of):
            return whole.stale
        return self._kept.get("stale at", (id(whole), there), lambda: staleness(whole.facts, at))

    def seen(self, names: Sequence[str], as_of: int | None) -> tuple[Facts, board.Judged | None]:
        """The facts that these assets are judged by, and what was judged of them before already, where assets are many."""
        self.definitions()
        if not self._is_large:
            return self._facts_of(tuple(names)), None
        whole, stale = self._whole(), self.staleness(as_of)
        known = [name for name in names if name in whole.facts.definitions]
        return whole.facts, whole.judged(known, clock.now_us() if as_of is None else as_of, stale)

    def failed(self) -> frozenset[str]:
        """The assets of which the newest attempt at some partition did not publish."""

        def found() -> frozenset[str]:
            with self._projection.session() as session:
                places = set(session.rows(statements("pages.sql")["failed_datasets"]))
            definitions = self.definitions().items()
            return frozenset(name for name, one in definitions if (one.ref.namespace, one.ref.dataset) in places)

        return self._kept.get("failed", self._projection.version, found, patient=self._is_large)

    def names(self, selection: str) -> Sequence[str]:
        """The assets that a selection means. Raises UsageError, UnknownNameError."""
        return self._selected(Filter(selection=selection), None)

    def check_selection(self, selection: str) -> None:
        """Raise UsageError or UnknownNameError for a selection that can't be meant, or that nothing here makes."""
        names = self.names(selection)
        definitions = self.definitions()
        if all(definitions[name].is_source for name in names) and not _may_be_empty(selection):
            raise ApiError(400, "usage", f"nothing produces '{selection}'", hint="select what @materialize makes")

    def one(self, name: str, as_of: int | None) -> dict[str, Any]:
        """An asset with its definition. Raises UnknownNameError."""
        (facts, judged), at = self.known(name, as_of), clock.now_us() if as_of is None else as_of
        definition = facts.definitions[name]
        inputs = [
            {"asset": one.asset, "parameter": one.parameter, "mapping": one.mapping.describe()}
            for one in definition.inputs
        ]
        return {
            **board.status(facts, [name], at, judged)["assets"][0],
            "description": definition.description,
            "inputs": inputs,
            "partitioned": None if definition.partitions is None else definition.partitions.describe(),
            "producer": definition.producer,
        }

    def explain(self, subject: str, as_of: int | None) -> dict[str, Any]:
        """Why an asset, or one of its partitions, is as it is. Raises UnknownNameError, PartitionError."""
        known = self.definitions()
        name, _, key = (subject, "", "") if subject in known else subject.partition("@")
        facts, judged = self.known(name, as_of)
        return board.explain(facts, name, key or None, clock.now_us() if as_of is None else as_of, judged)

    def partitions(self, name: str, *, limit: int, cursor: str | None) -> dict[str, Any]:
        """The partitions of an asset, in their order. Raises UnknownNameError."""
        (facts, judged), at, start = self.known(name), clock.now_us(), offset(cursor)
        every = partitioning(facts.definitions[name]).all(at)
        stale = (judged.stale if judged else staleness(facts, at)).get(name)
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
        """The facts of an asset and of all that is upstream of it, at least. Raises UnknownNameError."""
        return self.known(name)[0]

    def known(self, name: str, as_of: int | None = None) -> tuple[Facts, board.Judged | None]:
        """The same with what was judged before already: see `seen`. Raises UnknownNameError."""
        definitions = self.definitions()
        if name not in definitions:
            raise UnknownNameError.of("asset", name, definitions)
        facts, judged = self.seen((name,), as_of)
        # One that has only just come is not among what was judged before.
        return (facts, judged) if name in facts.definitions else (self._facts_of((name,)), None)

    def _whole(self) -> Whole:
        def made() -> Whole:
            return Whole(self._catalog.facts(), clock.now_us())

        key = self._projection.version, reaching(self._divisions(), clock.now_us())
        return self._kept.get("whole", key, made, patient=True)

    def _divisions(self) -> frozenset[PartitionsDefinition]:
        version = self._projection.version
        return self._kept.get("divisions", version, lambda: divisions(self.definitions()), patient=self._is_large)

    def _facts_of(self, names: tuple[str, ...]) -> Facts:
        """The facts of these assets and of all that is upstream of them; those that were asked for last are kept."""
        with self._lock:
            kept = self._pages.pop(names, None) or Kept[Facts]()
            self._pages[names] = kept
            while len(self._pages) > _PAGES:
                del self._pages[next(iter(self._pages))]

        def found() -> Facts:
            definitions = self.definitions()
            refs = [definitions[name].ref for name in names if name in definitions]
            return self._catalog.facts(refs) if refs else Facts()

        return kept.get(self._projection.version, found, patient=self._is_large)

    def counted(self, what: Hashable, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """An answer that follows from how all assets stand now, kept as long as they do."""
        stands = self.definitions(), self.verdicts(), self.staleness(), self.failed()
        with self._lock:
            before, answer = self._counted.pop(what, ((), {}))
        if len(before) != len(stands) or any(one is not other for one, other in zip(before, stands, strict=True)):
            answer = make()
        with self._lock:
            self._counted[what] = stands, answer
            while len(self._counted) > _PAGES:
                del self._counted[next(iter(self._counted))]
        return answer

    def _worst_first(self, verdicts: Mapping[str, Standing]) -> Sequence[tuple[int, str]]:
        """All names in the order of the board: of very many they are not put in order for each page."""
        of, order = self._order
        if of is not verdicts:
            order = sorted((_rank(one), name) for name, one in verdicts.items())
            self._order = verdicts, order
        return order

    def _selected(self, wanted: Filter, as_of: int | None) -> Sequence[str]:
        definitions = self.definitions()
        if wanted.selection == "*":
            names: Sequence[str] = [name for name, one in definitions.items() if not one.retired]
        else:
            names = self._select(wanted.selection, definitions, as_of)
        if wanted.verdicts:
            verdicts = self.verdicts(as_of)
            names = [name for name in names if name in verdicts and verdicts[name].verdict in wanted.verdicts]
        if wanted.stale is not None:
            judged = self.staleness(as_of)
            names = [name for name in names if (name in judged and judged[name].is_stale) == wanted.stale]
        text = wanted.text.casefold()
        return [name for name in names if text in name.casefold()] if text else names

    def _select(self, selection: str, definitions: Mapping[str, AssetDefinition], as_of: int | None) -> Sequence[str]:
        def is_stale(name: str) -> bool:
            found = self.staleness(as_of).get(name)
            return found is not None and found.is_stale

        def is_late(name: str) -> bool:
            found = self.verdicts(as_of).get(name)
            return found is not None and found.verdict == "late"

        names = select(selection, definitions, stale=is_stale, late=is_late, failed=lambda name: name in self.failed())
        if not names and not _may_be_empty(selection):
            raise UnknownNameError.of("asset", selection, definitions, where="the selection")
        return names

    def _judged(self, what: str, judge: Callable[[int], dict[str, T]], as_of: int | None) -> Mapping[str, T]:
        version, now = self._projection.version, clock.now_us()
        if as_of is not None and abs(now - as_of) > _NOW:
            return self._kept.get(f"{what} at", (version, as_of), lambda: judge(as_of))
        # What is so changes with time as well: it is judged again each second.
        key = (version, now // 1_000_000)
        return self._kept.get(what, key, lambda: judge(clock.now_us()), patient=self._is_large)


def _rank(standing: Standing) -> int:
    return WORST_FIRST.index(standing.verdict)


def _may_be_empty(selection: str) -> bool:
    return any(f"{word}(" in selection for word in ("stale", "late", "failed"))
