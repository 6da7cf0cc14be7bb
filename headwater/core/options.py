"""The options of tasks and flows: one object, so that decorators and `.with_options` cannot drift apart."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import field, fields, replace
from threading import TIMEOUT_MAX
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypedDict

from headwater.core.hooks import Hooks, TransactionHook, hooks_of, transaction_hooks
from headwater.errors import DefinitionError, UnknownNameError
from headwater.records import dataclass

if TYPE_CHECKING:
    from datetime import timedelta
    from typing import Self

    from headwater.core.cache_policies import CachePolicy, KeyFunction
    from headwater.core.concurrency import Needs
    from headwater.core.rates import Rates
    from headwater.core.runners.runner import RunnerOption

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
    on_commit: TransactionHook | Iterable[TransactionHook]
    on_rollback: TransactionHook | Iterable[TransactionHook]
    tags: Iterable[str]
    cache: CachePolicy | KeyFunction | bool | None
    cache_for: str | timedelta | float | None
    refresh: bool | None
    once: bool
    persist_result: bool | None
    result: Literal["pickle"] | None
    limits: str | Iterable[str] | Mapping[str, int | None] | None
    rate: str | Mapping[str, str] | None


class FlowOptionValues(OptionValues, total=False):
    """The options of a flow as keyword arguments."""

    max_workers: int | None
    retry_budget: int | None
    runner: RunnerOption
    max_runs: int | None
    when_full: Literal["queue", "skip", "cancel"]
    run_key: Callable[..., object] | None
    run_name: str | None


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
    on_commit: tuple[TransactionHook, ...] = ()
    """Functions to call with a `TaskOutcome` when the transaction of a task run is committed; without one, when it completed."""
    on_rollback: tuple[TransactionHook, ...] = ()
    """Functions to call with a `TaskOutcome` when the transaction of a task run is rolled back, the last one first."""
    tags: tuple[str, ...] = ()
    """Words that stand with its task runs in the journal, and that limits of the settings go by: `tag:etl`."""
    cache: CachePolicy | None = None
    """What must be the same for a kept result to be used again; True means INPUTS + SOURCE. None: nothing is cached."""
    cache_for: timedelta | None = None
    """How long a kept result may be used: a timedelta, text such as "12h", or seconds. None: for ever."""
    refresh: bool | None = None
    """Compute it anew and keep that; None: as the setting `refresh` says."""
    once: bool = False
    """Of runs that need the same cached result at the same time one computes it, and the others wait."""
    persist_result: bool | None = None
    """Keep what it returns for a resumed run, however large; None: when it is small and plain. False: never."""
    result: Literal["pickle"] | None = None
    """"pickle": what has no encoding of its own is pickled when it is kept."""
    limits: Needs = ()
    """Limits that a try holds a slot of: names, or a mapping of names to numbers, which else stand in the settings."""
    rate: Rates = ()
    """How often tries may begin: "10/minute", or a mapping of names, which tasks may share, to rates."""

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
        _check_results(self.persist_result, self.result)
        if self.limits or self.limits is None:
            from headwater.core.concurrency import limits_of

            object.__setattr__(self, "limits", limits_of(self.limits))
        if self.rate or self.rate is None:
            from headwater.core.rates import rates_of

            object.__setattr__(self, "rate", rates_of(self.rate))

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
        if isinstance(found.get("tags"), Iterable) and not isinstance(found["tags"], str):
            found["tags"] = tuple(found["tags"])
        if "hooks" in found:
            found["hooks"] = hooks_of(found["hooks"])
        for name in found.keys() & {"on_commit", "on_rollback"}:
            found[name] = transaction_hooks(name, found[name])
        if not CACHING.isdisjoint(found):
            from headwater.core.cache_policies import cache_options

            found = cache_options(self.cache, found)
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
    runner: RunnerOption = None
    """Where submitted tasks run: "threads", "processes", "inline" or a runner object. None: as in the flow around it, threads
    in the outermost one."""
    max_runs: int | None = None
    """How many runs of it there may be at once, in all processes of a home. None: no bound."""
    when_full: Literal["queue", "skip", "cancel"] = "queue"
    """What a run does when there are as many: waits, ends as Skipped, or asks an older one to stop and waits for that."""
    run_key: Callable[..., object] | None = None
    """A function of the flow's parameters: `max_runs` counts those runs alone for which it gives the same."""
    run_name: str | None = None
    """What each run is called, with the flow's parameters in braces: "load-{day}", "load-{day:%A}". None: it has no name."""

    def __post_init__(self) -> None:
        TaskOptions.__post_init__(self)  # of a class with slots `super()` knows no more than what they were added to
        if self.on_commit or self.on_rollback:
            raise DefinitionError(
                "on_commit and on_rollback are for tasks", hint="give them to a task that the flow calls"
            )
        check_number("max_workers", self.max_workers, 1)
        check_number("retry_budget", self.retry_budget, 0)
        _check_runs(self.max_runs, self.when_full, self.run_key)
        if self.run_name is not None and not (isinstance(self.run_name, str) and self.run_name.strip()):
            raise DefinitionError(
                f"run_name is a text that is not empty, got {self.run_name!r}", hint='write run_name="load-{day}"'
            )
        if self.runner is not None:
            from headwater.core.runners.runner import runner_of

            object.__setattr__(self, "runner", runner_of(self.runner))


