"""The catalogue of the past for the assets layer: definitions and facts, out of the projection, as frozen values."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
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
        with self._projection.session() as session, _uncollected():
            known = self._definitions(session)
            if assets is None:
                names = known.all()
            else:
                start = [(one.namespace, one.dataset) for one in assets]
                names = known.names(known.upstream(_pairs(session), start))
            return Facts(
                definitions={name: known.of[dataset] for dataset, name in names.items()},
                assets=_asset_facts(session, names, everything=assets is None),
            )

    def _definitions(self, session: Session) -> _Definitions:
        found = _Definitions()
        loaded = self._loaded()
        import orjson

        journaled = session.rows(statements("catalog.sql")["definitions"], {"loaded": list(loaded)})
        for _, namespace, dataset, key, text in journaled:
            value = orjson.loads(text)
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


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without the cyclic garbage collector: what is built here stays, and looking through it again and again while it
    grows takes a third of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


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

    def all(self) -> dict[Dataset, str]:
        """The name of every dataset that a name stands for."""
        return {place: name for name, place in self._by_name.items()}

    def upstream(self, pairs: Mapping[Dataset, list[Dataset]], start: list[Dataset]) -> list[Dataset]:
        """The datasets and all that is upstream of them, as declared and as observed; nearest first."""
        found = dict.fromkeys(start)
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


def _asset_facts(session: Session, names: Mapping[Dataset, str], *, everything: bool) -> dict[str, AssetFacts]:
    sql = statements("catalog.sql")
    given = () if everything else names
    keys: dict[str, object] = {
        "everything": everything,
        "namespaces": [one[0] for one in given],
        "datasets": [one[1] for one in given],
    }
    replaced = session.rows(sql["replaced"], keys)
    consumed = _consumed(session.rows(sql["consumed"], {**keys, "replaced": [row[3] for row in replaced]}), names)
    made: dict[str, dict[str | None, Made]] = {}
    failed: dict[str, dict[str | None, Failure]] = {}
    last_run: dict[str, int] = {}
    for namespace, dataset, *row in session.rows(sql["latest"], keys):
        name = names.get((namespace, dataset))
        if name is None:
            continue
        partition, version = row[0], row[2]
        state, at, error, last = row[12:]
        if version is not None:
            made.setdefault(name, {})[partition] = _made(row[:12], consumed)
        if state != "published":
            failed.setdefault(name, {})[partition] = Failure(partition=partition, at=at, state=state, message=error)
        if last is not None:
            last_run[name] = max(last, last_run.get(name, last))
    before: dict[str, dict[tuple[str | None, str], Made]] = {}
    for namespace, dataset, *row in replaced:
        name = names.get((namespace, dataset))
        if name is not None:
            one = _made(row, consumed)
            before.setdefault(name, {})[one.partition, one.version] = one
    observed, observed_before = _observed(session.rows(sql["observations"], keys), names)
    # Most assets have no more than versions in place: no dictionaries of their own for what they don't have.
    return {
        name: AssetFacts(
            made=made.get(name, _NONE),
            observed=observed.get(name, _NONE),
            failed=failed.get(name, _NONE),
            last_run=last_run.get(name),
            replaced=before.get(name, _NONE),
            observed_before=observed_before.get(name, _NONE),
        )
        for name in names.values()
    }


_NONE: Mapping[Any, Any] = MappingProxyType({})


def _observed(
    rows: list[tuple[Any, ...]], names: Mapping[Dataset, str]
) -> tuple[dict[str, dict[str | None, Observed]], dict[str, dict[tuple[str | None, str], Observed]]]:
    """The newest observations of the partitions of each asset, and those of earlier versions."""
    newest: dict[str, dict[str | None, Observed]] = {}
    before: dict[str, dict[tuple[str | None, str], Observed]] = {}
    for namespace, dataset, partition, at, version, through, count, is_newest in rows:
        name = names.get((namespace, dataset))
        if name is None:
            continue
        seen = Observed(partition=partition, at=at, version=version, data_through=through, rows=count)
        if is_newest:
            newest.setdefault(name, {})[partition] = seen
        elif version is not None:
            before.setdefault(name, {})[partition, version] = seen
    return newest, before


def _consumed(rows: list[tuple[Any, ...]], names: Mapping[Dataset, str]) -> dict[str, tuple[Consumed, ...]]:
    # A version is read by many others: windows of days, say. One value for each is a tenth of the work.
    values: dict[tuple[Any, ...], Consumed] = {}
    found: dict[str, list[Consumed]] = {}
    for id_, *key in rows:
        namespace, dataset, source, partition, version = key
        place = (namespace, dataset, source, partition, version)
        value = values.get(place)
        if value is None:
            name = names.get((namespace, dataset), source)
            value = values[place] = Consumed(asset=name, partition=partition, version=version)
        if id_ in found:
            found[id_].append(value)
        else:
            found[id_] = [value]
    return {id_: tuple(inputs) for id_, inputs in found.items()}


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
