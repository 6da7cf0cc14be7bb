"""What the engine's generators yield: things to do, which a driver carries out, synchronous or asynchronous."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from headwater.core.hooks import StateChange

if TYPE_CHECKING:
    from headwater.core.context import Run
    from headwater.core.futures import TaskFuture
    from headwater.core.hooks import Hook


class Invoke:
    """Call a function, and await what it gives if that is a coroutine; the effect's value is what it returned.

    With a `timeout`, in seconds, a coroutine is cancelled when the time is up; of any other function it is only told.
    """

    __slots__ = ("args", "fn", "kwargs", "timeout")

    def __init__(
        self,
        fn: Callable[..., Any],
        args: Iterable[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        timeout: float | None = None,
    ) -> None:
        self.fn, self.args, self.kwargs, self.timeout = fn, args, kwargs or {}, timeout


class Sleep(NamedTuple):
    """Wait for so many seconds, or until the run is asked to stop."""

    seconds: float


class Gather(NamedTuple):
    """Wait until futures have ended, however they did."""

    futures: tuple[TaskFuture[Any], ...]


class Settle(NamedTuple):
    """Wait, but not for ever, until what still runs in a cancelled run has stopped. Never raises."""

    run: Run
    among: tuple[TaskFuture[Any], ...] | None = None
    """Only until these have ended."""


class Ensure(NamedTuple):
    """Call a function, also in a run that was asked to stop; the effect's value is what it raised, or None."""

    fn: Callable[..., Any]
    args: tuple[Any, ...] = ()


class Notify(NamedTuple):
    """Call hooks. Never raises what they raise."""

    hooks: tuple[Hook, ...]
    change: StateChange


class Item(NamedTuple):
    """Hand an item of a generator to whoever reads it; the effect's value is what the reader sent."""

    value: Any


class Close(NamedTuple):
    """Close a generator of the user's, also in a run that was asked to stop. Raises what its own code raises."""

    source: Any


class CloseStreams(NamedTuple):
    """Close the generator tasks of a run that nobody has read to the end. Never raises."""

    run: Run


Effect: TypeAlias = Invoke | Sleep | Gather | Settle | Ensure | Notify | Item | Close | CloseStreams
Steps: TypeAlias = Generator[Effect, Any, Any]


def gathered(pending: Mapping[Any, TaskFuture[Any]]) -> Steps:
    """Wait until all futures have ended, also those that the tasks of others submit meanwhile."""
    while True:
        left = tuple(future for future in tuple(pending.values()) if not future.done())
        yield Gather(left)
        if not left:
            return


def guarded(effect: Ensure | Notify | Settle) -> Steps:
    """Have an effect carried out whatever happens; returns what it gives, or what came instead."""
    try:
        return (yield effect)
    except GeneratorExit:
        raise
    except BaseException as error:  # noqa: BLE001 - a signal: what is left is done all the same
        return error
