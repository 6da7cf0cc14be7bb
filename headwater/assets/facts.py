"""What is known of assets at a moment: frozen values that freshness, staleness and plans are computed from."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import field
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias

from headwater.assets.definitions import AssetDefinition
from headwater.assets.partitions import partitioning
from headwater.assets.returned import Returned
from headwater.records import dataclass


class Consumed(NamedTuple):
    """An input version that a materialization read; `asset` is the name of the dataset's asset in the definitions.

    What comes in tens of thousands is a named tuple here: it is made in a fraction of a frozen dataclass's time.
    """

    asset: str
    partition: str | None
    version: str | None


def is_hash(version: str) -> bool:
    """Whether a version is the hash of the content: these tell what is the same, whoever told them."""
    return version.startswith("sha256:")


class Made(NamedTuple):
    """The version of one partition that is in place. Times in microseconds since the epoch, UTC.

    `at` is when its outcome was recorded, `started` when the run that made it began to make it: its data can't reach
    further than that. `told` is since when others have said that it is in place, with no other version in between, where that
    is not `at`.
    """

    partition: str | None
    version: str
    at: int
    started: int
    run_id: str
    rows: int | None = None
    time_max: int | None = None
    partition_start: int | None = None
    partition_end: int | None = None
    code_version: str | None = None
    unknown_inputs: bool = False
    inputs: tuple[Consumed, ...] = ()
    told: int | None = None

    @property
    def since(self) -> int:
        """Since when this version has been known to be in place."""
        return self.at if self.told is None else self.told


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """The newest observation of an asset (or of one of its partitions).

    `first` is the time of the oldest one, and `since` is since when this version has been told, by whomever, with no other one in
    between.
    """

    partition: str | None
    at: int
    first: int
    since: int
    version: str | None = None
    data_through: int | None = None
    rows: int | None = None
    partition_end: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """The newest attempt at a partition, when it did not publish and is newer than what is in place."""

    partition: str | None
    at: int
    state: str
    message: str | None = None


class Skipped(NamedTuple):
    """The newest attempt at a partition, when it left out the output, which is optional: what is in place stays, if anything is;
    otherwise nothing is what stands.

    `started` and `at` are when it began and ended, `inputs` is what it read to say so.
    """

    partition: str | None
    at: int
    started: int
    run_id: str
    code_version: str | None = None
    inputs: tuple[Consumed, ...] = ()


class FailedCheck(NamedTuple):
    """A check that the version in place of a partition did not pass when it was asked last."""

    partition: str | None
    name: str
    severity: str
    message: str | None
    at: int


NONE: Mapping[Any, Any] = MappingProxyType({})
"""Nothing, of any kind."""


class AssetFacts(NamedTuple):
    """All facts of one asset: by partition what is in place, the newest observation, and the failure behind it, if any.

    `last_run` is when something last tried to make it, whatever came of it. `replaced` holds versions that are no longer
    in place, by partition and version: as many as are known. A version that something in place was made of belongs
    there, for its data end is what that thing's data end is derived from. `observed_before` holds the newest observation
    of each earlier version, by partition and version, for the same use. `told` is which version others told of a partition, and
    when, as far as that was the last word on it when something began to read it. `skipped` are partitions that were left as
    they are.
    """

    made: Mapping[str | None, Made] = NONE
    observed: Mapping[str | None, Observed] = NONE
    failed: Mapping[str | None, Failure] = NONE
    last_run: int | None = None
    replaced: Mapping[tuple[str | None, str], Made] = NONE
    observed_before: Mapping[tuple[str | None, str], Observed] = NONE
    skipped: Mapping[str | None, Skipped] = NONE
    told: Mapping[str | None, Sequence[tuple[int, str]]] = NONE


Pairs: TypeAlias = tuple[tuple[str | None, str | None], ...]
"""Partitions of an asset, each with a partition of an input of it."""


class Outline(NamedTuple):
    """What follows from what stands of an asset, as `last_said` has it, and is all that is asked of most assets.

    `keys` are its partitions, `code` is the code version that they were made by, as far as it is known of them, unless
    they are `mixed`; `oldest` is when the first of them was begun and `newest` when the last version in place was recorded.
    `reads` holds what they read, by input asset, without partitions that read themselves; `settled` says that all of that is
    known to be in place still, in the same version.
    """

    keys: tuple[str | None, ...] = ()
    code: str | None = None
    mixed: bool = False
    oldest: int = 0
    newest: int = 0
    reads: Mapping[str, Pairs] = NONE
    settled: bool = True


class OutlinedAssets(Mapping[str, AssetFacts]):
    """Facts by asset that can tell outlines without putting together all that they know of each asset."""

    @abstractmethod
    def outlines(self) -> Mapping[str, Outline]:
        """What the function `outlines` would tell of these facts."""

    @abstractmethod
    def look_closer(self, names: Collection[str]) -> None:
        """Say that the facts of these assets will be asked for, so that they are looked up together."""


def outlines(assets: Mapping[str, AssetFacts]) -> Mapping[str, Outline]:
    """The outline of each asset of which something was made, or was left out.

    >>> made = Made(partition=None, version="1", at=5, started=3, run_id="r", inputs=(Consumed("raw", None, "7"),))
    >>> found = outlines({"clean": AssetFacts(made={None: made})})["clean"]
    >>> found.keys, found.oldest, found.newest, found.reads, found.settled
    ((None,), 3, 5, {'raw': ((None, None),)}, False)
    """
    if isinstance(assets, OutlinedAssets):
        return assets.outlines()
    return outlines_of(assets, assets)


def last_said(known: AssetFacts) -> Mapping[str | None, Made | Skipped]:
    """What stands of an asset, by partition: the version in place, or what a later call said that left the output out. That tells
    what was read, and by which code, whether it left a version as it is or nothing at all."""
    if not known.skipped:
        return known.made
    # One without the version of its code comes from a journal that does not tell what it read.
    return {**known.made, **{key: one for key, one in known.skipped.items() if one.code_version is not None}}


def outlines_of(assets: Mapping[str, AssetFacts], names: Iterable[str]) -> dict[str, Outline]:
    """The outlines of these assets, of those of which something was made or left out, out of all that is known."""
    return {name: _outline(assets, name, said) for name in names if (said := last_said(assets[name]))}


def _outline(assets: Mapping[str, AssetFacts], name: str, stands: Mapping[str | None, Made | Skipped]) -> Outline:
    settled = True
    reads: dict[str, list[tuple[str | None, str | None]]] = {}
    for key, one in stands.items():
        for used in one.inputs:
            if used.asset == name and used.partition == key:
                continue
            now = assets.get(used.asset, _NOTHING).made.get(used.partition)
            settled = settled and now is not None and now.version == used.version
            reads.setdefault(used.asset, []).append((key, used.partition))
    codes = {one.code_version for one in stands.values() if one.code_version is not None}
    return Outline(
        keys=tuple(stands),
        code=min(codes, default=None),
        mixed=len(codes) > 1,
        oldest=min(one.started for one in stands.values()),
        newest=max((one.at for one in assets[name].made.values()), default=0),
        reads={asset: tuple(pairs) for asset, pairs in reads.items()},
        settled=settled,
    )


EarlierCode: TypeAlias = Callable[[str, str], Mapping[str, str] | None]
"""By an asset's name and a version of its code: the fingerprints that it is made of, see `AssetDefinition.code`; None when
they are not known."""


def _not_known(name: str, version: str) -> None:
    return None


ReadAsInputs: TypeAlias = Callable[[str, frozenset[str]], Mapping[tuple[str | None, str], tuple[str, ...]]]


def _nothing_read(name: str, besides: frozenset[str]) -> Mapping[tuple[str | None, str], tuple[str, ...]]:
    return NONE


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Definitions and facts of assets, by name."""

    definitions: Mapping[str, AssetDefinition] = field(default_factory=dict)
    assets: Mapping[str, AssetFacts] = field(default_factory=dict)
    failed_checks: Mapping[str, tuple[FailedCheck, ...]] = field(default_factory=dict)
    """The checks that the versions in place do not pass, by asset: of the newest partition first."""

    returned: Returned = field(default_factory=dict)
    """When keys of dynamic partitions were added again that had been removed."""

    earlier_code: EarlierCode = field(default=_not_known, compare=False, repr=False)
    """Tells what the versions of the code are made of that made what is in place; asked when that has changed."""

    read_as_inputs: ReadAsInputs = field(default=_nothing_read, compare=False, repr=False)
    """Tells of what is in place of an asset, by partition and version, from which assets besides these the inputs of its function
    were read; asked of what has read an asset that is no input of it."""

    def of(self, name: str) -> AssetFacts:
        """The facts of an asset; none when nothing is known of it."""
        return self.assets.get(name, _NOTHING)

    def is_source(self, name: str) -> bool:
        """Whether nothing here makes it; of an asset that nobody defines that is not known, and it is none."""
        return name in self.definitions and self.definitions[name].is_source

    def exchanged(self, name: str) -> dict[str | None, tuple[str, ...]]:
        """The partitions that the code of now made of assets that it is not given any more, and these assets.

        What a flow passed is nothing that it was given. A `version` says that nothing else counts.
        """
        definition = self.definitions[name]
        if definition.code_version is None or "version" in definition.code:
            return {}
        read = self.read_as_inputs(name, frozenset(used.asset for used in definition.inputs))
        made = self.of(name).made if read else NONE
        return {
            key: read[key, one.version]
            for key, one in made.items()
            if one.code_version == definition.code_version and (key, one.version) in read
        }

    def failed(self, name: str) -> list[Failure]:
        """The newest attempts at an asset that did not publish, without those at what is no partition any more."""
        divided = partitioning(self.definitions[name])
        return [one for key, one in self.of(name).failed.items() if key is None or divided.has(key)]


_NOTHING = AssetFacts()
NOTHING_MADE = Outline()
"""The outline of an asset of which nothing was made."""
