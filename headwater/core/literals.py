"""What the source says of a list, dict or set that a module gives a name: what it holds may change while a program runs."""

from __future__ import annotations

import ast
import linecache
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from headwater.core.code_names import Chain, chains
from headwater.core.hashing import fingerprint
from headwater.core.source import parsed, tree_hash


class Literal(NamedTuple):
    """What is written: its fingerprint, and the names in it, such as those of functions, that are looked up in a module."""

    fingerprint: str
    named: tuple[Chain, ...]
    place: Mapping[str, Any]


def literal_of(
    place: Mapping[str, Any], name: str, value: Any, is_of_project: Callable[[Mapping[str, Any]], bool]
) -> Literal | None:
    """The literal that a module assigns to a name; None when it assigns none, or something else as well.

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


def _written(place: Mapping[str, Any], name: str) -> Literal | None:
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
        tree = parsed("".join(_statement(lines[at[0] :])))
        value = tree.body[0].value  # type: ignore[attr-defined]
        if _names_something(value):
            return Literal(tree_hash(tree), chains(compile(ast.Expression(value), file, "eval")), place)
        return Literal(fingerprint(ast.literal_eval(value)), (), place)
    except (SyntaxError, ValueError, TypeError):
        return None


def _names_something(node: ast.AST) -> bool:
    """Whether a literal holds what is looked up by its name, or code."""
    if isinstance(node, (ast.Dict, ast.List, ast.Set, ast.Tuple)):
        return any(isinstance(one, ast.Call) or _names_something(one) for one in ast.iter_child_nodes(node))
    while isinstance(node, ast.Attribute):
        node = node.value
    return isinstance(node, (ast.Name, ast.Lambda))


def _statement(lines: list[str]) -> Iterable[str]:
    """The first line, and what belongs to it: lines that are indented, empty, a comment, or close what was opened."""
    yield lines[0]
    for line in lines[1:]:
        if not line.strip() or line[0] in " \t#)]}":
            yield line
        else:
            return
