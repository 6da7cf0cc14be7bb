"""Outlines of assets, as the projection keeps them: what most questions need, read without the versions behind them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Set
from itertools import repeat
from typing import Any, TypeVar, cast

from headwater.assets.definitions import AssetDefinition
from headwater.assets.facts import NONE, AssetFacts, Outline, OutlinedAssets, Pairs, outlines_of
from headwater.lineage.known import is_much, known_assets, may_be_left_out
from headwater.lineage.names import Dataset
from headwater.lineage.session import Session
from headwater.lineage.statements import statements

T = TypeVar("T")
_NEAR = 1_000
"""Of so many assets at most all that is known is kept from one session to the next."""


def are_pending(session: Session) -> bool:
    """Whether events have come since outlines were worked out: then they say nothing for sure."""
    return bool(session.rows("FROM state.pending LIMIT 1"))


def current_outlines(session: Session, names: Mapping[Dataset, str]) -> dict[str, Outline] | None:
    """The outlines of these assets, unless some are pending."""
    return None if are_pending(session) else read_outlines(session, names)


def read_outlines(session: Session, names: Mapping[Dataset, str]) -> dict[str, Outline]:
    """The outline of each of these assets that something is in place of."""
    places, *texts, ids, codes, mixed, oldest, newest = columns(session, "outlines")
    named = list(map(names.get, zip(*texts, strict=True)))
    keys: dict[int, tuple[str | None, ...]] = _shared(session.rows(statements("catalog.sql")["keys"]))
    reads, unsettled = _reads(session, names, dict(zip(places, named, strict=True)))
    said = (
        map(keys.__getitem__, ids),
        *(codes, mixed, oldest, newest),
        [reads.get(name, NONE) for name in named],
        [name not in unsettled for name in named],
    )
    # So many are made in less than half the time that they take one by one.
    found = dict(zip(named, map(tuple.__new__, repeat(Outline), zip(*said, strict=True)), strict=False))
    found.pop(None, None)
    return cast("dict[str, Outline]", found)


def _reads(
    session: Session, names: Mapping[Dataset, str], named: Mapping[int, str | None]
) -> tuple[dict[str | None, dict[str, Pairs]], set[str | None]]:
    """What the versions in place of each asset read, and the assets of which not all of that is in place still."""
    sql, name_of = statements("catalog.sql"), named.get
    pairs: dict[int, Pairs] = _shared((id_, tuple(pair)) for id_, *pair in session.rows(sql["pairs"]))
    reads: dict[str | None, dict[str, Pairs]] = {}
    readers, sources, ids = columns(session, "reads")
    elsewhere = False
    for name, asset, these in zip(map(name_of, readers), map(name_of, sources), map(pairs.get, ids), strict=True):
        if name is None or these is None:
            continue
        if asset is None:
            elsewhere = True
        elif name not in reads:
            reads[name] = {asset: these}
        elif asset not in reads[name]:
            reads[name][asset] = these
        else:
            reads[name][asset] = _together(reads[name][asset], these)
    unsettled = {name_of(place) for (place,) in session.rows(sql["unsettled"])}
    nameless = [place for place, name in named.items() if name is None] if elsewhere else []
    rows = session.rows(sql["reads_elsewhere"], {"nameless": nameless}) if elsewhere else ()
    for place, said, namespace, dataset, id_ in rows:
        name = name_of(place)
        if name is not None:
            # A dataset that no name stands for goes by what it was called when it was read.
            asset, read = names.get((namespace, dataset), said), reads.setdefault(name, {})
            read[asset] = _together(read[asset], pairs[id_]) if asset in read else pairs[id_]
            unsettled.add(name)
    return reads, unsettled


def _shared(rows: Iterable[tuple[int, T]]) -> dict[int, tuple[T, ...]]:
    """What each id stands for: the very same value for all that have that id."""
    found: dict[int, list[T]] = {}
    for id_, one in rows:
        found.setdefault(id_, []).append(one)
    return {id_: tuple(ones) for id_, ones in found.items()}


def _together(some: Pairs, more: Pairs) -> Pairs:
    found = {*some, *more}
    return tuple(sorted(found, key=lambda pair: (pair[0] or "", pair[1] is None, pair[1] or "")))


def columns(session: Session, statement: str, parameters: Mapping[str, object] | None = None) -> list[list[Any]]:
    """The columns of a statement that gives each as a JSON list."""
    import orjson

    ((*texts,),) = session.rows(statements("catalog.sql")[statement], parameters)
    return [orjson.loads(text or b"[]") for text in texts]


class OutlinesFirst(OutlinedAssets):
    """Facts by asset of which the outlines are read at once, and all the rest of an asset when somebody asks for it.

    It belongs to a session of the projection and is of use only as long as that; `known` is one of an earlier session, when
    nothing has come since.
    """

    def __init__(
        self,
        session: Session,
        names: Mapping[Dataset, str],
        definitions: Mapping[str, AssetDefinition],
        known: OutlinesFirst | None = None,
    ) -> None:
        self._session, self._names, self._definitions = session, names, definitions
        self._places: Mapping[str, list[Dataset]]
        self._outlines: Mapping[str, Outline]
        self._near: dict[str, AssetFacts] = {}
        if known is None:
            places: defaultdict[str, list[Dataset]] = defaultdict(list)
            for place, name in names.items():
                places[name].append(place)
            self._places, found = dict(places), read_outlines(session, names)
            moved = {name for name, of in places.items() if len(of) > 1}
            rows = session.rows(statements("catalog.sql")["left_out"])
            skipped = (names[place] for place in rows if place in names)
            left_out = {name for name in skipped if may_be_left_out(name, definitions)}
            self._outlines = {**found, **self._anew(moved | left_out, moved, found)} if moved or left_out else found
        else:
            self._places, self._outlines = known._places, known._outlines
            if len(known._near) <= _NEAR:
                self._near.update(known._near)

    def outlines(self) -> Mapping[str, Outline]:
        """What is asked of every asset."""
        return self._outlines

    def _anew(self, which: Collection[str], moved: Set[str], outlines: Mapping[str, Outline]) -> dict[str, Outline]:
        """The outlines of assets that two datasets stand for, as they were `moved`, and of those of which the newest call left the
        output out: out of all that is known of them. What has read a moved one is to be looked at closer: each dataset alone
        would say that it is in place still."""
        known = {name: self[name] for name in which}
        found = outlines_of(known, which)
        for name, there in outlines.items():
            if name not in found and not moved.isdisjoint(there.reads):
                found[name] = there._replace(settled=False)
        return found

    def look_closer(self, names: Collection[str]) -> None:
        """Look up the facts of these assets together."""
        wanted = [name for name in names if name in self._places and name not in self._near]
        if not wanted:
            return
        places = (
            None
            if is_much(len(wanted), len(self._places))
            else [place for name in wanted for place in self._places[name]]
        )
        found = known_assets(self._session, self._names, places, self._definitions, past=False)
        self._near.update((name, found[name]) for name in (found if places is None else wanted))

    def __getitem__(self, name: str) -> AssetFacts:
        if name not in self._near:
            if name not in self._places:
                raise KeyError(name)
            self.look_closer([name])
        return self._near[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)
