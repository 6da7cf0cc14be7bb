"""Fundamentals 2: assets, the functions that make them, and what is known of them afterwards."""

from datetime import date
from typing import Annotated, Any

import polars as pl
import pytest

from headwater import (
    Asset,
    Freshness,
    HeadwaterError,
    Partition,
    StaticPartitions,
    check,
    derived_from,
    flow,
    materialize,
    materializing,
    observe,
    record,
    sql,
)
from headwater.testing import project


def edges(found: Any, asset: str) -> set[tuple[str, str]]:
    return {(edge["from"], edge["to"]) for edge in found.reader.lineage(asset)["edges"]}


def test_a_materialization_is_a_task_in_a_flow() -> None:
    with project() as found:

        @materialize("parquet://lake/orders")
        def orders() -> pl.DataFrame:
            return pl.DataFrame({"id": [1, 2]})

        @flow
        def main() -> int:
            return orders().height

        assert main() == 2
        (made,) = found.reader.materializations("orders")["materializations"]
        assert (made["state"], made["rows"]) == ("published", 2)


def test_inputs_are_passed_or_read_and_lineage_is_what_happened() -> None:
    with project() as found:
        orders = Asset("orders", at="parquet://lake/orders")
        totals = Asset("totals", at="duckdb://shop.duckdb/main.totals")

        @materialize(orders)
        def ingest() -> pl.DataFrame:
            return pl.DataFrame({"item": ["a", "b", "a"], "price": [1, 2, 3]})

        @materialize(totals)
        def summarise(sold: Annotated[pl.LazyFrame, orders]) -> pl.LazyFrame:
            return sold.group_by("item").agg(total=pl.col("price").sum())

        @flow
        def passing() -> None:
            summarise(sold=ingest())

        @flow
        def reading() -> list[tuple[str, int]]:
            return summarise().sort("item").collect().rows()

        passing()
        assert reading() == [("a", 4), ("b", 2)]
        assert edges(found, "totals") == {("orders", "totals")}
        columns = found.reader.lineage("totals.total", down=False)["edges"]
        assert ("orders.price", "totals.total", "AGGREGATION") in {
            (edge["from"], edge["to"], edge["subtype"]) for edge in columns
        }


def test_sql_runs_inside_the_engine() -> None:
    with project() as found:
        orders = Asset("orders", at="duckdb://shop.duckdb/main.orders")

        @materialize(orders)
        def ingest() -> pl.DataFrame:
            return pl.DataFrame({"item": ["a", "b", "a"]})

        @materialize("duckdb://shop.duckdb/main.counts", inputs={"sold": orders})
        def counts(sold: Asset) -> Any:
            return sql("select item, count(*) as n from {sold} group by item", sold=sold)

        ingest()
        assert sorted(counts().collect().rows()) == [("a", 2), ("b", 1)]
        assert edges(found, "counts") == {("orders", "counts")}


def test_a_query_takes_values_and_none_of_them_changes_it() -> None:
    with project() as found:
        shops = StaticPartitions(["kiel", "o'hare' or 1=1 --"])
        orders = Asset("orders", at="duckdb://shop.duckdb/main.orders")
        sold = Asset("sold", at="duckdb://shop.duckdb/main.sold", partitions=shops, partition_column="shop")

        @materialize(orders)
        def ingest() -> pl.DataFrame:
            return pl.DataFrame({"shop": shops.keys, "day": [date(2024, 1, 5), date(2024, 1, 6)]})

        @materialize(sold, inputs={"orders": orders})
        def of_a_shop(orders: Asset, partition: Partition) -> Any:
            query = "select shop, day from {orders} where shop = {shop} and day >= {first}"
            return sql(query, orders=orders, shop=partition.key, first=date(2024, 1, 5))

        ingest()
        for shop in shops.keys:
            assert of_a_shop.at(shop)().collect()["shop"].to_list() == [shop]
        columns = found.reader.lineage("sold.day", down=False)["edges"]
        assert {edge["from"] for edge in columns if edge["to"] == "sold.day"} == {"orders.day"}


def test_a_blocking_check_keeps_the_old_data() -> None:
    with project() as found:
        prices = Asset("prices", at="memory://prices")

        @materialize(prices)
        def publish(rows: list[dict[str, int]]) -> list[dict[str, int]]:
            return rows

        @check(prices, blocking=True)
        def none_is_negative(rows: Any) -> bool:
            return all(row["price"] >= 0 for row in rows)

        publish([{"price": 5}])
        with pytest.raises(HeadwaterError, match="none_is_negative"):
            publish([{"price": -1}])
        states = [row["state"] for row in found.reader.materializations("prices")["materializations"]]
        assert states == ["refused", "published"]


def test_what_others_write_is_observed_or_recorded() -> None:
    with project() as found:
        rates = Asset("rates", at="memory://rates", freshness=Freshness(max_lag="26h"))
        report = Asset("report", at="memory://report")
        observe(rates, version="2024-01-05", data_through=date(2024, 1, 5), rows=3)
        assert record(report, version="v7", inputs=[rates]) == "v7"
        with materializing("memory://chosen") as chosen:
            chosen.write([{"id": 1}])
        assert edges(found, "report") == {("rates", "report")}


def test_what_plain_code_computes_can_be_linked() -> None:
    with project() as found:
        orders = Asset("orders", at="parquet://lake/orders")

        @materialize(orders)
        def ingest() -> pl.DataFrame:
            return pl.DataFrame({"n": [1, 2]})

        @materialize("parquet://lake/doubled")
        def doubled(frame: pl.DataFrame) -> pl.DataFrame:
            return frame

        @flow
        def main() -> None:
            frame = ingest()
            doubled(derived_from(frame.with_columns(pl.col("n") * 2), frame))

        main()
        assert edges(found, "doubled") == {("orders", "doubled")}
