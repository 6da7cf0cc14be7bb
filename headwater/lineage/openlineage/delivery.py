"""One delivery to a destination: events gathered, handed over in their order, and the position saved behind them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from types import TracebackType
from typing import Any, NoReturn

from headwater import clock, failpoints
from headwater.errors import ExportError
from headwater.lineage.openlineage.backoff import pause
from headwater.lineage.openlineage.cursor import Cursor, CursorFile, Step
from headwater.lineage.openlineage.dead import DeadLetter, DeadLetters, letter_of
from headwater.lineage.openlineage.destination import Destination, Receipt, Refusal, Trouble

_EVENTS = 1_000
"""So many events, about, are gathered before they are delivered: each delivery costs a few syncs."""


class Delivery:
    """Opens the destination as it is entered and closes it as it is left; whoever makes one holds the destination's lock."""

    def __init__(
        self, destination: Destination, file: CursorFile, dead: DeadLetters, seconds: float | None = None
    ) -> None:
        self.cursor = Cursor()
        self.delivered = 0
        self._destination = destination
        self._file = file
        self._dead = dead
        self._until = None if seconds is None else clock.steady_us() + int(seconds * 1_000_000)
        self._events: list[bytes | DeadLetter] = []
        self._passed: list[int] = []
        """For each event, how many of the steps are behind us once it is taken."""
        self._steps: list[Step] = []

    def __enter__(self) -> Delivery:
        self.cursor = self._file.load()
        mark = self._destination.open(self.cursor.mark)
        failpoints.reach("outbox.opened")
        if mark != self.cursor.mark:
            # Saved before anything is delivered: a destination whose first delivery was cut short knows where it began.
            self._save(Cursor(mark=mark))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._destination.close()

    def is_late(self) -> bool:
        """Whether the time is up."""
        return self._until is not None and clock.steady_us() >= self._until

    def add(self, events: Sequence[bytes | DeadLetter], step: Step | None) -> None:
        """Take events in, and the step behind them; every so often they are delivered. Raises ExportError.

        A dead letter among them is parked when its turn comes.
        """
        if step is not None:
            self._steps.append(step)
        for number, event in enumerate(events, 1):
            self._events.append(event)
            self._passed.append(len(self._steps) - (step is not None and number < len(events)))
        if len(self._events) >= _EVENTS:
            self._flush()

    def send(self, event: bytes) -> Refusal | None:
        """Deliver one event at once, without parking it when it is refused: answers with the refusal."""
        receipt = self._delivered_now([event])
        self._save(self._taken(receipt))
        if receipt.trouble is not None:
            self._stop(receipt.trouble)
        return receipt.refusal

    def finish(self) -> None:
        """Deliver the rest. Raises ExportError."""
        self._flush()

    def _flush(self) -> None:
        while self._events:
            first = self._events[0]
            if isinstance(first, DeadLetter):
                self._park(first)
                self._save(self._forget(self.cursor, 1))
                continue
            done = self._deliver()
            if self._events and (done == 0 or self.is_late()):
                return
        if self._steps:
            self._save(self.cursor.passed(self._steps))
            self._steps.clear()

    def _deliver(self) -> int:
        """Deliver what stands before the next dead letter, as far as the destination takes it; answers how far that was."""
        ready: list[bytes] = []
        for item in self._events:
            if isinstance(item, DeadLetter):
                break
            ready.append(item)
        receipt = self._delivered_now(ready)
        done = receipt.taken
        cursor = self._taken(receipt)
        if receipt.refusal is not None:
            self._park(letter_of(receipt.refusal, event=ready[done]))
            done += 1
        self._save(self._forget(cursor, done))
        if receipt.trouble is not None:
            self._stop(receipt.trouble)
        return done

    def _park(self, letter: DeadLetter) -> None:
        self._dead.add(letter)
        failpoints.reach("outbox.parked")

    def _delivered_now(self, events: Sequence[bytes]) -> Receipt:
        left = None if self._until is None else max(0.0, (self._until - clock.steady_us()) / 1_000_000)
        receipt = self._destination.deliver(events, left)
        failpoints.reach("outbox.delivered")
        return receipt

    def _taken(self, receipt: Receipt) -> Cursor:
        if not receipt.taken:
            return self.cursor
        self.delivered += receipt.taken
        return self._changed(
            mark=receipt.mark,
            delivered=self.cursor.delivered + receipt.taken,
            at=clock.now_us(),
            failures=0,
            error=None,
            next_try=None,
        )

    def _forget(self, cursor: Cursor, done: int) -> Cursor:
        """The cursor behind the first events, which are forgotten with their steps; with the last one go all steps."""
        if not done:
            return cursor
        passed = len(self._steps) if done == len(self._events) else self._passed[done - 1]
        cursor = cursor.passed(self._steps[:passed])
        del self._steps[:passed], self._events[:done], self._passed[:done]
        self._passed = [count - passed for count in self._passed]
        return cursor

    def _stop(self, trouble: Trouble) -> NoReturn:
        failures = self.cursor.failures + 1
        wait = pause(failures, self._destination.id, trouble.retry_after)
        due = clock.now_us() + int(wait * 1_000_000)
        self._save(self._changed(failures=failures, error=trouble.reason, next_try=due))
        again = f"it is tried again at {clock.rfc3339(due)[:19]}Z; nothing is lost"
        raise ExportError(
            f"events can't be delivered: {trouble.reason}",
            where=str(self._destination),
            hint=again if trouble.hint is None else f"{trouble.hint}; {again}",
        )

    def _changed(self, **changes: Any) -> Cursor:
        return dataclasses.replace(self.cursor, **changes)

    def _save(self, cursor: Cursor) -> None:
        if cursor != self.cursor:
            self._file.save(cursor)
            self.cursor = cursor
