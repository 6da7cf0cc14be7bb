"""The progress of a backfill: which unit, that is (asset, partition), may run next. Pure, and without a clock.

A unit waits for the planned units that it reads. Each waits for one of them at a time, the one that is expected to end
last, so that windows of any width cost little; what has ended is stepped over by a union-find.
"""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from headwater.assets.data_through import label
from headwater.assets.intervals import Intervals
from headwater.assets.mappings import PartitionMapping
from headwater.assets.partitions import Partition, PartitionSet
from headwater.errors import PartitionError, UnknownNameError, UsageError
from headwater.types import Reason

if TYPE_CHECKING:
    from headwater.assets.backfill import BackfillPlan
    from headwater.assets.definitions import AssetDefinition

Unit: TypeAlias = tuple[str, str | None]
"""An asset's name and a partition's key."""

_OUTCOMES = ("completed", "skipped", "failed", "blocked")
_COUNTED = ("requested", "completed", "failed", "running", "skipped", "blocked")
_FAR = -(1 << 62)


class Blocked(NamedTuple):
    """A unit that can't run any more, its partition as a key, and why."""

    asset: str
    partition: str | None
    reason: Reason


class Progress:
    """Hands out the units of a plan in an order that respects what they read, and takes their outcomes.

    `done` are outcomes that are known already (completed, skipped, failed, blocked) by (asset, partition key);
    `blocked` are the units that can't run because of them. `ranges` names the assets whose units are handed out several at a
    time, by `take`, and how many at most. Not thread-safe.

    >>> from headwater.assets.backfill import BackfillPlan, PlanStep
    >>> from headwater.assets.definitions import AssetDefinition
    >>> from headwater.assets.events import AssetRef
    >>> from headwater.assets.partitions import DailyPartitions
    >>> ref = AssetRef(name="clicks", uri="memory://clicks", kind="memory", namespace="memory", dataset="clicks")
    >>> days = DailyPartitions("2013-01-01", "2013-01-03")
    >>> step = PlanStep(asset="clicks", partitions=days.all(), reason=Reason("requested", "clicks was asked for"))
    >>> progress = Progress(BackfillPlan(steps=(step,)), {"clicks": AssetDefinition(ref=ref, partitions=days)})
    >>> progress.next(), progress.next(), progress.next()
    (('clicks', Partition('2013-01-01')), ('clicks', Partition('2013-01-02')), None)
    >>> progress.finished("clicks", "2013-01-01", "completed"), progress.done
    ((), False)
    """

    def __init__(
        self,
        plan: BackfillPlan,
        definitions: Mapping[str, AssetDefinition],
        done: Mapping[Unit, str] | None = None,
        ranges: Mapping[str, int | None] | None = None,
    ) -> None:
        self._as_of, self._sign = plan.as_of, -1 if plan.order == "newest" else 1
        self._steps = [_Step(step.asset, index, step.partitions, self._sign) for index, step in enumerate(plan.steps)]
        self._by_name = {step.name: step for step in self._steps}
        self._gone = {unit for one in plan.vanished for unit in one.units}
        wanted = [(one.asset, len(one.partitions)) for one in plan.steps]
        wanted += [(one.asset, len(one.keys)) for one in plan.vanished]
        self._counts = dict.fromkeys(_COUNTED, 0)
        self._counts["requested"] = plan.total
        self._by_asset = {name: dict.fromkeys(_COUNTED, 0) for name, _ in wanted}
        for name, count in wanted:
            self._by_asset[name]["requested"] += count
        self._left = plan.total
        self._ready: list[tuple[float, int, int, Partition]] = []
        self._pools = {name: _Pool(most) for name, most in (ranges or {}).items() if name in self._by_name}
        for step in self._steps:
            for used in definitions[step.name].inputs:
                if used.asset in self._by_name:
                    above = self._by_name[used.asset]
                    step.inputs.append((above, used.mapping))
                    above.readers.append((step, used.mapping))
        self.blocked = self._begin(done or {})

    def next(self) -> tuple[str, Partition] | None:
        """A unit that may run now, which from here on counts as running; None when none may."""
        while self._ready:
            _, index, turned, partition = heapq.heappop(self._ready)
            step, number = self._steps[index], turned * self._sign
            if step.open.has(number) and number not in step.running:
                self._run(step, number)
                return step.name, partition
        return None

    def take(self) -> tuple[str, tuple[Partition, ...]] | None:
        """A unit that may run now, or of an asset in `ranges` several that follow one another; None when none may.

        Units of such an asset wait until a call of full size, or all that is left of the asset, may run; they wait no longer
        when nothing else can run.
        """
        one = self.next()
        if one is not None:
            return one[0], (one[1],)
        for patient in (True, False):
            for name, pool in self._pools.items():
                step = self._by_name[name]
                numbers = pool.stretch(step, self._sign, all_of_it=not patient or self._is_whole(step, pool))
                if numbers:
                    for number in numbers:
                        self._run(step, number)
                    return name, tuple(step.partitions.definition.at(number) for number in sorted(numbers))
            if self._counts["running"]:
                return None
        return None

    def _run(self, step: _Step, number: int) -> None:
        step.running.add(number)
        self._counts["running"] += 1
        self._by_asset[step.name]["running"] += 1

    def _is_whole(self, step: _Step, pool: _Pool) -> bool:
        """Whether no unit of a step waits for anything any more."""
        counts = self._by_asset[step.name]
        ended = sum(counts[state] for state in (*_OUTCOMES, "running"))
        return len(pool.ready) >= len(step.partitions) - ended

    def finished(self, asset: str, partition: str | None, state: str) -> tuple[Blocked, ...]:
        """Take the outcome of a unit, running or not; the answer is what can't run any more because of it.

        The first outcome of a unit stands. Raises UnknownNameError for what is not in the plan, UsageError for an
        unknown state.
        """
        if state not in _OUTCOMES:
            raise UsageError(f"'{state}' is not an outcome", where=label(asset, partition), hint=", ".join(_OUTCOMES))
        if (asset, partition) in self._gone:
            self._gone.discard((asset, partition))
            self._count(asset, state)
            return ()
        step, number = self._unit(asset, partition)
        if not step.open.has(number):
            return ()
        if number in step.running:
            step.running.discard(number)
            self._counts["running"] -= 1
            self._by_asset[asset]["running"] -= 1
        self._settle(step, number, state)
        blocked = tuple(self._block(step, [number])) if state in ("failed", "blocked") else ()
        for below, waiting in step.waiters.pop(number, ()):
            self._look(below, waiting)
        return blocked

    def counts(self) -> dict[str, int]:
        """How many units were requested, completed, failed, are running, were skipped, are blocked."""
        return dict(self._counts)

    def by_asset(self) -> dict[str, dict[str, int]]:
        """The same by asset, in the plan's order."""
        return {name: dict(counts) for name, counts in self._by_asset.items()}

    @property
    def done(self) -> bool:
        """Whether every unit has its outcome."""
        return self._left == 0

    def _begin(self, done: Mapping[Unit, str]) -> tuple[Blocked, ...]:
        bad: list[tuple[_Step, int]] = []
        for (asset, partition), state in done.items():
            if state in _OUTCOMES and (asset, partition) in self._gone:
                self._gone.discard((asset, partition))
                self._count(asset, state)
                continue
            try:
                step, number = self._unit(asset, partition)
            except (UnknownNameError, PartitionError):
                continue  # the plan has changed since
            if state not in _OUTCOMES:
                continue  # it was launched and never ended
            self._settle(step, number, state)
            if state in ("failed", "blocked"):
                bad.append((step, number))
        blocked = [one for step, number in bad for one in self._block(step, [number])]
        for step in self._steps:
            for low, high in step.partitions.intervals:
                for number in range(low, high):
                    self._look(step, number)
        return tuple(blocked)

    def _unit(self, asset: str, partition: str | None) -> tuple[_Step, int]:
        step = self._by_name.get(asset)
        if step is None:
            raise UnknownNameError.of("asset", asset, self._by_name, where="the plan of the backfill")
        number = step.number(partition)
        if not step.open.planned(number):
            raise PartitionError(f"{label(asset, partition)} is not planned", where=str(step.partitions)[:200])
        return step, number

    def _settle(self, step: _Step, number: int, state: str) -> None:
        step.open.settle(number)
        if state in ("failed", "blocked"):
            step.bad.add(number)
        self._count(step.name, state)

    def _count(self, asset: str, state: str) -> None:
        self._counts[state] += 1
        self._by_asset[asset][state] += 1
        self._left -= 1

    def _look(self, step: _Step, number: int) -> None:
        """Let an open unit wait for something that it reads, or make it ready."""
        if not step.open.has(number) or number in step.running:
            return
        here = step.partitions.definition.clip(((number, number + 1),))
        for above, mapping in step.inputs:
            reads = mapping.upstream(here, above.partitions.definition, as_of=self._as_of).intervals
            if above is step:
                reads = _before(reads, number)
            waits_for = above.open.last(reads)
            if waits_for is not None:
                above.waiters.setdefault(waits_for, []).append((step, number))
                return
        if step.name in self._pools:
            self._pools[step.name].add(number * self._sign)
            return
        partition = step.partitions.definition.at(number)
        heapq.heappush(self._ready, (self._rank(partition, number), step.index, number * self._sign, partition))

    def _rank(self, partition: Partition, number: int) -> float:
        if partition.key is None:
            return float("-inf")
        start = partition.start_us
        return self._sign * (number if start is None else start)

    def _block(self, step: _Step, numbers: list[int]) -> Iterator[Blocked]:
        """Block everything that reads these units, directly or not."""
        work = [(step.index, numbers)]
        while work:
            index, numbers = heapq.heappop(work)
            step = self._steps[index]
            divided = step.partitions.definition
            bad = divided.clip((number, number + 1) for number in numbers)
            for below, mapping in step.readers:
                hit = list(self._hit(step, below, mapping, bad))
                for number in hit:
                    self._settle(below, number, "blocked")
                    key = below.partitions.definition.key(number)
                    yield Blocked(below.name, key, self._why(step, below, mapping, number))
                    for further, waiting in below.waiters.pop(number, ()):
                        self._look(further, waiting)
                if hit:
                    heapq.heappush(work, (below.index, hit))

    def _hit(self, step: _Step, below: _Step, mapping: PartitionMapping, bad: PartitionSet) -> Iterator[int]:
        readers = mapping.downstream(bad, below.partitions.definition, as_of=self._as_of)
        first = bad.intervals[0][0]
        for number in below.open.within(readers.intervals):
            if number in below.running or (below is step and number <= first):
                continue
            if mapping.needs is None or not self._enough(step, below, mapping, number):
                yield number

    def _enough(self, step: _Step, below: _Step, mapping: PartitionMapping, number: int) -> bool:
        here = below.partitions.definition.clip(((number, number + 1),))
        reads = mapping.upstream(here, step.partitions.definition, as_of=self._as_of)
        lost = sum(at in step.bad for low, high in reads.intervals for at in range(low, high))
        return len(reads) - lost >= mapping.enough(len(reads))

    def _why(self, step: _Step, below: _Step, mapping: PartitionMapping, number: int) -> Reason:
        here = below.partitions.definition.clip(((number, number + 1),))
        reads = mapping.upstream(here, step.partitions.definition, as_of=self._as_of).intervals
        at = next((at for low, high in reads for at in range(high - 1, low - 1, -1) if at in step.bad), None)
        key = None if at is None else step.partitions.definition.key(at)
        return Reason("upstream_failed", f"its input {label(step.name, key)} was not made")


