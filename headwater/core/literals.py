"""What the source says of a list, dict or set that a module gives a name: what it holds may change while a program runs."""

from __future__ import annotations

import ast
import linecache
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from headwater.core.hashing import fingerprint
from headwater.core.source import parsed


def literal_of(
    place: Mapping[str, Any], name: str, value: Any, is_of_project: Callable[[Mapping[str, Any]], bool]
) -> str | None:
    """A fingerprint of the literal that a module assigns to a name; None when it assigns none, or something else as well.

    `place` are the names of the module, or of one that has imported the value from where it is written.
    """
    if is_of_project(place) and (found := _written(place, name)) is not None:
        return found
    for module in list(sys.modules.values()):
        other = getattr(module, "__dict__", None)
        if other is not None and other is not place and other.get(name) is value and is_of_project(other):
            found = _written(other, name)
            if found is not None:
                return found
    return None


def _written(place: Mapping[str, Any], name: str) -> str | None:
    file = place.get("__file__")
    if not isinstance(file, str):
        return None
    linecache.checkcache(file)
    lines = linecache.getlines(file, dict(place))
    begins = re.compile(rf"{re.escape(name)}\s*(?::[^=]+)?=[^=]")
    at = [number for number, line in enumerate(lines) if line.startswith(name) and begins.match(line)]
    if len(at) != 1:
        return None
    try:
        statement = parsed("".join(_statement(lines[at[0] :]))).body[0]
        return fingerprint(ast.literal_eval(statement.value))  # type: ignore[attr-defined]
    except (SyntaxError, ValueError, TypeError):
        return None


def _statement(lines: list[str]) -> Iterable[str]:
    """The first line, and what belongs to it: lines that are indented, empty, a comment, or close what was opened."""
    yield lines[0]
    for line in lines[1:]:
        if not line.strip() or line[0] in " \t#)]}":
            yield line
        else:
            return
