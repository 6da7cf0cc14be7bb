"""Where a function is defined, and a hash of its own source that formatting, comments and docstrings don't change."""

from __future__ import annotations

import ast
import inspect
import linecache
import re
import textwrap
import threading
import weakref
from collections.abc import Callable
from functools import lru_cache
from operator import attrgetter
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

from headwater.forks import free_in_child
from headwater.types import SourceCode

_parsing = free_in_child(threading.Lock())
"""CPython 3.11 counts the depth of a syntax tree for all threads together: two that parse at once may fail."""


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
    hashed, line = _hash(inner) if code is None else _hash_once(code, inner)
    return SourceCode(
        file=_relative(getattr(code, "co_filename", "") or "", root),
        line=line,
        name=getattr(inner, "__qualname__", type(inner).__qualname__),
        hash=hashed,
    )


def parsed(text: str) -> ast.Module:
    """The syntax tree of a text. Raises SyntaxError."""
    with _parsing:
        return ast.parse(text)


def tree_hash(tree: ast.Module) -> str:
    """The hash of a module's whole text, without comments, docstrings and formatting.

    >>> tree_hash(parsed("x = 1  # one")) == tree_hash(parsed("x=1"))
    True
    """
    found: list[str] = []
    _write(tree, found.append)
    return _digest(" ".join(found))


def hash_of(fn: FunctionType) -> str:
    """The hash of a function's own source: not of one that it is wrapped around."""
    return _hash_once(fn.__code__, fn)[0]


_known: dict[int, tuple[weakref.ref[CodeType], tuple[str, int]]] = {}
"""Hash and line by the id of the code: code that compares equal may stem from another text (annotations leave no trace
in it), and a function that is defined in a loop has one code."""


def _hash_once(code: CodeType, fn: Any) -> tuple[str, int]:
    # By a name of its own: at the interpreter's end the module's names are gone before its code is.
    place, known = id(code), _known
    if place not in known:
        known[place] = weakref.ref(code, lambda _: known.pop(place, None)), _hash(fn)
    return known[place][1]


def _hash(fn: Any) -> tuple[str, int]:
    code = getattr(fn, "__code__", None)
    found = _definition(fn)
    if found is None:
        return _hash_of_code(code, fn), getattr(code, "co_firstlineno", 0)
    node, line = found
    return _digest(_normalised(node, fn)), line


def _function(fn: Any) -> Any:
    inner = fn if getattr(fn, "__wrapped__", None) is None else inspect.unwrap(fn)
    return getattr(inner, "__func__", inner)


def literal_defaults(fn: FunctionType) -> bool:
    """Whether the source of a function spells the value of each default out; True too when there is no source."""
    found = _definition(fn)
    if found is None:
        return True
    given = found[0].args
    return all(_is_spelled(one) for one in (*given.defaults, *given.kw_defaults) if one is not None)


def _is_spelled(node: ast.expr) -> bool:
    return (isinstance(node, ast.UnaryOp) and _is_spelled(node.operand)) or isinstance(node, ast.Constant)


def _definition(fn: Any) -> tuple[ast.FunctionDef | ast.AsyncFunctionDef, int] | None:
    """The definition's node and its line, or None when there is no source that it can be read from."""
    node, first = _read(fn, _block) or _read(fn, inspect.getsourcelines) or (None, 0)
    return None if node is None else (node, max(first, 1) + node.lineno - 1)


def _read(
    fn: Any, lines_of: Callable[[Any], tuple[list[str], int]]
) -> tuple[ast.FunctionDef | ast.AsyncFunctionDef, int] | None:
    try:
        lines, first = lines_of(fn)
        own = _own_decorators(lines, getattr(fn, "__globals__", {}))
        first, text = first + own, "".join(lines[own:])
        tree = parsed(textwrap.dedent(text) if text[:1].isspace() else text)
    except (OSError, TypeError, SyntaxError, IndentationError):
        return None
    node = tree.body[0] if len(tree.body) == 1 else None
    # The name that it was compiled under: a wrapper takes on another one.
    name = getattr(getattr(fn, "__code__", fn), "co_name", None) or getattr(fn, "__name__", None)
    if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) or node.name != name:
        return None
    return node, first


_DECORATOR = re.compile(r"[ \t]*@([^\W\d]\w*)(?:\.\w+)*(?:\((?:[^()]|\([^()]*\))*\))?[ \t]*\n")
"""A decorator that is a name or the call of one, in which no parentheses stand deeper than those of another call."""


