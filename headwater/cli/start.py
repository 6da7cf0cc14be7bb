"""`run`: running a flow of a file."""

from __future__ import annotations

import inspect
import json
import shlex
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, get_args

from cyclopts import Parameter

from headwater.assets.inputs import PARTITION
from headwater.assets.materialize import Materialization
from headwater.cli.common import open_project
from headwater.cli.options import COMMON, Common, Where
from headwater.cli.output import emit
from headwater.core.decisions import is_cancellation
from headwater.core.flow import Flow
from headwater.core.parameters import repr_of
from headwater.core.task import Task
from headwater.core.tracebacks import text_of, users_line
from headwater.core.validation import convert, spelled
from headwater.errors import HeadwaterError, UnknownNameError, UsageError
from headwater.loading import load_file
from headwater.wording import partition_option


def run(
    target: str,
    /,
    *,
    parameter: Annotated[tuple[str, ...], Parameter(name=["--parameter", "-p"], negative=())] = (),
    partition: str | None = None,
    common: Common = COMMON,
) -> int:
    """Run a flow, a task or a materialization of a file. Prints nothing but what it prints itself, or its result with --json.

    Parameters
    ----------
    target
        FILE:NAME, or FILE alone when it defines one flow.
    parameter
        A parameter, as name=value; the value is read by the parameter's annotation. As name:=value it is JSON.
    partition
        The partition, for a materialization.
    """
    file, _, name = target.partition(":")
    project = open_project(Where(), writes=True)
    found = _find(load_file(Path(file), project.root), name, file)
    if isinstance(found, Materialization) and partition is not None:
        if found.assets[0].partitions is None:
            raise UsageError(f"the asset '{found.assets[0].name}' has no partitions", hint="leave --partition out")
        found = found.at(partition)
    elif isinstance(found, Materialization):
        _check_undivided(found, name)
    elif partition is not None:
        raise UsageError(
            "--partition is for materializations",
            hint=f"give {name} a parameter instead: -p {shlex.quote(f'day={partition}')}",
        )
    arguments = _arguments(found, parameter)
    try:
        result = call(found, arguments, keep=common.json)
    except (HeadwaterError, SystemExit):
        raise
    except BaseException as error:
        if is_cancellation(error):
            raise
        raise HeadwaterError(
            f"{found.name} failed: {type(error).__name__}: {text_of(error)}",
            where=users_line(error),
            hint="headwater runs shows it; --debug gives the traceback",
        ) from error
    if common.json:
        emit({"flow": found.name, "state": "Completed", "result": plain(result)}, True, str)
    return 0


def _check_undivided(found: Materialization[Any, Any], name: str) -> None:
    for asset in found.assets:
        if asset.partitions is not None:
            raise UsageError(
                f"the asset '{asset.name}' is partitioned, and no partition was given",
                where=name or found.name,
                hint=f"give {partition_option(asset.partitions.write(asset.partitions.sample))}",
            )


def call(found: Any, arguments: Mapping[str, Any], *, keep: bool = True) -> Any:
    """Call a flow or a task; what it returns, awaited."""
    named, placed = dict(arguments), []
    for name, parameter in inspect.signature(found.fn).parameters.items():
        if parameter.kind is parameter.POSITIONAL_ONLY and any(one in named for one in _placed_from(found, name)):
            placed.append(named.pop(name, parameter.default))
    return finished(found(*placed, **named), keep=keep)


def _placed_from(found: Any, name: str) -> list[str]:
    """The parameters that have a place and no name, from one of them on."""
    parameters = inspect.signature(found.fn).parameters.values()
    names = [one.name for one in parameters if one.kind is one.POSITIONAL_ONLY]
    return names[names.index(name) :]


def finished(result: Any, *, keep: bool = True) -> Any:
    """What a call gave, awaited if it is to be. Items that are handed out one by one are read: a list of them, if anybody asks."""
    if inspect.isgenerator(result):
        return list(result) if keep else deque(result, 0)
    if inspect.isasyncgen(result) or inspect.isawaitable(result):

        async def finish() -> Any:
            if inspect.isawaitable(result):
                return await result
            items: deque[Any] = deque(maxlen=None if keep else 0)
            async for item in result:
                items.append(item)
            return list(items)

        awaited = finish()
        try:
            import asyncio

            return asyncio.run(awaited)
        finally:
            # Ctrl-C may come before anything has begun: Python tells of each coroutine that was never awaited.
            awaited.close()
            if inspect.iscoroutine(result):
                result.close()
    return result