class _Step:
    """One asset of the plan: its units, what they read, and who waits for them."""

    __slots__ = ("_numbers", "bad", "index", "inputs", "name", "open", "partitions", "readers", "running", "waiters")

    def __init__(self, name: str, index: int, partitions: PartitionSet, sign: int) -> None:
        self.name, self.index, self.partitions = name, index, partitions
        self.open = _Open(partitions.intervals, sign)
        self.inputs: list[tuple[_Step, PartitionMapping]] = []
        self.readers: list[tuple[_Step, PartitionMapping]] = []
        self.waiters: dict[int, list[tuple[_Step, int]]] = {}
        self.running: set[int] = set()
        self.bad: set[int] = set()
        divided = partitions.definition
        # A key that is removed while the plan is carried out stays a unit of it.
        self._numbers = (
            None if divided.fixed else {divided.key(at): at for span in partitions.intervals for at in range(*span)}
        )

    def number(self, key: str | None) -> int:
        """The number of a unit; a PartitionError when there is none of that key."""
        found = None if self._numbers is None else self._numbers.get(key)
        return self.partitions.definition.ordinal(key) if found is None else found


class _Pool:
    """The units of a step that may run, to be handed out several at a time. Numbers are taken times the sign of the order."""

    __slots__ = ("_heap", "_most", "ready")

    def __init__(self, most: int | None) -> None:
        self.ready: set[int] = set()
        self._heap: list[int] = []
        self._most = most

    def add(self, number: int) -> None:
        """It may run."""
        if number not in self.ready:
            self.ready.add(number)
            heapq.heappush(self._heap, number)

    def stretch(self, step: _Step, sign: int, *, all_of_it: bool) -> list[int]:
        """Units that follow one another, from the first on, at most so many; none while there are fewer and more will come."""
        if not all_of_it and (self._most is None or len(self.ready) < self._most):
            return []
        found: list[int] = []
        while self._heap and (self._most is None or len(found) < self._most):
            number = self._heap[0]
            if found and number * sign != found[-1] + sign:
                break
            heapq.heappop(self._heap)
            self.ready.discard(number)
            if step.open.has(number * sign) and number * sign not in step.running:
                found.append(number * sign)
        return found


