"""The history of freshness verdicts: what the journal knows of it, and when what it does not know yet came about."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

from headwater.assets.data_through import Reach
from headwater.assets.definitions import AssetDefinition
from headwater.assets.events import FreshnessJudged
from headwater.assets.facts import AssetFacts, Consumed, Facts, Made
from headwater.assets.freshness import Standing, Verdict
from headwater.assets.freshness_changes import Stood, Turn, furthest, turns
from headwater.lineage.names import Dataset, keys_of
from headwater.lineage.session import Session
from headwater.lineage.statements import statements


class Judged(NamedTuple):
    """What was found of an asset the last time."""

    verdict: Verdict
    stands: int | None
    next_change: int | None
    seen: int


def judged(session: Session, moved: Mapping[Dataset, Dataset]) -> dict[Dataset, Judged]:
    """The newest verdict that the journal knows on each dataset, or on one that it was before it was `moved`."""
    found: dict[Dataset, Judged] = {}
    for namespace, dataset, *told in session.rows(statements("catalog.sql")["judged"]):
        place, one = moved.get((namespace, dataset), (namespace, dataset)), Judged(*told)
        if place not in found or found[place].seen < one.seen:
            found[place] = one
    return found


def is_open(known: Judged | None, now: Standing, as_of: int) -> bool:
    """Whether something may have changed since: the verdict has, what was known then has lapsed, or the clock has moved of
    what was behind, which may have been made good for a while."""
    if known is None:
        return now.verdict != "none"
    lapsed = known.next_change is not None and known.next_change <= as_of
    moved = known.stands != now.at and (known.verdict in ("warn", "late") or None in (known.stands, now.at))
    return known.verdict != now.verdict or lapsed or moved


def news(
    session: Session,
    facts: Facts,
    moved: Mapping[Dataset, Dataset],
    known: Mapping[Dataset, Judged],
    now: Mapping[str, Standing],
    as_of: int,
    project: str,
) -> Iterator[FreshnessJudged]:
    """What is to be journaled of these assets: each change of the verdict, or that there was none."""
    definitions = {name: facts.definitions[name] for name in now if name in facts.definitions}
    before = {name: known.get(_place(definition)) for name, definition in definitions.items()}
    past = _Past(session, facts, moved, {name: one.seen for name, one in before.items() if one is not None})
    for name, definition in definitions.items():
        stood = past.stood(name, now[name], as_of)
        yield from _news(definition, stood, before[name], now[name], as_of, project)


def _news(
    definition: AssetDefinition, stood: list[Stood], before: Judged | None, now: Standing, as_of: int, project: str
) -> Iterator[FreshnessJudged]:
    if before is None:
        # All that is known is what is so now; it came about when the clock got where it stands, or later.
        found = turns(definition.freshness, stood[-1:], min(stood[-1].since, as_of), as_of)[-1:]
    else:
        first, *found = turns(definition.freshness, stood, before.seen, as_of)
        if first.verdict != before.verdict:
            # What was recorded is known better by now: only what is so now counts.
            found = []
    verdict = None if before is None else before.verdict
    for turn in found or [Turn(as_of, now.verdict, now.at)]:
        yield FreshnessJudged(
            project=project,
            asset=definition.ref,
            verdict=turn.verdict,
            before=verdict,
            at=turn.at,
            clock=now.clock,
            stands=turn.stands,
            next_change=now.next_change,
            seen=as_of,
        )
        verdict = turn.verdict


class _Past:
    """Where the clocks of assets stood since they were judged the last time, version by version; of those that never were, now."""

    def __init__(
        self, session: Session, facts: Facts, moved: Mapping[Dataset, Dataset], since: Mapping[str, int]
    ) -> None:
        """`since` has when assets were judged the last time, in microseconds since the epoch."""
        names = {_place(one): name for name, one in facts.definitions.items()}
        names |= {old: names[place] for old, place in moved.items() if place in names}
        places = {place: name for place, name in names.items() if name in since}
        keys = {**keys_of(places), "since": [since[name] for name in places.values()]}
        sql = statements("catalog.sql")
        self._versions: dict[str, list[Made]] = {name: [] for name in since}
        for namespace, dataset, *row, inputs in session.rows(sql["versions_since"], keys):
            read = tuple(_consumed(names, inputs or ()))
            self._versions[places[namespace, dataset]].append(Made(*row)._replace(inputs=read))
        self._seen: dict[str, list[tuple[str | None, int, int | None]]] = {name: [] for name in since}
        for namespace, dataset, *told in session.rows(sql["observations_since"], keys):
            partition, at, through = told
            self._seen[places[namespace, dataset]].append((partition, at, through))
        self._reach = Reach(_with_versions(facts, self._versions))
        self._facts = facts

    def stood(self, name: str, now: Standing, as_of: int) -> list[Stood]:
        """Where the clock of an asset stood, ascending; it ends with where it stands."""
        if name not in self._versions:
            return [Stood(_newest(self._facts.of(name), as_of), now.at)]
        versions, seen = self._versions[name], self._seen[name]
        if now.clock == "last_materialized" and versions:
            found = [Stood(made.at, made.at) for made in versions]
        elif now.clock == "data_through" and versions and not seen:
            ends = (
                (made.partition, made.at, self._reach.version_end(name, made.partition, made.version))
                for made in versions
            )
            found = list(furthest(ends))
        elif now.clock == "data_through" and seen and not versions:
            found = list(furthest((part, at, None if end is None else min(end, at)) for part, at, end in seen))
        else:
            found = []
        if not found or found[-1].stands != now.at:
            newest = max([*(made.at for made in versions), *(at for _, at, _ in seen)], default=as_of)
            after = max([newest, *(one.since for one in found)])
            found.append(Stood(after, now.at))
        return found


def _newest(known: AssetFacts, as_of: int) -> int:
    return max((one.at for told in (known.made, known.observed) for one in told.values()), default=as_of)


def _with_versions(facts: Facts, versions: Mapping[str, Iterable[Made]]) -> Facts:
    assets = dict(facts.assets)
    for name, ones in versions.items():
        known = facts.of(name)
        more = {(one.partition, one.version): one for one in ones}
        assets[name] = known._replace(replaced={**known.replaced, **more})
    return replace(facts, assets=assets)


def _consumed(names: Mapping[Dataset, str], inputs: Iterable[Mapping[str, str]]) -> Iterator[Consumed]:
    for one in inputs:
        name = names.get((one["namespace"], one["dataset"]), one["source"])
        yield Consumed(name, one["partition"], one["version"])


def _place(definition: AssetDefinition) -> Dataset:
    return definition.ref.namespace, definition.ref.dataset
