"""Which columns a Polars join gives, and from which side: names, suffixes and merged keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from headwater.lineage.columns.algebra import Relation, Trace, merge


class Options(NamedTuple):
    """What a join node says of itself, in the order in which Polars gives it."""

    how: Any
    nulls_equal: bool
    slice: Any
    suffix: str
    coalesce: bool
    maintain_order: str

    @property
    def kind(self) -> str:
        """Inner, Left, Right, Full, Semi, Anti, Cross, AsOf …"""
        return self.how if isinstance(self.how, str) else str(self.how[0])

    @property
    def by(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The columns that an as-of join matches exactly, of the left and of the right."""
        if self.kind != "AsOf":
            return (), ()
        _, _, _, _, left, right, *_ = self.how
        return tuple(left or ()), tuple(right or ())


class Side(NamedTuple):
    """One side of a join, with the names of its keys."""

    table: Relation
    keys: Sequence[str]


def exact_keys(options: Options, left: Relation, right: Relation) -> Trace:
    """The columns that an as-of join matches exactly, of both sides together."""
    left_by, right_by = options.by
    return merge([*(left.by_name[name] for name in left_by), *(right.by_name[name] for name in right_by)])


def columns(options: Options, left: Side, right: Side, schema: Sequence[str]) -> tuple[tuple[str, Trace], ...] | None:
    """The join's output columns; None when they don't come out as the plan's own schema says."""
    if options.kind in {"Semi", "Anti"}:
        found = list(left.table.columns)
    else:
        found = _of_left(options, left, right)
        taken = {name for name, _ in found}
        found += (
            (name + options.suffix if name in taken else name, trace) for name, trace in _of_right(options, left, right)
        )
    return tuple(found) if [name for name, _ in found] == list(schema) else None


def _of_left(options: Options, left: Side, right: Side) -> list[tuple[str, Trace]]:
    if not options.coalesce or options.kind not in {"Right", "Full"}:
        return list(left.table.columns)
    if options.kind == "Right":
        return [(name, trace) for name, trace in left.table.columns if name not in left.keys]
    partner = dict(zip(left.keys, right.keys, strict=True))
    return [
        (name, merge([trace, right.table.by_name[partner[name]]]) if name in partner else trace)
        for name, trace in left.table.columns
    ]


def _of_right(options: Options, left: Side, right: Side) -> list[tuple[str, Trace]]:
    dropped = set(options.by[1])
    if options.coalesce and options.kind == "AsOf":
        dropped |= {key for key, partner in zip(right.keys, left.keys, strict=True) if key == partner}
    elif options.coalesce and options.kind != "Right":
        dropped |= set(right.keys)
    return [(name, trace) for name, trace in right.table.columns if name not in dropped]
