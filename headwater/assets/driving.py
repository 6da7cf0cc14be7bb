"""Driving a backfill: calls are submitted to a runner as their units become ready, and each unit gets its outcome.

One thread decides, launches and settles; where calls run (here, in threads, in processes) is the runner's business.
"""

from __future__ import annotations

import logging
import queue
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from headwater import clock, failpoints
from headwater.assets import registry
from headwater.assets.backfill_calls import Call, is_gone, most_of, runner_of
from headwater.assets.backfill_events import (
    BackfillAsked,
    BackfillPartitionEnded,
    BackfillPartitionLaunched,
    BackfillStopped,
)
from headwater.assets.data_through import label
from headwater.assets.definitions import AssetDefinition
from headwater.assets.facts import Facts
from headwater.assets.listening import listening
from headwater.assets.partitions import Partition
from headwater.assets.progress import Progress, Unit
from headwater.assets.runtime import AssetRuntime
from headwater.core.context import RunContext
from headwater.core.decisions import is_cancellation
from headwater.core.drivers import PATIENCE
from headwater.core.runs import open_run
from headwater.core.tracebacks import in_users_words
from headwater.errors import Cancelled, HeadwaterError, PartitionsFailed, RefusedError
from headwater.records import dataclass

if TYPE_CHECKING:
    from headwater.assets.backfilling import Request
    from headwater.core.futures import TaskFuture


class Told(NamedTuple):
    """What a watcher is told whenever something has changed."""

    counts: Mapping[str, int]
    """How many units were requested, completed, failed, are running, were skipped, are blocked."""
    assets: Mapping[str, Mapping[str, int]]
    """The same by asset."""


Watcher: TypeAlias = Callable[[Told], None]