def check_number(name: str, value: object, least: int) -> None:
    """Raise DefinitionError for what is no number from the least on; None says nothing."""
    if value is None:
        return
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise DefinitionError(f"{name} is a number from {least}, got {value!r}", hint=f"write {name}={max(least, 4)}")


def _check_runs(most: object, when_full: object, key: object) -> None:
    check_number("max_runs", most, 1)
    if when_full not in ("queue", "skip", "cancel"):
        raise DefinitionError(f'when_full is "queue", "skip" or "cancel", got {when_full!r}')
    if key is not None and not callable(key):
        raise DefinitionError(f"run_key is a function of the parameters, got {key!r}", hint="write a function of them")
    if most is None and (when_full != "queue" or key is not None):
        raise DefinitionError("when_full and run_key say nothing without max_runs", hint="write max_runs=1")


CACHING = frozenset({"cache", "cache_for", "refresh", "once"})
"""The options that say what is cached."""


def _check_results(persist: object, encoding: object) -> None:
    if persist is not None and not isinstance(persist, bool):
        raise DefinitionError(f"persist_result is True, False or None, got {persist!r}")
    if encoding not in (None, "pickle"):
        raise DefinitionError(
            f'result is "pickle" or None, got {encoding!r}', hint="values are encoded by their type unless it is"
        )


def _check_delay(delay: object) -> None:
    if callable(delay):
        return
    values = list(delay) if isinstance(delay, Sequence) and not isinstance(delay, str) else [delay]
    for value in values:
        if not is_delay(value):
            raise DefinitionError(
                f"retry_delay is a number of seconds from 0, a list of them or a function, got {delay!r}"
            )
    if not values:
        raise DefinitionError("retry_delay is an empty list", hint="leave it out to try again at once")


def is_delay(value: object) -> bool:
    """Whether something is a number of seconds that can be waited for.

    >>> [is_delay(value) for value in (0, 1.5, -1, float("nan"), float("inf"), "1", None, True)]
    [True, True, False, False, False, False, False, False]
    """
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= TIMEOUT_MAX


def _check_timeout(timeout: object) -> None:
    if timeout is None:
        return
    if not is_delay(timeout) or not timeout:
        raise DefinitionError(f"timeout is a number of seconds above 0, got {timeout!r}", hint="write timeout=30")


def exponential_backoff(
    first: float, *, factor: float = 2.0, limit: float = 600.0, jitter: float = 0.0
) -> Callable[[int], float]:
    """Delays that grow: `first` seconds, then `factor` times as long each, at most `limit`; use it as `retry_delay`.

    `jitter` is the share of a delay that is drawn at random: with 0.5 a delay of 10 s comes to between 5 and 10 s. Raises
    DefinitionError for numbers that give no delays.

    >>> delay = exponential_backoff(1, limit=5)
    >>> [delay(tries) for tries in (1, 2, 3, 4)]
    [1.0, 2.0, 4.0, 5.0]
    """

    import random  # here, because few ask for it and every script would load it

    for name, value in (("first", first), ("factor", factor), ("limit", limit), ("jitter", jitter)):
        if not (is_delay(value) or (name == "limit" and value == math.inf)) or (name == "jitter" and value > 1):
            most = " to 1" if name == "jitter" else ""
            raise DefinitionError(f"{name} of exponential_backoff is a number from 0{most}, got {value!r}")

    def delay(tries: int) -> float:
        try:
            seconds = float(min(limit, first * factor ** min(tries - 1, 1_000)))
        except OverflowError:
            seconds = float(limit)
        return seconds - seconds * jitter * random.random()  # noqa: S311 - spreading load, not a secret

    return delay
