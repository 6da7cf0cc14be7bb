"""The board, page by page: which assets are meant, in which order, and everything about those on the page alone."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Callable, Hashable, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from headwater import clock
from headwater.api.cursors import encoded_cursor, offset, rank_and_name
from headwater.api.kept import Kept, Shelf
from headwater.api.problems import ApiError
from headwater.api.whole import Defined, Whole, reaching
from headwater.assets import board
from headwater.assets.facts import Facts
from headwater.assets.freshness_policy import Verdict
from headwater.assets.partitions import partitioning
from headwater.assets.selection import NONE_KNOWN, select
from headwater.assets.staleness import Staleness, staleness
from headwater.errors import UnknownNameError
from headwater.lineage.called import names_now
from headwater.lineage.statements import statements
from headwater.records import dataclass

if TYPE_CHECKING:
    from headwater.assets.definitions import AssetDefinition
    from headwater.lineage.catalog import ProjectionCatalog
    from headwater.lineage.live import LiveProjection
    from headwater.lineage.standings import Standings

T = TypeVar("T")
_PAGES = 64
"""Pages whose facts are kept, and counts."""
LARGE = 2_000
"""Assets: where there are more, answers may be a little behind what has come, rather than let everybody wait."""
LONG = 50_000
"""Partitions of all assets together that were made: the same goes for more of them."""
_NOW = 1_000_000
"""Microseconds: a moment that is no further away is taken for now."""
WORST_FIRST: tuple[Verdict, ...] = ("late", "unknown", "warn", "fresh", "none")
_RANK = {verdict: rank for rank, verdict in enumerate(WORST_FIRST)}


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

    `judged` is what was judged before already, of very many assets; `judged_as_of` says when, see `Board.judged_as_of`.
    """

    names: tuple[str, ...]
    facts: Facts
    judged: board.Judged | None = None
    total: int
    next: str | None
    as_of: int
    judged_as_of: int


