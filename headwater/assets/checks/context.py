"""The data that checks look at, staged or in place, and what is known around it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field
from typing import TYPE_CHECKING, Any

from headwater.assets.checks.history import LOADED, PastVersion, histories
from headwater.assets.forms import frame_form
from headwater.records import dataclass

if TYPE_CHECKING:
    from headwater.assets.asset import Asset
    from headwater.assets.events import ColumnSchema, InputVersion
    from headwater.assets.facts import Facts
    from headwater.assets.partitions import Partition
    from headwater.assets.protocols import Form
    from headwater.assets.runtime import AssetRuntime

HISTORY = 400
"""So many earlier versions are looked at, at most."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CheckContext:
    """What a check may know beside the data: a parameter `context` of a check's function receives it.

    `version` is the version that is checked, `rows`, `bytes` and `columns` are its own (None where they are not known),
    `inputs` the versions that it was made of, `now` the time in microseconds since the epoch.
    """

    asset: Asset
    partition: Partition | None
    now: int
    version: str | None = None
    rows: int | None = None
    bytes: int | None = None
    columns: tuple[ColumnSchema, ...] = ()
    runtime: AssetRuntime = field(repr=False)
    data: Callable[[], Any] = field(repr=False)
    """Gives a polars.LazyFrame, or the value itself where it is no table."""
    relation: Callable[[], Any] = field(repr=False)
    """Gives the data as an input of a query."""
    sources: Callable[[], tuple[InputVersion, ...]] = field(default=tuple, repr=False)
    """Gives what the data was made of."""

    @property
    def inputs(self) -> tuple[InputVersion, ...]:
        """The versions that the data was made of."""
        return self.sources()

    @property
    def key(self) -> str | None:
        """The key of the partition; None for an asset without partitions."""
        return None if self.partition is None else self.partition.key

    def data_as(self, form: Form) -> Any:
        """The data in the form asked for; what is no table as it is."""
        value = self.data()
        return value if frame_form(value) is None else self.runtime.convert(value, form)

    def history(self) -> tuple[PastVersion, ...]:
        """The versions that were published before this one, the newest first.

        With partitions: the version in place of each other partition; of partitions in time, of those before this one.
        """
        before = None if self.partition is None else self.partition.start_us
        loaded = self._loaded()
        found = [one for one in loaded if before is None or one.start is None or one.start < before]
        if len(loaded) >= LOADED and len(found) < HISTORY:
            ref = self.runtime.definitions.ref(self.asset)
            found = list(self.runtime.catalog.history(ref, before=before, limit=HISTORY))
        own = self.key
        past = [one for one in found if one.version != self.version and (own is None or one.partition != own)]
        return tuple(past[:HISTORY])

    def last(self) -> PastVersion | None:
        """The version that was published last, of whichever partition; None when there is none."""
        others = [one for one in self._loaded() if one.version != self.version]
        return max(others, key=lambda one: one.at, default=None)

    def this(self) -> PastVersion | None:
        """What is known of this very version, when it is in place."""
        return next((one for one in self._loaded() if one.version == self.version), None)

    def _loaded(self) -> tuple[PastVersion, ...]:
        return histories(self.runtime).of(self.runtime.definitions.ref(self.asset))

    def facts(self) -> Facts:
        """What is known of the inputs, and of everything upstream of them."""
        from headwater.assets.events import AssetRef

        refs = [
            AssetRef(name=one.asset, uri="", kind="", namespace=one.namespace, dataset=one.dataset)
            for one in self.inputs
        ]
        return self.runtime.catalog.facts(refs)
