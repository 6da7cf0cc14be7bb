"""The catalogue of the past for the assets layer: definitions and facts, out of the projection, as frozen values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any, NamedTuple, TypeAlias

from headwater.assets.checks.history import PastVersion
from headwater.assets.definition_json import definition_from_json
from headwater.assets.definitions import AssetDefinition
from headwater.assets.events import AssetRef, ColumnSchema, FreshnessJudged
from headwater.assets.facts import EarlierCode, Facts, FailedCheck, ReadAsInputs
from headwater.assets.made_graph import MadeGraph
from headwater.assets.returned import Returned
from headwater.assets.staleness import Staleness, staleness
from headwater.assets.uncollected import uncollected
from headwater.lineage.called import NamesNow, all_loaded, by_definitions, names_now
from headwater.lineage.known import chosen, is_much, known_assets
from headwater.lineage.names import Dataset, keys_of
from headwater.lineage.outlined import OutlinesFirst, are_pending, current_outlines
from headwater.lineage.projection import Projection
from headwater.lineage.session import Session
from headwater.lineage.standings import Standings
from headwater.lineage.statements import statements
from headwater.lineage.verdict_history import is_open, judged, news
from headwater.lineage.verdicts import verdicts

_Input: TypeAlias = tuple[str | None, str | None, str]
"""Namespace and dataset, where they were known, and name."""
_Recorded: TypeAlias = tuple[Dataset, AssetDefinition, list[_Input]]
_MANY = 20_000
"""Outlines of more assets are not kept in memory between two questions."""


class ProjectionCatalog:
    """Facts out of the projection; implements `assets.protocols.Catalog`.

    `loaded` answers with the definitions of the modules that are loaded now, by name: they win over what the journal remembers.
    """

    def __init__(self, projection: Projection, loaded: Callable[[], Mapping[str, AssetDefinition]] = dict) -> None:
        self._projection = projection
        self._loaded = loaded
        self._decoded: dict[str, AssetDefinition] = {}
        self._kept: _Kept | None = None

    def facts(self, assets: Iterable[AssetRef] | None = None) -> Facts:
        """The facts of these assets and of everything upstream of them; of all when None. Raises ProjectionError."""
        with self._projection.session(outlined=assets is None) as session, uncollected():
            known = self._definitions(session)
            if assets is None:
                definitions, names = known.all()
            else:
                start = [(one.namespace, one.dataset) for one in assets]
                definitions, names = known.above(_pairs(session), start)
            moved = {name for name, count in Counter(names.values()).items() if count > 1}
            outlines = current_outlines(session, names) if assets is None and not moved else None
            places = None if assets is None or is_much(len(definitions), known.count()) else names
            found = known_assets(session, names, places, definitions, outlines=outlines)
            failed_checks = _failed_checks(session, names, everything=places is None)
            for name in failed_checks.keys() & moved:
                # What was made in the new place since has checks of its own.
                made = found[name].made
                failed_checks[name] = tuple(one for one in failed_checks[name] if one.at >= made[one.partition].at)
            return Facts(
                definitions=definitions,
                assets=found,
                failed_checks=failed_checks,
                returned=_returned(session),
                earlier_code=self._earlier_code(names),
                read_as_inputs=self._read_as_inputs(names),
            )

    def definitions(self) -> dict[str, AssetDefinition]:
        """The definitions that `facts()` has, without all that is known beside them. Raises ProjectionError."""
        with self._projection.session() as session, uncollected():
            return self._definitions(session).all()[0]

    def staleness(self, as_of: int) -> dict[str, Staleness]:
        """The staleness of every asset, as `assets.staleness` tells it of `facts()`, out of hardly more than outlines.

        `as_of` is in microseconds since the epoch. Raises ProjectionError.
        """
        with self._projection.session(outlined=True) as session, uncollected():
            if are_pending(session):
                return staleness(self.facts(), as_of)
            kept = self._outlined(session)
            facts = Facts(
                definitions=kept.definitions,
                assets=kept.first,
                returned=kept.returned,
                read_as_inputs=self._read_as_inputs(kept.names),
            )
            return staleness(facts, as_of, kept.graph)

    def _outlined(self, session: Session) -> _Kept:
        """All definitions with outlines, kept as long as nothing comes."""
        loaded, (read,) = self._loaded(), session.rows(statements("catalog.sql")["read_so_far"])
        kept = self._kept
        if kept is None or kept.read != read or kept.loaded != loaded:
            self._kept = kept = None
            definitions, names = self._definitions(session).all()
            first = OutlinesFirst(session, names, definitions)
            returned = _returned(session)
            graph = MadeGraph(Facts(definitions=definitions, assets=first, returned=returned))
            kept = _Kept(read, dict(loaded), names, definitions, first, returned, graph)
        else:
            kept = kept._replace(first=OutlinesFirst(session, kept.names, kept.definitions, kept.first))
        if len(kept.names) <= _MANY:
            self._kept = kept
        return kept

    def verdicts(self, as_of: int) -> Standings:
        """The freshness verdict on every asset that is defined, as `assets.freshness.board` tells it of `facts()`.

        `as_of` is in microseconds since the epoch. Raises ProjectionError.
        """
        with self._projection.session(outlined=True) as session, uncollected():
            # Where nothing is loaded the definitions are not read for it: that takes longer than all the rest.
            return verdicts(session, self._loaded(), self._facts_of, as_of)

    def news_of_verdicts(self, as_of: int, project: str) -> list[FreshnessJudged]:
        """What the journal does not know of the verdicts yet: each change with the moment at which it came about.

        `as_of` is now, in microseconds since the epoch. Raises ProjectionError.
        """
        with self._projection.session(outlined=True) as session, uncollected():
            called = names_now(session, self._loaded())
            now, moved, places = self.verdicts(as_of), called.moved(), called.by_name
            known = judged(session, moved)
            open_ = {name: one for name, one in now.items() if is_open(known.get(places[name]), one, as_of)}
            if not open_:
                return []
            facts = self._facts_of(None if is_much(len(open_), len(now)) else open_)
            return list(news(session, facts, moved, known, open_, as_of, project))

    def _facts_of(self, names: Iterable[str] | None) -> Facts:
        if names is None:
            return self.facts()
        with self._projection.session() as session:
            place = names_now(session, self._loaded()).by_name
            return self.facts(
                AssetRef(name=name, uri="", kind="", namespace=place[name][0], dataset=place[name][1]) for name in names
            )

    def history(self, asset: AssetRef, *, before: int | None = None, limit: int = 100) -> tuple[PastVersion, ...]:
        """The published versions of an asset, the newest first, those of its earlier names, too; of each partition its newest.
        Raises ProjectionError.

        `before` leaves out partitions that begin then or later, in microseconds since the epoch.
        """
        import orjson

        sql = statements("catalog.sql")
        with self._projection.session() as session:
            dataset = asset.namespace, asset.dataset
            place = keys_of([dataset, *names_now(session, self._loaded()).once(dataset)])
            rows = session.rows(sql["past"], {**place, "before": before, "limit": limit})
            found = session.rows(sql["past_metrics"], {**place, "versions": [row[1] for row in rows]}) if rows else []
        metrics: dict[tuple[str | None, str], dict[str, float | None]] = {}
        for partition, version, text in found:
            metrics.setdefault((partition, version), {}).update(orjson.loads(text))
        return tuple(
            PastVersion(
                partition, version, at, count, size, _columns(columns), metrics.get((partition, version), {}), start
            )
            for partition, version, at, count, size, columns, start in rows
        )

    def _earlier_code(self, names: Mapping[Dataset, str]) -> EarlierCode:
        """Looks up what earlier code was made of, all at once when somebody asks for the first of it."""

        @cache
        def known() -> dict[tuple[str, str], Mapping[str, str]]:
            import orjson

            with self._projection.session() as session:
                return {
                    (names[namespace, dataset], code): orjson.loads(parts) if parts else {}
                    for namespace, dataset, code, parts in session.rows(statements("catalog.sql")["earlier_code"])
                    if (namespace, dataset) in names
                }

        return lambda name, version: known().get((name, version))

    def _read_as_inputs(self, names: Mapping[Dataset, str]) -> ReadAsInputs:
        """Looks up what inputs of functions were read from: of all assets when somebody asks for the first, and of one
        by partition when that was anything besides. Asked again it knows."""
        sql = statements("catalog.sql")

        @cache
        def pairs() -> dict[str, set[str]]:
            read: dict[str, set[str]] = {}
            with self._projection.session() as session:
                for namespace, dataset, *source in session.rows(sql["pairs_of_inputs"]):
                    if (namespace, dataset) in names:
                        read.setdefault(names[namespace, dataset], set()).add(_called(names, *source))
            return read

        @cache
        def found(name: str, besides: frozenset[str]) -> Mapping[tuple[str | None, str], tuple[str, ...]]:
            if besides.issuperset(pairs().get(name, ())):
                return {}
            places = chosen([place for place, one in names.items() if one == name])
            with self._projection.session() as session:
                rows = session.rows(sql["read_as_inputs"], places)
            read: dict[tuple[str | None, str], dict[str, None]] = {}
            for partition, version, *source in rows:
                asset = _called(names, *source)
                if asset not in besides:
                    read.setdefault((partition, version), {})[asset] = None
            return {key: tuple(assets) for key, assets in read.items()}

        return found

    def _definitions(self, session: Session) -> _Definitions:
        loaded = self._loaded()
        recorded: list[_Recorded] = []
        if not all_loaded(session, loaded):
            import orjson

            rows = session.rows(statements("catalog.sql")["definitions"], {"loaded": list(loaded)})
            for _, namespace, dataset, key, text in rows:
                value = orjson.loads(text)
                inputs = [(one.get("namespace"), one.get("dataset"), one["asset"]) for one in value.get("inputs") or ()]
                recorded.append(((namespace, dataset), self._decode(key, value), inputs))
        named = [(one.ref.name, place, one.renamed_from) for place, one, _ in recorded]
        return _Definitions(recorded, loaded, by_definitions(session, named, loaded))

    def _decode(self, key: str, value: dict[str, Any]) -> AssetDefinition:
        if key not in self._decoded:
            self._decoded[key] = definition_from_json(value)
        return self._decoded[key]


class _Kept(NamedTuple):
    """What was put together for one question, and is the same for the next one, if no more was read and the same is loaded."""

    read: tuple[object, ...]
    loaded: Mapping[str, AssetDefinition]
    names: Mapping[Dataset, str]
    definitions: Mapping[str, AssetDefinition]
    first: OutlinesFirst
    returned: Returned
    graph: MadeGraph


class _Definitions:
    """Definitions by dataset: those that were recorded, with the datasets that their inputs are, and those that are loaded."""

    def __init__(
        self,
        recorded: Iterable[_Recorded],
        loaded: Mapping[str, AssetDefinition],
        now: NamesNow,
    ) -> None:
        self.now = now
        self._of: dict[Dataset, AssetDefinition] = {}
        self._inputs: dict[Dataset, list[_Input]] = {}
        for place, definition, inputs in recorded:
            self._of[place], self._inputs[place] = definition, inputs
        for definition in loaded.values():
            place = definition.ref.namespace, definition.ref.dataset
            self._of[place] = definition
            self._inputs.pop(place, None)

    def count(self) -> int:
        """How many datasets are defined."""
        return len(self._of)

    def all(self) -> tuple[dict[str, AssetDefinition], dict[Dataset, str]]:
        """The definition of every asset, and the names of the datasets that assets are and were."""
        names = self.now.all()
        places = self.now.by_name
        return {name: self._of[places[name]] for name in dict.fromkeys(names.values())}, names

    def above(
        self, pairs: Mapping[Dataset, list[Dataset]], start: list[Dataset]
    ) -> tuple[dict[str, AssetDefinition], dict[Dataset, str]]:
        """The same of these datasets and all that is upstream of them; of two of one name the nearer one keeps it."""
        places: dict[str, Dataset] = {}
        for place in self._upstream(pairs, start):
            if place in self._of:
                places.setdefault(self._of[place].name, place)
        names = {place: name for name, place in places.items()}
        return {name: self._of[place] for name, place in places.items()}, names | self.now.renamed(names)

    def _upstream(self, pairs: Mapping[Dataset, list[Dataset]], start: list[Dataset]) -> list[Dataset]:
        """The datasets and all that is upstream of them, as declared and as observed; nearest first."""
        moved = self.now.moved()
        found = dict.fromkeys(start)
        queue = list(found)
        for place in queue:
            declared = [self._resolve(*one) for one in self._inputs_of(place)]
            observed = [source for one in (place, *self.now.once(place)) for source in pairs.get(one, ())]
            for one in (*declared, *observed):
                source = one if one is None else moved.get(one, one)
                if source is not None and source not in found:
                    found[source] = None
                    queue.append(source)
        return queue

    def _inputs_of(self, place: Dataset) -> list[_Input]:
        known = self._inputs.get(place)
        if known is not None or place not in self._of:
            return known or []
        return [(None, None, one.asset) for one in self._of[place].inputs]

    def _resolve(self, namespace: str | None, dataset: str | None, name: str) -> Dataset | None:
        if namespace is not None and dataset is not None:
            return namespace, dataset
        return self.now.by_name.get(name)


def _called(names: Mapping[Dataset, str], said: str, namespace: str, dataset: str) -> str:
    """The name of what was read; a dataset that no name stands for goes by what it was called then."""
    return names.get((namespace, dataset), said)


def _pairs(session: Session) -> dict[Dataset, list[Dataset]]:
    found: dict[Dataset, list[Dataset]] = {}
    for namespace, dataset, source_namespace, source in session.rows(statements("catalog.sql")["consumed_pairs"]):
        found.setdefault((namespace, dataset), []).append((source_namespace, source))
    return found


def _returned(session: Session) -> Returned:
    found: dict[str, dict[str, int]] = {}
    for name, key, at in session.rows(statements("catalog.sql")["returned"]):
        found.setdefault(name, {})[key] = at
    return found


def _failed_checks(
    session: Session, names: Mapping[Dataset, str], *, everything: bool
) -> dict[str, tuple[FailedCheck, ...]]:
    sql = statements("catalog.sql")
    if not session.rows(sql["any_failed_check"]):
        return {}
    found: dict[str, list[FailedCheck]] = {}
    for namespace, dataset, *told in session.rows(sql["failed_checks"], chosen(None if everything else names)):
        name = names.get((namespace, dataset))
        if name is not None:
            found.setdefault(name, []).append(FailedCheck(*told))
    return {name: tuple(checks) for name, checks in found.items()}


def _columns(columns: Iterable[Mapping[str, str]] | None) -> tuple[ColumnSchema, ...]:
    return tuple(ColumnSchema(name=one["name"], type=one["type"]) for one in columns or ())
