from __future__ import annotations

import os
import subprocess
import sys
import threading
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from polars.testing import assert_frame_equal
from polars.testing.parametric import dataframes

from headwater.assets.location import asset_ref
from headwater.assets.partitions import (
    CronPartitions,
    DailyPartitions,
    HourlyPartitions,
    MonthlyPartitions,
    Partition,
    WeeklyPartitions,
)
from headwater.assets.protocols import SqlQuery, SqlRelation, Staged, Target
from headwater.errors import LocationError, LockTimeout, MaterializationError, PartitionError, ReturnTypeError
from headwater.materializers import attaching, locking
from headwater.materializers import duckdb as module
from headwater.materializers.duckdb import DuckDBMaterializer, TableSource
from headwater.materializers.measure import dates_of
from headwater.materializers.registry import for_ref

DUCK = DuckDBMaterializer()
URI = "duckdb://warehouse.duckdb/main.delays"
DAY = date(2013, 1, 5)


def query(file: Path, text: str) -> list[tuple[Any, ...]]:
    with locking.shared([file]), duckdb.connect(str(file), read_only=True) as connection:
        return connection.execute(text).fetchall()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "warehouse.duckdb"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attaching, "FOREIGN_WAIT", 0.1)


def test_a_table_without_partitions_is_replaced_as_a_whole(at: Any, make: Any, file: Path, hidden: Any) -> None:
    target = at(URI)
    assert DUCK.version(target, None) is None
    staged = make(target, pl.DataFrame({"a": [1, 2], "d": [DAY, None]}), version="v1")
    assert [(column.name, column.type) for column in staged.columns] == [("a", "BIGINT"), ("d", "DATE")]
    assert (DUCK.version(target, None), staged.rows) == ("v1", 2)
    make(target, {"a": ["another type"], "x": [True]}, version="v2")
    assert DUCK.version(target, None) == "v2"
    assert query(file, "FROM main.delays") == [("another type", True)]
    assert query(file, 'SELECT "table", "partition", version FROM _headwater_versions') == [("main.delays", None, "v2")]
    assert hidden() == []


@pytest.mark.parametrize("column", ["date", None])
def test_a_partition_is_replaced_and_the_others_stay(
    at: Any, make: Any, days: DailyPartitions, file: Path, column: str | None
) -> None:
    target = at(URI, partitioned=True, partition_column=column)
    first, second, third = (days.partition(f"2013-01-0{day}") for day in (1, 2, 3))
    for partition, values in ((first, [1, 2]), (second, [3]), (first, [4])):
        frame = pl.DataFrame({"n": values}).with_columns(date=pl.lit(partition.date))
        make(target, frame, partition, version=f"v{values[0]}")
    assert [DUCK.version(target, part) for part in (first, second, third)] == ["v4", "v3", None]
    assert sorted(DUCK.load(target, None, "eager").rows()) == [(3, second.date), (4, first.date)]
    assert DUCK.load(target, [first], "eager")["n"].to_list() == [4]
    assert DUCK.load(target, [second, third], "lazy").collect()["n"].to_list() == [3]
    assert DUCK.load(target, [third], "lazy").collect().height == 0
    has_our_column = query(file, "SELECT count(*) FROM duckdb_columns() WHERE column_name = '_partition'")
    assert has_our_column == [(0 if column else 1,)]
    make(target, pl.DataFrame(schema={"n": pl.Int64, "date": pl.Date}), first, version="empty")
    assert DUCK.load(target, None, "eager")["n"].to_list() == [3]
    assert DUCK.version(target, first) == "empty"


@pytest.mark.parametrize("column", ["day", None])
def test_a_partition_of_no_rows_at_all_is_made(at: Any, make: Any, days: DailyPartitions, column: str | None) -> None:
    target = at(URI, partitioned=True, partition_column=column)
    first, second = days.partition("2013-01-01"), days.partition("2013-01-02")
    make(target, [], first, version="before")
    for partition in (first, second):
        make(target, [{"day": partition.date, "n": 1}], partition)
    make(target, [], first, version="empty")
    assert DUCK.version(target, first) == "empty"
    assert DUCK.load(target, None, "eager").rows() == [(second.date, 1)]
    assert DUCK.load(target, [first], "eager").rows() == []


@pytest.mark.parametrize("kind", ["text", "datetime", "zoned", "number"])
def test_rows_of_a_partition_are_found_by_any_usable_column(
    at: Any, make: Any, days: DailyPartitions, kind: str
) -> None:
    target = at(URI, partitioned=True, partition_column="p")
    for _ in range(2):
        for key in ("2013-03-09", "2013-03-10", "2013-03-11"):
            partition = days.partition(key)
            assert partition.start is not None
            assert partition.end is not None
            ends = [partition.start.astimezone(UTC), partition.end.astimezone(UTC) - timedelta(microseconds=1)]
            column: Any = pl.Series(ends)
            if kind == "datetime":
                column = column.dt.replace_time_zone(None)
            elif kind == "text":
                column = [key, key]
            elif kind == "number":
                partition, column = Partition(key=key[-2:].lstrip("0")), [int(key[-2:])] * 2
            make(target, {"p": column, "n": [key, key]}, partition)
            assert DUCK.load(target, [partition], "eager")["n"].to_list() == [key, key]
    assert DUCK.load(target, None, "eager").height == 6


@pytest.mark.parametrize(
    "divided",
    [HourlyPartitions("2013-01-05T00", "2013-01-07T00"), CronPartitions("0 6,18 * * *", "2013-01-05", "2013-01-07")],
    ids=["hours", "twice a day"],
)
def test_a_date_can_not_tell_partitions_that_share_a_day(at: Any, make: Any, hidden: Any, divided: Any) -> None:
    target = at(URI, partitioned=True, partition_column="day")
    first, second = list(divided.all())[:2]
    query = SqlQuery(text="SELECT DATE '2013-01-05' AS day, 1 AS n", inputs={})
    for partition in (first, second):
        for rows in (pl.DataFrame({"day": [DAY], "n": [1]}), query):
            with pytest.raises(ReturnTypeError, match=f"a date, which other partitions than {partition} have, too"):
                DUCK.stage(target, partition, rows, version="v")
    assert hidden() == []
    for partition in (first, second):
        make(target, pl.DataFrame({"day": [partition.key], "n": [1]}), partition)
    assert DUCK.load(target, None, "eager").height == 2


