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
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

from headwater.assets.uncollected import uncollected
from headwater.core import runtime
from headwater.core.main_module import module_of
from headwater.core.tracebacks import users_line
from headwater.errors import HeadwaterError, RunRefused, UsageError


def load_modules(names: Iterable[str], root: Path) -> None:
    """Import modules for their definitions; the root is on the import path. Raises UsageError naming the module."""
    _on_path(root)
    for name in names:
        if not all(name.split(".")):
            raise _no_module(name, root)
        try:
            with runtime.defining(), uncollected():
                importlib.import_module(name)
        except RunRefused:
            raise UsageError(
                f"the module '{name}' starts a run when it is imported",
                hint=f"put what it runs under `if __name__ == '__main__':`, or load it as a file: -f {name}.py",
            ) from None
        except ModuleNotFoundError as error:
            if not f"{name}.".startswith(f"{error.name}."):
                raise _failed(f"the module '{name}' can't be imported", error) from error
            raise _no_module(name, root) from error
        except (Exception, SystemExit) as error:
            raise _failed(f"the module '{name}' can't be imported", error) from error


def _no_module(name: str, root: Path) -> UsageError:
    hint = "modules are found from the project's root: mend [tool.headwater] modules or -m, or give a file: -f"
    if name.endswith(".py"):
        hint = f"a module is named without .py: {name.removesuffix('.py').replace('/', '.')}; a file is given by -f"
    return UsageError(f"there is no module '{name}'", where=str(root), hint=hint)


def load_file(path: Path, root: Path) -> ModuleType:
    """Load a script for its definitions, without running its flows. Raises UsageError naming file and line."""
    path = path.absolute()
    text = text_of(path)
    _on_path(root)
    _on_path(path.parent)
    name, package, top = module_of(path, root)
    if package:
        _on_path(top)
        load_modules([package], root)
    loaded = sys.modules.get(name)
    if loaded is not None and _same_file(loaded, path):
        return loaded
    module = ModuleType(name)
    module.__file__ = str(path)
    sys.modules[name] = module
    if package:
        module.__package__ = package
        setattr(sys.modules[package], path.stem, module)
    try:
        tree = ast.parse(text, filename=str(path))
    except SyntaxError as error:
        where = str(path) if error.lineno is None else f"{path}:{error.lineno}"
        hint = f"python -m py_compile {path.name} shows the place"
        raise UsageError(f"{path.name} is not valid Python: {error.msg}", where=where, hint=hint) from error
    with uncollected():
        _execute(tree, module, path)
    return module


def text_of(path: Path) -> bytes:
    """What stands in a script. Raises UsageError when it is not there, or can't be read."""
    try:
        if path.is_file():
            return path.read_bytes()
        what = f"{path.name or path} is a folder" if path.is_dir() else f"there is no file {path.name}"
        meant = Path(f"{path}.py")
        hint = f"did you mean {meant.name}?" if meant.is_file() else "name a Python file, such as my_flow.py"
    except OSError as error:
        hint = "mend its permissions, or name another file"
        raise UsageError(f"{path.name} can't be read: {error.strerror}", where=str(path), hint=hint) from error
    raise UsageError(what, where=str(path), hint=hint)


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
                raise _failed(f"{path.name} can't be loaded", error, str(path)) from error
            left_out |= _assigned(statement)
        except (Exception, SystemExit) as error:
            raise _failed(f"{path.name} can't be loaded", error, str(path)) from error


def _failed(what: str, error: BaseException, place: str | None = None) -> HeadwaterError:
    """What user code raised while it was loaded; an error of our own stays what it is, and tells the line, too."""
    line = users_line(error) or place
    if isinstance(error, HeadwaterError):
        more = error.where if error.where != line else None
        error.where = f"{line} ({more})" if line and more else line or more
        return error
    if isinstance(error, SystemExit):
        hint = "put what it runs under `if __name__ == '__main__':`, so that it can be loaded for its definitions"
        return UsageError(f"{what}: it ends the process", where=line, hint=hint)
    hint = "mend that line; a file is executed to find its definitions (--debug gives the traceback)"
    return UsageError(f"{what}: {type(error).__name__}: {error}", where=line, hint=hint)


def _assigned(statement: ast.stmt) -> set[str]:
    """The names that a statement makes; of a definition its own alone."""
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return {statement.name}
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
