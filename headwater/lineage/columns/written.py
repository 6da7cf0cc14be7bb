"""How a query writes the columns of its output: read from its text, whenever somebody looks."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

_READ = 100_000
"""Characters. A longer query is written by a machine, and nobody's to read."""
_SHOWN = 1_000
"""Characters of one expression."""


@lru_cache(maxsize=256)
def expressions(query: str, *, dialect: str = "duckdb") -> Mapping[str, str]:
    """What the outermost SELECT says of each column, but for those that it only hands on; nothing when it can't be read.

    >>> expressions("select day, sum(delay) / count(*) as mean from flights group by day")
    {'mean': 'sum(delay) / count(*)'}
    >>> expressions("select")
    {}
    """
    if len(query) > _READ:
        return {}
    try:
        tree = sqlglot.parse_one(query, dialect=dialect)
        tree = tree.unnest() if isinstance(tree, exp.Subquery) else tree
        # Of a union, no side alone is what makes a column.
        selects = tree.selects if isinstance(tree, exp.Select) else []
        written = {one.alias_or_name: one.unalias() for one in selects if not isinstance(one.unalias(), exp.Star)}
        return {
            name: _cut(one.sql(dialect=dialect, normalize_functions="lower"))
            for name, one in written.items()
            if name and not isinstance(one, exp.Column)
        }
    except (SqlglotError, RecursionError, ValueError):
        return {}


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