class Board:
    """Answers about assets. What takes long is kept until something new has come, and judged again as time goes by."""

    def __init__(self, projection: LiveProjection, catalog: ProjectionCatalog) -> None:
        self._projection, self._catalog = projection, catalog
        self._kept = Shelf()
        self._is_large = False
        self._begun: dict[str, tuple[object, int]] = {}
        self._pages: dict[tuple[str, ...], Kept[Facts]] = {}
        self._counted: dict[Hashable, tuple[tuple[object, ...], Any]] = {}
        self._stands: dict[str, object] = {}
        self._stale: tuple[Mapping[str, Staleness] | None, frozenset[str]] = (None, frozenset())
        self._lock = threading.Lock()

    def renew(self) -> None:
        """Make anew what was asked for, takes long, and is out of date: for a thread that has the time."""
        self._kept.renew()
        with self._lock:
            pages = list(self._pages.values())
        for page in pages:
            page.renew()

    def warm(self) -> bool:
        """Make what takes long before anybody asks for it; whether there are so many assets that anything does."""
        self.definitions()
        if self._is_large:
            self._whole()
            self.verdicts()
            self.failed()
        return self._is_large

    def judged_as_of(self, *more: str) -> int:
        """What had come by then is in verdicts, staleness and definitions: now, unless assets are many.

        `more` are further answers that are kept. Microseconds since the epoch.
        """
        now = clock.now_us()
        if not self._is_large:
            return now
        # Verdicts change with time alone; the others are as of now as long as what they are made for stands.
        stands = {"definitions": self._defined(), "whole": self._whole_key(), "failed": self._projection.version}
        begun = {name: self._begun[name] for name in ("definitions", "verdicts", "whole", *more) if name in self._begun}
        return min((at for name, (key, at) in begun.items() if key != stands.get(name)), default=now)

    def facts(self) -> Facts:
        """All facts."""
        return self._kept.get("facts", self._projection.version, self._catalog.facts)

    def definitions(self) -> Mapping[str, AssetDefinition]:
        """All assets, the retired ones among them."""
        return self._all_defined().definitions

    def _all_defined(self) -> Defined:
        found = self._patient("definitions", self._defined(), lambda: Defined(self._catalog.definitions()))
        self._is_large = len(found.definitions) > LARGE or self._made() > LONG
        return found

    def _made(self) -> int:
        """How many partitions were made, of all assets together."""

        def found() -> int:
            with self._projection.session() as session:
                ((count,),) = session.rows(statements("pages.sql")["made"])
            return int(count)

        return self._kept.get("made", self._projection.version, found)

    def _defined(self) -> object:
        """What has been defined so far: another value when that is more, which is seldom while assets are made all the time."""

        def found() -> object:
            with self._projection.session() as session:
                return session.rows(statements("pages.sql")["defined"])

        return self._kept.get("defined", self._projection.version, found)

    def page(self, wanted: Filter, *, as_of: int | None, limit: int, cursor: str | None) -> PageOf:
        """A page of assets, the worst first. Raises UsageError, UnknownNameError."""
        at = clock.now_us() if as_of is None else as_of
        found = self.counted(wanted, lambda: self._order(wanted, None)) if as_of is None else self._order(wanted, as_of)
        told, names = found
        after = rank_and_name(cursor)
        start = 0 if after is None else bisect_right(names, after, key=lambda name: [_RANK[told[name]], name])
        shown = tuple(names[start : start + limit])
        last = encoded_cursor(_RANK[told[shown[-1]]], shown[-1]) if len(names) > start + limit else None
        facts, judged = self.seen(shown, as_of)
        return PageOf(
            # The facts may be newer than what the page was chosen by.
            names=tuple(name for name in shown if name in facts.definitions),
            facts=facts,
            judged=judged,
            total=len(names),
            next=last,
            as_of=at,
            judged_as_of=self.judged_as_of(),
        )

    def summary(self, wanted: Filter) -> dict[str, Any]:
        """How many assets have each verdict, and how many are stale."""
        told, stale = self.verdicts().told, self.stale()
        names = [name for name in self._selected(wanted, None) if name in told]
        return {
            "as_of": clock.rfc3339(clock.now_us()),
            "judged_as_of": clock.rfc3339(self.judged_as_of()),
            "assets": len(names),
            "verdicts": {one: sum(told[name] == one for name in names) for one in WORST_FIRST},
            "stale": sum(map(stale.__contains__, names)),
        }

    def verdicts(self, as_of: int | None = None) -> Standings:
        """The verdict on every asset, now or at a moment."""
        return self._judged("verdicts", self._catalog.verdicts, as_of)

    def staleness(self, as_of: int | None = None) -> Mapping[str, Staleness]:
        """Whether each asset is stale, now or at a moment."""
        if not self._is_large:
            return self._judged("stale", self._catalog.staleness, as_of)
        whole, at = self._whole(), clock.now_us() if as_of is None else as_of
        divided = self._all_defined().divisions
        there = reaching(divided, at)
        if abs(clock.now_us() - at) <= _NOW or there == reaching(divided, whole.as_of):
            return whole.stale
        return self._kept.get("stale at", (whole, there), lambda: staleness(whole.facts, at))

    def stale(self, as_of: int | None = None) -> frozenset[str]:
        """The assets that are stale, now or at a moment."""
        of, names = self._stale
        judged = self.staleness(as_of)
        if of is not judged:
            names = frozenset(name for name, one in judged.items() if one.is_stale)
            self._stale = judged, names
        return names

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
            definitions = self.definitions()
            named = {(one.ref.namespace, one.ref.dataset): one for one in definitions.values()}
            with self._projection.session() as session:
                failed = session.rows(statements("pages.sql")["failed_partitions"])
                renamed = any(one.renamed_from is not None for one in definitions.values())
                moved = names_now(session, {}).moved().values() if renamed else ()
            # What was renamed and moved is several datasets: which attempt is the newest the facts of it say.
            several = {named[place].name for place in moved if place in named}
            facts = self._facts_of(tuple(sorted(several))) if several else None
            tried = ((named[tuple(place)], key) for *place, key in failed if tuple(place) in named)
            names = {one.name for one, key in tried if key is None or partitioning(one).has(key)} - several
            return frozenset(names | {name for name in several if facts is not None and facts.failed(name)})

        return self._patient("failed", self._projection.version, found)

    def names(self, selection: str, text: str = "") -> Sequence[str]:
        """The assets that a selection means, with a part of their names. Raises UsageError, UnknownNameError."""
        return self._selected(Filter(selection=selection, text=text), None)

    def check_selection(self, selection: str) -> None:
        """Raise UsageError or UnknownNameError for a selection that can't be meant, or that nothing here makes."""
        names = self.names(selection)
        definitions = self.definitions()
        if all(definitions[name].is_source for name in names) and not _may_be_empty(selection):
            hint = "select what @materialize makes" if definitions else NONE_KNOWN
            raise ApiError(400, "usage", f"nothing produces '{selection}'", hint=hint)

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
            "judged_as_of": clock.rfc3339(self.judged_as_of()),
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

        return self._patient("whole", self._whole_key(), made)

    def _whole_key(self) -> object:
        return self._projection.version, reaching(self._all_defined().divisions, clock.now_us())

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

    def counted(self, what: Hashable, make: Callable[[], T]) -> T:
        """An answer that follows from how all assets stand now, kept as long as they do."""
        answer: T
        # Judged again it is mostly as it was.
        judged = {"verdicts": self.verdicts().told, "stale": self.stale(), "failed": self.failed()}
        stands = self.definitions(), *(self._same(name, found) for name, found in judged.items())
        with self._lock:
            before, answer = self._counted.pop(what, ((), None))
        if len(before) != len(stands) or any(one is not other for one, other in zip(before, stands, strict=True)):
            answer = make()
        with self._lock:
            self._counted[what] = stands, answer
            while len(self._counted) > _PAGES:
                del self._counted[next(iter(self._counted))]
        return answer

    def _same(self, what: str, found: object) -> object:
        """What was found, as the very value that was found before if that is equal."""
        before = self._stands.get(what)
        if before is not found and before != found:
            self._stands[what] = before = found
        return before

    def _order(self, wanted: Filter, as_of: int | None) -> tuple[Mapping[str, Verdict], Sequence[str]]:
        """The verdicts, and the names that are meant in the order of the board: not put in order for each page."""
        told = self.verdicts(as_of).told
        meant = told.keys() & self._selected(wanted, as_of)
        return told, [name for _, name in sorted((_RANK[told[name]], name) for name in meant)]

    def _selected(self, wanted: Filter, as_of: int | None) -> Sequence[str]:
        definitions = self.definitions()
        if wanted.selection == "*":
            names: Sequence[str] = [name for name, one in definitions.items() if not one.retired]
        else:
            names = self._select(wanted.selection, definitions, as_of)
        if wanted.verdicts:
            told = self.verdicts(as_of).told
            names = [name for name in names if told.get(name) in wanted.verdicts]
        if wanted.stale is not None:
            stale = self.stale(as_of)
            names = [name for name in names if (name in stale) == wanted.stale]
        text = wanted.text.casefold()
        return [name for name in names if text in name.casefold()] if text else names

    def _select(self, selection: str, definitions: Mapping[str, AssetDefinition], as_of: int | None) -> Sequence[str]:
        names = select(
            selection,
            definitions,
            stale=lambda name: name in self.stale(as_of),
            late=lambda name: self.verdicts(as_of).told.get(name) == "late",
            failed=lambda name: name in self.failed(),
        )
        if not names and not _may_be_empty(selection):
            raise UnknownNameError.of("asset", selection, definitions, where="the selection", none=NONE_KNOWN)
        return names

    def _judged(self, what: str, judge: Callable[[int], T], as_of: int | None) -> T:
        version, now = self._projection.version, clock.now_us()
        if as_of is not None and abs(now - as_of) > _NOW:
            return self._kept.get(f"{what} at", (version, as_of), lambda: judge(as_of))
        # What is so changes with time as well: it is judged again each second.
        key = (version, now // 1_000_000)
        return self._patient(what, key, lambda: judge(clock.now_us()))

    def kept(self, name: str, make: Callable[[], T]) -> T:
        """An answer about all assets, by a name of few: kept until something new has come, and made anew behind answers then."""
        return self._patient(name, self._projection.version, make)

    def _patient(self, name: str, key: object, make: Callable[[], T]) -> T:
        """What is kept by a name, a little old where assets are many: how old is noted."""

        def noted() -> T:
            began = clock.now_us()
            made = make()
            self._begun[name] = key, began
            return made

        return self._kept.get(name, key, noted, patient=self._is_large)


def _may_be_empty(selection: str) -> bool:
    return any(f"{word}(" in selection for word in ("stale", "late", "failed"))
