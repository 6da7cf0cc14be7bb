"""What the main script is called where it is loaded by its name: so its classes have one name, whether it is run or loaded."""

from __future__ import annotations

import sys
from functools import lru_cache
from pathlib import Path

from headwater.settings import find_root

_told: list[str] = []
"""In a worker process: what the main script of the process that it works for is called."""


def module_name(name: str) -> str:
    """The name of a module; of the main script the one that it has when somebody loads its file.

    >>> module_name("shop.models")
    'shop.models'
    """
    return main_name() if name == "__main__" else name


def main_name() -> str:
    """What the main script is called; "__main__" where there is no file, as in a notebook."""
    if _told:
        return _told[-1]
    main = sys.modules.get("__main__")
    spec, file = getattr(main, "__spec__", None), getattr(main, "__file__", None)
    if spec is not None:
        return str(spec.name)
    if file is None:
        return "__main__"
    return _loaded_as(file)


@lru_cache(maxsize=1)
def _loaded_as(file: str) -> str:
    return module_of(Path(file).absolute(), find_root())[0]


def tell_main_name(name: str) -> None:
    """Say in a worker process what the main script is called."""
    _told[:] = [name]


def module_of(path: Path, root: Path) -> tuple[str, str, Path]:
    """The name of a file's module, that of its package, "" for none, and the folder that it is imported from.

    Under another name than the one that others import it by, it would be a second module with the same assets.
    """
    names, folder = [path.stem], path.parent
    while folder not in (root, folder.parent) and (folder / "__init__.py").is_file():
        names.append(folder.name)
        folder = folder.parent
    if path.stem == "__init__" or not all(name.isidentifier() for name in names):
        return path.stem, "", path.parent
    names.reverse()
    return ".".join(names), ".".join(names[:-1]), folder
