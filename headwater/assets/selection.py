"""Selections: which assets a person means by `+delays`, `tag:tier=gold and not stale()`, `kind:parquet`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TypeAlias

from headwater.assets.definitions import AssetDefinition
from headwater.assets.dependencies import Edges, reachable, reversed_edges, topological, upstream_edges
from headwater.assets.selection_syntax import (
    ANY,
    And,
    Asked,
    Downstream,
    Every,
    Leaf,
    Named,
    Not,
    OfGroup,
    OfKind,
    Or,
    Owned,
    Selection,
    Tagged,
    Upstream,
    parse_selection,
    place,
    shown,
)
from headwater.errors import UnknownNameError, UsageError
from headwater.wording import partition_option

Answer: TypeAlias = Callable[[str], bool]
"""Says of an asset's name whether something holds."""
NONE_KNOWN = (
    "no asset is known yet: headwater assets -f FILE, in the project's folder, records those that a file defines"
)


def select(expression: str, definitions: Mapping[str, AssetDefinition], **answers: Answer | None) -> tuple[str, ...]:
    """The names that a selection means, inputs before what reads them.

    An asset's name, `*` for all, `tag:key` or `tag:key=value`, `owner:name`, `kind:scheme`, `group:name`, `stale()`,
    `late()`, `failed()`, joined with `and`, `or`, `not` and parentheses. `+x` adds everything upstream, `2+x` two steps of it;
    `x+` and `x+2` downstream. `*` within a word stands for any letters; a name that holds other characters stands in quotes.
    Retired assets are meant by their names only. `answers` says for `stale`, `late` and `failed` of which assets it holds.

    Raises UsageError for what can't be read, with its place, and UnknownNameError for a name that is none.
    """
    found = _Evaluation(definitions, answers).names(parse_selection(expression))
    return tuple(name for name in topological(definitions) if name in found)


class _Evaluation:
    """What a parsed selection means among these definitions."""

    def __init__(self, definitions: Mapping[str, AssetDefinition], answers: Mapping[str, Answer | None]) -> None:
        self._definitions = definitions
        self._answers = answers
        self._inputs = upstream_edges(definitions)
        self._readers = reversed_edges(self._inputs)
        self._all = frozenset([name for name, one in definitions.items() if not one.retired])

    def names(self, term: Selection) -> frozenset[str]:
        match term:
            case And(terms=terms):
                return frozenset.intersection(*map(self.names, terms))
            case Or(terms=terms):
                return frozenset().union(*map(self.names, terms))
            case Not(term=inner):
                return self._all - self.names(inner)
            case Upstream(term=inner, depth=depth):
                return self._reached(inner, self._inputs, depth)
            case Downstream(term=inner, depth=depth):
                return self._reached(inner, self._readers, depth)
            case _:
                return self._leaf(term)

    def _reached(self, inner: Selection, edges: Edges, depth: int | None) -> frozenset[str]:
        start = self.names(inner)
        return start | (reachable(start, edges, depth) & self._all)

    def _leaf(self, term: Leaf) -> frozenset[str]:
        match term:
            case Every():
                return self._all
            case Named():
                return self._named(term)
            case Tagged(key=key, value=value):
                return self._where(lambda one: _tagged(one.tags, key, value))
            case Owned(owner=owner):
                return self._where(lambda one: any(_matches(owner, each) for each in one.owners))
            case OfKind(kind=kind):
                return self._where(lambda one: _matches(kind, one.ref.kind))
            case OfGroup(group=group):
                return self._where(lambda one: one.group is not None and _matches(group, one.group))
            case Asked(question=question, position=position):
                answer = self._answers.get(question)
                if answer is None:
                    raise UsageError(
                        f"{question}() can't be answered here",
                        where=place(position),
                        hint="it needs the record of past runs",
                    )
                return frozenset(filter(answer, self._all))

    def _where(self, holds: Callable[[AssetDefinition], bool]) -> frozenset[str]:
        return frozenset(name for name in self._all if holds(self._definitions[name]))

    def _named(self, term: Named) -> frozenset[str]:
        if ANY in term.name:
            return frozenset([name for name in self._all if _matches(term.name, name)])
        if term.name not in self._definitions:
            error = UnknownNameError.of(
                "asset", _readable(term.name), self._definitions, where=place(term.position), none=NONE_KNOWN
            )
            asset, _, partition = _readable(term.name).rpartition("@")
            if partition and asset in self._definitions:
                option = partition_option(partition)
                error.hint = f"a selection names no partitions: write '{asset}'; materialize and backfill take {option}"
            raise error
        return frozenset((term.name,))


def _matches(wanted: str, text: str) -> bool:
    """Whether a text is the one that is wanted, which may hold `ANY`."""
    return wanted == text if ANY not in wanted else _pattern(wanted).fullmatch(text) is not None


@lru_cache(maxsize=64)
def _pattern(wanted: str) -> re.Pattern[str]:
    first, *middle, last = map(re.escape, re.split(f"{ANY}+", wanted))
    # Each piece where it comes first, and never tried elsewhere: many of them would take for ever otherwise.
    found = "".join(f"(?>.*?{piece})" for piece in middle)
    return re.compile(f"{first}{found}.*{last}", re.DOTALL)


def _tagged(tags: Mapping[str, str], key: str, value: str | None) -> bool:
    return any(_matches(key, name) and (value is None or _matches(value, tags[name])) for name in tags)


def _readable(name: str) -> str:
    """A name as an error may show it: it may be long, or hold what a terminal obeys."""
    name = shown(name)
    text = name if name.isprintable() else ascii(name)[1:-1]
    return text if len(text) <= 80 else f"{text[:80]}…"
