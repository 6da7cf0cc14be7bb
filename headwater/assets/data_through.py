"""`data_through`: how far into the world's time the data of an asset reaches, on what basis, and what holds it back.

For every partition the basis is the first of these that exists:

- measured: the greatest value of the time column;
- observed: what an observer said;
- derived: for each input asset the newest end among the partitions that were consumed, then the minimum over the input
  assets. Static inputs, the asset itself and what is made by turns with it don't count; one unknown input makes it unknown;
- claimed: the end of the time partition, when nothing is known of its inputs.

Never beyond the end of the partition or the start of the run that made it. What has no basis is unknown. Of a source that was
recorded and then observed, the later word on how far it reaches counts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable
from dataclasses import field
from functools import cached_property
from typing import Literal, TypeAlias

from headwater.assets.components import components
from headwater.assets.dependencies import Edges, reachable, upstream_edges
from headwater.assets.durations import moment
from headwater.assets.facts import Consumed, Facts, Made, Observed, is_hash
from headwater.assets.partitions import (
    UNPARTITIONED,
    PartitionsDefinition,
    ProductPartitions,
    TimePartitions,
    partitioning,
)
from headwater.errors import PartitionError
from headwater.records import dataclass
from headwater.types import Reason

Basis: TypeAlias = Literal["measured", "observed", "derived", "claimed"]
Node: TypeAlias = tuple[str, str | None, str | None]
"""Asset, partition, and the version where it is not the one in place."""

_SHOWN = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class DataThrough:
    """How far the data of an asset, or of one partition, reaches.

    `end` is in microseconds since the epoch (None: unknown); `complete_through` is the end of the last partition before
    the first missing one, or where the first of the last ones was begun before its time had ended. The path to what
    holds it back, and the words for it, are made when they are asked for.
    """

    end: int | None
    basis: Basis | None
    complete_through: int | None
    gap: bool
    """Whether the data reaches beyond the last partition before the first missing one."""
    kind: str
    """The kind of the reason."""
    _node: Node = field(repr=False)
    _reach: Reach = field(repr=False, compare=False)

    @property
    def witness(self) -> tuple[str, ...]:
        """The path to the input that holds it back, as "asset@partition" or "asset"."""
        return self._reach.witness(self._node)

    @property
    def reason(self) -> Reason:
        """Why it reaches so far: a sentence, and behind it one for each of the first steps of the path."""
        return self._reach.reason(self._node)

    @property
    def text(self) -> str:
        """The sentence alone."""
        return self._reach.sentence(self._node).text


def data_through(facts: Facts, name: str) -> DataThrough:
    """How far the data of an asset reaches: the newest end among its partitions."""
    return Reach(facts).asset(name)


def partition_data_through(facts: Facts, name: str, partition: str | None) -> DataThrough:
    """How far the data of one partition of an asset reaches."""
    return Reach(facts).partition(name, partition)


@dataclass(frozen=True, slots=True)
class _End:
    at: int | None
    basis: Basis | None
    kind: str
    held: Node | None = None
    """The input that decides it."""


class Reach:
    """Answers for many assets of the same facts, each partition being worked out once."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._ends: dict[Node, _End] = {}
        self._groups: dict[Node, dict[str, list[Node]]] = {}
        self._windows: dict[tuple[str, str], int | None] = {}
        self._whole_to: dict[tuple[PartitionsDefinition, tuple[str | None, ...]], tuple[str | None, ...]] = {}
        self._paths: dict[Node, tuple[tuple[str, ...], Node]] = {}
        self._said: dict[Node, Reason] = {}
        self._turns_of: dict[str, Collection[str]] = {}

    def asset(self, name: str) -> DataThrough:
        """How far the data of an asset reaches."""
        node, end = self._newest(name)
        return self._answer(node, end, *self._complete(name))

    def partition(self, name: str, partition: str | None) -> DataThrough:
        """How far the data of one partition reaches."""
        node = (name, partition, None)
        return self._answer(node, self._end(node))

    def version_end(self, name: str, partition: str | None, version: str) -> int | None:
        """How far the data of a version that was replaced reached."""
        return self._end((name, partition, version)).at

    def counts(self, name: str) -> Callable[[str | None], bool]:
        """Tells of a key whether it is one of a partition of that asset, as it is divided now.

        Of time partitions all keys are: what was made by day reaches as far when the asset is divided by month.
        """
        definition = self._facts.definitions.get(name)
        divided = None if definition is None else partitioning(definition)
        if divided is None or isinstance(divided, TimePartitions):
            whole = not self._partitioned(name)
            return lambda key: (key is None) == whole
        return divided.has

    def witness(self, node: Node) -> tuple[str, ...]:
        """The path from a partition to what holds it back, as labels."""
        return self._path(node)[0]

    def sentence(self, node: Node) -> Reason:
        """How far a partition reaches, and on what basis, without what stands behind it."""
        if node not in self._said:
            end = self._end_of(node)
            there = moment(end.at) if end.at is not None else ""
            held = label(end.held[0], end.held[1]) if end.held is not None else ""
            name, partition, version = node
            what = label(name, partition)
            if version is not None:
                what = f"the version of {what} that was read"
            text = _SENTENCES[end.kind].format(what=what, there=there, held=held)
            self._said[node] = Reason(end.kind, text)
        return self._said[node]

    def reason(self, node: Node) -> Reason:
        """How far a partition reaches, with a sentence for each of the first steps up to what holds it back."""
        witness, origin = self._path(node)
        shown = [node]
        while len(shown) < min(len(witness), _SHOWN):
            shown.append(self._end_of(shown[-1]).held or origin)
        steps = [self.sentence(one) for one in shown]
        if len(witness) > _SHOWN:
            more = Reason("more", f"… {len(witness) - _SHOWN} more steps up …")
            steps[-1:] = [more, self.sentence(origin)]
        return Reason(steps[0].kind, steps[0].text, tuple(steps[1:]))

    def _newest(self, name: str) -> tuple[Node, _End]:
        best: tuple[Node, _End] | None = None
        unknown: tuple[Node, _End] | None = None
        for limit, node in self._candidates(name):
            if best is not None and limit <= (best[1].at or 0):
                break
            end = self._end(node)
            if end.at is None:
                unknown = unknown or (node, end)
            elif best is None or end.at > (best[1].at or 0):
                best = node, end
        whole = (name, None, None)
        return best or self._whole(name, whole) or unknown or (whole, self._never(name))

    def _whole(self, name: str, node: Node) -> tuple[Node, _End] | None:
        # An observation of a partitioned asset as a whole counts when no partition tells more.
        seen = self._facts.of(name).observed.get(None)
        return (node, self._end(node)) if seen is not None and self._partitioned(name) else None

    def _candidates(self, name: str) -> list[tuple[float, Node]]:
        """The partitions of an asset with the furthest that each can reach, furthest first."""
        facts = self._facts.of(name)
        limits: dict[str | None, float] = {}
        for key, seen in facts.observed.items():
            limits[key] = -math.inf if seen.data_through is None else min(seen.data_through, seen.at)
        for key, made in facts.made.items():
            limit = self._limit(name, made)
            limits[key] = max(limits[key], limit) if key in limits else limit
        counts = self.counts(name)
        found: list[tuple[float, Node]] = [(limit, (name, key, None)) for key, limit in limits.items() if counts(key)]
        return found if len(found) < 2 else sorted(found, key=lambda item: (item[0], item[1][1] or ""), reverse=True)

    def _end(self, node: Node) -> _End:
        found = self._ends.get(node)
        if found is not None:
            return found
        for group in components([node], self._open):
            members = frozenset(group) if len(group) > 1 else frozenset()
            for member in group:
                self._ends[member] = self._work_out(member, members)
        return self._ends[node]

    def _end_of(self, node: Node) -> _End:
        """The end of a partition, of an asset as a whole too when none of its partitions tells anything."""
        return self._ends.get(node) or self._never(node[0])

    def _open(self, node: Node) -> Iterable[Node]:
        """The consumed partitions that must be known before this one is, without those that are known."""
        name, _, _ = node
        made, observed = self._versions(node)
        if made is None or made.unknown_inputs or self._stated(name, made, observed) is not None:
            return ()
        groups = self._groups[node] = self._consumed(name, made)
        return [used for nodes in groups.values() for used in nodes if used not in self._ends]

    def _work_out(self, node: Node, cycle: frozenset[Node]) -> _End:
        name, _, version = node
        made, observed = self._versions(node)
        if made is None and observed is None:
            if version is not None:
                return _End(None, None, "replaced")
            return self._never(name)
        stated = self._stated(name, made, observed)
        if stated is not None or made is None:
            return stated or _End(None, None, "not_told")
        if made.unknown_inputs:
            return _End(None, None, "unknown_inputs")
        groups = self._groups.pop(node)
        return self._derived(name, made, groups, cycle) if groups else self._claimed(name, made)

    def _never(self, name: str) -> _End:
        return _End(None, None, "never_observed" if self._facts.is_source(name) else "never_made")

    def _stated(self, name: str, made: Made | None, observed: Observed | None) -> _End | None:
        """The end that was measured or observed, if any."""
        end = None if observed is None or not _of_this_version(made, observed) else observed.data_through
        measured = None if made is None or made.rows == 0 else made.time_max
        # Of a source the last word counts that tells an end.
        if made is not None and measured is not None and (end is None or not self._is_seen_since(name, made, observed)):
            return self._capped(name, made, measured, "measured")
        if observed is None or end is None:
            return None
        end = min(end, observed.at)
        window = self._end_of_window(name, observed if made is None else made)
        return _End(end if window is None else min(end, window), "observed", "observed")

    def _derived(self, name: str, made: Made, groups: dict[str, list[Node]], cycle: frozenset[Node]) -> _End:
        least: tuple[int, Node] | None = None
        for asset in sorted(groups):
            known = [
                (end.at, used)
                for used in groups[asset]
                if used not in cycle and (end := self._ends[used]).at is not None
            ]
            if not known:
                held = max(groups[asset], key=_age)
                return _End(None, None, "cycle" if held in cycle else "input_unknown", held)
            newest = max(known, key=lambda item: (item[0] or 0, _age(item[1])))
            if least is None or (newest[0] or 0) < least[0]:
                least = newest[0] or 0, newest[1]
        assert least is not None, "there is no group without an end here"
        limit = self._limit(name, made)
        return (
            _End(int(limit), "derived", "capped")
            if limit < least[0]
            else _End(least[0], "derived", "derived", least[1])
        )

    def _claimed(self, name: str, made: Made) -> _End:
        if made.rows == 0:
            return _End(None, None, "empty")
        end = self._end_of_window(name, made)
        return _End(None, None, "no_basis") if end is None else self._capped(name, made, end, "claimed")

    def _capped(self, name: str, made: Made, end: int, basis: Basis) -> _End:
        if made.partition_start is not None and made.started <= made.partition_start:
            # What was made before its time began tells nothing of the world's time.
            return _End(None, None, "too_early")
        return _End(int(min(end, self._limit(name, made))), basis, basis)

    def _limit(self, name: str, made: Made) -> float:
        """The furthest that a partition can reach: its end, and the start of the run that made it."""
        end = self._end_of_window(name, made)
        return made.started if end is None else min(end, made.started)

    def _end_of_window(self, name: str, told: Made | Observed) -> int | None:
        return self._window_end(name, told.partition) if told.partition_end is None else told.partition_end

    def _window_end(self, name: str, partition: str | None) -> int | None:
        definition = self._facts.definitions.get(name)
        if definition is None or partition is None:
            return None
        # By name: to compare long lists of partitions, which assets may share, takes longer than to look into one.
        key = (name, partition)
        if key not in self._windows:
            try:
                self._windows[key] = partitioning(definition).partition(partition).end_us
            except PartitionError:
                self._windows[key] = None
        return self._windows[key]

    def _versions(self, node: Node) -> tuple[Made | None, Observed | None]:
        name, partition, version = node
        facts = self._facts.of(name)
        made, seen = facts.made.get(partition), facts.observed.get(partition)
        if version is None:
            return made, seen
        return (
            made if made and made.version == version else facts.replaced.get((partition, version)),
            seen if seen and seen.version == version else facts.observed_before.get((partition, version)),
        )

    def _consumed(self, name: str, made: Made) -> dict[str, list[Node]]:
        """What was consumed, by input asset, without static inputs, the asset itself and what is made by turns with it."""
        groups: dict[str, list[Node]] = {}
        definitions, assets, turns = self._facts.definitions, self._facts.assets, self._turns(name)
        for used in made.inputs:
            asset = used.asset
            definition = definitions.get(asset)
            if asset == name or asset in turns or (definition is not None and definition.static):
                continue
            known = assets.get(asset)
            now = None if known is None else known.made.get(used.partition)
            # Nearly always it is in place still, and nobody else gave word of it.
            if known is not None and now is not None and now.version == used.version and not known.observed:
                nodes: Iterable[Node] = ((asset, used.partition, None),)
            else:
                nodes = self._nodes(used, made)
            groups.setdefault(asset, []).extend(nodes)
        return groups

    def _turns(self, name: str) -> Collection[str]:
        """The inputs of an asset that are made of it themselves, and of which it reads no more than the past."""
        found = self._turns_of.get(name)
        if found is None:
            definition = self._facts.definitions.get(name)
            inputs = () if definition is None else definition.inputs
            past = {used.asset for used in inputs if used.mapping.only_past}
            past -= {name, *(used.asset for used in inputs if not used.mapping.only_past)}
            found = self._turns_of[name] = [one for one in past if name in reachable([one], self._edges)]
        return found

    @cached_property
    def _edges(self) -> Edges:
        return upstream_edges(self._facts.definitions)

    def _nodes(self, used: Consumed, by: Made) -> Iterable[Node]:
        facts, part = self._facts.of(used.asset), used.partition
        if part is None and None not in facts.made and None not in facts.observed and self._partitioned(used.asset):
            # Read as a whole: whatever was in place by then.
            there = [(used.asset, key, None) for key, one in facts.made.items() if one.at <= by.started]
            return there or [(used.asset, None, None)]
        return [(used.asset, part, self._version_read(used, by))]

    def _version_read(self, used: Consumed, by: Made) -> str | None:
        """Which version was read: None for the one in place, else an earlier one."""
        facts, part, version = self._facts.of(used.asset), used.partition, used.version
        made, seen = facts.made.get(part), facts.observed.get(part)
        others = made is None or made.code_version is None or self._facts.is_source(used.asset)
        now = self._last_word(used.asset, made, seen)
        if now is None or (version is not None and version == now.version):
            return None
        known_by_then = now.since <= by.started
        if known_by_then and others and version and now.version and is_hash(version) != is_hash(now.version):
            return None  # the last word may well be about what was read: their names can't be compared
        if version is not None and (not others or self._versions((used.asset, part, version)) != (None, None)):
            return version
        # Somebody else's word on the data may name versions in another way than the data itself does, or none at all:
        # then it is the last one by the time of reading that counts, and failing that a later one of ours.
        if known_by_then:
            return None
        ours = ((one.at, one.version) for (key, _), one in facts.replaced.items() if key == part)
        words = facts.told.get(part, ()) if others else ours
        _, then = max((word for word in words if word[0] <= by.started), default=(0, None))
        if then is not None:
            return None if then == now.version else then
        return None if version is None or now.version is None else version

    def _last_word(self, name: str, made: Made | None, seen: Observed | None) -> Made | Observed | None:
        """What tells of the data that is there: of a source that was recorded it may be a later look, at another version."""
        if made is None:
            return seen
        if seen is None or seen.version in (None, made.version) or not self._is_seen_since(name, made, seen):
            return made
        return seen

    def _is_seen_since(self, name: str, made: Made, seen: Observed | None) -> bool:
        """Whether it is a source, and was observed after it was recorded."""
        return seen is not None and seen.at > made.at and self._facts.is_source(name)

    def _partitioned(self, name: str) -> bool:
        definition = self._facts.definitions.get(name)
        if definition is None:
            return None not in self._facts.of(name).made and None not in self._facts.of(name).observed
        return partitioning(definition) is not UNPARTITIONED

    def _complete(self, name: str) -> tuple[int | None, int | None]:
        """To where the data of an asset is complete, and the end of the last partitions before the first missing one."""
        definition = self._facts.definitions.get(name)
        if definition is None or not self._partitioned(name):
            return None, None
        facts, divided = self._facts.of(name), partitioning(definition)
        keys = (*facts.made, *facts.observed)
        if (divided, keys) not in self._whole_to:
            self._whole_to[divided, keys] = _before_first_gap(divided, frozenset(keys))
        last = self._whole_to[divided, keys]
        end = self._window_end(name, last[0]) if last else None
        begun = [facts.made[key].started for key in last if key in facts.made]
        return (None if end is None else min([end, *begun])), end

    def _answer(self, node: Node, end: _End, complete: int | None = None, whole: int | None = None) -> DataThrough:
        return DataThrough(
            end=end.at,
            basis=end.basis,
            complete_through=complete,
            gap=end.at is not None and whole is not None and end.at > whole,
            kind=end.kind,
            _node=node,
            _reach=self,
        )

    def _path(self, node: Node) -> tuple[tuple[str, ...], Node]:
        """The path from a partition to what holds it back, as labels, and its last node."""
        passed = []
        following: Node | None = node
        while following is not None and following not in self._paths:
            passed.append(following)
            end = self._end_of(following)
            following = None if end.kind == "cycle" else end.held
        path, origin = ((), passed[-1]) if following is None else self._paths[following]
        for one in reversed(passed):
            path = (label(one[0], one[1]), *path)
            self._paths[one] = path, origin
        return path, origin


