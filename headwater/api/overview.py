"""How many assets stand how, in all and by group: what is above the rows of the freshness board."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from headwater import clock
from headwater.api.board import WORST_FIRST, Filter
from headwater.assets.selection_syntax import quoted
from headwater.errors import UsageError
from headwater.records import dataclass

if TYPE_CHECKING:
    from headwater.api.service import Service
    from headwater.assets.definitions import AssetDefinition
    from headwater.assets.freshness import Verdict

_GROUPS = 500
"""Groups that are answered, at most."""
_KEYS = 20
"""Keys of tags that are offered to group by, at most: those that most assets have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Meant:
    """The assets that are meant, with all that is counted of them: each judged once, whatever group it is in."""

    at: int
    definitions: Mapping[str, AssetDefinition]
    names: tuple[str, ...]
    verdicts: Mapping[str, Verdict]
    stale: frozenset[str]
    failed: frozenset[str]

    def counts(self, names: Collection[str]) -> dict[str, Any]:
        """How many of these stand how."""
        counts: Counter[str] = Counter(map(self.verdicts.__getitem__, names))
        return {
            "assets": len(names),
            "verdicts": {verdict: counts[verdict] for verdict in WORST_FIRST},
            "stale": sum(map(self.stale.__contains__, names)),
            "failed": sum(map(self.failed.__contains__, names)),
        }


def overview(the: Service, wanted: Filter, as_of: int | None) -> dict[str, Any]:
    """Counts of the assets that are meant, and by what they can be grouped. Raises UsageError, UnknownNameError."""
    return _counted(the, as_of, ("overview", wanted), lambda: _overview(the, wanted, as_of))


def _counted(the: Service, as_of: int | None, what: Hashable, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    found = make() if as_of is not None else {**the.board.counted(what, make), "as_of": clock.rfc3339(clock.now_us())}
    return {**found, "judged_as_of": clock.rfc3339(the.board.judged_as_of("failed"))}


def _overview(the: Service, wanted: Filter, as_of: int | None) -> dict[str, Any]:
    meant = _meant(the, wanted, as_of)
    return {
        "as_of": clock.rfc3339(meant.at),
        **meant.counts(meant.names),
        "groupings": _groupings(meant.definitions[name] for name in meant.names),
    }


def groups(the: Service, wanted: Filter, by: str, as_of: int | None) -> dict[str, Any]:
    """The same counts of each group, with the selection that means it; what belongs to none comes last.

    `by` is owner, kind, group or tag:KEY. Raises UsageError, UnknownNameError.
    """
    return _counted(the, as_of, ("groups", by, wanted), lambda: _groups(the, wanted, by, as_of))


def _groups(the: Service, wanted: Filter, by: str, as_of: int | None) -> dict[str, Any]:
    meant = _meant(the, wanted, as_of)
    members: dict[str | None, list[str]] = {}
    for name in meant.names:
        for value in _values(meant.definitions[name], by) or (None,):
            members.setdefault(value, []).append(name)
    order = sorted(members, key=lambda value: (value is None, value or ""))
    rows = [
        {"group": value, "selection": _selection(by, value), **meant.counts(members[value])}
        for value in order[:_GROUPS]
    ]
    return {"as_of": clock.rfc3339(meant.at), "by": by, "total": len(order), "groups": rows}


def _meant(the: Service, wanted: Filter, as_of: int | None) -> _Meant:
    definitions, verdicts = the.board.definitions(), the.board.verdicts(as_of).told
    return _Meant(
        at=clock.now_us() if as_of is None else as_of,
        definitions=definitions,
        names=tuple(
            name for name in the.board.names(wanted.selection, wanted.text) if name in verdicts and name in definitions
        ),
        verdicts=verdicts,
        stale=the.board.stale(as_of),
        failed=the.board.failed(),
    )


def _groupings(definitions: Iterable[AssetDefinition]) -> list[str]:
    owned = grouped = False
    keys: Counter[str] = Counter()
    for one in definitions:
        owned, grouped = owned or bool(one.owners), grouped or one.group is not None
        keys.update(one.tags.keys())
    tags = [f"tag:{key}" for key, _ in keys.most_common(_KEYS)]
    return [*(["owner"] if owned else []), "kind", *(["group"] if grouped else []), *sorted(tags)]


def _values(definition: AssetDefinition, by: str) -> tuple[str, ...]:
    what, _, key = by.partition(":")
    if by == "owner":
        return tuple(definition.owners)
    if by == "kind":
        return (definition.ref.kind,)
    if by == "group":
        return () if definition.group is None else (definition.group,)
    if what == "tag" and key:
        return (definition.tags[key],) if key in definition.tags else ()
    raise UsageError(f"there is no grouping by {by!r}", hint="group by owner, kind, group or tag:KEY")


def _selection(by: str, value: str | None) -> str:
    """What is written to mean a group.

    >>> _selection("owner", "team:ops"), _selection("tag:tier", None)
    ('owner:"team:ops"', 'not tag:tier')
    """
    what = f"tag:{quoted(by[4:])}" if by.startswith("tag:") else f"{by}:"
    if value is None:
        return f"not {what}" if by.startswith("tag:") else f"not {what}*"
    return f"{what}={quoted(value)}" if by.startswith("tag:") else f"{what}{quoted(value)}"
