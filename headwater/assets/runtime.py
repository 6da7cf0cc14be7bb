"""What the assets layer needs of the project that it runs in, and the definitions as they resolve there."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from headwater.assets import registry
from headwater.assets.asset import Asset
from headwater.assets.definitions import AssetDefinition, InputDefinition
from headwater.assets.events import AssetDefined, AssetRef
from headwater.assets.location import asset_ref
from headwater.assets.protocols import Catalog, ColumnLineage, Form, Materializer, SqlQuery, Target
from headwater.assets.uncollected import uncollected
from headwater.core import runtime as core_runtime
from headwater.core.runtime import Runtime
from headwater.errors import DefinitionError

if TYPE_CHECKING:
    from headwater.assets.backfill_events import BackfillAsked
    from headwater.assets.checks.base import Check
    from headwater.assets.dynamic_keys import DynamicKeys
    from headwater.assets.inputs import InputSpec
    from headwater.assets.materialize import Materialization
    from headwater.assets.registry import Registry
    from headwater.core.journal.carrier import LockTable


class AssetRuntime(Runtime, Protocol):
    """The project as the assets layer sees it."""

    @property
    def locks(self) -> LockTable:
        """The home's locks."""
        ...

    @property
    def columns(self) -> ColumnLineage:
        """Reads column lineage."""
        ...

    @property
    def catalog(self) -> Catalog:
        """What is known of the past."""
        ...

    @property
    def definitions(self) -> Definitions:
        """What is defined in this process, resolved in this project."""
        ...

    @property
    def dynamic(self) -> DynamicKeys:
        """The keys of dynamic partitions."""
        ...

    def keeps_in_memory(self, ref: AssetRef) -> bool:
        """Whether the data of an asset is in the memory of this process only."""
        ...

    def materializer(self, ref: AssetRef) -> Materializer:
        """What writes and reads an asset."""
        ...

    def asked_of(self, backfill_id: str, since: int) -> AskedOf:
        """What is asked of a backfill from a moment on (microseconds since the epoch)."""
        ...

    def convert(self, value: Any, form: Form) -> Any:
        """A table in another form; raises ReturnTypeError when it is none."""
        ...

    def connect(self, inputs: Mapping[str, Any]) -> Any:
        """A database in memory that holds these inputs, each a `SqlRelation` or a frame, under their names."""
        ...

    def failing(self, query: SqlQuery, columns: Sequence[str], limit: int) -> tuple[int, list[tuple[Any, ...]]]:
        """How many rows a query gives, which is executed inside an engine, and these columns of the first of them.

        Raises MaterializationError when the query is wrong.
        """
        ...


class AskedOf(Protocol):
    """Hears what is asked of a backfill while it runs."""

    def new(self) -> list[BackfillAsked]:
        """What has been asked since the last look. Raises HeadwaterError."""
        ...


def current() -> AssetRuntime:
    """The runtime of this process."""
    return cast("AssetRuntime", core_runtime.current())


