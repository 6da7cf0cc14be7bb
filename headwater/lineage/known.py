"""What the projection knows of assets: rows, made into facts for those assets that somebody asks about."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any, TypeAlias, TypeVar, overload

from headwater.assets.definitions import AssetDefinition
from headwater.assets.facts import (
    NONE,
    AssetFacts,
    Consumed,
    Failure,
    Made,
    Observed,
    Outline,
    OutlinedAssets,
    Skipped,
    outlines_of,
)
from headwater.lineage.names import Dataset, keys_of
from headwater.lineage.session import Session
from headwater.lineage.statements import statements

Row: TypeAlias = tuple[Any, ...]
D = TypeVar("D")

# Where in a row of `latest` something stands.
_NUMBER, _LAST_RUN, _PARTITION, _VERSION = 2, 3, 4, 5
_MADE_AT = 6
_OBSERVED = ("partition", "at", "first", "since", "version", "data_through", "rows", "partition_end")
"""What an observation tells, in the order of its columns."""


class KnownAssets(OutlinedAssets):
    """The facts of assets by name, out of rows of the statements in catalog.sql that these parameters are named after.

    The facts of an asset are put together when they are asked for, and kept. `outlines` are worked out of them unless they
    are given.
    """

    def __init__(
        self,
        names: Mapping[Dataset, str],
        *,
        latest: Sequence[Row],
        replaced: Sequence[Row],
        consumed: Sequence[Row],
        failed: Sequence[Row],
        skipped: Sequence[Row],
        observations: Sequence[Row],
        observed_before: Sequence[Row] = (),
        told: Sequence[Row] = (),
        known: Sequence[Row] = (),
        outlines: Mapping[str, Outline] | None = None,
    ) -> None:
        self._names = names
        self._assets = dict.fromkeys(names.values())
        self._found: dict[str, AssetFacts] = {}
        self._rows: dict[str, list[Row]] = {}
        """The versions in place of each asset."""
        self._last_run: dict[str, int] = {}
        self._index(latest)
        self._numbered = {row[_NUMBER]: row for row in latest}
        self._told: dict[int, int] = dict(told)
        """Since when versions in place were told, by their numbers, of those that were told again."""
        self._in_place: dict[int, Consumed] = {}
        """Versions in place as something that was read: many are read by many others."""
        self._reads: defaultdict[int, list[Row]] = defaultdict(list)
        for row in consumed:
            self._reads[row[0]].append(row)
        self._replaced = self._before(replaced)
        self._skipped = self._left_out(skipped, len(replaced))
        self._failed = _failed(failed, names)
        self._observed: defaultdict[str, dict[str | None, Observed]] = defaultdict(dict)
        for name, seen in _observations(observations, names):
            self._observed[name][seen.partition] = seen
        self._observed_before: defaultdict[str, dict[tuple[str | None, str], Observed]] = defaultdict(dict)
        for name, seen in _observations(observed_before, names):
            if seen.version is not None:
                self._observed_before[name][seen.partition, seen.version] = seen
        self._known: defaultdict[str, dict[str | None, list[tuple[int, str]]]] = defaultdict(dict)
        """What others had told of the partitions of each asset when something began to read."""
        for namespace, dataset, partition, version, at in known:
            if (namespace, dataset) in names:
                self._known[names[namespace, dataset]].setdefault(partition, []).append((at, version))
        self._outlines = outlines
        if outlines is not None and self._skipped:
            # Those are of what is in place: they don't tell what a call read that left it as it is, or left it out.
            self._outlines = {**outlines, **outlines_of(self, self._skipped)}

    def __getitem__(self, name: str) -> AssetFacts:
        found = self._found.get(name)
        if found is None:
            if name not in self._assets:
                raise KeyError(name)
            found = self._found[name] = self._put_together(name)
        return found

    @overload
    def get(self, name: str, /) -> AssetFacts | None: ...
    @overload
    def get(self, name: str, /, default: AssetFacts | D) -> AssetFacts | D: ...
    def get(self, name: str, /, default: AssetFacts | D | None = None) -> AssetFacts | D | None:
        """The facts of an asset, or the default."""
        found = self._found.get(name)
        return found if found is not None else self[name] if name in self._assets else default

    def __iter__(self) -> Iterator[str]:
        return iter(self._assets)

    def __len__(self) -> int:
        return len(self._assets)

    def outlines(self) -> Mapping[str, Outline]:
        """What is asked of every asset."""
        if self._outlines is None:
            self._outlines = outlines_of(self, self._rows.keys() | self._skipped.keys())
        return self._outlines

    def look_closer(self, names: Collection[str]) -> None:
        """There is nothing to do: all rows are here."""

    def _index(self, latest: Sequence[Row]) -> None:
        rows, last_run = self._rows, self._last_run
        for name, row in zip(map(self._names.get, map(_place, latest)), latest, strict=True):
            if name is None:
                continue
            if row[_VERSION] is not None:
                if name in rows:
                    rows[name].append(row)
                else:
                    rows[name] = [row]
            last = row[_LAST_RUN]
            if last is not None and (name not in last_run or last > last_run[name]):
                last_run[name] = last

    def _before(self, replaced: Sequence[Row]) -> dict[str, dict[tuple[str | None, str], Made]]:
        found: dict[str, dict[tuple[str | None, str], Made]] = {}
        for number, row in enumerate(replaced):
            name = self._names.get(row[:2])
            if name is not None:
                one = Made._make((*row[3:], self._inputs(-1 - number), None))
                found.setdefault(name, {})[one.partition, one.version] = one
        return found

    def _left_out(self, skipped: Sequence[Row], before: int) -> dict[str, dict[str | None, Skipped]]:
        found: dict[str, dict[str | None, Skipped]] = {}
        for number, row in enumerate(skipped, before):
            name = self._names.get(row[:2])
            if name is not None:
                one = Skipped._make((*row[3:], self._inputs(-1 - number)))
                found.setdefault(name, {})[one.partition] = one
        return found

    def _put_together(self, name: str) -> AssetFacts:
        rows = self._rows.get(name)
        # Most assets have no more than versions in place: no dictionaries of their own for what they don't have.
        return AssetFacts(
            {row[_PARTITION]: self._made(row) for row in rows} if rows else NONE,
            self._observed.get(name, NONE),
            self._failed.get(name, NONE),
            self._last_run.get(name),
            self._replaced.get(name, NONE),
            self._observed_before.get(name, NONE),
            self._skipped.get(name, NONE),
            self._known.get(name, NONE),
        )

    def _made(self, row: Row) -> Made:
        number = row[_NUMBER]
        return Made._make((*row[_PARTITION:], self._inputs(number), self._told.get(number)))

    def _consumed(self, read: Row) -> Consumed:
        _, source, number, texts = read
        found = self._in_place.get(number)
        if found is None:
            if texts is not None:
                return Consumed(self._names.get((texts[0], texts[1]), source), texts[2], texts[3])
            row = self._numbered[number]
            name = self._names.get(row[:2])
            found = Consumed(source if name is None else name, row[_PARTITION], row[_VERSION])
            if name is not None:
                self._in_place[number] = found
        return found

    def _inputs(self, number: int) -> tuple[Consumed, ...]:
        """What a version was made of, in the order of names."""
        reads = self._reads.get(number, ())
        found = [(read[1], self._consumed(read)) for read in reads]
        if len(found) > 1:
            found.sort(key=_by_source)
        return tuple([one for _, one in found])


def known_assets(
    session: Session,
    names: Mapping[Dataset, str],
    places: Collection[Dataset] | None,
    definitions: Mapping[str, AssetDefinition],
    *,
    past: bool = True,
    outlines: Mapping[str, Outline] | None = None,
) -> KnownAssets:
    """What the projection knows of these datasets (None: of all), by the names that datasets have, under these definitions.

    Without the `past` it is only what is in place and what was observed.
    """
    sql, keys = statements("catalog.sql"), chosen(places)
    known = session.rows(sql["known"], keys) if past else []
    earlier = {**keys, "known": [row[:-1] for row in known]}
    replaced = session.rows(sql["replaced"], earlier) if past else []
    latest = session.rows(sql["latest"], keys)
    skipped = [row for row in session.rows(sql["skipped"], keys) if may_be_left_out(names.get(row[:2]), definitions)]
    failed = session.rows(sql["failed"], keys) if past else []
    is_observed = bool(session.rows(sql["observed"]))
    observations = session.rows(sql["observations"], keys) if is_observed else []
    observed_before = session.rows(sql["observed_before"], earlier) if is_observed and past else []
    if len(set(names.values())) < len(names):
        # An asset that was moved has two datasets: what was made, tried or seen last stands.
        latest.sort(key=lambda row: row[_MADE_AT] or 0)
        made = {(names.get(row[:2]), row[_PARTITION]): row[_MADE_AT] for row in latest if row[_VERSION] is not None}
        failed = [row for row in failed if row[4] >= made.get((names.get(row[:2]), row[2]), 0)]
        skipped = [row for row in skipped if row[4] >= made.get((names.get(row[:2]), row[3]), 0)]
        for rows, at in ((failed, 4), (skipped, 4), (observations, 3), (observed_before, 3)):
            rows.sort(key=itemgetter(at))
    return KnownAssets(
        names,
        latest=latest,
        replaced=replaced,
        consumed=session.rows(sql["consumed"], {**keys, "besides": [row[2] for row in (*replaced, *skipped)]}),
        failed=failed,
        skipped=skipped,
        observations=observations,
        observed_before=observed_before,
        told=session.rows(sql["told"], keys),
        known=known,
        outlines=outlines,
    )


def is_much(some: int, of: int) -> bool:
    """Whether it is cheaper to read what is known of all assets than to pick out that of some of them.

    >>> is_much(25, 100), is_much(26, 100)
    (False, True)
    """
    return some * 4 > of


def may_be_left_out(name: str | None, definitions: Mapping[str, AssetDefinition]) -> bool:
    """Whether it means something still that a call left out the asset of that name: not once each call has to make it."""
    return name is None or name not in definitions or not definitions[name].required


def chosen(places: Collection[Dataset] | None) -> dict[str, object]:
    """The parameters of a statement that is about these datasets, or about all."""
    return {"everything": places is None, **keys_of(places or ())}


_place = itemgetter(slice(2))


def _by_source(one: tuple[str, Consumed]) -> tuple[str, bool, str, bool, str]:
    source, (_, partition, version) = one
    return source, partition is None, partition or "", version is None, version or ""


def _failed(rows: Sequence[Row], names: Mapping[Dataset, str]) -> dict[str, dict[str | None, Failure]]:
    found: dict[str, dict[str | None, Failure]] = {}
    for namespace, dataset, partition, state, at, error in rows:
        name = names.get((namespace, dataset))
        if name is not None:
            failure = Failure(partition=partition, at=at, state=state, message=error)
            found.setdefault(name, {})[partition] = failure
    return found


def _observations(rows: Sequence[Row], names: Mapping[Dataset, str]) -> Iterator[tuple[str, Observed]]:
    for row in rows:
        name = names.get(row[:2])
        if name is not None:
            yield name, Observed(**dict(zip(_OBSERVED, row[2:], strict=True)))
