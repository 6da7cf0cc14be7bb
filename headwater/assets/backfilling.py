"""Carrying out a backfill plan: one run, whose units are the (asset, partition) pairs of the plan.

The request is durable before anything is launched, every unit gets an outcome, and a unit that failed blocks only its own
downstream. One process drives a backfill, by its lock; killed at any moment, it is resumed as the next attempt of the
same run.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from headwater import clock, failpoints, ids
from headwater.assets import registry
from headwater.assets.backfill import BackfillPlan, Progress
from headwater.assets.definitions import AssetDefinition
from headwater.assets.events import (
    BackfillAsked,
    BackfillPartitionEnded,
    BackfillPartitionLaunched,
    BackfillRequested,
    BackfillStopped,
)
from headwater.assets.facts import Facts
from headwater.assets.listening import listening
from headwater.assets.partitions import Partition
from headwater.assets.runtime import AssetRuntime
from headwater.core.context import RunContext
from headwater.core.flow import open_run
from headwater.core.tracebacks import in_users_words
from headwater.errors import Cancelled, HeadwaterError, LockTimeout, RefusedError, UnknownNameError

if TYPE_CHECKING:
    from headwater.assets.materialize import Materialization

_log = logging.getLogger("headwater.run")

Unit = tuple[str, str | None]
Watcher = Callable[[Mapping[str, int]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A backfill as it was asked for: its id, its plan, and how to carry it out."""

    backfill_id: str
    name: str
    targets: tuple[str, ...]
    plan: BackfillPlan
    range: str | None = None
    parallel: int = 1
    max_failures: int | None = None
    type: str = "backfill"
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a backfill: its state, how many units ended how, what went wrong, and who stopped it if somebody did."""

    backfill_id: str
    state: str
    counts: Mapping[str, int]
    errors: tuple[tuple[str, HeadwaterError], ...]
    stopped_by: str | None = None


def request(run: AssetRuntime, plan: BackfillPlan, *, name: str, targets: Iterable[str], **how: Any) -> Request:
    """Ask for a backfill, durably: from here on it can be resumed, whatever happens."""
    made = Request(backfill_id=ids.new_id(), name=name, targets=tuple(targets), plan=plan, **how)
    options = {"parallel": made.parallel, "max_failures": made.max_failures, "type": made.type, **made.options}
    assets = registry.current().assets
    run.journal.append(
        *run.definitions.new(assets[step.asset] for step in plan.steps if step.asset in assets),
        BackfillRequested(
            backfill_id=made.backfill_id,
            name=name,
            targets=made.targets,
            range=made.range,
            options=options,
            plan=plan.to_json(),
            requested=plan.total,
            origin={"at": clock.now_us()},
        ),
    )
    failpoints.reach("backfill.requested")
    return made


def carry_out(
    run: AssetRuntime,
    request: Request,
    definitions: Mapping[str, AssetDefinition],
    *,
    attempt: int = 1,
    done: Mapping[Unit, str] | None = None,
    published: Iterable[Unit] = (),
    watch: Watcher | None = None,
) -> Outcome:
    """Run what is left of a backfill and give each unit its outcome.

    `done` are the outcomes that the journal has; `published` are units whose data an earlier attempt published without
    living to say so. Asked to pause (`backfill.asked`), it launches nothing more, and its state is paused; asked to cancel, it
    stops what runs, too, and is cancelled. Raises LockTimeout when another process drives it; Cancelled and KeyboardInterrupt
    pass through after everything that ran has been recorded.
    """
    try:
        with run.locks.hold(lock_of(request.backfill_id), timeout=0):
            return _Driver(run, request, definitions, attempt, dict(done or {}), watch).drive(published)
    except LockTimeout as error:
        error.hint = "another process runs this backfill: see headwater backfill show " + request.backfill_id
        raise


def lock_of(backfill_id: str) -> str:
    """The lock that whoever drives a backfill holds."""
    return f"backfill:{backfill_id}"


class _Driver:
    """One attempt at a backfill: workers take ready units until nothing is left."""

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
        self._progress = Progress(request.plan, definitions, done=done)
        self._changed = threading.Condition()
        self._calls: dict[tuple[Any, str | None], Future[None]] = {}
        self._errors: list[tuple[str, HeadwaterError]] = []
        self._stopping = False
        self._asked: BackfillAsked | None = None
        self._context: RunContext | None = None

    def drive(self, published: Iterable[Unit]) -> Outcome:
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
                self._context = context
                for asset, key in published:
                    self._settle(asset, key, "completed", "it was published before its process died")
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
        with self._changed:
            if self._asked is not None and self._asked.what == "cancel":
                return
            self._asked = asked
            self._stopping = True
            self._changed.notify_all()
        _log.warning("%s asked to %s this backfill", asked.asked_by or "somebody", asked.what)
        if asked.what == "cancel" and self._context is not None:
            self._context.cancelled.set()

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
        workers = max(1, min(self._request.parallel, self._request.plan.total))
        if workers == 1:
            self._loop(context)
            return
        with ThreadPoolExecutor(workers, thread_name_prefix="headwater-backfill") as pool:
            loops = [pool.submit(context.run_in, self._loop, context) for _ in range(workers)]
            try:
                pending = set(loops)
                while pending:
                    # In slices, as every wait of the main thread: see `clock.in_slices`.
                    done, pending = wait(pending, timeout=clock.SLICE, return_when=FIRST_EXCEPTION)
                    for loop in done:
                        loop.result()
            except BaseException:
                self._stop()
                raise

    def _loop(self, context: RunContext) -> None:
        while (unit := self._take(context)) is not None:
            try:
                self._one(*unit)
            except BaseException:
                self._stop()
                raise

    def _take(self, context: RunContext) -> tuple[str, Partition] | None:
        with self._changed:
            while not (self._stopping or self._progress.done):
                if context.cancelled.is_set():
                    raise Cancelled("the backfill was cancelled")
                unit = self._progress.next()
                if unit is not None:
                    return unit
                # Another worker's unit has to end first; the time only bounds how late a cancellation is seen.
                self._changed.wait(0.2)
            return None

    def _one(self, asset: str, partition: Partition) -> None:
        subject = asset + (f"@{partition.key}" if partition.key is not None else "")
        producer = registry.current().producers.get(asset)
        if producer is None:
            self._settle(asset, partition.key, "skipped", "nothing produces it any more")
            return
        call = (producer, partition.key)
        with self._changed:
            earlier = self._calls.get(call)
            mine: Future[None] = self._calls.setdefault(call, Future())
        if earlier is None:
            self._run.journal.append(
                BackfillPartitionLaunched(
                    backfill_id=self._request.backfill_id, attempt=self._attempt, asset=asset, partition=partition.key
                )
            )
            failpoints.reach("backfill.launched")
            try:
                _call(producer.replace(hands_out=False, partition=None if partition.key is None else partition))
            except Exception as error:  # noqa: BLE001 - a unit may fail in any way, and fails alone
                mine.set_exception(error)
            except BaseException as error:
                mine.set_exception(Cancelled(str(error)))
                raise
            else:
                mine.set_result(None)
            failpoints.reach("backfill.made")
        # A function that makes several assets runs once for all of them.
        failure = mine.exception()
        if failure is None:
            self._settle(asset, partition.key, "completed", None)
            return
        found = in_users_words(failure)
        self._settle(asset, partition.key, "blocked" if isinstance(found, RefusedError) else "failed", found.message)
        with self._changed:
            self._errors.append((subject, found))
            limit = self._request.max_failures
            if limit is not None and len(self._errors) >= limit:
                self._stopping = True

    def _settle(self, asset: str, key: str | None, state: str, reason: str | None) -> None:
        with self._changed:
            blocked = self._progress.finished(asset, key, state)
            counts = self._progress.counts()
            self._changed.notify_all()
        bodies = [self._ended(asset, key, state, reason)]
        bodies += [self._ended(name, part, "blocked", why.text) for name, part, why in blocked]
        self._run.journal.append(*bodies)
        failpoints.reach("backfill.ended")
        if self._watch is not None:
            self._watch(counts)

    def _ended(self, asset: str, key: str | None, state: str, reason: str | None) -> BackfillPartitionEnded:
        return BackfillPartitionEnded(
            backfill_id=self._request.backfill_id,
            attempt=self._attempt,
            asset=asset,
            partition=key,
            state=state,
            reason=reason,
        )

    def _stop(self) -> None:
        with self._changed:
            self._stopping = True
            self._changed.notify_all()


def published_before(request: Request, facts: Facts, done: Mapping[Unit, str]) -> list[Unit]:
    """The units that earlier attempts published without living to say so; those of one function only all together."""
    planned = ((step.asset, partition.key) for step in request.plan.steps for partition in step.partitions)
    left = {unit for unit in planned if unit not in done}
    there = {
        (asset, key)
        for asset, key in left
        if (made := facts.of(asset).made.get(key)) is not None and made.run_id == request.backfill_id
    }
    return [unit for unit in there if _with_it(unit) & left <= there]


def _with_it(unit: Unit) -> set[Unit]:
    """The units that one call makes together with this one."""
    producer = registry.current().producers.get(unit[0])
    return {(asset.name, unit[1]) for asset in (producer.assets if producer is not None else ())}


def _call(task: Materialization[..., Any]) -> None:
    # Calling an async task only gives a coroutine; submitted from here it runs in an event loop of its own.
    if task.is_async:
        task.submit().result()
    else:
        task()


def check_producible(definitions: Mapping[str, AssetDefinition], names: Iterable[str]) -> None:
    """Raise UnknownNameError when one of these can't be made in this process."""
    producers = registry.current().producers
    for name in names:
        if name not in definitions:
            raise UnknownNameError.of("asset", name, definitions)
        if name not in producers:
            raise UnknownNameError(
                f"nothing in the loaded modules produces '{name}'",
                hint="name the file that defines its function: -f my_flow.py, or list it in [tool.headwater] modules",
            )