class _Open:
    """The units of a step that have no outcome yet, found without stepping through the others.

    Inside, numbers are taken times `sign`, so that the last one is the one that the plan's order comes to last.
    """

    __slots__ = ("_ends", "_jump", "_sign", "_starts")

    def __init__(self, intervals: Intervals, sign: int) -> None:
        mine = sorted(self._turned(low, high, sign) for low, high in intervals)
        self._starts, self._ends = [low for low, _ in mine], [high for _, high in mine]
        self._sign = sign
        self._jump: dict[int, int] = {}

    def planned(self, number: int) -> bool:
        """Whether the plan has it."""
        number *= self._sign
        place = bisect_right(self._starts, number) - 1
        return place >= 0 and number < self._ends[place]

    def has(self, number: int) -> bool:
        """Whether it is still open."""
        return number * self._sign not in self._jump and self.planned(number)

    def settle(self, number: int) -> None:
        """It has its outcome."""
        self._jump[number * self._sign] = number * self._sign - 1

    def last(self, intervals: Intervals) -> int | None:
        """The open number in these intervals that comes last."""
        return next(self.within(intervals), None)

    def within(self, intervals: Intervals) -> Iterator[int]:
        """The open numbers in these intervals, the last one first."""
        for low, high in sorted((self._turned(low, high, self._sign) for low, high in intervals), reverse=True):
            found = self._find(high - 1)
            while found >= low:
                yield found * self._sign
                found = self._find(found - 1)

    def _find(self, number: int) -> int:
        """The greatest open number that is not greater."""
        passed = []
        while number > _FAR:
            if number not in self._jump:
                place = bisect_right(self._starts, number) - 1
                if place >= 0 and number < self._ends[place]:
                    break
                self._jump[number] = self._ends[place] - 1 if place >= 0 else _FAR
            passed.append(number)
            number = self._jump[number]
        for one in passed:
            self._jump[one] = number
        return number

    @staticmethod
    def _turned(low: int, high: int, sign: int) -> tuple[int, int]:
        return (low, high) if sign > 0 else (1 - high, 1 - low)


def _before(intervals: Intervals, number: int) -> Intervals:
    return tuple((low, min(high, number)) for low, high in intervals if low < number)
