"""The catalogue of the past for the assets layer: definitions and facts, out of the projection, as frozen values."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from headwater.assets.definition_json import definition_from_json
from headwater.assets.definitions import AssetDefinition
from headwater.assets.events import AssetRef
from headwater.assets.facts import AssetFacts, Consumed, Facts, Failure, Made, Observed
from headwater.lineage.names import Dataset
from headwater.lineage.projection import Projection
from headwater.lineage.session import Session
from headwater.lineage.statements import statements


class ProjectionCatalog:
    """Facts out of the projection; implements `assets.protocols.Catalog`.

    `loaded` answers with the definitions of the modules that are loaded now, by name: they win over what the journal remembers.
    """

    def __init__(self, projection: Projection, loaded: Callable[[], Mapping[str, AssetDefinition]] = dict) -> None:
        self._projection = projection
        self._loaded = loaded
        self._decoded: dict[str, AssetDefinition] = {}

    def facts(self, assets: Iterable[AssetRef] | None = None) -> Facts:
        """The facts of these assets and of everything upstream of them; of all when None. Raises ProjectionError."""
        with self._projection.session() as session:
            known = self._definitions(session)
            wanted = known.upstream(
                _pairs(session), None if assets is None else [(a.namespace, a.dataset) for a in assets]
            )
            names = known.names(wanted)
            return Facts(
                definitions={name: known.of[dataset] for dataset, name in names.items()},
                assets=_asset_facts(session, names),
            )

    def _definitions(self, session: Session) -> _Definitions:
        found = _Definitions()
        loaded = self._loaded()
        for name, namespace, dataset, key, text in session.rows(statements("catalog.sql")["definitions"]):
            if name in loaded:
                continue
            value = json.loads(text)
            inputs = [(one.get("namespace"), one.get("dataset"), one["asset"]) for one in value.get("inputs") or ()]
            found.add((namespace, dataset), self._decode(key, value), inputs)
        for definition in tuple(loaded.values()):
            place = (definition.ref.namespace, definition.ref.dataset)
            found.add(place, definition, [(None, None, one.asset) for one in definition.inputs])
        return found

    def _decode(self, key: str, value: dict[str, Any]) -> AssetDefinition:
        if key not in self._decoded:
            self._decoded[key] = definition_from_json(value)
        return self._decoded[key]


class _Definitions:
    """Definitions by dataset; the one that was added last is what a name stands for."""

    def __init__(self) -> None:
        self.of: dict[Dataset, AssetDefinition] = {}
        self._by_name: dict[str, Dataset] = {}
        self._inputs: dict[Dataset, list[tuple[str | None, str | None, str]]] = {}

    def add(
        self, place: Dataset, definition: AssetDefinition, inputs: list[tuple[str | None, str | None, str]]
    ) -> None:
        self.of[place] = definition
        self._by_name[definition.name] = place
        self._inputs[place] = inputs

    def upstream(self, pairs: Mapping[Dataset, list[Dataset]], start: list[Dataset] | None) -> list[Dataset]:
        """The datasets and all that is upstream of them, as declared and as observed; nearest first."""
        found = dict.fromkeys(self._by_name.values() if start is None else start)
        queue = list(found)
        for place in queue:
            declared = [self._resolve(*one) for one in self._inputs.get(place, ())]
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

    def _resolve(self, namespace: str | None, dataset: str | None, name: str) -> Dataset | None:
        if namespace is not None and dataset is not None:
            return namespace, dataset
        return self._by_name.get(name)


def _pairs(session: Session) -> dict[Dataset, list[Dataset]]:
    found: dict[Dataset, list[Dataset]] = {}
    for namespace, dataset, source_namespace, source in session.rows(statements("catalog.sql")["consumed_pairs"]):
        found.setdefault((namespace, dataset), []).append((source_namespace, source))
    return found


@dataclass(slots=True)
class _Gathered:
    made: dict[str | None, Made]
    observed: dict[str | None, Observed]
    failed: dict[str | None, Failure]
    replaced: dict[tuple[str | None, str], Made]
    observed_before: dict[tuple[str | None, str], Observed]
    last_run: int | None = None


def _asset_facts(session: Session, names: Mapping[Dataset, str]) -> dict[str, AssetFacts]:
    sql = statements("catalog.sql")
    keys = {"namespaces": [one[0] for one in names], "datasets": [one[1] for one in names]}
    replaced = session.rows(sql["replaced"], keys)
    consumed = _consumed(session.rows(sql["consumed"], {**keys, "replaced": [row[3] for row in replaced]}), names)
    found = {name: _Gathered({}, {}, {}, {}, {}) for name in names.values()}
    for namespace, dataset, *row in session.rows(sql["latest"], keys):
        _add_latest(found[names[namespace, dataset]], row, consumed)
    for namespace, dataset, *row in replaced:
        made = _made(row, consumed)
        found[names[namespace, dataset]].replaced[made.partition, made.version] = made
    for namespace, dataset, partition, at, version, through, rows, newest in session.rows(sql["observations"], keys):
        seen = Observed(partition=partition, at=at, version=version, data_through=through, rows=rows)
        one = found[names[namespace, dataset]]
        if newest:
            one.observed[partition] = seen
        elif version is not None:
            one.observed_before[partition, version] = seen
    return {
        name: AssetFacts(
            made=one.made,
            observed=one.observed,
            failed=one.failed,
            last_run=one.last_run,
            replaced=one.replaced,
            observed_before=one.observed_before,
        )
        for name, one in found.items()
    }


def _consumed(rows: list[tuple[Any, ...]], names: Mapping[Dataset, str]) -> dict[str, tuple[Consumed, ...]]:
    # A version is read by many others: windows of days, say. One value for each is a tenth of the work.
    values: dict[tuple[Any, ...], Consumed] = {}

    def value(key: tuple[Any, ...]) -> Consumed:
        found = values.get(key)
        if found is None:
            namespace, dataset, source, partition, version = key
            name = names.get((namespace, dataset), source)
            found = values[key] = Consumed(asset=name, partition=partition, version=version)
        return found

    return {id_: tuple(map(value, zip(*lists, strict=True))) for id_, *lists in rows}


def _made(row: list[Any], consumed: Mapping[str, tuple[Consumed, ...]]) -> Made:
    (partition, id_, version, made_at, started, run_id, rows, time_max, start, end, code_version, unknown) = row
    return Made(
        partition=partition,
        version=version,
        at=made_at,
        started=started,
        run_id=run_id,
        rows=rows,
        time_max=time_max,
        partition_start=start,
        partition_end=end,
        code_version=code_version,
        inputs=consumed.get(id_, ()),
        unknown_inputs=unknown,
    )


def _add_latest(found: _Gathered, row: list[Any], consumed: Mapping[str, tuple[Consumed, ...]]) -> None:
    partition, version = row[0], row[2]
    (attempt_state, attempt_at, attempt_error, last_run) = row[12:]
    if version is not None:
        found.made[partition] = _made(row[:12], consumed)
    if attempt_state != "published":
        found.failed[partition] = Failure(
            partition=partition, at=attempt_at, state=attempt_state, message=attempt_error
        )
    if last_run is not None:
        found.last_run = last_run if found.last_run is None else max(found.last_run, last_run)
