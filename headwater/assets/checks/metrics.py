"""Metrics: one figure of a table, written as text: `rows`, `mean(dep_delay)`, `null_share(carrier)`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from headwater.assets.checks.base import Unmeasurable, require
from headwater.errors import DefinitionError
from headwater.records import dataclass

if TYPE_CHECKING:
    import polars as pl

OF_TABLES = ("rows", "bytes")
OF_COLUMNS = ("nulls", "null_share", "distinct", "sum", "mean", "min", "max")
_OF_NUMBERS = ("sum", "mean", "min", "max")
_TEXT = re.compile(r"\s*(\w+)\s*(?:\((.+)\))?\s*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Metric:
    """A figure: what it is, and of which column (None: of the whole table)."""

    of: str
    column: str | None = None

    @classmethod
    def parse(cls, text: str) -> Metric:
        """The metric that a text names. Raises DefinitionError, listing those that there are.

        >>> Metric.parse("mean( dep_delay )")
        Metric(of='mean', column='dep_delay')
        """
        found = _TEXT.fullmatch(text) if isinstance(text, str) else None
        of, column = (found[1], found[2]) if found else ("", None)
        if of in OF_TABLES and column is None:
            return cls(of)
        if of in OF_COLUMNS and column is not None and column.strip():
            return cls(of, column.strip())
        known = ", ".join([*OF_TABLES, *(f"{one}(column)" for one in OF_COLUMNS)])
        raise DefinitionError(f"{text!r} is no metric", hint=f"known: {known}")

    def __str__(self) -> str:
        return self.of if self.column is None else f"{self.of}({self.column})"

    def expression(self, schema: pl.Schema) -> pl.Expr | None:
        """The metric over a table of this schema; None for the one that is not computed (`bytes`).

        Nulls count for `nulls` and `null_share` only. Raises Unmeasurable when the column is missing or no number.
        """
        import polars as pl

        if self.column is None:
            return pl.len() if self.of == "rows" else None
        require(schema, self.column)
        dtype, column = schema[self.column], pl.col(self.column)
        if self.of in _OF_NUMBERS:
            if not (dtype.is_numeric() or isinstance(dtype, (pl.Boolean, pl.Null))):
                raise Unmeasurable(f"the column {self.column!r} is of type {dtype}, which has no {self.of}")
            wide = column.cast(pl.Int128) if dtype.is_integer() else column
            found: pl.Expr = getattr(wide, self.of)()
            return found.cast(pl.Float64) if self.of == "mean" or not dtype.is_integer() else found
        if self.of == "nulls":
            return column.null_count()
        if self.of == "distinct":
            return column.drop_nulls().n_unique()
        return pl.when(pl.len() > 0).then(column.null_count() / pl.len())
