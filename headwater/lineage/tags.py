"""Tags along columns: what a column that carries one hands on to every column made of it. A pure function.

A tag flows over direct edges (identity, transformation, aggregation) and stops at a column that is declared to mask it. Where
the origin of a column is unknown, a tag of anything that its asset reads may be in it: that is `possible`, never left out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import field
from typing import Any, Literal, TypeAlias

from headwater.lineage.names import column_id
from headwater.records import dataclass

Column: TypeAlias = tuple[str, str | None]
"""Asset and column; None stands for all columns of an asset of which nobody knows the names."""
Origin: TypeAlias = Literal["declared", "derived", "possible"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TagFacts:
    """What tags follow from: direct edges between columns, what is declared, and what nobody can see.

    `unknown` names the columns whose origin could not be told, `columns` the columns of each asset, and `reads` what each asset
    reads.
    """

    edges: frozenset[tuple[Column, Column]] = frozenset()
    declared: Mapping[Column, frozenset[str]] = field(default_factory=dict)
    masks: Mapping[Column, frozenset[str]] = field(default_factory=dict)
    unknown: frozenset[Column] = frozenset()
    columns: Mapping[str, frozenset[str]] = field(default_factory=dict)
    reads: Mapping[str, frozenset[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnTag:
    """A tag of a column, how it is known, and the way on which it came (the column itself is the last)."""

    asset: str
    column: str | None
    tag: str
    origin: Origin
    path: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """The column's id; of all columns of an asset, the asset."""
        return _id((self.asset, self.column))

    def to_json(self) -> dict[str, Any]:
        """The shape of `tags --json`."""
        about = {"id": self.id, "asset": self.asset, "column": self.column, "tag": self.tag}
        return {**about, "origin": self.origin, "path": list(self.path)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tags:
    """The tags of all columns that have one, and where masks stopped one: (column's id, tag, the id that it came from)."""

    columns: tuple[ColumnTag, ...] = ()
    masked: tuple[tuple[str, str, str], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The shape of `tags --json`."""
        masked = [{"id": column, "tag": tag, "from": source} for column, tag, source in self.masked]
        return {"columns": [one.to_json() for one in self.columns], "masked": masked}

    def since(self, before: Tags) -> tuple[tuple[ColumnTag, ...], tuple[ColumnTag, ...]]:
        """Which tags columns gained since then, and which they lost; one that is sure by now counts as gained."""
        old, new = (
            {(one.id, one.tag, one.origin != "possible"): one for one in tags.columns} for tags in (before, self)
        )
        gained = tuple(one for key, one in new.items() if key not in old and (key[0], key[1], True) not in old)
        kept = {key[:2] for key in new}
        return gained, tuple(one for key, one in old.items() if key[:2] not in kept)


def tags_of(facts: TagFacts) -> Tags:
    """The tags of every column, in the order of their ids.

    >>> email, address = ("users", "email"), ("mails", "to")
    >>> found = tags_of(TagFacts(edges=frozenset({(email, address)}), declared={email: frozenset({"pii"})}))
    >>> [(one.id, one.origin) for one in found.columns]
    [('mails.to', 'derived'), ('users.email', 'declared')]
    """
    sure = _ahead(facts.edges)
    maybe = _ahead(facts.edges | _possible(facts))
    columns: list[ColumnTag] = []
    masked: dict[tuple[str, str, str], None] = {}
    for tag in sorted({tag for tags in facts.declared.values() for tag in tags}):
        starts = sorted((column for column, tags in facts.declared.items() if tag in tags), key=_id)
        derived, stopped = _flow(starts, sure, facts.masks, tag)
        possible, more = _flow(starts, maybe, facts.masks, tag)
        for column, path in possible.items():
            origin: Origin = "declared" if len(path) == 1 else "derived" if column in derived else "possible"
            way = derived.get(column, path)
            columns.append(
                ColumnTag(asset=column[0], column=column[1], tag=tag, origin=origin, path=tuple(map(_id, way)))
            )
        masked |= dict.fromkeys((_id(column), tag, _id(source)) for column, source in (stopped or more).items())
    return Tags(columns=tuple(sorted(columns, key=lambda one: (one.id, one.tag))), masked=tuple(sorted(masked)))


def _flow(
    starts: Iterable[Column],
    ahead: Mapping[Column, tuple[Column, ...]],
    masks: Mapping[Column, frozenset[str]],
    tag: str,
) -> tuple[dict[Column, tuple[Column, ...]], dict[Column, Column]]:
    """By which way each column is reached, and which columns stopped it, with where it came from."""
    found: dict[Column, tuple[Column, ...]] = {start: (start,) for start in starts}
    stopped: dict[Column, Column] = {}
    waiting = deque(found)
    while waiting:
        column = waiting.popleft()
        for other in ahead.get(column, ()):
            if tag in masks.get(other, ()) and other not in found:
                stopped.setdefault(other, column)
            elif other not in found:
                found[other] = (*found[column], other)
                waiting.append(other)
    return found, stopped


def _possible(facts: TagFacts) -> frozenset[tuple[Column, Column]]:
    """From every column of what is read to each column of unknown origin."""
    every: dict[str, set[Column]] = {asset: {(asset, name) for name in names} for asset, names in facts.columns.items()}
    for column in [*facts.declared, *facts.unknown, *(one for edge in facts.edges for one in edge)]:
        every.setdefault(column[0], set()).add(column)
    found: set[tuple[Column, Column]] = set()
    for asset, name in facts.unknown:
        known = facts.columns.get(asset, frozenset())
        targets = {(asset, one) for one in known} if name is None and known else {(asset, name)}
        for source in facts.reads.get(asset, frozenset()):
            found |= {(one, target) for one in every.get(source, ()) for target in targets}
    return frozenset(found)


def _ahead(edges: Iterable[tuple[Column, Column]]) -> dict[Column, tuple[Column, ...]]:
    found: dict[Column, list[Column]] = {}
    for source, target in edges:
        found.setdefault(source, []).append(target)
    return {source: tuple(sorted(targets, key=_id)) for source, targets in found.items()}


def _id(column: Column) -> str:
    return column[0] if column[1] is None else column_id(column[0], column[1])