def test_rows_outside_are_refused_before_anything_is_published(
    at: Any, make: Any, days: DailyPartitions, hidden: Any, file: Path
) -> None:
    target = at(URI, partitioned=True, partition_column="date")
    for bad in (date(2013, 1, 6), None):
        with pytest.raises(PartitionError, match="1 of 2 rows lies outside"):
            DUCK.stage(target, days.partition("2013-01-05"), {"date": [DAY, bad]}, version="v")
    assert hidden() == []
    assert not file.exists()


def test_added_columns_and_wider_numbers_change_the_table(at: Any, make: Any, days: DailyPartitions) -> None:
    target = at(URI, partitioned=True, partition_column="date")

    def put(day: int, **columns: Any) -> None:
        partition = days.partition(f"2013-01-0{day}")
        make(target, pl.DataFrame({"date": [partition.date], **columns}), partition)

    put(1, n=pl.Series([1], dtype=pl.Int32), later=[None])
    put(2, n=pl.Series([5_000_000_000]), later=[None], added=["x"])
    put(3, n=pl.Series([3], dtype=pl.Int16), later=[2.5])
    put(4, N=pl.Series([4]))
    frame = DUCK.load(target, None, "eager").sort("date")
    assert frame["n"].to_list() == [1, 5_000_000_000, 3, 4]
    assert frame["added"].to_list() == [None, "x", None, None]
    assert frame["later"].to_list() == [None, None, 2.5, None]


@pytest.mark.parametrize(
    ("empty", "filled"),
    [
        ([], [1]),
        ({"x": 1, "y": None}, {"x": 2, "y": "s"}),
        ([{"x": 1, "y": []}], [{"x": 2, "y": [date(2013, 1, 5)]}]),
    ],
)
@pytest.mark.parametrize("turned", [False, True])
def test_lists_that_were_empty_and_fields_that_were_null_fit_any_type(
    at: Any, make: Any, days: DailyPartitions, empty: Any, filled: Any, turned: bool
) -> None:
    target, values = at(URI, partitioned=True), [filled, empty] if turned else [empty, filled]
    for number, value in enumerate(values, 1):
        make(target, [{"a": value}], days.partition(f"2013-01-0{number}"))
    assert DUCK.load(target, None, "eager")["a"].to_list() == values


def test_the_only_partition_that_has_values_in_a_column_may_be_made_again_with_another_type(
    at: Any, make: Any, days: DailyPartitions
) -> None:
    target = at(URI, partitioned=True)
    make(target, {"a": [None]}, days.partition("2013-01-01"))
    for value in ("five", 5, [5], {"n": 5}, b"5", DAY):
        make(target, [{"a": value}], days.partition("2013-01-05"))
        assert DUCK.load(target, None, "eager")["a"].to_list() == [None, value]


def test_a_column_of_another_type_is_refused_and_the_table_stays(
    at: Any, make: Any, days: DailyPartitions, file: Path
) -> None:
    target = at(URI, partitioned=True, partition_column="date")
    make(target, {"date": [date(2013, 1, 1)], "n": [1]}, days.partition("2013-01-01"), version="v1")
    make(target, {"date": [DAY], "n": [5]}, days.partition("2013-01-05"), version="v2")
    with pytest.raises(MaterializationError) as caught:
        make(target, {"date": [DAY], "n": ["five"], "m": [1]}, days.partition("2013-01-05"), version="v3")
    assert "'n' is BIGINT in the table and VARCHAR in the data" in caught.value.message
    assert str(file) in str(caught.value.where)
    assert DUCK.load(target, None, "eager")["n"].to_list() == [1, 5]
    assert DUCK.version(target, days.partition("2013-01-05")) == "v2"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"a": [1], "A": [2]}, "columns 'a' and 'A'"),
        ({"_partition": ["x"]}, "'_partition'"),
        ([], "has no columns"),
        ({"d": [timedelta(days=1)]}, "'d' is of type Duration"),
        (7, "type int"),
    ],
)
def test_what_a_table_cannot_hold_is_refused(at: Any, hidden: Any, value: Any, message: str) -> None:
    with pytest.raises(ReturnTypeError, match=message):
        DUCK.stage(at(URI), None, value, version="v")
    assert hidden() == []


NANOSECONDS = pl.Series([None, 45_296_123_456_789]).cast(pl.Time)


@pytest.mark.parametrize(
    "value",
    [
        pl.DataFrame({"t": NANOSECONDS}),
        pl.LazyFrame({"t": NANOSECONDS}),
        SqlQuery(text="select time_ns '12:34:56.123456789' as t", inputs={}),
    ],
    ids=["frame", "plan", "query"],
)
def test_times_of_the_day_with_nanoseconds_are_refused_and_not_rounded(
    at: Any, hidden: Any, make: Any, value: Any
) -> None:
    with pytest.raises(ReturnTypeError, match=r"'t' of 'thing' holds 12:34:56\.123456789, .* no nanoseconds"):
        DUCK.stage(at(URI), None, value, version="v")
    assert hidden() == []
    whole = SqlQuery(text="select time_ns '12:34:56.123456' as t", inputs={})
    make(at(URI), whole if isinstance(value, SqlQuery) else pl.DataFrame({"t": [time(12, 34, 56, 123456)]}))
    assert DUCK.load(at(URI), None, "eager")["t"].to_list() == [time(12, 34, 56, 123456)]


