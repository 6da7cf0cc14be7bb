"""Destinations: the seam between the outbox and where events go."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

from headwater import clock
from headwater.records import dataclass

_AT_ONCE = 100
_LONGEST = 0.25
"""Seconds. Of what is posted one by one, so much goes out between two notes of it: what a kill makes go out twice."""
_SHORTEST = 0.02
"""With fewer seconds left than this nothing is posted any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A destination will never take this event: why, and the HTTP status it answered with, if it did."""

    reason: str
    status: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """A destination can't take events now: why, what a person can do, and after how many seconds it asked to be tried."""

    reason: str
    hint: str | None = None
    retry_after: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What became of a delivery: so many of the first events were taken, and why the next one was not.

    With neither a refusal nor a trouble, a destination that took less than all of them may just be called again.
    """

    taken: int
    mark: int = 0
    """The destination's own note of where it stands now."""
    refusal: Refusal | None = None
    trouble: Trouble | None = None


class Destination(Protocol):
    """Where events go."""

    @property
    def id(self) -> str:
        """What tells it from other destinations: safe as the name of a file, and free of secrets."""
        ...

    def open(self, mark: int | None) -> int:
        """Be ready to go on at a mark (None: the first time). Answers with another one if that place is gone."""
        ...

    def deliver(self, events: Sequence[bytes], seconds: float | None = None) -> Receipt:
        """Take events, serialised, in their order, for so many seconds at most (None: as it takes).

        What the receipt calls taken is durable there. Raises ExportError when the destination is not as it was left.
        """
        ...

    def close(self) -> None:
        """Let go; `open` may follow."""
        ...


class TimeUp(BaseException):
    """The process that delivers in the background must end now: a delivery that is under way is given up."""


Post: TypeAlias = Callable[[bytes], Refusal | Trouble | None]
"""Hands one event over; None when it was taken. How long it may wait for an answer it knows itself."""


def one_by_one(events: Sequence[bytes], seconds: float | None, post: Post) -> Receipt:
    """Post events one after the other until one is not taken, or there is something to note, or the time is up.

    >>> one_by_one([b"a", b"b"], None, lambda event: Refusal(reason="no") if event == b"b" else None).taken
    1
    """
    began = clock.steady_us()
    for taken, event in enumerate(events):
        spent = (clock.steady_us() - began) / 1_000_000
        if (seconds is not None and seconds - spent < _SHORTEST) or taken == _AT_ONCE or (taken and spent > _LONGEST):
            return Receipt(taken=taken)
        try:
            answer = post(event)
        except TimeUp:
            answer = Trouble(reason="it had not answered when the process ended")
        if isinstance(answer, Refusal):
            return Receipt(taken=taken, refusal=answer)
        if answer is not None:
            return Receipt(taken=taken, trouble=answer)
    return Receipt(taken=len(events))