def _before_first_gap(divided: PartitionsDefinition, keys: frozenset[str | None]) -> tuple[str | None, ...]:
    """The key of the last partition before the first one that is not among the keys; of a product those of one time."""
    if isinstance(divided, ProductPartitions):
        return divided.before_first_gap(keys)
    last: tuple[str | None, ...] = ()
    for low, high in divided.existing:
        for key in map(divided.key, range(low, high)):
            if key not in keys:
                return last
            last = (key,)
    return last


_SENTENCES = {
    "measured": "{what} has rows up to {there}",
    "observed": "{what} was observed to reach to {there}",
    "derived": "{what} reaches to {there}, as far as its input {held}",
    "capped": "{what} reaches to {there}, the end of its partition or the start of the run that made it",
    "claimed": "{what} reaches to {there}, the end of its partition or the start of the run that made it",
    "never_made": "{what} was never made",
    "never_observed": "{what} was never observed",
    "not_told": "{what} was observed, but nobody said how far its data reaches",
    "empty": "{what} has no rows, so nothing in it says how far it reaches",
    "no_basis": "{what} has no time column, no time partition and no known inputs",
    "too_early": "{what} was made before its own time began",
    "unknown_inputs": "{what} was made of something that is not known",
    "input_unknown": "{what} was made of {held}, and how far that reaches is not known",
    "replaced": "{what} has been replaced, and how far it reached is not known",
    "cycle": "{what} was made of itself, by way of {held}",
}


def label(name: str, partition: str | None) -> str:
    """An asset, or one partition of it, as it is written everywhere.

    >>> label("delays", "2013-01-05"), label("scores", None)
    ('delays@2013-01-05', 'scores')
    """
    return name if partition is None else f"{name}@{partition}"


def _age(node: Node) -> str:
    return node[1] or ""


def _of_this_version(made: Made | None, observed: Observed) -> bool:
    """Whether an observation tells of the data in place: not when it names another version and is older."""
    return made is None or observed.version in (None, made.version) or observed.at > made.at
