"""Where a function is defined, and a hash of its own source that formatting, comments and docstrings don't change."""

from __future__ import annotations

import ast
import hashlib
import inspect
import textwrap
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

from headwater.core.tracebacks import error_info
from headwater.types import SourceCode

__all__ = ["error_info", "source_of"]


def source_of(fn: Callable[..., Any], root: Path) -> SourceCode:
    """Where a function stands and the hash of its source; its file is relative to `root` where it lies in it.

    Decorators count, but Headwater's own do not: their options are no part of what the function computes. Without source (code that
    was typed or `exec`uted) the bytecode is hashed.

    >>> from headwater.ids import new_id
    >>> source_of(new_id, Path("/nowhere")).name
    'new_id'
    """
    inner = _function(fn)
    code = getattr(inner, "__code__", None)
    found = _definition(inner)
    if found is None:
        hashed, line = _hash_of_code(code, inner), getattr(code, "co_firstlineno", 0)
    else:
        node, line = found
        hashed = _digest(_normalised(node, inner))
    return SourceCode(
        file=_relative(getattr(code, "co_filename", "") or "", root),
        line=line,
        name=getattr(inner, "__qualname__", type(inner).__qualname__),
        hash=hashed,
    )


def _function(fn: Any) -> Any:
    inner = inspect.unwrap(fn)
    return getattr(inner, "__func__", inner)


def _definition(fn: Any) -> tuple[ast.FunctionDef | ast.AsyncFunctionDef, int] | None:
    """The definition's node and its line, or None when there is no source that it can be read from."""
    try:
        lines, first = inspect.getsourcelines(fn)
        tree = ast.parse(textwrap.dedent("".join(lines)))
    except (OSError, TypeError, SyntaxError, IndentationError):
        return None
    node = tree.body[0] if tree.body else None
    if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) or node.name != getattr(fn, "__name__", None):
        return None
    return node, max(first, 1) + node.lineno - 1


def _normalised(node: ast.FunctionDef | ast.AsyncFunctionDef, fn: Any) -> str:
    for inner in ast.walk(node):
        if isinstance(inner, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            _drop_docstring(inner)
    names = getattr(fn, "__globals__", {})
    node.decorator_list = [one for one in node.decorator_list if not _is_ours(one, names)]
    # The name is not the function's doing: renaming it computes nothing anew.
    node.name = "_"
    return ast.unparse(node)


def _drop_docstring(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> None:
    first = node.body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        node.body = node.body[1:] or [ast.Pass()]


def _is_ours(decorator: ast.expr, names: dict[str, Any]) -> bool:
    while isinstance(decorator, (ast.Call, ast.Attribute)):
        decorator = decorator.func if isinstance(decorator, ast.Call) else decorator.value
    if not isinstance(decorator, ast.Name):
        return False
    found = names.get(decorator.id)
    module = found.__name__ if isinstance(found, ModuleType) else getattr(found, "__module__", "")
    return str(module).partition(".")[0] == "headwater"


def _hash_of_code(code: CodeType | None, fn: Any) -> str:
    if code is None:
        return _digest(f"{getattr(fn, '__module__', '')}.{getattr(fn, '__qualname__', type(fn).__qualname__)}")
    doc = fn.__doc__ if isinstance(fn, FunctionType) else None
    return _digest(repr(_parts(code, doc)))


def _parts(code: CodeType, doc: str | None) -> tuple[Any, ...]:
    # Constants stay in their places, because the bytecode names them by number: only a docstring is blanked.
    constants = tuple(
        _parts(one, None)
        if isinstance(one, CodeType)
        else ("",)
        if at == 0 and one is not None and one == doc
        else _stable(one)
        for at, one in enumerate(code.co_consts)
    )
    return (code.co_code, constants, code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)


def _stable(value: Any) -> Any:
    return sorted(map(repr, value)) if isinstance(value, frozenset) else value


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:32]


def _relative(file: str, root: Path) -> str:
    if not file or file.startswith("<"):
        return file
    path = Path(file).absolute()
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
