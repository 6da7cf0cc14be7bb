"""The kinds of work that can be asked for, each as the command that a worker starts for it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeAlias

from headwater.errors import UnknownNameError

What: TypeAlias = Literal["backfill", "resume", "retry", "materialize", "run", "runs.resume", "runs.retry"]
"""Kinds of work: `resume` and `retry` are of backfills, `runs.resume` and `runs.retry` of runs."""

_Arguments: TypeAlias = Mapping[str, Any]
_MADE_NEW = frozenset({"backfill", "materialize", "run"})


def command(what: str, arguments: _Arguments, where: Sequence[str] = ()) -> list[str]:
    """The command line of a request, without the program. What begins with a dash stays what it is. Raises UnknownNameError.

    `where` are options that say where assets are defined.

    >>> command("backfill", {"selection": "-rf", "from": "2026-01-01", "to": "2026-01-31", "upstream": True})
    ['backfill', '--from=2026-01-01', '--to=2026-01-31', '--upstream', '--', '-rf']
    >>> command("resume", {"backfill": "0198a2"})
    ['backfill', 'resume', '--', '0198a2']
    >>> command("run", {"target": "etl.py:nightly", "parameters": {"day": "2026-01-05", "limit": 3}})
    ['run', '--parameter=day:="2026-01-05"', '--parameter=limit:=3', '--', 'etl.py:nightly']
    """
    if what not in _COMMANDS:
        raise UnknownNameError.of("kind of work", what, _COMMANDS)
    return _COMMANDS[what](arguments, where)


def makes_new(what: str) -> bool:
    """Whether it makes a run, which gets the request's id; else it goes on with one."""
    return what in _MADE_NEW


def _backfill(arguments: _Arguments, where: Sequence[str]) -> list[str]:
    options = _options(arguments, "from", "to", "partition", "parallel", "order", "max_failures")
    options += [f"--only={one}" for one in arguments.get("only", ())]
    options += [f"--{name}" for name in ("upstream", "downstream") if arguments.get(name)]
    return ["backfill", *options, *where, "--", arguments["selection"]]


def _again(what: str) -> Callable[[_Arguments, Sequence[str]], list[str]]:
    return lambda arguments, where: ["backfill", what, *where, "--", arguments["backfill"]]


def _materialize(arguments: _Arguments, where: Sequence[str]) -> list[str]:
    options = _options(arguments, "partition", "parallel")
    options += [f"--only={one}" for one in arguments.get("only", ())]
    return ["materialize", *options, *where, "--", arguments["selection"]]


def _run(arguments: _Arguments, where: Sequence[str]) -> list[str]:
    return ["run", *_parameters(arguments), "--", arguments["target"]]


def _resume_run(arguments: _Arguments, where: Sequence[str]) -> list[str]:
    return ["runs", "resume", *_parameters(arguments), "--", arguments["run"]]


def _retry_run(arguments: _Arguments, where: Sequence[str]) -> list[str]:
    return ["runs", "retry", f"--from={arguments['from']}", *_parameters(arguments), "--", arguments["run"]]


def _options(arguments: _Arguments, *names: str) -> list[str]:
    return [f"--{name.replace('_', '-')}={arguments[name]}" for name in names if name in arguments]


def _parameters(arguments: _Arguments) -> list[str]:
    # As JSON: a text that looks like a number stays one, where no annotation says otherwise.
    return [f"--parameter={name}:={json.dumps(value)}" for name, value in arguments.get("parameters", {}).items()]


_COMMANDS: Mapping[str, Callable[[_Arguments, Sequence[str]], list[str]]] = {
    "backfill": _backfill,
    "resume": _again("resume"),
    "retry": _again("retry"),
    "materialize": _materialize,
    "run": _run,
    "runs.resume": _resume_run,
    "runs.retry": _retry_run,
}
