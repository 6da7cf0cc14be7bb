"""The lists of dynamic partitions as a process knows them, when several of its threads ask and change."""

import threading
from datetime import UTC, datetime

import polars as pl

from headwater import (
    Asset,
    DailyPartitions,
    DynamicPartitions,
    Partition,
    ProductPartitions,
    StaticPartitions,
    clock,
    materialize,
    observe,
)
from headwater.assets.data_through import data_through
from headwater.assets.dynamic_keys import DynamicKeys
from headwater.assets.staleness import staleness
from headwater.testing import project


def test_who_looks_at_the_projection_may_ask_for_a_list_that_another_thread_is_reading():
    looking, reading = threading.RLock(), threading.Event()
    waited = []

    def read(name):
        reading.set()
        waited.append(looking.acquire(timeout=2))
        if waited[-1]:
            looking.release()
        return [("acme", True)]

    lists, found = DynamicKeys(read), []
    with looking:
        other = threading.Thread(target=lambda: found.append(lists.of("customers").keys))
        other.start()
        assert reading.wait(10)
        assert lists.of("customers").keys == ("acme",)
    other.join()
    assert (found, waited) == ([("acme",)], [True, True])


def test_what_is_removed_while_a_list_is_read_does_not_come_back():
    stands = {"acme": True}

    def read(name):
        seen = list(stands.items())
        if stands["acme"]:
            stands["acme"] = False
            lists.change(name, [("acme", False)])
        return seen

    lists = DynamicKeys(read)
    assert lists.of("customers").here == frozenset()


def test_what_was_made_while_a_key_was_gone_is_stale_once_it_is_back():
    names = DynamicPartitions("customers")
    divided = ProductPartitions(region=StaticPartitions(["eu"]), customer=names)
    with project() as here:
        orders = Asset("orders", at="memory://orders", partitions=divided)

        @materialize(orders)
        def fill(partition: Partition):
            return [{"key": partition.key}]

        @materialize(Asset("total", at="memory://total"), inputs={"rows": orders.all()})
        def count(rows: pl.DataFrame):
            return [{"rows": rows.height}]

        def is_stale():
            found = here.catalog.staleness(clock.now_us())
            assert not found["orders"].stale
            return found["total"].is_stale

        names.add("acme", "zeta")
        for part in divided.all():
            fill.at(part)()
        count()
        names.remove("acme")
        names.add("acme")
        assert not is_stale(), "it has read that key"
        names.remove("acme")
        assert count() == [{"rows": 1}]
        names.add("acme")
        assert is_stale()
        assert staleness(here.catalog.facts(), clock.now_us())["total"].is_stale, "out of all facts, too"


def test_what_was_observed_reaches_no_further_than_its_partition_once_the_key_is_removed(tmp_path):
    names = DynamicPartitions("customers")
    divided = ProductPartitions(customer=names, day=DailyPartitions("2024-04-01", "2024-04-02"))
    with project(tmp_path) as here:
        feed = Asset("feed", at="parquet://feed", partitions=divided)

        @materialize(Asset("total", at="memory://total"), inputs={"rows": feed.all()})
        def count(rows: pl.DataFrame):
            return [{"rows": rows.height}]

        names.add("acme")
        (part,) = divided.all()
        (tmp_path / "feed").mkdir()
        pl.DataFrame({"n": [1]}).write_parquet(tmp_path / "feed" / f"{part.key}.parquet")
        observe(feed, partition=part.key, data_through=datetime(2024, 4, 2, 4, tzinfo=UTC))
        count()
        for _ in range(2):
            assert data_through(here.catalog.facts(), "total").end == datetime(2024, 4, 2, tzinfo=UTC).timestamp() * 1e6
            names.remove("acme")
