"""Backfill plans as values: which partitions of which assets to make, in which order, and why; and their form as JSON."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from itertools import product
from typing import Any, Literal, TypeAlias, cast

from headwater.assets.definitions import AssetDefinition
from headwater.assets.partitions import PartitionsDefinition, PartitionSet, partitioning, partitions_from_json
from headwater.records import dataclass
from headwater.types import Reason

Order: TypeAlias = Literal["oldest", "newest"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanStep:
    """The partitions of one asset that a plan makes, and why they are in it."""

    asset: str
    partitions: PartitionSet
    reason: Reason
    usual: float | None = None
    """Seconds that one partition usually takes; None when it was never made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vanished:
    """What a plan was to make, and what is not defined any more."""

    asset: str
    keys: tuple[str | None, ...]
    reason: str

    @property
    def units(self) -> tuple[tuple[str, str | None], ...]:
        """The asset with each key."""
        return tuple((self.asset, key) for key in self.keys)


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillPlan:
    """What a backfill will make: steps in topological order, each asset once."""

    steps: tuple[PlanStep, ...] = ()
    vanished: tuple[Vanished, ...] = ()
    """What has vanished from the definitions since the plan was made."""
    order: Order = "oldest"
    as_of: int | None = None
    """The moment (microseconds since the epoch) up to which open-ended partitions reach in it."""

    @property
    def total(self) -> int:
        """The number of units, that is (asset, partition) pairs."""
        return sum(len(step.partitions) for step in self.steps) + sum(len(one.keys) for one in self.vanished)

    @property
    def seconds(self) -> float | None:
        """Seconds that all of it will take, one after the other, if it goes as usual; None when a step was never made before."""
        usual = [(step.usual, len(step.partitions)) for step in self.steps]
        known = [one * count for one, count in usual if one is not None]
        return sum(known) if len(known) == len(usual) else None

    def estimated(self, usual: Mapping[str, float]) -> BackfillPlan:
        """This plan, with the seconds that a partition of each asset usually takes."""
        return replace(self, steps=tuple(replace(step, usual=usual.get(step.asset)) for step in self.steps))

    def only(self, units: Collection[tuple[str, str | None]]) -> BackfillPlan:
        """What of this plan is about these (asset, partition key); others, and what is no partition any more, are left out."""
        keys: dict[str, list[str | None]] = {}
        for asset, key in units:
            keys.setdefault(asset, []).append(key)
        steps = []
        for step in self.steps:
            divided = step.partitions.definition
            wanted = divided.set_of([key for key in keys.get(step.asset, ()) if key in step.partitions])
            if wanted:
                steps.append(replace(step, partitions=wanted))
        gone = [replace(one, keys=tuple(key for key in one.keys if (one.asset, key) in units)) for one in self.vanished]
        return replace(self, steps=tuple(steps), vanished=tuple(one for one in gone if one.keys))

    def to_json(self) -> dict[str, Any]:
        """The plan as JSON, partitions as pairs of first and last key; `plan_from_json` reads it back."""
        return {
            "order": self.order,
            "as_of": self.as_of,
            "total": self.total,
            "steps": [
                {
                    "asset": step.asset,
                    "divided": step.partitions.definition.to_json(),
                    "partitions": step.partitions.to_json(),
                    "reason": step.reason.to_json(),
                }
                for step in self.steps
            ],
        }


def plan_from_json(value: Mapping[str, Any], definitions: Mapping[str, AssetDefinition]) -> BackfillPlan:
    """The plan that `BackfillPlan.to_json` wrote, with what has vanished from the definitions since set aside."""
    steps, vanished = [], []
    for step in value["steps"]:
        name = step["asset"]
        if name not in definitions:
            keys = tuple(keys_then(step))
            vanished.append(Vanished(asset=name, keys=keys, reason=f"the asset '{name}' is not defined any more"))
            continue
        divided = partitioning(definitions[name])
        partitions, gone = _partitions_now(step, divided)
        if gone:
            reason = f"'{name}' has no such partition any more ({divided.describe()})"
            vanished.append(Vanished(asset=name, keys=gone, reason=reason))
        if partitions:
            steps.append(PlanStep(asset=name, partitions=partitions, reason=_reason_from_json(step["reason"])))
    order = cast("Order", value.get("order", "oldest"))
    return BackfillPlan(steps=tuple(steps), vanished=tuple(vanished), order=order, as_of=value.get("as_of"))


def _partitions_now(
    step: Mapping[str, Any], divided: PartitionsDefinition
) -> tuple[PartitionSet, tuple[str | None, ...]]:
    """The partitions of a step that there still are, and the keys of the others."""
    if divided.fixed and step.get("divided") in (None, divided.to_json()):
        # As it was: nothing is enumerated.
        return divided.set_from_json(step["partitions"]), ()
    there: list[str | None] = []
    gone: list[str | None] = []
    for key in keys_then(step):
        (there if divided.has(key) else gone).append(key)
    return divided.set_of(there), tuple(gone)


def keys_then(step: Mapping[str, Any], most: int | None = None) -> Iterable[str | None]:
    """The keys of a step of a plan's JSON, as they were when it was made; none when there are more than `most`."""
    divided = step.get("divided")
    if most is not None and divided is not None and divided["type"] not in ("dynamic", "product"):
        found = partitions_from_json(divided).set_from_json(step["partitions"])
        return found.keys() if len(found) <= most else ()
    return _keys_of(divided, step["partitions"])


def _keys_of(divided: Mapping[str, Any] | None, partitions: Iterable[Any]) -> Iterable[str | None]:
    kind = None if divided is None else divided["type"]
    if divided is not None and kind == "dynamic":
        # Each key by itself: the list may have lost it.
        return [first for first, _ in partitions]
    if divided is not None and kind == "product":
        sides = [(name, one, partitions_from_json(one)) for name, one in divided["dimensions"]]
        return [
            ",".join(f"{name}={of.write(key)}" for (name, _, of), key in zip(sides, keys, strict=True))
            for box in partitions
            for keys in product(*(_keys_of(one, box[name]) for name, one, _ in sides))
        ]
    return partitions_from_json(divided).set_from_json(partitions).keys()


def _reason_from_json(value: Mapping[str, Any]) -> Reason:
    return Reason(value["kind"], value["text"], tuple(_reason_from_json(one) for one in value["because"]))
