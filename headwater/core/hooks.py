"""Hooks: functions of the user's that are called when a run or a task run comes into a state."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import field
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from headwater.core.states import State
from headwater.errors import DefinitionError
from headwater.records import dataclass

if TYPE_CHECKING:
    from headwater.core.transactions import Transaction

Hook: TypeAlias = "Callable[[StateChange], Any]"
TransactionHook: TypeAlias = "Callable[[TaskOutcome], Any]"
Hooks: TypeAlias = Mapping[Any, Any]
"""By state (a `State` or its value): a hook, or several."""

_log = logging.getLogger("headwater.run")
_HEARD = (
    State.RUNNING,
    State.AWAITING_RETRY,
    State.AWAITING_SLOT,
    State.BLOCKED,
    State.COMPLETED,
    State.CACHED,
    State.FAILED,
    State.TIMED_OUT,
    State.CRASHED,
    State.CANCELLED,
    State.SKIPPED,
    State.ROLLED_BACK,
)
"""The states that hooks are called for. For Crashed, when a worker process has died: when its own has, nobody is left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StateChange:
    """What a hook is told: `name` came into `state`; `error` is what it raised, if it did.

    `task_run_id` is None for a run of a flow. `tries` counts the tries of a task run, or the attempts of a run, from 1.

    >>> change = StateChange(name="load", state=State.FAILED, run_id="r", flow="nightly", tries=3)
    >>> f"{change.name}: {change.state.value}"
    'load: Failed'
    """

    name: str
    state: State
    run_id: str
    flow: str
    tries: int
    task_run_id: str | None = None
    error: BaseException | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskOutcome:
    """What the hooks of a transaction are told of a task run: it completed and is committed, or it is rolled back.

    `error` is what the transaction is rolled back for; `published` names the assets that this task run had published before the
    commit failed, and that stay. What the hook was given is not to be changed.

    >>> done = TaskOutcome(name="load", state=State.COMPLETED, run_id="r", task_run_id="t", flow="f", tries=1, result=3)
    >>> done.result, done.get("table", "none")
    (3, 'none')
    """

    name: str
    state: State
    run_id: str
    task_run_id: str
    flow: str
    tries: int
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """What it was called with, by parameter."""
    result: Any = None
    error: BaseException | None = None
    published: tuple[str, ...] = ()
    transaction: Transaction | None = None
    """The transaction in whose block it was called; None outside of any."""

    def get(self, name: str, default: Any = None) -> Any:
        """A value that was set in the transaction."""
        return default if self.transaction is None else self.transaction.get(name, default)


def check_takes_one(function: Callable[..., object], what: str) -> None:
    """Raise DefinitionError for a hook that can't be called with one argument: it would fail when it is needed, in the log only.

    >>> check_takes_one(lambda change: None, "a StateChange")
    >>> check_takes_one(lambda flow, run, state: None, "a StateChange")
    Traceback (most recent call last):
    ...
    headwater.errors.DefinitionError: the hook <lambda> can't be called with a StateChange: missing a required argument: 'run'
      hint: write it with one parameter
    """
    import inspect  # here, because few functions have hooks

    try:
        inspect.signature(function).bind(None)
    except ValueError:
        return  # written in C: it is not known what it takes
    except TypeError as error:
        raise DefinitionError(
            f"the hook {hook_name(function)} can't be called with {what}: {error}", hint="write it with one parameter"
        ) from None


def transaction_hooks(option: str, given: object) -> tuple[TransactionHook, ...]:
    """The hooks of the options `on_commit` and `on_rollback`: one, or several. Raises DefinitionError for what is none.

    >>> transaction_hooks("on_commit", print) == transaction_hooks("on_commit", [print]) == (print,)
    True
    """
    several = tuple(given) if isinstance(given, Iterable) and not callable(given) else (given,)
    for hook in several:
        if not callable(hook):
            raise DefinitionError(
                f"{option} is a function of a TaskOutcome, or several, got {hook!r}", hint=f"write {option}=[undo]"
            )
        check_takes_one(hook, "a TaskOutcome")
    return cast("tuple[TransactionHook, ...]", several)


def hook_name(hook: object) -> str:
    """What a hook is called in messages."""
    return str(getattr(hook, "__qualname__", repr(hook)))


def hooks_of(given: object) -> dict[State, tuple[Hook, ...]]:
    """Hooks by state, as the option `hooks` is written. Raises DefinitionError for what is none.

    >>> hooks_of({"Failed": print}) == hooks_of({State.FAILED: [print]}) == {State.FAILED: (print,)}
    True
    """
    if not isinstance(given, Mapping):
        raise DefinitionError(f"hooks is a mapping, got {given!r}", hint='write hooks={"Failed": alert}')
    found: dict[State, tuple[Hook, ...]] = {}
    for state, hooks in given.items():
        several = tuple(hooks) if isinstance(hooks, Iterable) and not callable(hooks) else (hooks,)
        if state not in _HEARD:
            known = ", ".join(one.value for one in _HEARD)
            raise DefinitionError(f"there are no hooks for the state {state!r}", hint=f"there are for {known}")
        if not all(map(callable, several)):
            raise DefinitionError(f"a hook is a function of a StateChange, got {hooks!r}")
        for hook in several:
            check_takes_one(hook, "a StateChange")
        found[State(state)] = several
    return found


def failed(hook: Hook, change: StateChange, error: Exception) -> None:
    """Tell that a hook raised: that never changes what it was told of."""
    _log.warning(
        "the hook %s of '%s' (%s) raised %s: %s",
        hook_name(hook),
        change.name,
        change.state.value,
        type(error).__name__,
        error,
    )