def test_a_number_that_duckdb_can_not_read_names_its_input(at: Any) -> None:
    numbers = pl.DataFrame({"n": pl.Series([2**127 - 1], dtype=pl.Int128)})
    query = SqlQuery(text="select n from {given}", inputs={"given": numbers})
    with pytest.raises(MaterializationError, match=r"DuckDB can't read the input 'given': .* in column 'n'"):
        DUCK.stage(at(URI), None, query, version="v")


def test_every_type_comes_back(at: Any, make: Any) -> None:
    frame = pl.DataFrame(
        {
            "i": pl.Series([1, None], dtype=pl.Int8),
            "u": pl.Series([2**64 - 1, 0], dtype=pl.UInt64),
            "f": [1.5, None],
            "b": [True, None],
            "s": ["o'hare", "\U0001f600"],
            "bin": [b"\0", None],
            "d": [DAY, None],
            "t": [datetime(2013, 1, 1, 12), None],
            "z": [datetime(2013, 1, 1, 12, tzinfo=UTC), None],
            "dec": [Decimal("1.25"), None],
            "l": [["a", None], None],
            "st": [{"x": 1, "y": "a"}, {"x": None, "y": None}],
        }
    )
    make(at(URI), frame)
    assert DUCK.load(at(URI), None, "eager").equals(frame)
    assert DUCK.load(at(URI), None, "lazy").collect_schema() == frame.schema


@given(frame=dataframes(min_cols=1, max_cols=3, max_size=4, excluded_dtypes=[pl.Categorical, pl.Enum]))
@settings(max_examples=40, deadline=None)
def test_any_frame_comes_back_from_files_and_tables_or_is_refused_by_the_name_of_a_column(
    tmp_path_factory: pytest.TempPathFactory, frame: pl.DataFrame
) -> None:
    root = tmp_path_factory.mktemp("root")
    for uri in ("parquet://lake/x", URI):
        target = Target(asset=asset_ref("thing", uri, root=root), root=root)
        materializer = for_ref(target.asset)
        refused = ""
        try:
            staged = materializer.stage(target, None, frame.lazy(), version="v")
        except ReturnTypeError as error:
            refused = error.message
        if refused:
            assert uri == URI
            assert any(repr(name) in refused for name in frame.columns)
            continue
        materializer.publish(target, None, staged)
        back = materializer.load(target, None, "lazy").collect()
        assert staged.rows == frame.height
        assert back.columns == frame.columns
        assert_frame_equal(back.cast(dict(frame.schema)), frame)
        if uri != URI:
            assert back.schema == frame.schema