def _find(module: ModuleType, name: str, file: str) -> Any:
    known = {key: value for key, value in vars(module).items() if isinstance(value, (Flow, Task))}
    flows = {key: value for key, value in known.items() if isinstance(value, Flow)}
    if not name:
        if len(flows) == 1:
            return next(iter(flows.values()))
        if not known:
            raise UsageError(f"{file} defines no flow and no task", hint="decorate a function of it: @flow")
        raise UsageError(
            f"{file} defines {len(flows)} flows",
            hint="name one: " + ", ".join(f"{file}:{key}" for key in flows or known),
        )
    if name not in known:
        raise UnknownNameError.of("flow", name, known, where=file)
    return known[name]


def _arguments(found: Any, given: Sequence[str]) -> dict[str, Any]:
    values, parameters = given_values(found, given), inspect.signature(found.fn).parameters
    missing = [name for name in _required(found, parameters) if name not in values]
    if missing:
        raise UsageError(
            f"the parameter '{missing[0]}' is needed", where=found.fn.__qualname__, hint=f"give -p {missing[0]}=…"
        )
    return values


def given_values(found: Any, given: Sequence[str]) -> dict[str, Any]:
    """The parameters that were given as `-p name=value`, read by their annotations, or as `-p name:=value`, which is JSON."""
    fn = found.fn
    parameters = inspect.signature(fn).parameters.values()
    known = [one.name for one in parameters if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)]
    rest = next((one.name for one in parameters if one.kind is one.VAR_KEYWORD), None)
    values: dict[str, Any] = {}
    for pair in given:
        name, equals, text = pair.partition("=")
        if not equals:
            free = [one for one in known if one not in values]
            hint = _as_parameter(pair, free, takes_any=rest is not None)
            raise UsageError(f"-p {pair!r} is not name=value", where=fn.__qualname__, hint=hint)
        readings = _json if name.endswith(":") else _readings
        name = name.removesuffix(":")
        if name not in known and (rest is None or not name.isidentifier()):
            raise UnknownNameError.of("parameter", name, known, where=fn.__qualname__, none="it has none: leave -p out")
        if name in values:
            raise UsageError(
                f"the parameter '{name}' is given twice",
                where=f"-p {pair}",
                hint="give each parameter once; several values are a list, written as JSON",
            )
        values[name] = _value(found, name, text, found.hints.get(name if name in known else rest, Any), readings)
    return values


def _as_parameter(text: str, free: Sequence[str], *, takes_any: bool) -> str:
    """What to write for what is a name or a value alone: of a name the value is missing, of a value the name."""
    if text in free or (takes_any and text.isidentifier()):
        return f"write -p {text}=…"
    if free:
        return f"write -p {shlex.quote(f'{free[0]}={text}')}"
    return "write -p name=value" if takes_any else "no parameter is left to give: leave -p out"


def _required(found: Any, parameters: Mapping[str, inspect.Parameter]) -> list[str]:
    supplied = {PARTITION, *(spec.parameter for spec in found.inputs)} if isinstance(found, Materialization) else set()
    several = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [
        name
        for name, parameter in parameters.items()
        if parameter.default is parameter.empty and parameter.kind not in several and name not in supplied
    ]


def _value(found: Any, name: str, text: str, hint: Any, readings: Callable[[str, Any], list[Any]]) -> Any:
    """The value of a parameter: the first of its readings that the annotation takes."""
    problem = "it is no JSON"
    for candidate in readings(text, hint):
        try:
            return convert(candidate, hint)
        except ValueError as error:
            problem = str(error)
    raise UsageError(
        f"the parameter '{name}' can't be {text!r}: {problem}",
        where=f"-p {name}={text}",
        hint=f"{found.fn.__qualname__} wants {spelled(hint)} there; lists and mappings are written as JSON",
    )


def _readings(text: str, hint: Any) -> list[Any]:
    """As JSON, else as the text itself."""
    return [text] if hint is str else [*_parsed(text, hint), text]


def _json(text: str, hint: Any) -> list[Any]:
    """As JSON, in which a text that the annotation does not take may be written as on the command line."""
    found = _parsed(text, hint)
    return [*found, *_readings(found[0], hint)] if found and isinstance(found[0], str) else found


def _parsed(text: str, hint: Any) -> list[Any]:
    try:
        # A float would keep about 17 digits of what is a decimal number.
        return [json.loads(text, parse_float=Decimal if _mentions(hint, Decimal) else None)]
    except (ValueError, RecursionError):
        # No JSON; or a number of thousands of digits, or lists in lists in lists.
        return []


def _mentions(hint: Any, wanted: type) -> bool:
    return hint is wanted or any(_mentions(one, wanted) for one in get_args(hint))


def plain(value: Any) -> Any:
    """A result as JSON, or the beginning of its repr."""
    try:
        json.dumps(value)
    except (TypeError, ValueError, RecursionError):
        return repr_of(value)[:1_000]
    return value
