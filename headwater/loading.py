"""Loading user code for its definitions: modules by name, and scripts without running what they run.

A script is executed statement by statement, with runs refused: a statement that would start a flow is left out, and so is
one that needs what a left-out statement would have made. Everything else takes effect, so that all of its assets, tasks
and flows are known, and nothing has run.
"""

from __future__ import annotations
import __future__

import ast
import importlib
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

from headwater.core import runtime
from headwater.errors import RunRefused, UsageError

_NOT_THE_USERS = ("<", str(Path(__file__).parent), sysconfig.get_path("stdlib"))
"""Where code lies that is not the user's: generated, ours, Python's own."""


def load_modules(names: Iterable[str], root: Path) -> None:
    """Import modules for their definitions; the root is on the import path. Raises UsageError naming the module."""
    _on_path(root)
    for name in names:
        try:
            with runtime.defining():
                importlib.import_module(name)
        except RunRefused:
            raise UsageError(
                f"the module '{name}' starts a run when it is imported",
                hint=f"put what it runs under `if __name__ == '__main__':`, or load it as a file: -f {name}.py",
            ) from None
        except Exception as error:
            raise UsageError(
                f"the module '{name}' can't be imported: {type(error).__name__}: {error}", where=_line_of(error)
            ) from error


def load_file(path: Path, root: Path) -> ModuleType:
    """Load a script for its definitions, without running its flows. Raises UsageError naming file and line."""
    path = path.absolute()
    if not path.is_file():
        raise UsageError(f"there is no file {path.name}", where=str(path), hint="name a Python file: -f my_flow.py")
    _on_path(root)
    _on_path(path.parent)
    loaded = sys.modules.get(path.stem)
    if loaded is not None and _same_file(loaded, path):
        return loaded
    module = ModuleType(path.stem)
    module.__file__ = str(path)
    sys.modules[path.stem] = module
    try:
        tree = ast.parse(path.read_bytes(), filename=str(path))
    except SyntaxError as error:
        raise UsageError(f"{path.name} is not valid Python: {error.msg}", where=f"{path}:{error.lineno}") from error
    _execute(tree, module, path)
    return module


def _same_file(module: ModuleType, path: Path) -> bool:
    file = getattr(module, "__file__", None)
    return file is not None and Path(file).exists() and path.samefile(file)


def _execute(tree: ast.Module, module: ModuleType, path: Path) -> None:
    flags = _future_flags(tree)
    left_out: set[str] = set()
    for statement in tree.body:
        code = compile(ast.Module([statement], []), str(path), "exec", flags=flags, dont_inherit=True)
        try:
            with runtime.defining():
                exec(code, module.__dict__)  # noqa: S102 - the user's own script, named by the user
        except RunRefused:
            left_out |= _assigned(statement)
        except NameError as error:
            if error.name not in left_out:
                raise _failed(path, error) from error
            left_out |= _assigned(statement)
        except Exception as error:
            raise _failed(path, error) from error


def _failed(path: Path, error: Exception) -> UsageError:
    return UsageError(
        f"{path.name} can't be loaded: {type(error).__name__}: {error}", where=_line_of(error) or str(path)
    )


def _line_of(error: BaseException) -> str | None:
    """The innermost line of the user's own code that the error came through."""
    found, trace = None, error.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if not (file.startswith(_NOT_THE_USERS) or "site-packages" in file):
            found = f"{file}:{trace.tb_lineno}"
        trace = trace.tb_next
    return found


def _assigned(statement: ast.stmt) -> set[str]:
    return {node.id for node in ast.walk(statement) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}


def _future_flags(tree: ast.Module) -> int:
    names = [
        alias.name
        for statement in tree.body
        if isinstance(statement, ast.ImportFrom) and statement.module == "__future__"
        for alias in statement.names
    ]
    flags = 0
    for name in names:
        flags |= getattr(__future__, name).compiler_flag
    return flags


def _on_path(folder: Path) -> None:
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
