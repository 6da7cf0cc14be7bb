"""What a materialization reads while its function runs: its scope, the tracker that it asks, the sources it was seen to use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from dataclasses import field
from typing import TYPE_CHECKING, Any

from headwater.assets import runtime, value_lineage
from headwater.assets.asset import Asset
from headwater.assets.events import InputVersion
from headwater.assets.forms import frame_form
from headwater.assets.inputs import InputSpec
from headwater.assets.mappings import infer_mapping
from headwater.assets.partitions import Partition, PartitionSet
from headwater.assets.tracking import Sources, Tracker, as_value, walk
from headwater.core.runners import layers
from headwater.records import dataclass

if TYPE_CHECKING:
    from headwater.core.context import RunContext

layers.register("headwater.assets.carrying")

_TRACKER = "headwater.tracker"
_PLAIN = frozenset({dict, list, tuple, set, frozenset})


@dataclass(slots=True, eq=False)
class Scope:
    """The materialization whose function is running: what it makes, and what it was seen to read while it ran."""

    inputs: tuple[InputSpec, ...]
    partition: Partition | None
    read: dict[InputVersion, None] = field(default_factory=dict)

    def reads_of(self, asset: Asset) -> PartitionSet | None:
        """The partitions of a divided asset that the partition which is being made reads; None when nothing says it."""
        if asset.partitions is None or self.partition is None or self.partition.definition is None:
            return None
        below = self.partition.definition
        mapping = next((spec.mapping for spec in self.inputs if spec.asset.name == asset.name), None)
        mapping = mapping or infer_mapping(asset.partitions, below)
        return mapping.upstream(below.set_of([self.partition.key]), asset.partitions)


current_scope: ContextVar[Scope | None] = ContextVar("headwater_materialization", default=None)


def scope() -> Scope | None:
    """The materialization whose function is running in this context."""
    return current_scope.get()


_process = Tracker()


def tracker(context: RunContext | None) -> Tracker:
    """The tracker of a flow's root run, shared by everything in it; of calls outside any flow, one for the process.

    A notebook calls one materialization after the other, each a run of its own: values go from one to the next all the same.
    """
    if context is None or _root_type(context) in ("task", "materialize"):
        return _process
    found: Tracker | None = context.extras.get(_TRACKER)
    return found or context.extras.setdefault(_TRACKER, Tracker())


def _root_type(context: RunContext) -> str:
    while context.run.parent is not None:
        context = context.run.parent
    return context.type


@dataclass(slots=True, kw_only=True)
class Consumed:
    """What a call was seen to read: sources, values of unknown origin, and the tracker that knows more."""

    tracker: Tracker
    sources: dict[InputVersion, None] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)
    only: Mapping[tuple[str, str], frozenset[str | None]] | None = None
    """By dataset, the keys of the partitions that count, when a call reads more than what one of its partitions is made of."""

    def kept(self, sources: Iterable[InputVersion]) -> Sources:
        """Those of the sources that count."""
        only = self.only
        if only is None:
            return tuple(sources)
        return tuple(
            one
            for one in sources
            if (one.namespace, one.dataset) not in only or one.partition in only[one.namespace, one.dataset]
        )

    def add(self, sources: Sources) -> None:
        """Add sources, each once."""
        self.sources.update(dict.fromkeys(sources))

    def add_value(self, run: runtime.AssetRuntime, name: str, value: Any) -> None:
        """Add what stands behind a passed value; a frame that nobody knows is of unknown origin, and said to be."""
        for one in walk(value):
            known = self.tracker.of(one)
            if known is not None:
                self.add(as_value(known, "value"))
                continue
            kind = None if type(one) in _PLAIN else frame_form(one)
            if kind is None:
                continue
            if kind == "lazy":
                found, unknown = value_lineage.plan_sources(run, self.tracker, one)
                self.add(as_value(found, "plan"))
                self.unknown.extend(f"the argument '{name}': {reason}" for reason in unknown)
            else:
                self.unknown.append(f"the argument '{name}' holds a {type(one).__name__} of unknown origin")
