"""Data that the column lineage fixtures speak of, and how their text files are read."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import polars as pl

from headwater.assets.events import ColumnSchema
from headwater.assets.protocols import Leaf, PlanLineage
from headwater.lineage.columns import Columns

FIXTURES = Path(__file__).parent / "fixtures"


def orders() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "id": [1, 2, 3, 4, 5, 6, 7, 8],
            "customer": [1, 2, 1, 3, 2, 4, None, 1],
            "amount": [10.0, 25.5, 7.25, 99.0, 14.0, 3.5, 60.0, None],
            "quantity": [1, 3, 2, 5, 1, 4, 2, 2],
            "status": ["open", "paid", "paid", "open", "void", "paid", "open", "paid"],
            "day": [dt.date(2024, 1, each) for each in (1, 2, 2, 3, 5, 8, 9, 11)],
            "items": [[1, 2], [3], [4, 5, 6], [7], [8, 9], [10], [11, 12], [13]],
            "place": [{"city": city, "zip": number} for number, city in enumerate("ABCABCAB", 10)],
        }
    )


def customers() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "id": [1, 2, 3, 5],
            "name": ["Ada", "Bob", "Cleo", "Dan"],
            "city": ["A", "B", "A", "C"],
            "score": [3, 9, 4, 7],
            "since": [dt.date(2023, 12, each) for each in (1, 20, 25, 31)],
        }
    )


def refunds() -> pl.DataFrame:
    return pl.DataFrame({"id": [2, 4, 6, 8], "amount": [1.0, 2.0, 25.5, 4.0], "reason": ["late", "lost", "late", None]})


def lines() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "order_id": [1, 1, 2, 3, 4, 5, 6, 8],
            "part": [1, 2, 1, 3, 2, 4, 3, 1],
            "supplier": [1, 2, 2, 2, 3, 3, 1, 1],
            "units": [17, 36, 8, 28, 24, 32, 38, 45],
            "price": [170.0, 36.5, 88.0, 29.0, 240.0, 31.5, 39.0, 410.0],
            "discount": [0.04, 0.09, 0.0, 0.05, 0.02, 0.07, 0.1, 0.03],
            "shipped": [dt.date(2024, 1, each) for each in (3, 1, 9, 4, 2, 17, 21, 28)],
            "flag": ["A", "R", "N", "A", "R", "N", "R", "A"],
        }
    )


def parts() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "id": [1, 2, 3, 4],
            "name": ["wheel", "bell", "saddle", "wire"],
            "brand": ["B1", "B2", "B1", "B3"],
            "kind": ["PROMO", "BASE", "PROMO", "BASE"],
            "size": [5, 7, 9, 5],
        }
    )


def suppliers() -> pl.DataFrame:
    return pl.DataFrame(
        {"id": [1, 2, 3], "name": ["Oak", "Pine", "Ash"], "nation": [1, 2, 1], "balance": [0.5, 1.25, 2.0]}
    )


def nations() -> pl.DataFrame:
    return pl.DataFrame({"id": [1, 2, 3, 4], "name": ["Peru", "Chad", "Oman", "Fiji"]})


TABLES = {
    "orders": orders,
    "customers": customers,
    "refunds": refunds,
    "lines": lines,
    "parts": parts,
    "suppliers": suppliers,
    "nations": nations,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One fixture: what goes in, and the lines that must come out."""

    title: str
    text: str
    edges: tuple[str, ...] = ()
    unknown: tuple[str, ...] = field(default=())


def read_pairs(name: str) -> list[Pair]:
    """The blocks of a fixture file: `# title`, the input, `--`, expected edges and `? column: reason`."""
    blocks = (FIXTURES / name).read_text(encoding="utf-8").split("\n# ")[1:]
    return [_pair(block) for block in blocks]


def _pair(block: str) -> Pair:
    title, _, rest = block.partition("\n")
    text, _, expected = rest.partition("\n--\n")
    lines = [line.strip() for line in expected.splitlines() if line.strip()]
    return Pair(
        title=title.strip(),
        text=text.strip(),
        edges=tuple(line for line in lines if not line.startswith("?")),
        unknown=tuple(line for line in lines if line.startswith("?")),
    )


FRAMES = {name: make() for name, make in TABLES.items()}
"""The tables as frames in memory, kept so that plans over them can be told by where their columns lie."""


def scope(frames: Mapping[str, pl.DataFrame]) -> dict[str, object]:
    """What the Polars fixtures can name: a lazy frame for each table, and one that nobody knows."""
    elsewhere = pl.LazyFrame({"id": [1, 2, 3], "x": [4, 5, 6]})
    return {"pl": pl, "elsewhere": elsewhere, **{name: frame.lazy() for name, frame in frames.items()}}


def resolver(frames: Mapping[str, pl.DataFrame]) -> Callable[[Leaf], Hashable | None]:
    """Knows the leaves of plans over these frames by where their columns lie in memory."""
    known = {number: name for name, frame in frames.items() for number in Columns().buffers(frame).values()}

    def resolve(leaf: Leaf) -> Hashable | None:
        owners = {known.get(number) for number in leaf.buffers.values()}
        return owners.pop() if len(owners) == 1 else None

    return resolve


def frame_of(text: str, frames: Mapping[str, pl.DataFrame] = FRAMES) -> pl.LazyFrame:
    """The lazy frame that a Polars fixture describes."""
    frame = eval(text, scope(frames))
    assert isinstance(frame, pl.LazyFrame)
    return frame


def lineage_of_frame(text: str) -> PlanLineage:
    return Columns().of_frame(frame_of(text), resolver(FRAMES))


class ArrowStream:
    """A frame as the Arrow stream that DuckDB reads without pyarrow."""

    def __init__(self, frame: pl.DataFrame) -> None:
        self._frame = frame

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self._frame.__arrow_c_stream__(requested_schema)


def fill(connection: duckdb.DuckDBPyConnection, frames: Mapping[str, pl.DataFrame] = FRAMES) -> None:
    """Make the tables in a database."""
    for name, frame in frames.items():
        connection.register("given", ArrowStream(frame))
        connection.execute(f"CREATE TABLE {name} AS SELECT * FROM given")
        connection.unregister("given")


def schemas() -> dict[str, tuple[str, tuple[ColumnSchema, ...]]]:
    """The tables as `of_sql` wants them."""
    with duckdb.connect() as connection:
        fill(connection)
        return {
            name: (
                name,
                tuple(
                    ColumnSchema(name=str(row[0]), type=str(row[1]))
                    for row in connection.execute(f"DESCRIBE {name}").fetchall()
                ),
            )
            for name in TABLES
        }


SCHEMAS = schemas()


UPPER = {
    name: (source, tuple(ColumnSchema(name=column.name.upper(), type=column.type) for column in columns))
    for name, (source, columns) in SCHEMAS.items()
}
"""The tables as engines have them that fold names to upper case."""


def lineage_of_sql(text: str, dialect: str) -> PlanLineage:
    schemas = UPPER if dialect in {"snowflake", "oracle"} else SCHEMAS
    return Columns().of_sql(text, schemas, dialect=dialect)


def found_lines(lineage: PlanLineage) -> list[str]:
    """A lineage as the fixtures write it."""
    edges = [f"{each.column or '*'} <- {each.source}.{each.source_column} {each.subtype}" for each in lineage.edges]
    return [*edges, *(f"? {each.column or '*'}: {each.reason}" for each in lineage.unknown)]
