"""The definition of an asset as a frozen value: what the journal records and every pure function works on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from headwater.assets.events import AssetRef
from headwater.types import SourceCode

if TYPE_CHECKING:
    from headwater.assets.freshness import Freshness
    from headwater.assets.mappings import PartitionMapping
    from headwater.assets.partitions import PartitionsDefinition


@dataclass(frozen=True, slots=True, kw_only=True)
class InputDefinition:
    """An input of an asset's function: the parameter that receives it, the asset, and which partitions of it are read."""

    parameter: str
    asset: str
    mapping: PartitionMapping


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetDefinition:
    """All that is defined of one asset. `code_version` is None for a source, which nothing here makes."""

    ref: AssetRef
    partitions: PartitionsDefinition | None = None
    partition_column: str | None = None
    time_column: str | None = None
    freshness: Freshness | None = None
    owners: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    static: bool = False
    description: str | None = None
    inputs: tuple[InputDefinition, ...] = ()
    producer: str | None = None
    code_version: str | None = None
    source: SourceCode | None = None
    checks: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The asset's name: its key inside the project."""
        return self.ref.name
