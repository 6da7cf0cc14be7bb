"""Definitions of assets to JSON and back: what the journal keeps, so that past assets are known without their module."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, TypeVar

from headwater.assets.definitions import AssetDefinition, InputDefinition
from headwater.assets.events import AssetRef
from headwater.assets.freshness import freshness_from_json
from headwater.assets.mappings import mapping_from_json
from headwater.assets.partitions import partitions_from_json
from headwater.core.journal.events import from_plain
from headwater.types import SourceCode

T = TypeVar("T")


def definition_to_json(definition: AssetDefinition, refs: dict[str, AssetRef] | None = None) -> dict[str, Any]:
    """A definition as plain JSON values; `refs` adds the dataset of each input asset."""
    refs, column = refs or {}, definition.partition_column
    about_columns = {name: _lists(getattr(definition, name)) for name in _ABOUT_COLUMNS if getattr(definition, name)}
    return {
        "ref": _plain(definition.ref),
        "partitions": definition.partitions.to_json() if definition.partitions else None,
        "partition_column": dict(column) if isinstance(column, Mapping) else column,
        "time_column": definition.time_column,
        "freshness": definition.freshness.to_json() if definition.freshness else None,
        "owners": list(definition.owners),
        "tags": dict(definition.tags),
        "static": definition.static,
        **({"required": True} if definition.required else {}),
        "description": definition.description,
        "inputs": [_input_to_json(one, refs.get(one.asset)) for one in definition.inputs],
        "producer": definition.producer,
        "code_version": definition.code_version,
        **({"made_with": list(definition.made_with)} if definition.made_with else {}),
        **({"group": definition.group} if definition.group is not None else {}),
        **({"renamed_from": definition.renamed_from} if definition.renamed_from is not None else {}),
        **({"retired": True} if definition.retired else {}),
        **({"code": dict(definition.code)} if definition.code else {}),
        "source": _plain(definition.source) if definition.source else None,
        "checks": list(definition.checks),
        **about_columns,
    }


_ABOUT_COLUMNS = ("check_columns", "column_tags", "masks")
"""What most definitions don't have: left out where there is none."""


def _lists(value: Mapping[str, tuple[str, ...]]) -> dict[str, list[str]]:
    return {name: list(texts) for name, texts in value.items()}


def _plain(record: AssetRef | SourceCode) -> dict[str, Any]:
    # Flat records: `asdict` takes ten times as long to look for what is nested.
    return {name: getattr(record, name) for name in record.__slots__}


def _input_to_json(one: InputDefinition, ref: AssetRef | None) -> dict[str, Any]:
    return {
        "parameter": one.parameter,
        "asset": one.asset,
        "mapping": one.mapping.to_json(),
        "namespace": ref.namespace if ref else None,
        "dataset": ref.dataset if ref else None,
    }


def definition_from_json(value: dict[str, Any]) -> AssetDefinition:
    """A definition from what `definition_to_json` gave."""
    return AssetDefinition(
        ref=from_plain(AssetRef, value["ref"]),
        partitions=_shared(partitions_from_json, value["partitions"]) if value.get("partitions") else None,
        partition_column=value.get("partition_column"),
        time_column=value.get("time_column"),
        freshness=_shared(freshness_from_json, value["freshness"]) if value.get("freshness") else None,
        owners=tuple(value.get("owners", ())),
        tags=dict(value.get("tags", {})),
        static=bool(value.get("static")),
        required=bool(value.get("required")),
        description=value.get("description"),
        inputs=tuple(
            InputDefinition(
                parameter=one["parameter"], asset=one["asset"], mapping=_shared(mapping_from_json, one["mapping"])
            )
            for one in value.get("inputs", ())
        ),
        producer=value.get("producer"),
        made_with=tuple(value.get("made_with", ())),
        code_version=value.get("code_version"),
        group=value.get("group"),
        renamed_from=value.get("renamed_from"),
        retired=bool(value.get("retired")),
        code=dict(value.get("code", {})),
        source=from_plain(SourceCode, value["source"]) if value.get("source") else None,
        checks=tuple(value.get("checks", ())),
        **{
            name: {key: tuple(texts) for key, texts in value[name].items()}
            for name in _ABOUT_COLUMNS
            if value.get(name)
        },
    )


def _shared(read: Callable[[dict[str, Any]], T], value: dict[str, Any]) -> T:
    """What `read` makes of a JSON object of plain values; the same object for the same values, as thousands of assets
    have the same partitions, policies and mappings."""
    if any(isinstance(one, (list, dict)) for one in value.values()):
        return read(value)  # the keys of a list, the dimensions of a product: nothing that can be looked up by
    found: T = _read(read, tuple(value.items()))
    return found


@lru_cache(maxsize=4096)
def _read(read: Callable[[dict[str, Any]], Any], items: tuple[tuple[str, Any], ...]) -> Any:
    return read(dict(items))


def definition_hash(value: dict[str, Any]) -> str:
    """A hash of a definition's JSON: the same definition gives the same hash on every machine."""
    import orjson

    return hashlib.blake2b(orjson.dumps(value, option=orjson.OPT_SORT_KEYS), digest_size=16).hexdigest()