class Definitions:
    """The assets of this process with their places resolved: what relative paths and `{settings}` come to here."""

    def __init__(self, root: Path, values: Mapping[str, str] | None, project: str) -> None:
        self._root, self._values, self._project = root, values, project
        self._folder = str(root.absolute())
        self._refs: dict[Asset, AssetRef] = {}
        self._targets: dict[Asset, Target] = {}
        self._places: dict[tuple[str, str], Asset] = {}
        self._known: dict[str, tuple[Asset, Any, tuple[Check, ...], AssetDefinition]] = {}
        self._journaled: dict[str, AssetDefinition] = {}
        self._events: dict[str, tuple[AssetDefinition, AssetDefined]] = {}
        self._adopted: dict[str, tuple[Asset, AssetDefinition]] = {}
        self._hashes: dict[str, str] = {}
        self._all: tuple[Registry, tuple[int, ...], dict[str, AssetDefinition]] | None = None
        self._lock = threading.Lock()

    def ref(self, asset: Asset) -> AssetRef:
        """The asset with its place and its dataset. Raises DefinitionError when another asset is at the same place."""
        found = self._refs.get(asset)
        if found is None:
            where = f"asset '{asset.name}'"
            found = asset_ref(asset.name, asset.at, root=self._folder, values=self._values, where=where)
            self._claim(asset, found)
            self._refs[asset] = found
        return found

    def _claim(self, asset: Asset, ref: AssetRef) -> None:
        # The registry compares places as they are written; here they are resolved, and two spellings of one are seen.
        place = _place(ref)
        other = self._places.setdefault(place, asset)
        if other is asset:
            return
        if other.name == asset.name:
            self._places[place] = asset
        elif registry.current().assets.get(other.name) is other:
            raise DefinitionError(
                f"the assets '{other.name}' and '{asset.name}' are at the same place, {ref.dataset}",
                where=f"{other.at} and {asset.at}",
                hint="one place holds one asset: remove one of the two, or move it",
            )

    def target(self, asset: Asset) -> Target:
        """The asset as its materializer needs to know it."""
        found = self._targets.get(asset)
        if found is None:
            found = self._targets[asset] = self._target(asset)
        return found

    def _target(self, asset: Asset) -> Target:
        return Target(
            asset=self.ref(asset),
            root=self._root,
            partitioned=asset.partitions is not None,
            partition_column=asset.partition_column,
            time_column=asset.time_column,
            options=asset.options,
        )

    def of(self, asset: Asset) -> AssetDefinition:
        """The whole definition of an asset, with its producer, inputs and checks as they are now."""
        current = registry.current()
        producer, checks = current.producers.get(asset.name), current.checks_of(asset.name)
        adopted = self._adopted.get(asset.name)
        if adopted is not None and adopted[0] is asset:
            return adopted[1]
        known = self._known.get(asset.name)
        if known is None or known[0] is not asset or known[1] is not producer or known[2] != checks:
            known = self._known[asset.name] = (asset, producer, checks, self._build(asset, producer, checks))
        return known[3]

    def all(self) -> dict[str, AssetDefinition]:
        """Every asset that is defined in this process, by name."""
        current, known = registry.current(), self._all
        state = current.changes, len(current.assets), len(current.producers), len(self._adopted)
        if known is None or known[0] is not current or known[1] != state:
            with uncollected():
                found = {name: self.of(asset) for name, asset in list(current.assets.items())}
            known = self._all = current, state, found
        return dict(known[2])

    def new(self, assets: Iterable[Asset]) -> tuple[AssetDefined, ...]:
        """The events that journal the definitions of these assets, of those that this process has not journaled yet."""
        found = []
        for asset in assets:
            definition = self.of(asset)
            # `of` gives the very same value until something changes: JSON and hash are made once for each definition.
            with self._lock:
                if self._journaled.get(asset.name) is definition:
                    continue
                self._journaled[asset.name] = definition
            event = self.event(asset)
            if self.is_news(event):
                found.append(event)
        return tuple(found)

    def event(self, asset: Asset) -> AssetDefined:
        """The event that journals the definition of an asset."""
        from headwater.assets.definition_json import definition_hash, definition_to_json

        definition = self.of(asset)
        known = self._events.get(asset.name)
        if known is None or known[0] is not definition:
            value = definition_to_json(definition, self._input_refs(definition))
            event = AssetDefined(
                asset=definition.ref, hash=definition_hash(value), project=self._project, definition=value
            )
            known = self._events[asset.name] = definition, event
        return known[1]

    def adopt(self, asset: Asset, definition: AssetDefinition, event: AssetDefined) -> None:
        """Take the definition of an asset from the process that sent it here, and knows what makes it."""
        if self.of(asset) != definition:
            self._adopted[asset.name] = asset, definition
            self._all = None
        self._events[asset.name] = self.of(asset), event

    def is_news(self, event: AssetDefined) -> bool:
        """Whether this process has not journaled a definition just so as its last one; it counts as journaled from now on."""
        with self._lock:
            before, self._hashes[event.asset.name] = self._hashes.get(event.asset.name), event.hash
        return before != event.hash

    def _input_refs(self, definition: AssetDefinition) -> dict[str, AssetRef]:
        assets = registry.current().assets
        return {one.asset: self.ref(assets[one.asset]) for one in definition.inputs if one.asset in assets}

    def _build(
        self, asset: Asset, producer: Materialization[Any, Any] | None, checks: tuple[Check, ...]
    ) -> AssetDefinition:
        definition = AssetDefinition(
            ref=self.ref(asset),
            partitions=asset.partitions,
            partition_column=asset.partition_column,
            time_column=asset.time_column,
            freshness=asset.freshness,
            owners=tuple(asset.owners),
            tags=dict(asset.tags) if asset.tags else {},
            static=asset.static,
            required=producer is not None and not asset.optional,
            description=asset.description or (_first_line(producer.fn.__doc__) if producer is not None else None),
            group=asset.group,
            renamed_from=asset.renamed_from,
            retired=asset.retired,
            inputs=_inputs(producer.inputs) if producer is not None else (),
            producer=producer.fn.__qualname__ if producer is not None else None,
            made_with=_made_with(asset, producer.assets) if producer is not None else (),
            checks=tuple([check.name for check in checks]) if checks else (),
            check_columns={check.name: check.columns for check in checks if check.columns} if checks else {},
            column_tags={column: tuple(tags) for column, tags in asset.column_tags.items()}
            if asset.column_tags
            else {},
            masks={column: tuple(tags) for column, tags in asset.masks.items()} if asset.masks else {},
        )
        return definition if producer is None else definition.of_code(producer, self._root)


def _inputs(specs: tuple[InputSpec, ...]) -> tuple[InputDefinition, ...]:
    # Through lists: a generator for each of many assets takes longer than what it gives.
    return tuple([InputDefinition(parameter=one.parameter, asset=one.asset.name, mapping=one.mapping) for one in specs])


def _made_with(asset: Asset, made: tuple[Asset, ...]) -> tuple[str, ...]:
    # Mostly it is alone: nothing is made for that.
    return tuple([one.name for one in made if one.name != asset.name]) if len(made) > 1 else ()


def _place(ref: AssetRef) -> tuple[str, str]:
    # DuckDB tells no upper from lower case; `lake/x` and `lake/x.parquet` are one file.
    dataset = ref.dataset.lower() if ref.kind == "duckdb" else ref.dataset.removesuffix(".parquet")
    return ref.namespace, dataset


def _first_line(text: str | None) -> str | None:
    return text.strip().splitlines()[0] if text and text.strip() else None
