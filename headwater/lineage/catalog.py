"""The catalogue of the past for the assets layer: definitions and facts, out of the projection, as frozen values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from headwater.assets.definition_json import definition_from_json
from headwater.assets.definitions import AssetDefinition
from headwater.assets.events import AssetRef
from headwater.assets.facts import Facts
from headwater.assets.uncollected import uncollected
from headwater.lineage.known import KnownAssets
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
        with self._projection.session() as session, uncollected():
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
        loaded, sql = self._loaded(), statements("catalog.sql")
        # Mostly everything is loaded: to see that takes a tenth of the time that the definitions take.
        if not loaded.keys() >= {name for (name,) in session.rows(sql["defined_names"])}:
            import orjson

            for _, namespace, dataset, key, text in session.rows(sql["definitions"], {"loaded": list(loaded)}):
                value = orjson.loads(text)
                inputs = [(one.get("namespace"), one.get("dataset"), one["asset"]) for one in value.get("inputs") or ()]
                found.add((namespace, dataset), self._decode(key, value), inputs)
        found.update(tuple(loaded.values()))
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

    def all(self) -> dict[Dataset, str]:
        """The name of every dataset that a name stands for."""
        return {place: name for name, place in self._by_name.items()}

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


def _asset_facts(session: Session, names: Mapping[Dataset, str], *, everything: bool) -> KnownAssets:
    sql = statements("catalog.sql")
    given = () if everything else names
    keys: dict[str, object] = {
        "everything": everything,
        "namespaces": [one[0] for one in given],
        "datasets": [one[1] for one in given],
    }
    replaced = session.rows(sql["replaced"], keys)
    return KnownAssets(
        names,
        latest=session.rows(sql["latest"], keys),
        replaced=replaced,
        consumed=session.rows(sql["consumed"], {**keys, "replaced": [row[2] for row in replaced]}),
        failed=session.rows(sql["failed"], keys),
        observations=session.rows(sql["observations"], keys) if session.rows(sql["observed"]) else (),
    )
