"""What a function imports inside of itself: the modules of its project, each by a fingerprint of its whole text.

Such a module may not be loaded yet, and loading it is the function's business: so its text is read, not what it holds. Comments,
docstrings and formatting do not count, and what the module imports of the project counts as well.
"""

from __future__ import annotations

import ast
import opcode
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from types import CodeType
from typing import Any

from headwater.core.source import parsed, tree_hash

_IMPORT, _EXTENDED = opcode.opmap["IMPORT_NAME"], opcode.opmap["EXTENDED_ARG"]


def imported(code: CodeType, place: Mapping[str, Any], root: Path) -> dict[str, str]:
    """The fingerprint of each module of the project below `root` that code imports when it runs, by the module's name.

    `place` are the names of the module that the code stands in.
    """
    if not imports_within(code):
        return {}
    found: dict[str, str] = {}
    package, bases = place.get("__package__") or "", _bases(place, root)
    todo = list(_named(code, package))
    for name in todo:
        file = _file_of(name, bases)
        if file is None or name in found:
            continue
        state = file.stat()
        found[name], further = _read(file, name, state.st_mtime_ns, state.st_size)
        todo.extend(further)
    return found


@lru_cache(maxsize=4096)
def imports_within(code: CodeType) -> bool:
    """Whether code, or code within it, imports anything when it runs.

    >>> def plain(): return 1
    >>> def lazy():
    ...     import json
    ...     return json
    >>> imports_within(plain.__code__), imports_within(lazy.__code__)
    (False, True)
    """
    if _IMPORT in code.co_code[::2]:
        return True
    return any(imports_within(one) for one in code.co_consts if isinstance(one, CodeType))


def _named(code: CodeType, package: str) -> Iterator[str]:
    import dis

    # Without what only makes a number larger: right before an import stand its level and its names.
    steps = [step for step in dis.get_instructions(code) if step.opcode != _EXTENDED]
    for at, step in enumerate(steps):
        if step.opcode == _IMPORT:
            level, names = (one.argval for one in steps[at - 2 : at])
            yield from _modules(step.argval, names or (), level, package)
    for one in code.co_consts:
        if isinstance(one, CodeType):
            yield from _named(one, package)


def _modules(name: str, names: tuple[str, ...], level: int, package: str) -> Iterator[str]:
    """The modules that a statement may mean: the one that it names, those around it, and what it takes of it."""
    above = package.split(".")[: len(package.split(".")) - level + 1] if level and package else []
    parts = [*above, *(name.split(".") if name else ())]
    for end in range(1, len(parts) + 1):
        yield ".".join(parts[:end])
    for one in names:
        yield ".".join([*parts, one])


def _bases(place: Mapping[str, Any], root: Path) -> tuple[Path, ...]:
    """Where the project's modules lie: in its root, and where the code's own module does, or the package around it."""
    file, name = place.get("__file__"), place.get("__package__") or ""
    if not isinstance(file, str):
        return (root,)
    own = Path(file).parents[name.count(".") + 1 if name else 0]
    return (root,) if own == root or not own.is_relative_to(root) else (own, root)


def _file_of(name: str, bases: tuple[Path, ...]) -> Path | None:
    """The file of a module of the project; None for any other."""
    for base in bases:
        place = base.joinpath(*name.split("."))
        for file in (place.with_name(f"{place.name}.py"), place / "__init__.py"):
            if file.is_file() and not {"site-packages", "dist-packages"} & set(file.parts):
                return file
    return None


@lru_cache(maxsize=1024)
def _read(file: Path, name: str, changed: int, size: int) -> tuple[str, tuple[str, ...]]:
    """The fingerprint of a file as it was when it was changed last, and the modules that its text imports."""
    try:
        tree = parsed(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, SyntaxError):
        return f"unreadable {changed} {size}", ()
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]
    further: dict[str, None] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for one in node.names:
                further.update(dict.fromkeys(_modules(one.name, (), 0, package)))
        elif isinstance(node, ast.ImportFrom):
            names = tuple(one.name for one in node.names)
            further.update(dict.fromkeys(_modules(node.module or "", names, node.level, package)))
    return tree_hash(tree), tuple(further)
