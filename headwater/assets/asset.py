"""`Asset`: what a task produces or reads; a name in the project, a place, and what is known of both."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from headwater.assets import registry
from headwater.assets.location import parse_uri
from headwater.errors import DefinitionError

if TYPE_CHECKING:
    from headwater.assets.freshness import Freshness
    from headwater.assets.mappings import PartitionMapping
    from headwater.assets.partitions import PartitionsDefinition


_NONE: Mapping[str, Any] = MappingProxyType({})


def _none() -> Mapping[str, Any]:
    return _NONE


@dataclass(frozen=True, slots=True)
class AssetInput:
    """An asset as an input, with the partitions of it that are read: what `flights.window(-6, 0)` gives."""

    asset: Asset
    mapping: PartitionMapping | None = None


@dataclass(frozen=True, slots=True, weakref_slot=True, eq=False, repr=False)
class Asset:
    """A data asset: a table, a file, a folder of partitions.

    `name` is its key inside the project, `at` the URI of its place (relative ones start at the project's root). With
    `partitions`, each partition is made, known and judged by itself; rows belong to a partition by `partition_column`
    (equal to the partition's date or key) or by `time_column` (inside its window). `time_column` also measures how far
    the data reaches. `static=True` is reference data that does not age. `options` go to the reader or writer.

    Raises DefinitionError when the name or the place is not usable, or the name is taken by another asset.

    >>> from headwater import Asset, DailyPartitions
    >>> flights = Asset("flights", at="parquet://lake/flights", partitions=DailyPartitions("2013-01-01", "2014-01-01"))
    >>> flights
    Asset('flights', at='parquet://lake/flights')
    """

    name: str
    at: str
    partitions: PartitionsDefinition | None = field(default=None, kw_only=True)
    partition_column: str | None = field(default=None, kw_only=True)
    time_column: str | None = field(default=None, kw_only=True)
    freshness: Freshness | None = field(default=None, kw_only=True)
    owners: Iterable[str] = field(default=(), kw_only=True)
    tags: Mapping[str, str] = field(default_factory=_none, kw_only=True)
    static: bool = field(default=False, kw_only=True)
    description: str | None = field(default=None, kw_only=True)
    options: Mapping[str, Any] = field(default_factory=_none, kw_only=True)

    def __post_init__(self) -> None:
        _check_name(self.name)
        _check_type(self, "at", str, 'at="parquet://lake/x"')
        parse_uri(self.at, where=f"asset '{self.name}'")
        if self.partitions is not None:
            from headwater.assets.partitions import PartitionsDefinition

            _check_type(self, "partitions", PartitionsDefinition, 'partitions=DailyPartitions("2024-01-01")')
        if self.freshness is not None:
            from headwater.assets.freshness import Freshness

            _check_type(self, "freshness", Freshness, 'freshness=Freshness(max_lag="26h")')
        if self.owners != ():
            _keep_owners(self)
        if self.tags is not _NONE:
            object.__setattr__(self, "tags", MappingProxyType(dict(self.tags)) if self.tags else _NONE)
        if self.options is not _NONE:
            object.__setattr__(self, "options", MappingProxyType(dict(self.options)) if self.options else _NONE)
        if self.owners or self.tags or self.description:
            _check_texts(self)
        registry.current().add_asset(self, module=_module_of_caller())

    def __repr__(self) -> str:
        return f"Asset({self.name!r}, at={self.at!r})"

    def window(self, first: int, last: int, *, at_least: int | None = None) -> AssetInput:
        """This asset as an input that reads a window of partitions around the one that is made, both ends included.

        `window(-6, 0)` is the last seven. All of them must have been made, or `at_least` so many.

        >>> from headwater import Asset, DailyPartitions
        >>> days = Asset("window_example", at="memory://days", partitions=DailyPartitions("2024-01-01"))
        >>> days.window(-6, 0).mapping.describe()
        'window of partitions from -6 to 0'
        """
        from headwater.assets.mappings import WindowMapping

        return AssetInput(self, WindowMapping(first, last, at_least=at_least))

    def all(self) -> AssetInput:
        """This asset as an input of which every partition that was made is read.

        >>> from headwater import Asset, DailyPartitions
        >>> days = Asset("all_example", at="memory://days", partitions=DailyPartitions("2024-01-01"))
        >>> days.all().asset.name
        'all_example'
        """
        from headwater.assets.mappings import AllMapping

        return AssetInput(self, AllMapping())


def shorthand(uri: str) -> Asset:
    """The asset that a bare URI stands for: named after the last part of its place, without an ending.

    >>> shorthand("parquet://lake/x").name
    'x'
    """
    place = parse_uri(uri, where="@materialize")
    last = (place.table or place.path).rstrip("/").rsplit("/", 1)[-1]
    name = last.rsplit(".", 1)[-1] if place.table else last.removesuffix(".parquet").removesuffix(".csv")
    known = registry.current().assets.get(name)
    return known if known is not None and known.at == uri else Asset(name, at=uri)


def as_asset(value: Asset | str) -> Asset:
    """An asset given as itself or as the URI of its place. Raises DefinitionError for anything else."""
    if isinstance(value, Asset):
        return value
    if isinstance(value, str):
        return shorthand(value)
    raise DefinitionError(
        f"expected an Asset or the URI of one, got {value!r}",
        hint='write @materialize(Asset("x", at="parquet://lake/x")) or @materialize("parquet://lake/x")',
    )


def _check_type(asset: Asset, name: str, wanted: type, example: str) -> None:
    value = getattr(asset, name)
    if not isinstance(value, wanted):
        raise DefinitionError(
            f"{name} of the asset '{asset.name}' can't be {value!r}", where="Asset(…)", hint=f"write {example}"
        )


def _keep_owners(asset: Asset) -> None:
    if isinstance(asset.owners, str):
        raise DefinitionError(f"owners of asset '{asset.name}' must be a list", hint=f"write owners=[{asset.owners!r}]")
    object.__setattr__(asset, "owners", tuple(asset.owners))


def _check_texts(asset: Asset) -> None:
    """Owners, tags and the description are texts that can be stored: they go to the journal and to catalogs."""
    texts = [*asset.owners, *asset.tags, *asset.tags.values(), asset.description or ""]
    for text in texts:
        if not isinstance(text, str) or any("\ud800" <= char <= "\udfff" for char in text):
            raise DefinitionError(
                f"the asset '{asset.name}' has an owner, a tag or a description that is no text: {text!a}"[:300],
                hint="write texts, without halves of characters",
            )


def _check_name(name: str) -> None:
    if not isinstance(name, str) or not name:
        raise DefinitionError(f"an asset's name must be a text that is not empty, got {name!r}", hint=_PLAIN)
    problem = _problem_of(name)
    if problem is not None:
        raise DefinitionError(f"an asset can't be named {name[:60]!a}: {problem}", hint=_PLAIN)


_PLAIN = "use a plain word such as 'orders'"


def _problem_of(name: str) -> str | None:
    if not name.isprintable():
        return f"it holds {next(char for char in name if not char.isprintable())!a}"
    if len(name) > 255:
        return f"it has {len(name):,} characters, more than 255"
    if name != name.strip():
        return "it begins or ends with a space"
    if name[0] in "-+":
        return f"it begins with '{name[0]}', which means something else in a command"
    return "it holds '@', which stands before a partition's key" if "@" in name else None


def _module_of_caller() -> str:
    # The frames of this module (three at least: this one, __post_init__ and __init__, and `shorthand`'s) don't count as the
    # definition's place.
    frame = sys._getframe(3)
    while frame.f_back is not None and str(frame.f_globals.get("__name__", "")).startswith("headwater.assets"):
        frame = frame.f_back
    return str(frame.f_globals.get("__name__", "__main__"))
