"""Keys of cached results: what the result of a call depends on, part by part."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from headwater.core.code_parts import code_parts, variables
from headwater.core.definition import place_of
from headwater.core.hashing import Unhashable, fingerprint
from headwater.errors import DefinitionError, UnknownNameError
from headwater.records import dataclass

if TYPE_CHECKING:
    from headwater.core.cache_policies import CachePolicy
    from headwater.core.context import TaskCall
    from headwater.core.task import Task


@dataclass(frozen=True, slots=True)
class CacheKey:
    """The fingerprint of everything that a result depends on, and that of each part by its name."""

    digest: str
    parts: dict[str, str]


@dataclass(frozen=True, slots=True)
class Uncached:
    """Why a call has no key: a kind, and a sentence; `meant` when that was asked for, so that nobody need be warned."""

    kind: str
    text: str
    meant: bool = False


def check_policy(task: Task[..., Any]) -> None:
    """Raises DefinitionError when a task's cache policy does not fit it."""
    policy = task.options.cache
    assert policy is not None
    if policy and task.generates:
        raise DefinitionError(
            f"'{task.name}' hands out its items as they come, and can't be cached",
            where=place_of(task.fn),
            hint="return a list",
        )
    takes_any = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in task.parameters.values())
    code = getattr(task.fn, "__code__", None)
    known = {*task.parameters, *getattr(code, "co_freevars", ()), *getattr(code, "co_names", ())}
    for name in sorted(policy.without):
        if name not in known and not takes_any:
            raise UnknownNameError.of("argument", name, known, where=place_of(task.fn))


def key_of(task: Task[..., Any], call: TaskCall) -> CacheKey | Uncached:
    """The key of a call by its task's policy, or why there is none. Never raises what a key function raises."""
    policy = task.options.cache
    assert policy is not None
    if not policy:
        return Uncached("no_cache", "its policy is NO_CACHE", meant=True)
    source = task.source
    try:
        parts = _parts(task, call, policy)
    except Unhashable as error:
        return Uncached("unhashable", error.why)
    except _NoKeyError as error:
        return Uncached("no_key", str(error), error.meant)
    whole = {"file": source.file, "name": source.name, **{f"part {name}": one for name, one in parts.items()}}
    return CacheKey(fingerprint(whole), parts)


def _parts(task: Task[..., Any], call: TaskCall, policy: CachePolicy) -> dict[str, str]:
    parts: dict[str, str] = {}
    if "inputs" in policy.parts or policy.functions:
        arguments = arguments_of(task, call)
        if "inputs" in policy.parts:
            for name, value in _counting(task, arguments, policy.without).items():
                parts[f"argument '{name}'"] = _told(value, f"argument '{name}'", f'leave it out: cache=… - "{name}"')
        for function in policy.functions:
            label = f"key function {getattr(function, '__qualname__', 'of its own')}"
            parts[label] = _told(_asked(function, call, arguments, label), f"what the {label} gave")
    if "source" in policy.parts:
        # Its own as it was where the task is defined: what is sent to another process comes without its decorators.
        parts |= code_parts(task.fn, call.context.root, policy.without, own=task.source.hash)
    if policy.parts & {"source", "inputs"}:
        for name, value in variables(task.fn, call.context.root).items():
            if name not in policy.without:
                what = f"variable '{name}' of the function around it"
                parts[f"variable '{name}'"] = _told(value, what, f'leave it out: cache=… - "{name}"')
    if "parameters" in policy.parts:
        for name, value in call.context.run.parameters.items():
            parts[f"parameter '{name}'"] = _told(value, f"the flow's parameter '{name}'")
    if "run" in policy.parts:
        parts["run"] = call.context.root_run_id
    return parts


class _NoKeyError(Exception):
    """A key function gave no key, as it may."""

    def __init__(self, text: str, *, meant: bool = False) -> None:
        super().__init__(text)
        self.meant = meant


def _asked(function: Any, call: TaskCall, arguments: dict[str, Any], label: str) -> Any:
    try:
        found = function(call.context, dict(arguments))
    except Exception as error:
        raise _NoKeyError(f"the {label} raised {type(error).__name__}: {error}") from error
    if found is None:
        raise _NoKeyError(f"the {label} gave None", meant=True)
    return found


def arguments_of(task: Task[..., Any], call: TaskCall) -> dict[str, Any]:
    """The arguments of a call by parameter, defaults included."""
    try:
        bound = task.signature.bind(*call.args, **call.kwargs)
    except TypeError as error:
        raise _NoKeyError(f"its arguments do not fit it: {error}") from error
    bound.apply_defaults()
    return dict(bound.arguments)


def _counting(task: Task[..., Any], arguments: dict[str, Any], without: frozenset[str]) -> dict[str, Any]:
    found = {name: value for name, value in arguments.items() if name not in without}
    for name, parameter in task.parameters.items() if without else ():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD and name in found:
            found[name] = {key: value for key, value in found[name].items() if key not in without}
    return found


def _told(value: Any, name: str, hint: str = "") -> str:
    try:
        return fingerprint(value)
    except Unhashable as error:
        raise Unhashable(error.told(name) + (f" ({hint})" if hint else "")) from None