def test_a_lazy_frame_reads_only_what_is_asked_for(at: Any, make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    target = at(URI)
    make(target, pl.DataFrame({"a": range(10), "b": range(10), "c": ["x", "y"] * 5}))
    lazy = DUCK.load(target, None, "lazy")
    asked = []
    original = TableSource._read
    monkeypatch.setattr(TableSource, "_read", lambda self, *what: (asked.append(what), original(self, *what))[1])
    eager = DUCK.load(target, None, "eager")
    for plan in (
        lambda f: f.select("a"),
        lambda f: f.filter(pl.col("b") > 5).select("a"),
        lambda f: f.head(3),
        lambda f: f.head(6).filter(pl.col("b") > 2),
        lambda f: f.filter(pl.col("b") > 2).head(2),
        lambda f: f.select(pl.len()),
        lambda f: f.filter(pl.col("c") == "x").select(pl.len()),
        lambda f: f.group_by("c").agg(pl.col("a").sum()).sort("c"),
        lambda f: f.tail(2),
    ):
        expected = plan(eager.lazy()).collect()
        assert plan(lazy).collect().equals(expected)
        assert plan(lazy).collect(engine="streaming").equals(expected)
    assert lazy.select("a").collect().width == 1
    assert asked[-1] == (["a"], None)
    assert lazy.head(2).collect().height == 2
    assert asked[-1] == (None, 2)


def test_a_lazy_frame_shows_the_table_as_it_is_when_executed(at: Any, make: Any) -> None:
    make(at(URI), {"a": [1]})
    lazy = DUCK.load(at(URI), None, "lazy")
    make(at(URI), {"a": [2]})
    assert lazy.collect().item() == 2


def test_the_source_of_a_lazy_frame_says_what_it_reads(at: Any, make: Any, days: DailyPartitions) -> None:
    target = at(URI, partitioned=True)
    partition = days.partition("2013-01-01")
    make(target, {"a": [1]}, partition)
    node = DUCK.load(target, [partition], "lazy")._ldf.visit()
    source = node.view_current_node().options[0].io_source
    assert isinstance(source, TableSource)
    assert source.target == target
    assert source.partitions == (partition,)


def test_the_other_forms(at: Any, make: Any, file: Path, days: DailyPartitions) -> None:
    target = at("duckdb://warehouse.duckdb/gold.o'hare", partitioned=True)
    partition = Partition(key="a'b{db}")
    make(target, {"a": [1, 2]}, partition)
    make(target, {"a": [3]}, Partition(key="other"))
    assert DUCK.load(target, [partition], "pandas")["a"].tolist() == [1, 2]
    relation = DUCK.load(target, [partition], "relation")
    assert (relation.columns, relation.fetchall()) == (["a"], [(1,), (2,)])
    assert DUCK.load(target, None, "path") == file
    found = DUCK.load(target, [partition], "sql")
    assert isinstance(found, SqlRelation)
    assert found.database == file
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{file}' AS w (READ_ONLY)")
        assert connection.execute(found.select.replace("{db}", "w")).fetchall() == [(1,), (2,)]


def test_a_relation_that_is_still_open_blocks_nobody(at: Any, make: Any) -> None:
    make(at(URI), {"a": [1]})
    relation = DUCK.load(at(URI), None, "relation")
    make(at(URI), {"a": [2]})
    assert relation.fetchall() == [(1,)]


def test_pyarrow_is_asked_for_when_it_is_missing(at: Any, make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    make(at(URI), {"a": [1]})

    def missing(self: pl.DataFrame) -> None:
        raise ModuleNotFoundError("No module named 'pyarrow'")

    monkeypatch.setattr(pl.DataFrame, "to_arrow", missing)
    with pytest.raises(MaterializationError, match="pyarrow is not installed"):
        DUCK.load(at(URI), None, "arrow")


def test_what_is_not_there_is_said(at: Any, make: Any) -> None:
    with pytest.raises(LocationError, match=r"no table main\.delays"):
        DUCK.load(at(URI), None, "lazy")
    make(at("duckdb://warehouse.duckdb/other"), {"a": [1]})
    with pytest.raises(LocationError, match=r"no table main\.delays"):
        DUCK.load(at(URI), None, "lazy")


@pytest.mark.parametrize(
    ("made", "says"),
    [
        ("TABLE delays (id BIGINT PRIMARY KEY)", 'duplicate key "1"'),
        ("TABLE delays (id BIGINT CHECK (id < 1))", "CHECK constraint failed"),
        ("VIEW delays AS SELECT 1 AS id", "already exists"),
    ],
)
def test_what_somebody_elses_table_refuses_is_told_as_such(
    at: Any, make: Any, file: Path, hidden: Any, made: str, says: str
) -> None:
    with duckdb.connect(str(file)) as connection:
        connection.execute(f"CREATE {made}")
    with pytest.raises(MaterializationError, match=f"main.delays can't take the data of 'thing': .*{says}"):
        make(at(URI), {"id": [1, 1]}, version="v1")
    assert query(file, "SELECT count(*) FROM main.delays") == [(1 if "VIEW" in made else 0,)]
    DUCK.discard(at(URI), "v1")
    assert hidden() == []


def test_a_version_ends_with_its_table(at: Any, make: Any, file: Path) -> None:
    make(at(URI), {"a": [1]}, version="v1")
    with locking.exclusive(file), duckdb.connect(str(file)) as connection:
        connection.execute("DROP TABLE delays")
    assert DUCK.version(at(URI), None) is None


def test_a_query_is_executed_in_the_engine_and_keeps_its_types(
    at: Any, make: Any, tmp_path: Path, days: DailyPartitions
) -> None:
    flights = at("parquet://lake/flights", partitioned=True)
    carriers = at("duckdb://other.duckdb/carriers")
    make(flights, {"carrier": ["UA", "UA", "AA"], "delay": [2**62, 2**62, 5]}, days.partition("2013-01-01"))
    make(carriers, {"carrier": ["UA", "AA"], "name": ["United", "American"]})
    from headwater.materializers.parquet import ParquetMaterializer

    text = """
        SELECT name, sum(delay) AS total, {{'n': count(*)}} AS box, INTERVAL 2 DAY AS span, max(bonus) AS bonus
        FROM {flights} JOIN {names} USING (carrier) JOIN {extra} USING (carrier)
        GROUP BY name ORDER BY names.name -- the end
    """.replace("names.name", "name")
    inputs = {
        "flights": ParquetMaterializer().load(flights, None, "sql"),
        "names": DUCK.load(carriers, None, "sql"),
        "extra": pl.DataFrame({"carrier": ["UA", "AA"], "bonus": [1, None], "nothing": [None, None]}),
    }
    staged = make(at(URI), SqlQuery(text=text, inputs=inputs), version="v1")
    assert [column.type for column in staged.columns] == [
        "VARCHAR",
        "HUGEINT",
        "STRUCT(n BIGINT)",
        "INTERVAL",
        "BIGINT",
    ]
    assert staged.rows == 2
    assert query(tmp_path / "warehouse.duckdb", "SELECT name, total, box, span, bonus FROM delays") == [
        ("American", 5, {"n": 1}, timedelta(days=2), None),
        ("United", 2**63, {"n": 2}, timedelta(days=2), 1),
    ]
    assert query(tmp_path / "warehouse.duckdb", "SELECT typeof(total), typeof(span) FROM delays LIMIT 1") == [
        ("HUGEINT", "INTERVAL")
    ]
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []
    assert DUCK.load(at(URI), None, "lazy").collect()["total"].to_list() == [5, 2**63]


@pytest.mark.parametrize(
    "value", ["union_value(a := 1)", "[union_value(a := 1)]", "1::VARIANT", "['12:00:00+02'::TIMETZ]", "[uuid()]"]
)
def test_a_type_that_would_come_back_as_another_value_is_refused_with_its_column(
    at: Any, hidden: Any, value: str
) -> None:
    with pytest.raises(ReturnTypeError, match=r"the column 'a' is of type .* can't be staged without loss"):
        DUCK.stage(at(URI), None, SqlQuery(text=f"SELECT {value} AS a", inputs={}), version="v")
    assert hidden() == []


def test_a_field_that_is_called_like_a_type_is_none(at: Any) -> None:
    text = "SELECT {'UUID': 'u', 'BILLING_INTERVAL': 'year', 'INTERVAL': 1, 'UNION': 2} AS s"
    wanted = {"UUID": "u", "BILLING_INTERVAL": "year", "INTERVAL": 1, "UNION": 2}
    staged = DUCK.stage(
        at(URI), None, SqlQuery(text=text.replace("{", "{{").replace("}", "}}"), inputs={}), version="v"
    )
    assert staged.frame().collect().rows() == [(wanted,)]
    with duckdb.connect() as connection:
        assert module.frame_of_relation(connection.sql(text)).rows() == [(wanted,)]
        assert module.frame_of_relation(connection.sql("SELECT {'a': INTERVAL 1 DAY} AS s")).schema == {"s": pl.String}


def test_columns_of_the_same_name_in_a_relation_are_numbered(at: Any, make: Any) -> None:
    with duckdb.connect() as connection:
        joined = connection.sql("SELECT 1 AS id, 2 AS n").join(connection.sql("SELECT 1 AS id, 3 AS n, 4 AS N"), "id")
        make(at(URI), joined)
        assert DUCK.load(at(URI), None, "eager").to_dicts() == [{"id": 1, "n": 2, "n_1": 3, "N_1_1": 4}]


def test_what_a_frame_has_no_type_for_is_text_or_refused() -> None:
    with duckdb.connect() as connection:
        text = "SELECT INTERVAL 1 DAY AS i, '101'::BIT AS b, '12:00:00+01'::TIMETZ AS t, [1::BIGNUM] AS n"
        assert module.frame_of_relation(connection.sql(text)).rows() == [("1 day", "101", "12:00:00+01", "[1]")]
        with pytest.raises(ReturnTypeError, match="a frame can't hold"):
            module.frame_of_relation(connection.sql("SELECT [union_value(a := 1)] AS u"))
    periods = pd.DataFrame({"month": pd.period_range("2013-01", periods=2, freq="M")})
    with pytest.raises(ReturnTypeError, match=r"period\[M\]"):
        module.frame_of_pandas(periods)


def test_a_query_may_read_the_database_that_it_writes_to(at: Any, make: Any, days: DailyPartitions) -> None:
    source, target = at("duckdb://warehouse.duckdb/a"), at("duckdb://warehouse.duckdb/b")
    make(source, {"n": [1, 2]})
    lazy = DUCK.load(source, None, "lazy")
    inputs = {"a": DUCK.load(source, None, "sql"), "again": lazy}
    make(target, SqlQuery(text="SELECT sum(n)::BIGINT AS n FROM (FROM {a} UNION ALL FROM {again})", inputs=inputs))
    assert DUCK.load(target, None, "eager").item() == 6


@pytest.mark.parametrize(
    "text",
    ["SELECT 1 AS a; DROP TABLE x", "DROP TABLE x", "", "COPY (SELECT 1) TO '/tmp/headwater-never'", "PRAGMA version"],
)
def test_anything_but_one_select_is_refused(at: Any, hidden: Any, text: str) -> None:
    with pytest.raises(ReturnTypeError, match="not one SELECT"):
        DUCK.stage(at(URI), None, SqlQuery(text=text, inputs={}), version="v")
    assert hidden() == []


def test_an_error_in_a_query_names_the_query_and_leaves_nothing(at: Any, hidden: Any) -> None:
    with pytest.raises(MaterializationError, match=r"the query of 'thing' can't be executed: .*nowhere"):
        DUCK.stage(at(URI), None, SqlQuery(text="SELECT * FROM nowhere", inputs={}), version="v")
    assert hidden() == []


def test_publishing_twice_changes_nothing(at: Any, days: DailyPartitions, hidden: Any) -> None:
    target, partition = at(URI, partitioned=True), days.partition("2013-01-01")
    staged = DUCK.stage(target, partition, {"a": [1]}, version="v1")
    again = Staged(version="v1", staging=dict(staged.staging))
    DUCK.publish(target, partition, again)
    DUCK.publish(target, partition, again)
    assert DUCK.load(target, None, "eager").rows() == [(1,)]
    DUCK.discard(target, staged.version)
    assert hidden() == []
    with pytest.raises(LocationError, match="not there any more"):
        DUCK.publish(target, partition, Staged(version="v2", staging={"file": ".staging-v2.parquet"}))


def test_a_tampered_record_can_put_no_statement_into_the_transaction(at: Any, make: Any, file: Path) -> None:
    make(at("duckdb://warehouse.duckdb/precious"), {"a": [1]})
    staged = DUCK.stage(at(URI), None, {"a": [1]}, version="v1")
    types = {"a": "BIGINT) FROM x; DROP TABLE precious; --", "b; DROP TABLE precious": "HUGEINT"}
    DUCK.publish(at(URI), None, Staged(version="v1", staging={**staged.staging, "types": types}))
    assert query(file, "SELECT a FROM precious") == [(1,)]
    assert query(file, "SELECT a FROM delays") == [(1,)]


def test_a_part_never_replaces_the_whole(at: Any, make: Any, days: DailyPartitions) -> None:
    target = at(URI, partitioned=True)
    make(target, {"a": [1]}, days.partition("2013-01-01"))
    with pytest.raises(MaterializationError, match="needs a partition"):
        make(target, {"a": [2]})
    with pytest.raises(MaterializationError, match="has no partitions"):
        make(at(URI), {"a": [2]}, days.partition("2013-01-01"))
    assert DUCK.load(target, None, "eager")["a"].to_list() == [1]


def test_versions_are_read_again_only_when_the_file_changed(
    at: Any, make: Any, days: DailyPartitions, monkeypatch: pytest.MonkeyPatch, file: Path
) -> None:
    target = at(URI, partitioned=True)
    make(target, {"a": [1]}, days.partition("2013-01-01"), version="v1")
    os.utime(file, ns=(1_000_000_000, 1_000_000_000))  # old enough to be trusted
    materializer = DuckDBMaterializer()
    reads = []
    original = module._read
    monkeypatch.setattr(module, "_read", lambda path: (reads.append(path), original(path))[1])
    for _ in range(3):
        assert materializer.version(target, days.partition("2013-01-01")) == "v1"
        assert materializer.version(target, days.partition("2013-01-02")) is None
    assert len(reads) == 1
    make(target, {"a": [1]}, days.partition("2013-01-01"), version="v2")
    assert materializer.version(target, days.partition("2013-01-01")) == "v2"


_HOLD = """
import sys, duckdb
connection = duckdb.connect(sys.argv[1])
print("open", flush=True)
sys.stdin.read()
"""


def test_a_file_held_by_another_program_is_an_error_that_names_it(
    at: Any, make: Any, file: Path, impatient: None, hidden: Any
) -> None:
    make(at(URI), {"a": [1]}, version="v1")
    run = [sys.executable, "-c", _HOLD, str(file)]
    with subprocess.Popen(run, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        assert holder.stdout.readline() == "open\n"
        staged = DUCK.stage(at(URI), None, {"a": [2]}, version="v2")
        with pytest.raises(LocationError, match=rf"held by another program \(process {holder.pid}\)"):
            DUCK.publish(at(URI), None, staged)
        with pytest.raises(LocationError, match="held by another program"):
            DUCK.load(at(URI), None, "eager")
        holder.stdin.close()
        holder.wait()
    DUCK.publish(at(URI), None, staged)
    assert DUCK.version(at(URI), None) == "v2"
    assert hidden() == []


def test_a_file_open_in_this_process_is_an_error_that_says_so(at: Any, make: Any, file: Path, impatient: None) -> None:
    make(at(URI), {"a": [1]})
    with (
        duckdb.connect(str(file), read_only=True),
        pytest.raises(LocationError, match="open elsewhere in this process"),
    ):
        make(at(URI), {"a": [2]})
    make(at(URI), {"a": [3]})


def test_a_file_that_is_no_database_is_named_and_kept(at: Any, file: Path) -> None:
    file.write_bytes(b"something else" * 1_000)
    staged = DUCK.stage(at(URI), None, {"a": [1]}, version="v")
    for run in (
        lambda: DUCK.publish(at(URI), None, staged),
        lambda: DUCK.version(at(URI), None),
        lambda: DUCK.load(at(URI), None, "lazy"),
    ):
        with pytest.raises(LocationError, match="not a DuckDB database") as caught:
            run()
        assert caught.value.where == str(file)
    assert file.read_bytes() == b"something else" * 1_000


def test_our_own_lock_is_waited_for_and_names_its_holder(file: Path) -> None:
    entered = []
    with locking.exclusive(file):
        with pytest.raises(LockTimeout, match=str(os.getpid())), locking.shared([file], wait=0.05):
            entered.append("reader")
        with pytest.raises(LockTimeout), locking.exclusive(file, wait=0.05):
            entered.append("writer")
    with locking.shared([file]), locking.shared([file, file], wait=0.05):
        entered.append("both")
    assert entered == ["both"]


_PUBLISH = """
import sys
from pathlib import Path
from headwater.assets.location import asset_ref
from headwater.assets.partitions import DailyPartitions
from headwater.assets.protocols import Target
from headwater.materializers.registry import for_ref
root, worker = Path(sys.argv[1]), int(sys.argv[2])
days = DailyPartitions("2013-01-01", "2014-01-01")
uri = "duckdb://warehouse.duckdb/main.delays"
target = Target(asset=asset_ref("delays", uri, root=root), root=root, partitioned=True)
materializer = for_ref(target.asset)
for number in range(worker, 16, 4):
    partition = days.partition(f"2013-{1 + number // 28:02}-{1 + number % 28:02}")
    staged = materializer.stage(target, partition, {"n": [number] * 3}, version=f"v{number}")
    materializer.publish(target, partition, staged)
    assert materializer.version(target, partition) == f"v{number}"
"""


def test_processes_that_publish_to_one_file_lose_nothing(at: Any, tmp_path: Path, days: DailyPartitions) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(Path.cwd()), *sys.path]))}
    workers = [
        subprocess.Popen([sys.executable, "-c", _PUBLISH, str(tmp_path), str(number)], env=environment)
        for number in range(4)
    ]
    assert [worker.wait() for worker in workers] == [0, 0, 0, 0]
    target = at(URI, partitioned=True)
    rows = DUCK.load(target, None, "eager").group_by("n").len().sort("n").rows()
    assert rows == [(number, 3) for number in range(16)]
    keys = [f"2013-{1 + number // 28:02}-{1 + number % 28:02}" for number in range(16)]
    assert [DUCK.version(target, days.partition(key)) for key in keys] == [f"v{number}" for number in range(16)]


