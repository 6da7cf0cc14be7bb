"""What the assets layer says of values and tasks that go to a worker process and back: their origins and definitions.

So an edge of the lineage graph is kept across processes, and a worker knows of an asset what its coordinator knows.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from headwater import ids
from headwater.assets import reading, registry, runtime
from headwater.assets.asset import Asset
from headwater.assets.definitions import AssetDefinition
from headwater.assets.events import AssetDefined
from headwater.assets.forms import frame_form
from headwater.assets.materialize import Materialization
from headwater.assets.scope import Scope, current_scope, scope, tracker
from headwater.assets.settle import settler
from headwater.assets.tracking import Sources, Tracker, walk

if TYPE_CHECKING:
    from headwater.core.context import RunContext
    from headwater.core.definition import Definition
    from headwater.core.journal.events import Body, Event
    from headwater.core.task import Task


class Origin(NamedTuple):
    """A value on its way: its sources, and of a lazy frame those of the leaves of its plan, in their order, with the
    names that the sources have for what lies in memory.
    """

    value: Any
    sources: Sources | None
    leaves: tuple[tuple[Sources, Mapping[str, str]] | None, ...] | None = None


class Known(NamedTuple):
    """What a process knows of an asset."""

    asset: Asset
    definition: AssetDefinition
    event: AssetDefined
    checks: dict[str, Any]
    """Its checks that are functions."""
    is_made: bool
    """Whether something that is loaded makes it."""
    process: int


def leaving(context: RunContext, values: Any, *, back: bool) -> dict[str, Any]:
    """The origins of values, and on the way out the materialization around them; on the way back what was read."""
    run, track, outer = runtime.current(), tracker(context), scope()
    moved = [values[name] for name in ("args", "kwargs", "value") if name in values]
    note: dict[str, Any] = {"origins": list(_origins(run, track, moved))}
    if outer is not None:
        note["read" if back else "scope"] = tuple(outer.read) if back else (outer.inputs, outer.partition)
    return note


def _origins(run: runtime.AssetRuntime, track: Tracker, values: Any) -> Iterable[Origin]:
    for one in walk(values):
        own = track.of(one)
        if frame_form(one) == "lazy":
            known = ((track.of_leaf(leaf), track.names_of(leaf)) for leaf in run.columns.leaves(one))
            yield Origin(one, own, tuple(None if sources is None else (sources, names) for sources, names in known))
        elif own is not None:
            yield Origin(one, own)


def arrived(context: RunContext, note: Mapping[str, Any], *, back: bool) -> None:
    """Follow values that have arrived as what they were where they came from."""
    run, track, outer = runtime.current(), tracker(context), scope()
    for origin in note["origins"]:
        if origin.leaves is not None:
            _remember_leaves(run, track, origin)
        elif origin.sources is not None:
            reading.remember(run, track, origin.value, origin.sources)
    if "scope" in note:
        current_scope.set(Scope(*note["scope"]))
    if outer is not None and "read" in note:
        outer.read.update(dict.fromkeys(note["read"]))


def _remember_leaves(run: runtime.AssetRuntime, track: Tracker, origin: Origin) -> None:
    leaves = run.columns.leaves(origin.value)
    if origin.leaves is not None and len(leaves) == len(origin.leaves):
        for leaf, known in zip(leaves, origin.leaves, strict=True):
            if known is None:
                continue
            sources, names = known
            if leaf.buffers:
                # The frame holds them: as long as it is known, their addresses are theirs.
                track.add_frame(origin.value, {**dict.fromkeys(names), **leaf.buffers}, sources, size=0, names=names)
            else:
                track.add_leaf(leaf, sources)
    if origin.sources is not None:
        track.add(origin.value, origin.sources)


def definitions(found: Sequence[Definition[..., Any]]) -> list[Known]:
    """What is known of the assets that materializations make and read which leave this process."""
    defined, current = runtime.current().definitions, registry.current()
    assets: dict[Asset, None] = {}
    for one in found:
        if isinstance(one, Materialization):
            assets.update(dict.fromkeys([*one.assets, *(spec.asset for spec in one.inputs)]))
    return [
        Known(
            asset,
            defined.of(asset),
            defined.event(asset),
            dict(current.checks.get(asset.name, {})),
            asset.name in current.producers,
            os.getpid(),
        )
        for asset in assets
    ]


def defined(note: Sequence[Known]) -> None:
    """Know of assets what the process knows that they came from."""
    own = runtime.current().definitions
    for one in note:
        own.adopt(one.asset, one.definition, one.event)
        if one.process != os.getpid():
            registry.current().take_over(one.asset, one.checks, is_made=one.is_made)


def stays(task: Task[..., Any]) -> bool:
    """Whether a task makes or reads what is only in the memory of this process."""
    if not isinstance(task, Materialization):
        return False
    run = runtime.current()
    assets = [*task.assets, *(spec.asset for spec in task.inputs)]
    return any(run.keeps_in_memory(run.definitions.ref(asset)) for asset in assets)


def news(bodies: tuple[Body, ...]) -> tuple[Body, ...]:
    """The events without definitions that this process has journaled just so."""
    own = runtime.current().definitions
    return tuple([body for body in bodies if not isinstance(body, AssetDefined) or own.is_news(body)])


def settle(events: Sequence[Event]) -> Iterable[Body]:
    """The outcomes of what a worker had begun to make when it died."""
    run = cast("Any", runtime.current())
    return settler(run.carrier, run.root, run.materializer)(events)


_tokens: weakref.WeakKeyDictionary[Asset, str] = weakref.WeakKeyDictionary()
_assets: weakref.WeakValueDictionary[str, Asset] = weakref.WeakValueDictionary()
"""Assets by a name for the very object: one that goes to a worker and comes back is the one that it was."""
_taken_over: dict[str, Asset] = {}


def _reduced(asset: Asset) -> tuple[Callable[..., Asset], tuple[Any, ...]]:
    token = _tokens.get(asset)
    if token is None:
        token = _tokens[asset] = ids.new_id()
        _assets[token] = asset
    members = {one.name: getattr(asset, one.name) for one in fields(asset)}
    plain = {name: dict(one) if isinstance(one, MappingProxyType) else one for name, one in members.items()}
    return _asset, (token, plain)


def _asset(token: str, members: dict[str, Any]) -> Asset:
    known = _assets.get(token)
    if known is not None:
        return known
    asset = registry.current().assets.get(members["name"])
    if asset is None or asset.at != members["at"] or _taken_over.get(asset.name) is asset:
        # Not one that a module has defined here, too.
        asset = object.__new__(Asset)
        for name, value in members.items():
            object.__setattr__(asset, name, MappingProxyType(value) if isinstance(value, dict) else value)
        _taken_over[asset.name] = asset
        registry.current().take_over(asset, {}, is_made=False)
    _tokens[asset] = token
    _assets[token] = asset
    return asset


REDUCERS = {Asset: _reduced}
"""How assets are pickled."""
