"""Hooks: functions of the user's that are called when a run or a task run comes into a state."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from headwater.core.states import State
from headwater.errors import DefinitionError

Hook: TypeAlias = "Callable[[StateChange], Any]"
Hooks: TypeAlias = Mapping[Any, Any]
"""By state (a `State` or its value): a hook, or several."""

_log = logging.getLogger("headwater.run")
_HEARD = (
    State.RUNNING,
    State.AWAITING_RETRY,
    State.BLOCKED,
    State.COMPLETED,
    State.FAILED,
    State.TIMED_OUT,
    State.CANCELLED,
    State.SKIPPED,
)
"""The states that hooks are called for. Nobody is there to call one for Crashed: its process has died."""


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
        found[State(state)] = several
    return found


def failed(hook: Hook, change: StateChange, error: Exception) -> None:
    """Tell that a hook raised: that never changes what it was told of."""
    name = getattr(hook, "__qualname__", repr(hook))
    _log.warning(
        "the hook %s of '%s' (%s) raised %s: %s", name, change.name, change.state.value, type(error).__name__, error
    )
