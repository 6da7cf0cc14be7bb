"""The options of tasks and flows: one object, so that decorators and `.with_options` cannot drift apart."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, TypeAlias, TypedDict

from headwater.core.hooks import Hooks, hooks_of
from headwater.errors import DefinitionError, UnknownNameError

if TYPE_CHECKING:
    from typing import Self

RetryDelay: TypeAlias = float | Sequence[float] | Callable[[int], float]
"""Seconds before the next try: a number, one for each retry (the last one holds on), or a function of the number of the
try that failed (from 1)."""

RetryCondition: TypeAlias = Callable[[Exception], bool]


class OptionValues(TypedDict, total=False):
    """The options as keyword arguments."""

    name: str | None
    retries: int
    retry_delay: RetryDelay
    retry_if: RetryCondition | None
    timeout: float | None
    hooks: Hooks
    tags: Iterable[str]


class FlowOptionValues(OptionValues, total=False):
    """The options of a flow as keyword arguments."""

    max_workers: int | None
    retry_budget: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskOptions:
    """How a task or a flow runs.

    >>> TaskOptions(retries=2, retry_delay=[1, 10]).retries
    2
    """

    name: str | None = None
    """The name under which it is recorded; the function's own when None."""
    retries: int = 0
    """How many more tries there are after the first one has failed."""
    retry_delay: RetryDelay = 0.0
    """Seconds before the next try."""
    retry_if: RetryCondition | None = None
    """Whether an error is worth another try; every Exception is when None."""
    timeout: float | None = None
    """Seconds that a try may take: a coroutine is cancelled then, a function in a thread can only be reported."""
    hooks: Hooks = field(default_factory=dict)
    """Functions to call with a `StateChange`, by the state that they are called for."""
    tags: tuple[str, ...] = ()
    """Words to find its runs by."""

    def __post_init__(self) -> None:
        if self.name is not None and (not isinstance(self.name, str) or not self.name):
            raise DefinitionError(f"a name is a text that is not empty, got {self.name!r}", hint='write name="nightly"')
        if not isinstance(self.retries, int) or isinstance(self.retries, bool) or self.retries < 0:
            raise DefinitionError(f"retries is a number from 0, got {self.retries!r}", hint="write retries=2")
        if not isinstance(self.tags, tuple) or not all(isinstance(tag, str) for tag in self.tags):
            raise DefinitionError(f"tags are texts, got {self.tags!r}", hint='write tags=["daily"]')
        if self.retry_if is not None and not callable(self.retry_if):
            raise DefinitionError(
                f"retry_if is a function of the error, got {self.retry_if!r}",
                hint="write a function that answers True to try again",
            )
        _check_delay(self.retry_delay)
        _check_timeout(self.timeout)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """The options of keyword arguments. Raises DefinitionError for a wrong value, UnknownNameError for a wrong name.

        >>> TaskOptions.of({"tags": ["daily"]}).tags
        ('daily',)
        """
        return cls().changed(values)

    def changed(self, values: Mapping[str, Any]) -> Self:
        """The same options, some of them changed."""
        names = {one.name for one in fields(self)}
        for name in values:
            if name not in names:
                raise UnknownNameError.of("option", name, names)
        found = dict(values)
        if "tags" in found and not isinstance(found["tags"], str):
            found["tags"] = tuple(found["tags"])
        if "hooks" in found:
            found["hooks"] = hooks_of(found["hooks"])
        return replace(self, **found)


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowOptions(TaskOptions):
    """How a flow runs: what a task has, and what is for all of a run.

    >>> FlowOptions(retry_budget=20).retry_budget
    20
    """

    max_workers: int | None = None
    """Threads for submitted tasks, when this flow is the outermost one; by default the number of cores plus 4, at most 32."""
    retry_budget: int | None = None
    """How many retries all task runs of a run may make together: an outage does not multiply. None: no bound."""

    def __post_init__(self) -> None:
        super(FlowOptions, self).__post_init__()
        _check_number("max_workers", self.max_workers, 1)
        _check_number("retry_budget", self.retry_budget, 0)


def _check_number(name: str, value: object, least: int) -> None:
    if value is None:
        return
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise DefinitionError(f"{name} is a number from {least}, got {value!r}", hint=f"write {name}={max(least, 4)}")


def _check_delay(delay: object) -> None:
    if callable(delay):
        return
    values = list(delay) if isinstance(delay, Sequence) and not isinstance(delay, str) else [delay]
    for value in values:
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value < math.inf:
            raise DefinitionError(
                f"retry_delay is a number of seconds from 0, a list of them or a function, got {delay!r}"
            )
    if not values:
        raise DefinitionError("retry_delay is an empty list", hint="leave it out to try again at once")


def _check_timeout(timeout: object) -> None:
    if timeout is None:
        return
    if not isinstance(timeout, (int, float)) or isinstance(timeout, bool) or not 0 < timeout < math.inf:
        raise DefinitionError(f"timeout is a number of seconds above 0, got {timeout!r}", hint="write timeout=30")


def exponential_backoff(
    first: float, *, factor: float = 2.0, limit: float = 600.0, jitter: float = 0.0
) -> Callable[[int], float]:
    """Delays that grow: `first` seconds, then `factor` times as long each, at most `limit`; use it as `retry_delay`.

    `jitter` is the share of a delay that is drawn at random: with 0.5 a delay of 10 s comes to between 5 and 10 s.

    >>> delay = exponential_backoff(1, limit=5)
    >>> [delay(tries) for tries in (1, 2, 3, 4)]
    [1.0, 2.0, 4.0, 5.0]
    """

    import random  # here, because few ask for it and every script would load it

    def delay(tries: int) -> float:
        seconds = float(min(limit, first * factor ** min(tries - 1, 1_000)))
        return seconds - seconds * jitter * random.random()  # noqa: S311 - spreading load, not a secret

    return delay
