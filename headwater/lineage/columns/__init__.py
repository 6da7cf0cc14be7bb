"""Column lineage: which source columns each output column is made of, read off plans and queries, never guessed."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TYPE_CHECKING

from headwater.assets.events import ColumnSchema
from headwater.assets.protocols import Leaf, PlanLineage, StatementLineage

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Columns"]


class Columns:
    """Reads column lineage off Polars plans and SQL queries (`headwater.assets.protocols.ColumnLineage`).

    Stateless; engines are imported at the first use. What is not understood becomes an `UnknownColumn` with the reason.
    """

    def of_frame(self, frame: pl.LazyFrame, resolve: Callable[[Leaf], Hashable | None]) -> PlanLineage:
        """The lineage of a polars.LazyFrame, from its plan, without executing it.

        `resolve` says which source a leaf is, or None when it is none that is known.

        >>> import polars as pl
        >>> orders = pl.LazyFrame({"id": [1], "amount": [2.5]})
        >>> found = Columns().of_frame(orders.filter(pl.col("id") > 0).select(pl.col("amount") * 2), lambda _: "orders")
        >>> [(edge.column, edge.source_column, edge.subtype) for edge in found.edges]
        [('amount', 'amount', 'TRANSFORMATION'), (None, 'id', 'FILTER')]
        """
        from headwater.lineage.columns.polars_plan import of_frame

        return of_frame(frame, resolve)

    def leaves(self, frame: pl.LazyFrame) -> Sequence[Leaf]:
        """Where a polars.LazyFrame starts, in a fixed order; a fraction of what its lineage costs.

        >>> import polars as pl
        >>> Columns().leaves(pl.scan_parquet("orders.parquet", schema={"id": pl.Int64}).select("id"))[0].paths
        ('orders.parquet',)
        """
        from headwater.lineage.columns.polars_plan import leaves

        return leaves(frame)

    def of_sql(
        self, text: str, tables: Mapping[str, tuple[Hashable, Sequence[ColumnSchema]]], *, dialect: str
    ) -> PlanLineage:
        """The lineage of a query over these tables (name in the query: source key, and schema).

        >>> schema = (ColumnSchema(name="id", type="BIGINT"), ColumnSchema(name="amount", type="DOUBLE"))
        >>> found = Columns().of_sql("SELECT sum(amount) AS total FROM o", {"o": ("orders", schema)}, dialect="duckdb")
        >>> [(edge.column, edge.source, edge.source_column, edge.subtype) for edge in found.edges]
        [('total', 'orders', 'amount', 'AGGREGATION')]
        """
        from headwater.lineage.columns.queries import of_sql

        return of_sql(text, tables, dialect=dialect)

    def script(self, tables: Mapping[str, tuple[Hashable, Sequence[ColumnSchema]]]) -> StatementLineage:
        """Follows the statements of a DuckDB connection that was given these tables.

        >>> script = Columns().script({"o": ("orders", (ColumnSchema(name="amount", type="DOUBLE"),))})
        >>> script.executed("CREATE VIEW paid AS SELECT amount FROM o", (ColumnSchema(name="amount", type="DOUBLE"),))
        >>> [(edge.column, edge.source, edge.source_column) for edge in script.of_query("SELECT amount AS a FROM paid").edges]
        [('a', 'orders', 'amount')]
        """
        from headwater.lineage.columns.script import Script

        return Script(tables)

    def buffers(self, frame: pl.DataFrame) -> Mapping[str, int]:
        """The columns of a polars.DataFrame by the memory they lie in, to know it again as a leaf.

        Columns without memory of their own (no rows, only nulls) are left out: they can't be told from others.
        """
        from headwater.lineage.columns.polars_memory import buffers

        return buffers(frame)