def _own_decorators(lines: list[str], names: dict[str, Any]) -> int:
    """How many lines at the beginning are decorators of Headwater's own that can be told without a parser.

    They don't count, and parsing them takes twice as long as parsing a short function.
    """
    if not lines or not lines[0].lstrip().startswith("@"):
        return 0
    text = "".join(lines)
    end = 0
    while (found := _DECORATOR.match(text, end)) is not None and _is_name_of_ours(found[1], names):
        end = found.end()
    return text.count("\n", 0, end)


def _block(fn: Any) -> tuple[list[str], int]:
    """The lines of a definition by their indentation: a tenth of the time that inspect takes to tokenize them.

    Where a line of the definition begins further left than its `def` (in a string, between parentheses) they end too
    early, and then they can't be parsed: inspect is asked.
    """
    code = getattr(fn, "__code__", None)
    if code is None:
        raise TypeError("no code")
    linecache.checkcache(code.co_filename)
    lines, first = linecache.getlines(code.co_filename, getattr(fn, "__globals__", None)), max(code.co_firstlineno, 1)
    if len(lines) < first:
        raise OSError("no source")
    indent = len(lines[first - 1]) - len(lines[first - 1].lstrip())
    last, in_body = first, False
    for at in range(first - 1, len(lines)):
        line = lines[at]
        text = line.lstrip()
        if not text or text[0] == "#":
            continue
        if len(line) - len(text) <= indent and text[0] != ")":
            if in_body:
                break
            in_body = text.startswith(("def ", "async def "))
        last = at + 1
    return lines[first - 1 : last], first


def _normalised(node: ast.FunctionDef | ast.AsyncFunctionDef, fn: Any) -> str:
    names = getattr(fn, "__globals__", {})
    node.decorator_list = [one for one in node.decorator_list if not _is_ours(one, names)]
    # The name is not the function's doing: renaming it computes nothing anew.
    node.name = "_"
    found: list[str] = []
    _write(node, found.append)
    return " ".join(found)


def _write(node: ast.AST, write: Callable[[str], None]) -> None:
    """A syntax tree as words, without docstrings and without what is empty: fields that a later Python adds, mostly."""
    if isinstance(node, _DOCUMENTED):
        _drop_docstring(node)
    word, names, values_of = _SHAPES.get(type(node)) or _shape(type(node))
    write(word)
    for name, value in zip(names, values_of(node), strict=True):
        if isinstance(value, list):
            if value:
                write(name)
                for one in value:
                    _write(one, write) if isinstance(one, ast.AST) else write(repr(one))
        elif isinstance(value, ast.AST):
            write(name)
            _write(value, write)
        elif value is not None:
            write(f"{name}={value!r}")
    write(")")


_DOCUMENTED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Module)
_SILENT = frozenset({"ctx", "kind", "type_comment"})
"""What the text around it says already, or what changes nothing: load or store, the u of u"text", comments."""
_SHAPES: dict[type[ast.AST], tuple[str, tuple[str, ...], Callable[[ast.AST], tuple[Any, ...]]]] = {}
"""The word for each class of nodes, the fields that count, and what takes their values from a node."""


def _shape(kind: type[ast.AST]) -> tuple[str, tuple[str, ...], Callable[[ast.AST], tuple[Any, ...]]]:
    names = tuple(name for name in kind._fields if name not in _SILENT)
    found = _SHAPES[kind] = "(" + kind.__name__, names, _getter(names)
    return found


def _getter(names: tuple[str, ...]) -> Callable[[ast.AST], tuple[Any, ...]]:
    if len(names) > 1:
        return attrgetter(*names)
    return lambda node: tuple(getattr(node, name) for name in names)


def _drop_docstring(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module) -> None:
    first = node.body[0] if node.body else None
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        node.body = node.body[1:] or [ast.Pass()]


def _is_ours(decorator: ast.expr, names: dict[str, Any]) -> bool:
    while isinstance(decorator, (ast.Call, ast.Attribute)):
        decorator = decorator.func if isinstance(decorator, ast.Call) else decorator.value
    return isinstance(decorator, ast.Name) and _is_name_of_ours(decorator.id, names)


def _is_name_of_ours(name: str, names: dict[str, Any]) -> bool:
    found = names.get(name)
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
    # Loading OpenSSL takes milliseconds, and a script whose tasks nobody compares needs none of it.
    import hashlib

    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:32]


@lru_cache(maxsize=1024)
def _relative(file: str, root: Path) -> str:
    if not file or file.startswith("<"):
        return file
    path = Path(file).absolute()
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
