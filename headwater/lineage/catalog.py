"""The catalogue of the past for the assets layer: definitions and facts, out of the projection, as frozen values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Set
from typing import Any, NamedTuple

from headwater.assets.checks.history import PastVersion
from headwater.assets.definition_json import definition_from_json
from headwater.assets.definitions import AssetDefinition
from headwater.assets.events import AssetRef, ColumnSchema, FreshnessJudged
from headwater.assets.facts import EarlierCode, Facts, FailedCheck
from headwater.assets.made_graph import MadeGraph
from headwater.assets.staleness import Staleness, staleness
from headwater.assets.uncollected import uncollected
from headwater.lineage.known import chosen, known_assets
from headwater.lineage.names import Dataset
from headwater.lineage.outlined import OutlinesFirst, are_pending, current_outlines
from headwater.lineage.projection import Projection
from headwater.lineage.session import Session
from headwater.lineage.standings import Standings
from headwater.lineage.statements import statements
from headwater.lineage.verdict_history import is_open, judged, news
from headwater.lineage.verdicts import by_rules, verdicts

_NEVER = 2**63 - 1
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
                names = known.all()
            else:
                start = [(one.namespace, one.dataset) for one in assets]
                names = known.names(known.upstream(_pairs(session), start))
            renamed = known.renamed(names)
            definitions = {name: known.of[dataset] for dataset, name in names.items() if dataset not in renamed}
            names |= renamed
            outlines = current_outlines(session, names) if assets is None and not renamed else None
            found = known_assets(session, names, None if assets is None else names, outlines=outlines)
            failed_checks = _failed_checks(session, names, everything=assets is None)
            for name in failed_checks.keys() & set(renamed.values()):
                # What was made in the new place since has checks of its own.
                made = found[name].made
                failed_checks[name] = tuple(one for one in failed_checks[name] if one.at >= made[one.partition].at)
            return Facts(
                definitions=definitions,
                assets=found,
                failed_checks=failed_checks,
                earlier_code=self._earlier_code(names),
            )

    def definitions(self) -> dict[str, AssetDefinition]:
        """The definitions that `facts()` has, without all that is known beside them. Raises ProjectionError."""
        with self._projection.session() as session, uncollected():
            known = self._definitions(session)
            names = known.all()
            renamed = known.renamed(names)
            return {name: known.of[dataset] for dataset, name in names.items() if dataset not in renamed}

    def staleness(self, as_of: int) -> dict[str, Staleness]:
        """The staleness of every asset, as `assets.staleness` tells it of `facts()`, out of hardly more than outlines.

        `as_of` is in microseconds since the epoch. Raises ProjectionError.
        """
        with self._projection.session(outlined=True) as session, uncollected():
            if are_pending(session):
                return staleness(self.facts(), as_of)
            kept = self._outlined(session)
            return staleness(Facts(definitions=kept.definitions, assets=kept.first), as_of, kept.graph)

    def _outlined(self, session: Session) -> _Kept:
        """All definitions with outlines, kept as long as nothing comes."""
        loaded, (read,) = self._loaded(), session.rows(statements("catalog.sql")["read_so_far"])
        kept = self._kept
        if kept is None or kept.read != read or kept.loaded != loaded:
            self._kept = kept = None
            known = self._definitions(session)
            names = known.all()
            renamed = known.renamed(names)
            definitions = {name: known.of[dataset] for dataset, name in names.items() if dataset not in renamed}
            names |= renamed
            first = OutlinesFirst(session, names)
            graph = MadeGraph(Facts(definitions=definitions, assets=first))
            kept = _Kept(read, dict(loaded), names, definitions, first, graph)
        else:
            kept = kept._replace(first=OutlinesFirst(session, kept.names, kept.first))
        if len(kept.names) <= _MANY:
            self._kept = kept
        return kept

    def verdicts(self, as_of: int) -> Standings:
        """The freshness verdict on every asset that is defined, as `assets.freshness.board` tells it of `facts()`.

        `as_of` is in microseconds since the epoch. Raises ProjectionError.
        """
        with self._projection.session(outlined=True) as session, uncollected():
            # Where nothing is loaded the definitions are not read for it: that takes longer than all the rest.
            if any(one.renamed_from is not None for one in self._loaded().values()):
                return by_rules(self.facts(), as_of)
            return verdicts(session, self._loaded(), self._facts_of, as_of)

    def news_of_verdicts(self, as_of: int, project: str) -> list[FreshnessJudged]:
        """What the journal does not know of the verdicts yet: each change with the moment at which it came about.

        `as_of` is now, in microseconds since the epoch. Raises ProjectionError.
        """
        with self._projection.session(outlined=True) as session, uncollected():
            now, known = self.verdicts(as_of), judged(session)
            places = self._definitions(session).by_name()
            open_ = {name: one for name, one in now.items() if is_open(known.get(places[name]), one, as_of)}
            if not open_:
                return []
            facts = self._facts_of(open_ if len(open_) * 4 < len(now) else None)
            return list(news(session, facts, known, open_, as_of, project))

    def _facts_of(self, names: Iterable[str] | None) -> Facts:
        if names is None:
            return self.facts()
        with self._projection.session() as session:
            place = self._definitions(session).by_name()
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
            places = self._also_before(session, (asset.namespace, asset.dataset), asset.name)
            place = {"namespaces": [one[0] for one in places], "datasets": [one[1] for one in places]}
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

    def _also_before(self, session: Session, place: Dataset, name: str) -> list[Dataset]:
        """A dataset, and those that its asset was before it was renamed and moved."""
        loaded = self._loaded().get(name)
        if loaded is None or loaded.renamed_from is None:
            return [place]
        return [place, *self._definitions(session).renamed({place: name})]

    def _earlier_code(self, names: Mapping[Dataset, str]) -> EarlierCode:
        """Looks up what earlier code was made of, all at once when somebody asks for the first of it."""
        known: dict[tuple[str, str], Mapping[str, str]] = {}
        asked: list[bool] = []

        def found(name: str, version: str) -> Mapping[str, str] | None:
            import orjson

            if not asked:
                asked.append(True)
                with self._projection.session() as session:
                    for namespace, dataset, code, parts in session.rows(statements("catalog.sql")["earlier_code"]):
                        if (namespace, dataset) in names:
                            known[names[namespace, dataset], code] = orjson.loads(parts) if parts else {}
            return known.get((name, version))

        return found

    def _definitions(self, session: Session) -> _Definitions:
        found = _Definitions()
        loaded, sql = self._loaded(), statements("catalog.sql")
        # Mostly everything is loaded: to see that takes a tenth of the time that the definitions take.
        if not loaded.keys() >= {name for (name,) in session.rows(sql["defined_names"])}:
            import orjson

            for _, namespace, dataset, key, text in session.rows(sql["definitions"], {"loaded": list(loaded)}):
                value = orjson.loads(text)
                inputs = [(one.get("namespace"), one.get("dataset"), one["asset"]) for one in value.get("inputs") or ()]
                found.add((namespace, dataset), self._decode(key, value), inputs)
        found.update(tuple(loaded.values()))
        renamed = [one for one in found.of.values() if one.renamed_from is not None]
        if renamed:
            found.loaded = loaded.keys()
            found.earlier = frozenset({one.renamed_from or "" for one in loaded.values()} - loaded.keys())
            names = {name for one in renamed for name in (one.name, one.renamed_from)}
            for name, namespace, dataset, first, last in session.rows(sql["named_before"], {"names": [*names]}):
                found.named.setdefault(name, {})[namespace, dataset] = (first, last)
        return found

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
    graph: MadeGraph


class _Definitions:
    """Definitions by dataset; the one that was added last is what a name stands for."""

    def __init__(self) -> None:
        self.of: dict[Dataset, AssetDefinition] = {}
        self._by_name: dict[str, Dataset] = {}
        self._inputs: dict[Dataset, list[tuple[str | None, str | None, str]]] = {}
        self.earlier: frozenset[str] = frozenset()
        """The names that what is loaded was renamed from, and that nothing has that is loaded."""
        self.loaded: Set[str] = frozenset()
        self.named: dict[str, dict[Dataset, tuple[int, int]]] = {}
        """Of assets that were renamed, by each of their names: the datasets that were defined by it, first and last when."""

    def add(
        self, place: Dataset, definition: AssetDefinition, inputs: list[tuple[str | None, str | None, str]]
    ) -> None:
        """Add a journaled definition, with the datasets that its inputs are."""
        self.of[place] = definition
        self._by_name[definition.ref.name] = place
        self._inputs[place] = inputs

    def update(self, definitions: Iterable[AssetDefinition]) -> None:
        """Add loaded definitions."""
        of, by_name, inputs = self.of, self._by_name, self._inputs
        for definition in definitions:
            ref = definition.ref
            place = ref.namespace, ref.dataset
            of[place] = definition
            by_name[ref.name] = place
            if inputs:
                inputs.pop(place, None)

    def by_name(self) -> Mapping[str, Dataset]:
        """The dataset that each name stands for."""
        return self._by_name

    def all(self) -> dict[Dataset, str]:
        """The name of every dataset that a name stands for."""
        return {place: name for name, place in self._by_name.items() if name not in self.earlier}

    def renamed(self, names: Mapping[Dataset, str]) -> dict[Dataset, str]:
        """The datasets that assets among these were before they were renamed and moved, with their names of now.

        What had the earlier name itself was renamed where it is: that name may stand for the same asset in another environment.
        """
        found: dict[Dataset, str] = {}
        for dataset, name in names.items():
            place, called = dataset, name
            while (definition := self.of.get(place)) is not None and (before := definition.renamed_from) is not None:
                old = self._before(place, called, before)
                if old is None or old == dataset or old in found:
                    break
                found[old] = name
                place, called = old, before
        return found

    def _before(self, place: Dataset, name: str, before: str) -> Dataset | None:
        """The dataset that an asset was by its earlier name; None when that is the same, or something else has the name."""
        had, now = self.named.get(before, {}), self._by_name[before] if before in self.loaded else None
        since = self.named.get(name, {}).get(place, (_NEVER, _NEVER))[0]
        # What was defined by that name afterwards only, or is by now, is another asset; so is what has another name since.
        places = [
            (last, old)
            for old, (first, last) in had.items()
            if first <= since and old != now and (old not in self.of or self.of[old].name == before)
        ]
        return None if place in had else max(places, default=(0, None))[1]

    def upstream(self, pairs: Mapping[Dataset, list[Dataset]], start: list[Dataset]) -> list[Dataset]:
        """The datasets and all that is upstream of them, as declared and as observed; nearest first."""
        found = dict.fromkeys(start)
        queue = list(found)
        for place in queue:
            declared = [self._resolve(*one) for one in self._inputs_of(place)]
            for source in [*(one for one in declared if one is not None), *pairs.get(place, ())]:
                if source not in found:
                    found[source] = None
                    queue.append(source)
        return queue

    def names(self, wanted: list[Dataset]) -> dict[Dataset, str]:
        """The name of each dataset that has a definition; of two of one name the nearer one keeps it."""
        found: dict[str, Dataset] = {}
        for place in wanted:
            if place in self.of:
                found.setdefault(self.of[place].name, place)
        return {place: name for name, place in found.items()}

    def _inputs_of(self, place: Dataset) -> list[tuple[str | None, str | None, str]]:
        known = self._inputs.get(place)
        if known is not None or place not in self.of:
            return known or []
        return [(None, None, one.asset) for one in self.of[place].inputs]

    def _resolve(self, namespace: str | None, dataset: str | None, name: str) -> Dataset | None:
        if namespace is not None and dataset is not None:
            return namespace, dataset
        return self._by_name.get(name)


def _pairs(session: Session) -> dict[Dataset, list[Dataset]]:
    found: dict[Dataset, list[Dataset]] = {}
    for namespace, dataset, source_namespace, source in session.rows(statements("catalog.sql")["consumed_pairs"]):
        found.setdefault((namespace, dataset), []).append((source_namespace, source))
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