_log = logging.getLogger("headwater.run")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a backfill: its state, how many units ended how, what went wrong, and who stopped it if somebody did."""

    backfill_id: str
    state: str
    counts: Mapping[str, int]
    errors: tuple[tuple[str, HeadwaterError], ...]
    stopped_by: str | None = None


class Driver:
    """One attempt at a backfill: as many calls as may run at a time, until nothing is left."""

    def __init__(
        self,
        run: AssetRuntime,
        request: Request,
        definitions: Mapping[str, AssetDefinition],
        attempt: int,
        done: dict[Unit, str],
        watch: Watcher | None,
    ) -> None:
        self._run, self._request, self._attempt, self._watch = run, request, attempt, watch
        self._done = done
        self._progress = Progress(request.plan, definitions, done=done, ranges=most_of(request))
        self._several: dict[tuple[Any, str | None], Call] = {}
        """Calls that make several assets, by function and partition: the units of all of them are settled by the one."""
        self._news: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        """What is to be done here because of what has happened elsewhere; None when something is only to be looked at."""
        self._running = 0
        self._errors: list[tuple[str, HeadwaterError]] = []
        self._stopping = False
        self._asked: BackfillAsked | None = None
        self._context: RunContext | None = None

    def drive(self, published: Iterable[Unit]) -> Outcome:
        """Run what is left; `published` are units whose data is in place already."""
        request = self._request
        asked_of = self._run.asked_of(request.backfill_id, clock.now_us())
        parameters = {"targets": list(request.targets), "range": request.range}
        try:
            with open_run(
                flow=request.name,
                type=request.type,
                parameters=parameters,
                run_id=request.backfill_id,
                attempt=self._attempt,
            ) as context:
                self._context, context.run.runner = context, runner_of(request)
                for asset, key in published:
                    self._settle(asset, key, "completed", "it was published before its process died")
                for gone in request.plan.vanished:
                    self._skip([unit for unit in gone.units if unit not in self._done], gone.reason)
                try:
                    with listening(asked_of, self._hear):
                        self._work(context)
                except Cancelled:
                    if self._asked is None:
                        raise
                self._stopped_in_time()
                if self._errors:
                    subject, error = self._errors[0]
                    more = f" (and {len(self._errors) - 1} more)" if len(self._errors) > 1 else ""
                    context.fail(f"{subject}: {error.message}{more}")
        except Cancelled:
            if self._asked is None:
                raise
        return self._outcome()

    def _outcome(self) -> Outcome:
        counts, asked = self._progress.counts(), self._asked
        state = "completed" if counts["completed"] + counts["skipped"] == counts["requested"] else "failed"
        counts["running"] = counts["cancelled"] = 0
        if asked is not None and not self._progress.done:
            state = "paused" if asked.what == "pause" else "cancelled"
            ended = sum(counts[one] for one in ("completed", "failed", "skipped", "blocked"))
            counts["cancelled"] = counts["requested"] - ended if state == "cancelled" else 0
        return Outcome(
            backfill_id=self._request.backfill_id,
            state=state,
            counts=counts,
            errors=tuple(self._errors),
            stopped_by=None if asked is None else asked.asked_by,
        )

    def _hear(self, asked: BackfillAsked) -> None:
        """Somebody asks something of it; called from another thread."""
        if self._asked is not None and self._asked.what == "cancel":
            return
        self._asked = asked
        self._stopping = True
        _log.warning("%s asked to %s this backfill", asked.asked_by or "somebody", asked.what)
        if asked.what == "cancel" and self._context is not None:
            self._context.cancelled.set()
        self._news.put(None)

    def _stopped_in_time(self) -> None:
        """Raise Cancelled when it was stopped before its end, with the journal saying so first."""
        asked = self._asked
        if asked is None or self._progress.done:
            return
        self._run.journal.append(
            BackfillStopped(
                backfill_id=self._request.backfill_id,
                attempt=self._attempt,
                what=asked.what,
                asked_by=asked.asked_by,
            )
        )
        raise Cancelled(f"{asked.asked_by or 'somebody'} asked to {asked.what} it")

    def _work(self, context: RunContext) -> None:
        try:
            while True:
                self._launch_ready(context)
                if not self._running:
                    return
                self._await(clock.SLICE, context)
        except BaseException:
            self._stopping = True
            self._drain(context)
            raise

    def _launch_ready(self, context: RunContext) -> None:
        most = max(1, self._request.parallel)
        while self._running < most and not self._stopping:
            if context.cancelled.is_set():
                raise Cancelled("the backfill was cancelled")
            found = self._progress.take()
            if found is None:
                return
            self._one(*found)

    def _await(self, seconds: float, context: RunContext) -> None:
        """Take the next news. In slices, as every wait of the main thread: see `clock.in_slices`."""
        try:
            news = self._news.get(timeout=seconds)
        except queue.Empty:
            news = None
        if news is not None:
            news()
        if context.cancelled.is_set():
            raise Cancelled("the backfill was cancelled")

    def _drain(self, context: RunContext) -> None:
        """Give what still ends in time its outcome, after everything was asked to stop."""
        context.cancelled.set()
        until = clock.now_us() + int(PATIENCE * 1_000_000)
        while self._running and clock.now_us() < until and not context.run.root.impatient:
            with suppress(queue.Empty, Cancelled):
                news = self._news.get(timeout=clock.SLICE)
                if news is not None:
                    news()

    def _one(self, asset: str, partitions: tuple[Partition, ...]) -> None:
        producer = registry.current().producers.get(asset)
        if producer is None:
            self._skip([(asset, one.key) for one in partitions], "nothing produces it any more")
            return
        gone = [one for one in partitions if is_gone(one)]
        if gone:
            self._skip([(asset, one.key) for one in gone], "it is no partition any more")
            partitions = tuple(one for one in partitions if one not in gone)
        if not partitions:
            return
        units: list[Unit] = [(asset, one.key) for one in partitions]
        if len(producer.assets) == 1:
            self._launch(Call(producer, partitions, units))
            return
        # A function that makes several assets runs once for all of them.
        left = []
        for one in partitions:
            known = self._several.get((producer, one.key))
            if known is None:
                left.append(one)
            elif known.ended:
                self._settle_units(known, [(asset, one.key)])
            else:
                known.units.append((asset, one.key))
        if left:
            call = Call(producer, tuple(left), [(asset, one.key) for one in left])
            self._several.update({(producer, one.key): call for one in left})
            self._launch(call)

    def _launch(self, call: Call) -> None:
        launched = [
            BackfillPartitionLaunched(
                backfill_id=self._request.backfill_id, attempt=self._attempt, asset=asset, partition=key
            )
            for asset, key in call.units
        ]
        self._run.journal.append(*launched)
        failpoints.reach("backfill.launched")
        self._tell()
        here = self._request.runs_here and not call.producer.is_async
        task = call.bound(self._teller(call, here=here))
        self._running += 1
        if here:
            # As submitting to the inline runner, without a future.
            try:
                task()
            except BaseException as error:
                if is_cancellation(error):
                    self._running -= 1
                    raise
                # A unit may fail in any way (an engine's panic is no Exception), and fails alone.
                call.error = error
            self._settle_call(call)
            return
        future = task.submit()

        def ended(one: TaskFuture[Any]) -> None:
            call.error = one.error
            self._news.put(partial(self._settle_call, call))

        # What becomes of it is looked at in `_settle_call`.
        future.looked_at = True
        future.add_done_callback(ended)

    def _teller(self, call: Call, *, here: bool) -> Callable[[str | None], None] | None:
        """What a call for several partitions tells of each that it has published; of a worker it is known at the end."""
        if not call.producer.wants_partitions or self._request.runner == "processes":
            return None
        settle = partial(self._settle_made, call)
        return settle if here else lambda key: self._news.put(partial(settle, key))

    def _settle_made(self, call: Call, key: str | None) -> None:
        for unit in [unit for unit in call.units if unit[1] == key]:
            call.settled.add(unit)
            self._settle(*unit, "completed", None)

    def _settle_call(self, call: Call) -> None:
        failpoints.reach("backfill.made")
        self._running -= 1
        call.ended = True
        self._settle_units(call, [unit for unit in call.units if unit not in call.settled])

    def _settle_units(self, call: Call, units: Sequence[Unit]) -> None:
        failure = call.error
        if failure is None:
            for asset, key in units:
                self._settle(asset, key, "completed", None)
            return
        if is_cancellation(failure):
            # It got no outcome: whoever resumes the backfill makes it.
            raise Cancelled(str(failure))
        made = self._made(failure, units) if call.producer.wants_partitions else {}
        for asset, key in units:
            found = made.get((asset, key), failure)
            if found is None:
                self._settle(asset, key, "completed", None)
            else:
                self._fail(asset, key, found)

    def _made(self, failure: BaseException, units: Sequence[Unit]) -> dict[Unit, BaseException | None]:
        """What became of each partition of a call for a range that failed: None when it was published."""
        if isinstance(failure, PartitionsFailed):
            return {(asset, key): failure.errors.get(key) for asset, key in units}
        # It did not live to say, or its function raised in the middle: the journal knows what was published before.
        refs = [self._run.definitions.ref(registry.current().assets[asset]) for asset in {asset for asset, _ in units}]
        return dict.fromkeys(made_by(self._run.catalog.facts(refs), units, self._request.backfill_id), None)

    def _fail(self, asset: str, key: str | None, failure: BaseException) -> None:
        found = in_users_words(failure)
        self._settle(asset, key, "blocked" if isinstance(found, RefusedError) else "failed", found.message)
        self._errors.append((label(asset, key), found))
        limit = self._request.max_failures
        if limit is not None and len(self._errors) >= limit:
            self._stopping = True

    def _skip(self, units: Sequence[Unit], reason: str) -> None:
        for asset, key in units:
            self._settle(asset, key, "skipped", reason)

    def _settle(self, asset: str, key: str | None, state: str, reason: str | None) -> None:
        blocked = self._progress.finished(asset, key, state)
        bodies = [self._body(asset, key, state, reason)]
        bodies += [self._body(name, part, "blocked", why.text) for name, part, why in blocked]
        self._run.journal.append(*bodies)
        failpoints.reach("backfill.ended")
        self._tell()

    def _tell(self) -> None:
        if self._watch is not None:
            self._watch(Told(self._progress.counts(), self._progress.by_asset()))

    def _body(self, asset: str, key: str | None, state: str, reason: str | None) -> BackfillPartitionEnded:
        return BackfillPartitionEnded(
            backfill_id=self._request.backfill_id,
            attempt=self._attempt,
            asset=asset,
            partition=key,
            state=state,
            reason=reason,
        )


def made_by(facts: Facts, units: Iterable[Unit], run_id: str) -> set[Unit]:
    """Those of the units whose newest version this run has published, and optional ones that it was the last to leave out."""
    known = ((unit, facts.of(unit[0])) for unit in units)
    newest = ((unit, of.skipped.get(unit[1]) or of.made.get(unit[1])) for unit, of in known)
    return {unit for unit, one in newest if one is not None and one.run_id == run_id}