def test_threads_that_read_and_publish_at_once_lose_nothing(at: Any, make: Any, days: DailyPartitions) -> None:
    target = at(URI, partitioned=True)
    make(target, {"n": [0]}, days.partition("2013-01-01"))
    failed: list[Exception] = []

    def work(day: int) -> None:
        try:
            for _ in range(2):
                make(target, {"n": [day]}, days.partition(f"2013-01-{day:02}"))
                assert day in DUCK.load(target, None, "lazy").collect()["n"].to_list()
                assert DUCK.load(target, None, "relation").fetchall()
        except Exception as error:  # noqa: BLE001 (shown by the assertion below)
            failed.append(error)

    threads = [threading.Thread(target=work, args=(day,)) for day in range(2, 6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert sorted(DUCK.load(target, None, "eager")["n"].to_list()) == [0, 2, 3, 4, 5]


@pytest.mark.parametrize(
    "name", ["o'hare", 'a"b', "'; DROP TABLE x; --", "{7*7}", "-rf", "year=2013", "\u00e9", "e\u0301", "\U0001f600"]
)
def test_hostile_names_make_the_round_trip(at: Any, make: Any, tmp_path: Path, name: str) -> None:
    braced = name.replace("{", "{{").replace("}", "}}")
    target = at(f"duckdb://{braced}/{braced}.duckdb/{braced}.{braced}", partitioned=True)
    frame = {name: [name], "{db}": ["{db}"]}
    make(target, frame, Partition(key=name), version="v1")
    make(target, frame, Partition(key=f"{name}{{db}}"), version="v2")
    assert DUCK.load(target, [Partition(key=name)], "lazy").collect().to_dict(as_series=False) == frame
    assert DUCK.load(target, [Partition(key=f"{name}{{db}}")], "eager").height == 1
    assert DUCK.version(target, Partition(key=name)) == "v1"
    assert {path.parent for path in tmp_path.rglob("*.duckdb")} == {tmp_path / name}


def test_extensions_are_not_fetched(at: Any) -> None:
    connection = module.memory()
    settings = connection.execute(
        "SELECT current_setting('autoinstall_known_extensions'), current_setting('autoload_known_extensions')"
    ).fetchall()
    connection.close()
    assert settings == [(False, False)]


def test_a_process_that_used_both_libraries_ends_quietly(tmp_path: Path) -> None:
    code = """
from headwater.materializers.duckdb import memory, frame_of_relation, pandas_of_frame
pandas_of_frame(frame_of_relation(memory().sql("select 1 as a")))
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(Path.cwd()), *sys.path]))}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert run.stderr == ""


_FORK = """
import os, sys, threading
from pathlib import Path
from headwater.assets.location import asset_ref
from headwater.assets.protocols import Target
from headwater.materializers import attaching, duckdb as module, locking
from headwater.materializers.registry import for_ref
root, busy = Path(sys.argv[1]), sys.argv[2] == "busy"
target = Target(asset=asset_ref("thing", "duckdb://w.duckdb/x", root=root), root=root)
other = Target(asset=asset_ref("other", "duckdb://other.duckdb/x", root=root), root=root)
materializer = for_ref(target.asset)
def make(target, version):
    materializer.publish(target, None, materializer.stage(target, None, {"a": [version]}, version=version))
make(target, "parent"), make(other, "parent")
started, finish = threading.Event(), threading.Event()
def read():
    with module.reading(root / "other.duckdb"):
        started.set()
        finish.wait()
thread = threading.Thread(target=read)
if busy:
    thread.start()
    started.wait()
child = os.fork()
if child == 0:  # without Polars, whose threads are not there any more
    assert materializer.version(target, None) == "parent"
    with locking.exclusive(root / "w.duckdb"), attaching.engine.attached(root / "w.duckdb", "READ_WRITE") as opened:
        opened.connection.execute(f"UPDATE {opened.book} SET version = 'child'")
    assert materializer.version(target, None) == "child"
    sys.exit(7)
status = os.waitpid(child, 0)[1]
finish.set()
if busy:
    thread.join()
assert materializer.version(target, None) == "child", materializer.version(target, None)
make(target, "again")
assert materializer.load(target, None, "eager").item() == "again"
print(os.waitstatus_to_exitcode(status))
"""


@pytest.mark.parametrize("state", ["idle", "busy"])
def test_a_forked_child_works_with_files_and_ends_as_it_should(tmp_path: Path, state: str) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(Path.cwd()), *sys.path]))}
    run = [sys.executable, "-W", "ignore", "-c", _FORK, str(tmp_path), state]
    found = subprocess.run(run, env=environment, capture_output=True, text=True, timeout=30)
    assert (found.returncode, found.stdout) == (0, "7\n"), found.stderr


@pytest.mark.parametrize("what", ["TABLE", "VIEW"])
def test_what_somebody_else_made_is_read_by_partition_where_a_column_tells_it(
    at: Any, make: Any, days: DailyPartitions, file: Path, what: str
) -> None:
    rows = "FROM (VALUES (DATE '2013-01-04', 1), (DATE '2013-01-05', 2), (DATE '2013-01-05', 3)) AS v(date, x)"
    with duckdb.connect(str(file)) as connection:
        connection.execute("CREATE TABLE base AS " + rows)
        connection.execute(f"CREATE {what} delays AS FROM base")
    target = at(URI, partitioned=True, partition_column="date")
    versions = {key: DUCK.version(target, days.partition(f"2013-01-0{key}")) for key in (4, 5, 6)}
    assert versions[4] != versions[5]
    assert versions[6] is None
    assert DUCK.version(target, None) is None
    assert DUCK.load(target, [days.partition("2013-01-05")], "eager")["x"].to_list() == [2, 3]
    table = "base" if what == "VIEW" else "delays"
    with duckdb.connect(str(file)) as connection:
        connection.execute(f"INSERT INTO {table} VALUES ('2013-01-06', 4); UPDATE {table} SET x = 7 WHERE x = 2")
    again = {key: DUCK.version(target, days.partition(f"2013-01-0{key}")) for key in (4, 5, 6)}
    assert again[4] == versions[4]
    assert again[5] != versions[5]
    assert again[6] is not None
    other = at(URI, partitioned=True, partition_column="elsewhere")
    assert DuckDBMaterializer().version(other, days.partition("2013-01-05")) is None


def test_of_a_table_that_was_made_here_other_rows_are_no_partitions(
    at: Any, make: Any, days: DailyPartitions, file: Path
) -> None:
    with duckdb.connect(str(file)) as connection:
        connection.execute("CREATE TABLE delays AS SELECT DATE '2013-01-04' AS date, 1::BIGINT AS x")
    target = at(URI, partitioned=True, partition_column="date")
    make(target, {"date": [DAY], "x": [2]}, days.partition("2013-01-05"), version="v1")
    assert DUCK.version(target, days.partition("2013-01-05")) == "v1"
    assert DUCK.version(target, days.partition("2013-01-04")) is None


def test_a_week_has_the_rows_of_all_its_days(at: Any, make: Any, file: Path) -> None:
    weeks = WeeklyPartitions("2024-01-01", "2024-02-05", timezone="Europe/Berlin")
    target = at(URI, partitioned=True, partition_column="day")
    first, second, third = (weeks.partition(key) for key in ("2024-01-01", "2024-01-08", "2024-01-15"))
    for number, week in enumerate((first, second, third)):
        make(target, {"day": [week.date, week.date + timedelta(days=6)], "x": [number] * 2}, week)
    make(target, {"day": [date(2024, 1, 10)], "x": [7]}, second)
    assert DUCK.load(target, None, "eager").sort("day")["x"].to_list() == [0, 0, 7, 2, 2]
    assert DUCK.load(target, [first, second], "eager").sort("day")["x"].to_list() == [0, 0, 7]
    assert DUCK.load(target, [first, third], "eager").sort("day")["x"].to_list() == [0, 0, 2, 2]
    with pytest.raises(PartitionError, match="1 of 1 rows lies outside the partition 2024-01-08"):
        make(target, {"day": [date(2024, 1, 15)], "x": [8]}, second)


@pytest.mark.parametrize(
    "definition",
    [
        DailyPartitions("2018-10-25", "2018-12-01", timezone="America/Sao_Paulo"),
        DailyPartitions("2011-12-20", "2012-01-10", timezone="Pacific/Apia"),
        DailyPartitions("2024-01-01", "2024-02-01", hour_offset=6),
        WeeklyPartitions("2024-01-07", "2024-03-03", day_offset=6),
        WeeklyPartitions("2018-10-01", "2018-12-03", timezone="America/Sao_Paulo"),
        MonthlyPartitions("2023-11", "2024-06"),
        MonthlyPartitions("2023-11", "2024-06", day_offset=14),
        CronPartitions("0 0 * * 1-5", "2024-01-01", "2024-02-01"),
        CronPartitions("0 12 * * 1", "2024-01-01", "2024-03-01"),
    ],
)
def test_no_date_tells_two_partitions(definition: Any) -> None:
    seen: set[date] = set()
    for partition in definition.all():
        first, last = dates_of(partition)
        days = {first + timedelta(days=number) for number in range((last - first).days + 1)}
        assert partition.date in days
        assert not days & seen
        seen |= days


@pytest.mark.parametrize(
    ("column", "types"),
    [
        (pl.Series([{"a": None}, {"a": None}]), "STRUCT(a VARCHAR)"),
        (pl.Series([[{"a": None, "b": 1}], None]), "STRUCT(a VARCHAR, b BIGINT)[]"),
        (pl.Series([10**30, None], dtype=pl.Int128), "DECIMAL(38,0)"),
        (pl.Series([[2**64], None], dtype=pl.List(pl.UInt128)), "DECIMAL(38,0)[]"),
        (pl.Series([[None, None], None], dtype=pl.Array(pl.Null, 2)), "VARCHAR[2]"),
        (pl.Series([1.5, None], dtype=pl.Float16), "FLOAT"),
    ],
)
def test_types_that_the_engine_does_not_know_are_handed_to_it_as_others(column: pl.Series, types: str) -> None:
    relation = module.relation_of_frame(pl.DataFrame({"x": column}))
    assert [str(dtype) for dtype in relation.types] == [types]
    found = [list(value) if isinstance(value, tuple) else value for (value,) in relation.fetchall()]
    assert found == column.to_list()


def test_a_table_that_was_renamed_keeps_its_versions_where_they_were_renamed_too(
    at: Any, make: Any, days: DailyPartitions, file: Path
) -> None:
    day = days.partition("2013-01-05")
    make(at(URI, partitioned=True), {"x": [1]}, day, version="v1")
    renamed = at("duckdb://warehouse.duckdb/main.arrivals", partitioned=True)
    with locking.exclusive(file), duckdb.connect(str(file)) as connection:
        connection.execute("ALTER TABLE delays RENAME TO arrivals")
    assert DUCK.version(renamed, day) is None
    with locking.exclusive(file), duckdb.connect(str(file)) as connection:
        connection.execute("""UPDATE _headwater_versions SET "table" = 'main.arrivals' WHERE "table" = 'main.delays'""")
    assert DUCK.version(renamed, day) == "v1"
    assert DUCK.load(renamed, [day], "eager").rows() == [(1,)]


def test_a_frame_without_columns_is_an_empty_pandas_frame_and_no_relation() -> None:
    assert module.pandas_of_frame(pl.DataFrame()).shape == (0, 0)
    with pytest.raises(MaterializationError, match="a frame without columns is nothing that DuckDB can read"):
        module.relation_of_frame(pl.DataFrame())


def test_a_plan_that_asks_for_no_column_still_counts_the_rows(at: Any, make: Any) -> None:
    target = at(URI)
    make(target, {"a": [7, 8, 9]})
    numbered = DUCK.load(target, None, "lazy").with_row_index()
    assert numbered.select("index").collect().rows() == [(0,), (1,), (2,)]
    assert numbered.filter(pl.col("index") > 1).select("index").collect().rows() == [(2,)]


def test_a_folder_in_the_place_of_a_database_is_named(at: Any, file: Path) -> None:
    staged = DUCK.stage(at(URI), None, {"a": [1]}, version="v")
    file.mkdir()
    with pytest.raises(LocationError, match="can't be read: Is a directory") as caught:
        DUCK.publish(at(URI), None, staged)
    assert caught.value.where == str(file)


_FULL = """
import resource, signal, sys
from pathlib import Path
import polars as pl
from headwater.assets.location import asset_ref
from headwater.assets.protocols import SqlQuery, Target
from headwater.errors import LocationError
from headwater.materializers.registry import for_ref
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
root = Path(sys.argv[1])
target = Target(asset=asset_ref("thing", "duckdb://w.duckdb/main.thing", root=root), root=root)
query = SqlQuery(text="SELECT hash(range) AS a FROM range(300_000)", inputs={})
# Small as a Parquet file, large in the database's log.
frame = pl.DataFrame({"a": ["xyz" * 300] * 10_000})
duck = for_ref(target.asset)
duck.publish(target, None, duck.stage(target, None, {"a": [1]}, version="old"))
resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, resource.RLIM_INFINITY))
for value in (query, frame):
    try:
        duck.publish(target, None, duck.stage(target, None, value, version="new"))
    except LocationError as error:
        print(error.message, error.hint, duck.version(target, None))
    duck.discard(target, "new")
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
duck.publish(target, None, duck.stage(target, None, frame, version="new"))
print(duck.version(target, None), sorted(path.name for path in root.glob(".staging*")))
"""


def test_a_disk_that_takes_no_more_is_said_and_leaves_the_old_rows(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(Path.cwd()), *sys.path]))}
    run = subprocess.run(
        [sys.executable, "-c", _FULL, str(tmp_path)], env=environment, capture_output=True, text=True, check=True
    )
    refused = "'thing' can't be written: File too large make room on the disk old"
    assert run.stdout.splitlines() == [refused, refused, "new []"]
