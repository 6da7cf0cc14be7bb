"""The forms in which tables are handed around, known by the class of a value or of an annotation, without importing any."""

from __future__ import annotations

from typing import Any

from headwater.assets.protocols import Form

# By package and class name: asking must not load a library that the value at hand does not come from.
_FORMS: dict[tuple[str, str], Form] = {
    ("polars", "LazyFrame"): "lazy",
    ("polars", "DataFrame"): "eager",
    ("pyarrow", "Table"): "arrow",
    ("pandas", "DataFrame"): "pandas",
    ("duckdb", "DuckDBPyRelation"): "relation",
    ("pathlib", "Path"): "path",
    ("pathlib", "PosixPath"): "path",
    ("headwater", "SqlRelation"): "sql",
    ("headwater", "Asset"): "asset",
    ("builtins", "object"): "any",
}
_FRAMES = ("lazy", "eager", "arrow", "pandas", "relation")


def form_of(annotation: object) -> Form | None:
    """The form that an annotation asks for; None when it is the class of no form.

    >>> from pathlib import Path
    >>> form_of(Path), form_of(Any), form_of(int)
    ('path', 'any', None)
    """
    if annotation is Any:
        return "any"
    if not isinstance(annotation, type):
        return None
    package = annotation.__module__.partition(".")[0].lstrip("_")
    return _FORMS.get((package, annotation.__qualname__))


def frame_form(value: object) -> Form | None:
    """The form of a table of one of the libraries that are understood; None for everything else, rows in Python too.

    >>> frame_form([{"id": 1}]) is None
    True
    """
    found = form_of(type(value))
    return found if found in _FRAMES else None
