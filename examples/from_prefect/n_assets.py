"""Assets: `@materialize` writes the data, and records what it was made of, down to the column.

What changes: the function returns its data instead of writing it; Headwater stages it, runs the checks, publishes it atomically
and keeps the version. `asset_deps` is not needed: the edges are what a call really read. Partitions, freshness and backfills
come on top (`docs/assets.md`).

Prints:
    orders totals
    ['orders -> totals']
"""

from typing import Annotated

import polars as pl

from headwater import Asset, flow, materialize
from headwater.project import Project

orders = Asset("orders", at="parquet://lake/orders")
totals = Asset("totals", at="duckdb://shop.duckdb/main.totals")


@materialize(orders)
def load() -> pl.DataFrame:
    return pl.DataFrame({"item": ["a", "b", "a"], "price": [1, 2, 3]})


@materialize(totals)
def summarise(sold: Annotated[pl.LazyFrame, orders]) -> pl.LazyFrame:
    return sold.group_by("item").agg(total=pl.col("price").sum())


@flow
def shop() -> None:
    load()
    summarise()


if __name__ == "__main__":
    shop()
    graph = Project.open().reader.lineage("totals")
    print(*sorted(node["name"] for node in graph["nodes"]))
    print([f"{edge['from']} -> {edge['to']}" for edge in graph["edges"]])
