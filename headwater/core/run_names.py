"""Names of runs: a template that a flow has, filled in with the parameters of each run."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping
from string import Formatter
from typing import Any

from headwater.core.parameters import REDACTED, is_secret
from headwater.errors import DefinitionError

_log = logging.getLogger(__name__)
_LONGEST = 200


def check_run_name(template: str, parameters: Collection[str], where: str) -> None:
    """Raise DefinitionError when a template can't be filled in with these parameters.

    >>> check_run_name("load-{day:%A}", ["day"], "flows.py:3")
    >>> check_run_name("load-{date}", ["day"], "flows.py:3")
    Traceback (most recent call last):
    ...
    headwater.errors.DefinitionError: run_name names '{date}', which is no parameter of the flow
      where: flows.py:3
      hint: its parameters: day
    """
    try:
        named = list(_fields(template))
    except ValueError as error:
        raise DefinitionError(
            f"run_name can't be read: {error}", where=where, hint='write run_name="load-{day}", and {{ for a brace'
        ) from error
    for name, form in named:
        if not name.isidentifier() or "{" in form:
            raise DefinitionError(
                f"run_name holds '{{{name}}}', and takes parameters alone, with a format at most",
                where=where,
                hint='write run_name="load-{day}" or "{day:%A}"',
            )
        if name not in parameters:
            known = ", ".join(parameters) or "it has none"
            raise DefinitionError(
                f"run_name names '{{{name}}}', which is no parameter of the flow",
                where=where,
                hint=f"its parameters: {known}",
            )


def run_name(template: str, parameters: Mapping[str, Any]) -> str | None:
    """The name of a run with these parameters, without secrets; None, and a warning, when they can't be written so.

    >>> run_name("load-{number:03} by {token}", {"number": 7, "token": "hunter2"})
    'load-007 by ***'
    """
    shown = {name: REDACTED if is_secret(name, parameters[name]) else parameters[name] for name, _ in _fields(template)}
    try:
        text = " ".join(template.format_map(shown).split())
    except Exception as error:  # noqa: BLE001 - whatever a value raises when it is written: a run is worth more than its name
        _log.warning("the run has no name: '%s' can't be filled in: %s: %s", template, type(error).__name__, error)
        return None
    return text[:_LONGEST] or None


def _fields(template: str) -> Iterator[tuple[str, str]]:
    for _, name, form, _ in Formatter().parse(template):
        if name is not None:
            yield name, form or ""
