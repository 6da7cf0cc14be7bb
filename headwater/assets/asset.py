"""`Asset`: what a task produces or reads; a name in the project, a place, and what is known of both."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from headwater.assets import registry
from headwater.assets.location import BUILT_IN, READ_ONLY, parse_uri, scheme_of
from headwater.errors import DefinitionError
from headwater.records import dataclass

if TYPE_CHECKING:
    from headwater.assets.freshness import Freshness
    from headwater.assets.mappings import ByDimension, Needs, PartitionMapping
    from headwater.assets.partitions import PartitionsDefinition


_NONE: Mapping[str, Any] = MappingProxyType({})


def _none() -> Mapping[str, Any]:
    return _NONE


@dataclass(frozen=True, slots=True)
class AssetInput:
    """An asset as an input, with the partitions of it that are read: what `flights.window(-6, 0)` gives."""

    asset: Asset
    mapping: PartitionMapping | ByDimension | None = None


@dataclass(frozen=True, slots=True, weakref_slot=True, eq=False, repr=False)
class Asset:
    """A data asset: a table, a file, a folder of partitions.

    `name` is its key inside the project, `at` the URI of its place (relative ones start at the project's root). With
    `partitions`, each partition is made, known and judged by itself; rows belong to a partition by `partition_column`
    (equal to the partition's date or key; of a product, a column for each dimension: `{"date": "day", "region":
    "region"}`) or by `time_column` (inside its window). `time_column` also measures how far the data reaches.
    `static=True` is reference data that does not age. `group` is one word for what belongs together, for selections
    (`group:finance`). An `optional` output need not be made by each call. What was known of
    the asset `renamed_from` is known of this one; a `retired` asset leaves boards and selections, and its history stays.
    `options` go to the reader or writer. `checks` (a list of what `headwater.checks` makes) are asked of every version
    before it is published. `column_tags` tags columns (`{"email": ["pii"]}`): every column that is made of one has the tag
    too, up to one that `masks` it (`masks={"email_hash": ["pii"]}` says that what makes this column leaves nothing of that
    in it). `observe` looks at a source: a function, or what `file_times()` and the like make (see `observer`).

    Raises DefinitionError when the name or the place is not usable, or the name is taken by another asset.

    >>> from headwater import Asset, DailyPartitions
    >>> flights = Asset("flights", at="parquet://lake/flights", partitions=DailyPartitions("2013-01-01", "2014-01-01"))
    >>> flights
    Asset('flights', at='parquet://lake/flights')
    """

    name: str
    at: str
    partitions: PartitionsDefinition | None = field(default=None, kw_only=True)
    partition_column: str | Mapping[str, str] | None = field(default=None, kw_only=True)
    time_column: str | None = field(default=None, kw_only=True)
    freshness: Freshness | None = field(default=None, kw_only=True)
    owners: Iterable[str] = field(default=(), kw_only=True)
    tags: Mapping[str, str] = field(default_factory=_none, kw_only=True)
    static: bool = field(default=False, kw_only=True)
    description: str | None = field(default=None, kw_only=True)
    group: str | None = field(default=None, kw_only=True)
    optional: bool = field(default=False, kw_only=True)
    renamed_from: str | None = field(default=None, kw_only=True)
    retired: bool = field(default=False, kw_only=True)
    options: Mapping[str, Any] = field(default_factory=_none, kw_only=True)
    checks: Iterable[Any] = field(default=(), kw_only=True)
    observe: Any = field(default=None, kw_only=True)
    column_tags: Mapping[str, Iterable[str]] = field(default_factory=_none, kw_only=True)
    masks: Mapping[str, Iterable[str]] = field(default_factory=_none, kw_only=True)

    def __post_init__(self) -> None:
        _check_name(self.name)
        _check_type(self, "at", str, 'at="parquet://lake/x"')
        parse_uri(self.at, where=f"asset '{self.name}'")
        if self.partitions is not None:
            from headwater.assets.partitions import PartitionsDefinition

            _check_type(self, "partitions", PartitionsDefinition, 'partitions=DailyPartitions("2024-01-01")')
        if self.partition_column is not None:
            _check_partition_column(self)
        if self.freshness is not None:
            from headwater.assets.freshness import Freshness

            _check_type(self, "freshness", Freshness, 'freshness=Freshness(max_lag="26h")')
        if self.owners != ():
            _keep_owners(self)
        if self.time_column is not None:
            _check_type(self, "time_column", str, 'time_column="at"')
        if self.tags is not _NONE:
            _keep_mapping(self, "tags", 'tags={"tier": "gold"}')
        if self.options is not _NONE:
            _keep_mapping(self, "options", 'options={"separator": ";"}')
        if self.group is not None:
            _check_type(self, "group", str, 'group="finance"')
        if self.renamed_from is not None:
            _check_name(self.renamed_from)
        if self.owners or self.tags or self.description or self.group:
            _check_texts(self)
        if self.checks != ():
            from headwater.assets.checks.declared import declared

            object.__setattr__(self, "checks", declared(self.name, self.checks))
        if self.column_tags is not _NONE or self.masks is not _NONE:
            _keep_column_tags(self)
        if self.observe is not None:
            from headwater.assets.observers import checked

            object.__setattr__(self, "observe", checked(self.name, self.observe))
        registry.current().add_asset(self, module=_module_of_caller())

    def __repr__(self) -> str:
        return f"Asset({self.name!r}, at={self.at!r})"

    def _repr_html_(self) -> str:
        """What a notebook shows: the asset with what is directly around it, and how fresh that is."""
        from headwater.core import runtime

        picture: str = runtime.current().picture(self.name)
        return picture

    def window(self, first: int, last: int, *, at_least: int | None = None, needs: Needs | None = None) -> AssetInput:
        """This asset as an input that reads a window of partitions around the one that is made, both ends included.

        `window(-6, 0)` is the last seven. All of them must have been made, or `at_least` so many, or `needs="any"`. Where
        one of the two is a product, the window is one of its times.

        >>> from headwater import Asset, DailyPartitions
        >>> days = Asset("window_example", at="memory://days", partitions=DailyPartitions("2024-01-01"))
        >>> days.window(-6, 0).mapping.describe()
        'window of partitions from -6 to 0'
        """
        from headwater.assets.mappings import WindowMapping

        return AssetInput(self, WindowMapping(first, last, needs=at_least if needs is None else needs))

    def all(self, *, needs: Needs | None = None) -> AssetInput:
        """This asset as an input of which every partition that was made is read: one at least, or what it `needs`.

        `needs` is "all", "any" or a number, here and in all that follows.

        >>> from headwater import Asset, DailyPartitions
        >>> days = Asset("all_example", at="memory://days", partitions=DailyPartitions("2024-01-01"))
        >>> days.all(needs="all").mapping.describe()
        'all partitions, all of them'
        """
        from headwater.assets.mappings import AllMapping

        return AssetInput(self, AllMapping(needs=needs))

    def same(self, *, needs: Needs | None = None) -> AssetInput:
        """This asset as an input of which the partition of the same key is read.

        >>> from headwater import Asset, DailyPartitions
        >>> days = Asset("same_example", at="memory://days", partitions=DailyPartitions("2024-01-01"))
        >>> days.same().mapping.describe()
        'the same partition'
        """
        from headwater.assets.mappings import SameMapping

        return AssetInput(self, SameMapping(needs=needs))

    def overlap(self, *, needs: Needs | None = None) -> AssetInput:
        """This asset as an input of which the partitions are read that share time with the one that is made.

        >>> from headwater import Asset, HourlyPartitions
        >>> hours = Asset("overlap_example", at="memory://hours", partitions=HourlyPartitions("2024-01-01T00"))
        >>> hours.overlap(needs="any").mapping.describe()
        'the partitions that overlap in time, any of them'
        """
        from headwater.assets.mappings import OverlapMapping

        return AssetInput(self, OverlapMapping(needs=needs))

    def last(self, count: int = 1, *, needs: Needs | None = None) -> AssetInput:
        """This asset as an input of which the last partitions are read, whichever is made.

        >>> from headwater import Asset, DailyPartitions
        >>> days = Asset("last_example", at="memory://days", partitions=DailyPartitions("2024-01-01"))
        >>> days.last(7).mapping.describe()
        'the last 7 partitions'
        """
        from headwater.assets.mappings import LastMapping

        return AssetInput(self, LastMapping(count, needs=needs))

    def only(self, *keys: str, needs: Needs | None = None) -> AssetInput:
        """This asset as an input of which these partitions are read, whichever is made.

        >>> from headwater import Asset, StaticPartitions
        >>> lands = Asset("only_example", at="memory://lands", partitions=StaticPartitions(["de", "fr", "it"]))
        >>> lands.only("de", "fr").mapping.describe()
        "always 'de', 'fr'"
        """
        from headwater.assets.mappings import SpecificMapping

        return AssetInput(self, SpecificMapping(keys, needs=needs))

    def table(self, table: Mapping[str, str | Iterable[str]], *, needs: Needs | None = None) -> AssetInput:
        """This asset as an input by a table: for a key of what is made, the keys of this asset that are read.

        >>> from headwater import Asset, StaticPartitions
        >>> regions = Asset("table_example", at="memory://table", partitions=StaticPartitions(["north", "south"]))
        >>> regions.table({"kiel": "north", "nice": ["south"]}).mapping.describe()
        'by a table of 2 keys'
        """
        from headwater.assets.mappings import TableMapping

        return AssetInput(self, TableMapping.of(table, needs=needs))

    def by(self, *, needs: Needs | None = None, **dimensions: tuple[int, int] | AssetInput) -> AssetInput:
        """This asset as an input of which each dimension is read in its own way; those left out are inferred.

        A dimension is given as a window, or as another input of any asset would be. When this asset is no product, the
        name is that of the dimension of what is made that it follows.

        >>> from headwater import Asset, DailyPartitions, ProductPartitions, StaticPartitions
        >>> both = ProductPartitions(region=StaticPartitions(["eu", "us"]), date=DailyPartitions("2024-01-01"))
        >>> sales = Asset("by_example", at="memory://by_example", partitions=both)
        >>> sales.by(date=(-6, 0), region=sales.all()).mapping.given[0][1].describe()
        'window of partitions from -6 to 0'
        """
        from headwater.assets.mappings import ByDimension

        given = tuple((name, _of_dimension(name, value)) for name, value in dimensions.items())
        return AssetInput(self, ByDimension(given=given, needs=needs))


def _of_dimension(name: str, value: tuple[int, int] | AssetInput) -> PartitionMapping:
    from headwater.assets.mappings import PartitionMapping, WindowMapping

    if isinstance(value, tuple) and len(value) == 2:
        return WindowMapping(*value)
    mapping = value.mapping if isinstance(value, AssetInput) else None
    if not isinstance(mapping, PartitionMapping):
        raise DefinitionError(
            f"the dimension '{name}' can't be read as {value!r}",
            hint=f"give a window, {name}=(-6, 0), or how all of it is read, {name}=asset.all()",
        )
    return mapping


def shorthand(uri: str, *, where: str | None = "@materialize") -> Asset:
    """The asset that a bare URI stands for: named after the last part of its place, without an ending.

    >>> shorthand("parquet://lake/x").name
    'x'
    """
    place = parse_uri(uri, where=where)
    last = (place.table or place.path).rstrip("/").rsplit("/", 1)[-1]
    name = last.rsplit(".", 1)[-1] if place.table else last.removesuffix(".parquet").removesuffix(".csv")
    known = registry.current().assets.get(name)
    return known if known is not None and known.at == uri else Asset(name, at=uri)


def as_asset(value: Asset | str, *, where: str | None = "@materialize") -> Asset:
    """An asset given as itself or as the URI of its place. Raises DefinitionError for anything else."""
    if isinstance(value, Asset):
        return value
    if isinstance(value, str):
        return shorthand(value, where=where)
    raise DefinitionError(
        f"expected an Asset or the URI of one, got {value!r}",
        hint='write @materialize(Asset("x", at="parquet://lake/x")) or @materialize("parquet://lake/x")',
    )


def as_made(value: Asset | str, *, where: str = "@materialize") -> Asset:
    """The same for an asset that is to be made. Raises DefinitionError where it lies in what can only be read, too."""
    asset = as_asset(value, where=where)
    scheme = scheme_of(asset.at)
    if scheme in READ_ONLY:
        written = ", ".join(f"{one}://" for one in BUILT_IN if one not in READ_ONLY)
        raise DefinitionError(
            f"the asset '{asset.name}' can't be made at {scheme}://, which is only read",
            where=f"{where}: {asset.at}",
            hint=f"what can be written is {written}; that other code wrote the file is told by record(…)",
        )
    return asset


def _check_type(asset: Asset, name: str, wanted: type, example: str) -> None:
    value = getattr(asset, name)
    if not isinstance(value, wanted):
        raise DefinitionError(
            f"{name} of the asset '{asset.name}' can't be {value!r}", where="Asset(…)", hint=f"write {example}"
        )


def _keep_mapping(asset: Asset, name: str, example: str) -> None:
    given = getattr(asset, name)
    if given:
        _check_type(asset, name, Mapping, example)
    object.__setattr__(asset, name, MappingProxyType(dict(given)) if given else _NONE)


def _check_partition_column(asset: Asset) -> None:
    from headwater.assets.partitions import ProductPartitions

    column, where = asset.partition_column, f"asset '{asset.name}'"
    if not isinstance(asset.partitions, ProductPartitions):
        _check_type(asset, "partition_column", str, 'partition_column="day"')
        return
    names = [name for name, _ in asset.partitions.dims]
    if not isinstance(column, Mapping):
        example = ", ".join(f'"{name}": "{name}"' for name in names)
        raise DefinitionError(
            f"a product has a partition column for each dimension, not {column!r}",
            where=where,
            hint=f"write partition_column={{{example}}}",
        )
    if sorted(column) != sorted(names) or not all(isinstance(one, str) and one for one in column.values()):
        message = f"partition_column={dict(column)!r} does not give a column to each of {', '.join(names)}"
        raise DefinitionError(message[:300], where=where, hint="name every dimension once")
    object.__setattr__(asset, "partition_column", MappingProxyType(dict(column)))


def _keep_owners(asset: Asset) -> None:
    given: Any = asset.owners
    if isinstance(given, str) or not isinstance(given, Iterable):
        hint = f"write owners=[{(given if isinstance(given, str) and len(given) <= 80 else 'team:ops')!r}]"
        raise DefinitionError(f"owners of asset '{asset.name}' must be a list", hint=hint)
    object.__setattr__(asset, "owners", tuple(given))


def _keep_column_tags(asset: Asset) -> None:
    """Tags and masks as tuples of texts, none of which a column both has and masks."""
    for name in ("column_tags", "masks"):
        given: Any = getattr(asset, name)
        where, hint = f"asset '{asset.name}'", f'write {name}={{"email": ["pii"]}}'
        if not isinstance(given, Mapping) or any(
            isinstance(tags, str) or not isinstance(tags, Iterable) for tags in given.values()
        ):
            raise DefinitionError(f"{name} can't be {given!r}"[:300], where=where, hint=hint)
        kept = {column: tuple(tags) for column, tags in given.items()}
        for text in (one for column, tags in kept.items() for one in (column, *tags)):
            if not isinstance(text, str) or not text or any("\ud800" <= char <= "\udfff" for char in text):
                raise DefinitionError(f"{name} holds {text!a}, which is no name"[:300], where=where, hint=hint)
        object.__setattr__(asset, name, MappingProxyType(kept) if kept else _NONE)
    for column, tags in asset.column_tags.items():
        both = set(tags) & set(asset.masks.get(column, ()))
        if both:
            raise DefinitionError(
                f"the column '{column}' both has and masks the tag '{min(both)}'",
                where=f"asset '{asset.name}'",
                hint="leave it out of one of the two",
            )


def _check_texts(asset: Asset) -> None:
    """Owners, tags and the description are texts that can be stored: they go to the journal and to catalogs."""
    texts = [*asset.owners, *asset.tags, *asset.tags.values(), asset.description or "", asset.group or ""]
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
    # definition's place, nor does what completes the class when the first asset is made.
    ours, frame = ("headwater.assets", "headwater.records"), sys._getframe(3)
    while frame.f_back is not None and str(frame.f_globals.get("__name__", "")).startswith(ours):
        frame = frame.f_back
    return str(frame.f_globals.get("__name__", "__main__"))
