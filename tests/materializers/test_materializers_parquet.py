from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pytest

from headwater.assets.partitions import DailyPartitions, Partition
from headwater.assets.protocols import SqlQuery, SqlRelation, Staged
from headwater.clock import to_us
from headwater.errors import DefinitionError, LocationError, MaterializationError, PartitionError, ReturnTypeError
from headwater.materializers.duckdb import failing
from headwater.materializers.parquet import ParquetMaterializer

PARQUET = ParquetMaterializer()


def us(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000_000)


def test_an_unpartitioned_asset_is_one_file_that_says_what_it_is(at: Any, make: Any, tmp_path: Path) -> None:
    target = at("parquet://lake/x")
    assert PARQUET.version(target, None) is None
    staged = make(target, pl.DataFrame({"a": [1, 2]}), version="v1")
    assert [path.name for path in (tmp_path / "lake").iterdir()] == ["x.parquet"]
    assert (staged.rows, staged.bytes) == (2, (tmp_path / "lake" / "x.parquet").stat().st_size)
    assert [(column.name, column.type) for column in staged.columns] == [("a", "Int64")]
    metadata = pl.read_parquet_metadata(tmp_path / "lake" / "x.parquet")
    assert (metadata["headwater.version"], metadata["headwater.asset"]) == ("v1", "thing")
    assert "headwater.partition" not in metadata
    assert PARQUET.version(target, None) == "v1"
    assert PARQUET.load(target, None, "eager").rows() == [(1,), (2,)]


ODD = pl.DataFrame(
    {
        "category": pl.Series(["a"], dtype=pl.Categorical),
        "enum": pl.Series(["a"], dtype=pl.Enum(["a", "b"])),
        "null": [None],
        "ns": pl.Series([datetime(2020, 1, 1)], dtype=pl.Datetime("ns", "UTC")),
        "array": pl.Series([[1, 2]], dtype=pl.Array(pl.Int8, 2)),
        "struct": [{"a": timedelta(1)}],
    }
)


@pytest.mark.parametrize(
    "value",
    [ODD, ODD.lazy(), ODD.clear(), [], pl.LazyFrame()],
    ids=["eager", "lazy", "no rows", "an empty list", "no columns"],
)
def test_what_was_written_here_is_read_as_anybody_reads_it(at: Any, value: Any, tmp_path: Path) -> None:
    target, here = at("parquet://lake/x"), ParquetMaterializer()
    here.publish(target, None, here.stage(target, None, value, version="v1"))
    known, read = here.load(target, None, "lazy"), ParquetMaterializer().load(target, None, "lazy")
    assert known.collect_schema() == read.collect_schema()
    assert known.collect().equals(read.collect())
    pl.DataFrame({"other": ["of somebody else's"]}).write_parquet(tmp_path / "lake" / "x.parquet")
    assert here.load(target, None, "lazy").collect().rows() == [("of somebody else's",)]


def test_a_location_that_names_a_parquet_file_is_that_file(at: Any, make: Any, tmp_path: Path) -> None:
    make(at("parquet://x.parquet"), {"a": [1]})
    assert (tmp_path / "x.parquet").is_file()


def test_a_partitioned_asset_is_a_folder_of_files(at: Any, make: Any, days: DailyPartitions, tmp_path: Path) -> None:
    target = at("parquet://lake/flights", partitioned=True)
    for number, key in enumerate(["2013-01-02", "2013-01-01"]):
        make(target, {"n": [number]}, days.partition(key), version=f"v{number}")
    first, second, third = (days.partition(f"2013-01-0{day}") for day in (1, 2, 3))
    assert sorted(path.name for path in (tmp_path / "lake" / "flights").iterdir()) == [
        "2013-01-01.parquet",
        "2013-01-02.parquet",
    ]
    assert PARQUET.version(target, first) == "v1"
    assert PARQUET.version(target, third) is None
    assert PARQUET.load(target, None, "lazy").collect().rows() == [(1,), (0,)]
    assert PARQUET.load(target, [second, third], "eager").rows() == [(0,)]
    assert PARQUET.load(target, [second], "path") == tmp_path / "lake" / "flights" / "2013-01-02.parquet"
    assert PARQUET.load(target, None, "path") == tmp_path / "lake" / "flights"
    assert PARQUET.paths(target, [third, second, first]) == PARQUET.load(target, [second, first], "path")
    assert pl.read_parquet_metadata(PARQUET.paths(target, [first])[0])["headwater.partition"] == "2013-01-01"
    assert [PARQUET.partition_key(path) for path in PARQUET.paths(target, None)] == ["2013-01-01", "2013-01-02"]


def test_the_paths_in_a_lazy_plan_are_absolute(
    at: Any, make: Any, days: DailyPartitions, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    target = at("parquet://flights", partitioned=True)
    for key in ("2013-01-01", "2013-01-02"):
        make(target, {"n": [1]}, days.partition(key))
    plan = PARQUET.load(target, None, "lazy").explain(optimized=False)
    assert str(tmp_path / "flights" / "2013-01-01.parquet") in plan


def test_a_partition_that_was_never_made_is_an_error(at: Any, days: DailyPartitions) -> None:
    with pytest.raises(LocationError, match="no data of 'thing'"):
        PARQUET.load(at("parquet://x", partitioned=True), [days.partition("2013-01-01")], "lazy")
    with pytest.raises(LocationError, match="no data of 'thing'"):
        PARQUET.load(at("parquet://x"), None, "lazy")


@pytest.mark.parametrize(
    "value",
    [
        pl.DataFrame({"a": [1, 2]}),
        pl.LazyFrame({"a": [1, 2]}),
        pd.DataFrame({"a": [1, 2]}),
        [{"a": 1}, {"a": 2}],
        {"a": [1, 2]},
        {"a": pl.Series([1, 2])},
        {"a": pd.Series([1, 2], index=[7, 8])},
        {"a": pd.Series([1, 2], dtype="Int64")},
    ],
    ids=lambda value: type(value).__module__ + type(value).__name__,
)
def test_every_kind_of_table_can_be_stored(at: Any, make: Any, value: Any) -> None:
    target = at("parquet://x")
    assert make(target, value).rows == 2
    assert PARQUET.load(target, None, "eager").rows() == [(1,), (2,)]


def test_a_duckdb_relation_can_be_stored(at: Any, make: Any) -> None:
    with duckdb.connect() as connection:
        make(at("parquet://x"), connection.sql("SELECT 1 AS a, INTERVAL 1 DAY AS i, 5::HUGEINT AS h"))
    frame = PARQUET.load(at("parquet://x"), None, "eager")
    assert frame.rows() == [(1, "1 day", 5)]


@pytest.mark.parametrize(
    "value", [None, 7, "text", b"bytes", object(), [1, 2], {"a": 1}, {1: [1]}, {"a": "text"}, True]
)
def test_anything_else_is_refused_with_what_is_possible(at: Any, hidden: Any, value: Any) -> None:
    with pytest.raises(ReturnTypeError) as caught:
        PARQUET.stage(at("parquet://x"), None, value, version="v")
    assert type(value).__name__ in caught.value.message
    assert "Polars" in str(caught.value.hint)
    assert hidden() == []


@pytest.mark.parametrize(
    "value",
    [
        pd.DataFrame({"a": pd.Series([datetime(2024, 1, 5), datetime(2024, 1, 5, tzinfo=UTC)], dtype=object)}),
        pd.DataFrame({"a": pd.Series([True, 7], dtype=object)}),
        pd.DataFrame({"a": pd.period_range("2024-01", periods=1, freq="M")}),
        {"a": [1 << 130]},
        [{"a": 1}, {"a": 1 << 130}],
        [{"a": Decimal("1e40")}],
        {"a": pd.Series(pd.period_range("2024-01", periods=1, freq="M"))},
        pd.DataFrame({"a": ["\ud800"]}),
    ],
)
def test_values_that_make_no_column_are_refused_as_what_was_returned(at: Any, hidden: Any, value: Any) -> None:
    with pytest.raises(ReturnTypeError, match=r"can't be stored|make no table"):
        PARQUET.stage(at("parquet://x"), None, value, version="v")
    assert hidden() == []


@pytest.mark.parametrize("value", [[], {}, pl.DataFrame(), pl.DataFrame(schema={"a": pl.Int64})])
def test_no_rows_are_fine(at: Any, make: Any, value: Any) -> None:
    target = at("parquet://x", time_column="a" if isinstance(value, list) else None)
    staged = make(target, value)
    assert (staged.rows, staged.time_max) == (0, None)
    assert PARQUET.load(target, None, "eager").height == 0


def test_a_lazy_frame_is_executed_once(at: Any, make: Any) -> None:
    calls = []

    def spy(frame: pl.DataFrame) -> pl.DataFrame:
        calls.append(frame.height)
        return frame

    target = at("parquet://x", time_column="t")
    lazy = pl.LazyFrame({"t": [datetime(2013, 1, 1)]}).map_batches(spy)
    staged = make(target, lazy)
    assert calls == [1]
    assert staged.rows == 1


def test_checks_see_what_was_staged_and_readers_what_was_published(at: Any, make: Any, hidden: Any) -> None:
    target = at("parquet://x")
    make(target, {"a": [1]}, version="old")
    staged = PARQUET.stage(target, None, {"a": [2]}, version="new")
    assert staged.frame().collect().item() == 2
    assert PARQUET.load(target, None, "eager").item() == 1
    assert PARQUET.version(target, None) == "old"
    assert json.loads(json.dumps(dict(staged.staging))) == staged.staging
    PARQUET.discard(target, staged.version)
    PARQUET.discard(target, staged.version)
    assert hidden() == []
    assert PARQUET.load(target, None, "eager").item() == 1


def test_publishing_from_the_record_alone_and_twice(at: Any, hidden: Any) -> None:
    target = at("parquet://x")
    staged = PARQUET.stage(target, None, {"a": [1]}, version="v1")
    again = Staged(version="v1", staging=json.loads(json.dumps(dict(staged.staging))))
    ParquetMaterializer().publish(target, None, again)
    PARQUET.publish(target, None, again)
    assert PARQUET.version(target, None) == "v1"
    assert hidden() == []
    with pytest.raises(LocationError, match="not there any more"):
        PARQUET.publish(target, None, Staged(version="v2", staging={"file": ".staging-v2.parquet"}))


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "../x", "/../x", ".", ""])
def test_a_version_can_name_nothing_but_a_staged_file(at: Any, make: Any, tmp_path: Path, name: str) -> None:
    target = at("parquet://x")
    make(target, {"a": [1]})
    with pytest.raises(LocationError):
        PARQUET.discard(target, name)
    assert (tmp_path / "x.parquet").exists()


@pytest.mark.parametrize("version", ["", "../x", "a/b", "a\0b", ".hidden", "x" * 200])
def test_a_version_that_is_no_file_name_is_refused(at: Any, version: str) -> None:
    with pytest.raises(LocationError):
        PARQUET.stage(at("parquet://x"), None, {"a": [1]}, version=version)


def test_a_frame_that_fails_leaves_nothing(at: Any, hidden: Any) -> None:
    def fail(frame: pl.DataFrame) -> pl.DataFrame:
        raise ValueError("the function's own error")

    with pytest.raises(ValueError, match="the function's own error"):
        PARQUET.stage(at("parquet://x"), None, pl.LazyFrame({"a": [1]}).map_batches(fail), version="v")
    with pytest.raises(MaterializationError, match="the data of 'thing' can't be computed"):
        PARQUET.stage(at("parquet://x"), None, pl.LazyFrame({"a": [1]}).select("b"), version="v")
    assert hidden() == []


def test_the_time_range_is_measured_in_utc(at: Any, make: Any) -> None:
    zoned = pl.Series([datetime(2013, 1, 1, 5, tzinfo=UTC), datetime(2013, 1, 2, 4, 59, tzinfo=UTC)])
    low, high = us(datetime(2013, 1, 1, 5, tzinfo=UTC)), us(datetime(2013, 1, 2, 4, 59, tzinfo=UTC))
    for series in (
        zoned,
        zoned.dt.convert_time_zone("America/New_York"),
        zoned.dt.replace_time_zone(None),  # a naive time is taken as UTC
        zoned.dt.cast_time_unit("ns"),
        zoned.dt.cast_time_unit("ms"),
    ):
        staged = make(at("parquet://x", time_column="t"), pl.DataFrame({"t": series}))
        assert (staged.time_min, staged.time_max) == (low, high)


def test_a_date_reaches_to_the_end_of_its_day_in_the_partitions_zone(at: Any, make: Any, days: DailyPartitions) -> None:
    frame = pl.DataFrame({"d": [date(2013, 3, 10)]})  # a day of 23 hours in New York
    staged = make(at("parquet://x", partitioned=True, time_column="d"), frame, days.partition("2013-03-10"))
    assert staged.time_min == us(datetime(2013, 3, 10, 5, tzinfo=UTC))
    assert staged.time_max == us(datetime(2013, 3, 11, 4, tzinfo=UTC))
    staged = make(at("parquet://y", time_column="d"), frame)
    assert staged.time_max == us(datetime(2013, 3, 11, tzinfo=UTC))


@pytest.mark.parametrize("key", ["2013-01-01", "2013-03-10", "2013-11-03"])
def test_the_window_of_a_local_day_includes_its_start_and_not_its_end(
    at: Any, make: Any, days: DailyPartitions, hidden: Any, key: str
) -> None:
    partition = days.partition(key)
    assert partition.start is not None
    assert partition.end is not None
    start, end = partition.start.astimezone(UTC), partition.end.astimezone(UTC)
    target = at("parquet://x", partitioned=True, time_column="t")
    tick = timedelta(microseconds=1)
    for column in (
        pl.Series([start, None, end - tick]),
        pl.Series([start, None, end - tick]).dt.replace_time_zone(None),
    ):
        assert make(target, pl.DataFrame({"t": column}), partition).rows == 3
    for outside in (start - tick, end):
        with pytest.raises(PartitionError) as caught:
            PARQUET.stage(target, partition, {"t": [start, outside]}, version="v")
        assert "1 of 2 rows lies outside the partition" in caught.value.message
        assert str(outside.replace(tzinfo=None))[:19] in caught.value.message
    assert hidden() == []


def test_rows_outside_by_the_partition_column_are_refused(at: Any, make: Any, days: DailyPartitions) -> None:
    target, partition = at("parquet://x", partitioned=True, partition_column="d"), days.partition("2013-01-05")
    make(target, {"d": [date(2013, 1, 5)]}, partition)
    make(target, {"d": ["2013-01-05"]}, partition)
    for bad in ([date(2013, 1, 5), date(2013, 1, 6)], [date(2013, 1, 5), None], ["2013-01-05", "2013-1-5"]):
        with pytest.raises(PartitionError, match="1 of 2 rows lies outside"):
            PARQUET.stage(target, partition, {"d": bad}, version="v")


@pytest.mark.parametrize("column", ["partition_column", "time_column"])
def test_a_missing_or_unusable_column_is_named(at: Any, days: DailyPartitions, column: str) -> None:
    target = at("parquet://x", partitioned=True, **{column: "when"})
    with pytest.raises(ReturnTypeError, match="has no column 'when'"):
        PARQUET.stage(target, days.partition("2013-01-01"), {"a": [1]}, version="v")
    with pytest.raises(ReturnTypeError, match="'when' of 'thing' is of type Float64"):
        PARQUET.stage(target, days.partition("2013-01-01"), {"when": [1.5]}, version="v")


def test_partitions_of_an_older_schema_are_read_with_the_newer_ones(at: Any, make: Any, days: DailyPartitions) -> None:
    target = at("parquet://x", partitioned=True)
    frames = [
        pl.DataFrame({"a": pl.Series([1], dtype=pl.Int32)}),
        pl.DataFrame({"a": [None], "b": ["x"]}),
        pl.DataFrame({"b": ["y"], "a": [3]}),
        pl.DataFrame(),
    ]
    for number, frame in enumerate(frames, 1):
        make(target, frame, days.partition(f"2013-01-0{number}"))
    loaded = PARQUET.load(target, None, "eager")
    assert loaded.schema == {"a": pl.Int64, "b": pl.String}
    assert loaded.rows() == [(1, None), (None, "x"), (3, "y")]
    make(target, {"a": ["text"]}, days.partition("2013-01-05"))
    with pytest.raises(MaterializationError, match="'a' of 'thing' is Int64 in some partitions and String in others"):
        PARQUET.load(target, None, "lazy")


@pytest.mark.parametrize("newer", [["10"], [1.5], [True]])
def test_a_query_does_not_mix_what_a_frame_refuses_to_mix(
    at: Any, make: Any, days: DailyPartitions, newer: list[object]
) -> None:
    target = at("parquet://x", partitioned=True)
    make(target, {"a": [9]}, days.partition("2013-01-01"))
    make(target, {"a": newer}, days.partition("2013-01-02"))
    with pytest.raises(MaterializationError, match="'a' of 'thing' is Int64 in some partitions and"):
        PARQUET.load(target, None, "sql")
    assert isinstance(PARQUET.load(target, [days.partition("2013-01-02")], "sql"), SqlRelation)


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ({"a": [1]}, {"a": []}),
        ({"a": {"x": 1, "y": None}}, {"a": {"x": 2, "y": "s"}}),
        ({"a": {"x": 1}}, {"a": {"x": 2, "y": "s"}}),
        ({"a": [{"x": 1, "y": [None]}]}, {"a": [{"x": None, "y": [2]}]}),
    ],
)
@pytest.mark.parametrize("turned", [False, True])
def test_what_lists_and_structs_hold_may_be_wider_in_other_partitions(
    at: Any, make: Any, days: DailyPartitions, older: Any, newer: Any, turned: bool
) -> None:
    target, rows = at("parquet://x", partitioned=True), [newer, older] if turned else [older, newer]
    for number, row in enumerate(rows, 1):
        make(target, [row], days.partition(f"2013-01-0{number}"))
    wanted = pl.DataFrame(rows, infer_schema_length=None)
    assert PARQUET.load(target, None, "eager").sort("a").equals(wanted.sort("a"))
    with duckdb.connect() as connection:
        found = pl.DataFrame(connection.sql(PARQUET.load(target, None, "sql").select).fetchall(), ["a"], orient="row")
        assert found.height == 2


def test_a_day_without_rows_has_the_columns_of_other_days(at: Any, make: Any, days: DailyPartitions) -> None:
    target, parts = at("parquet://x", partitioned=True), [days.partition(f"2013-01-0{day}") for day in (1, 2, 3)]
    make(target, [], parts[0])
    assert PARQUET.load(target, None, "eager").shape == (0, 0)
    make(target, [{"n": 1}], parts[1])
    make(target, [], parts[2])
    for wanted, rows in (([parts[0]], []), ([parts[0], parts[2]], []), (parts, [(1,)]), (None, [(1,)])):
        loaded = PARQUET.load(target, wanted, "lazy").filter(pl.col("n") > 0).collect()
        assert (loaded.schema, loaded.rows()) == ({"n": pl.Int64}, rows)
        with duckdb.connect() as connection:
            relation = connection.sql(PARQUET.load(target, wanted, "sql").select)
            assert (relation.columns, relation.fetchall()) == (["n"], rows)


def test_a_file_of_somebody_else_has_its_content_as_version(at: Any, tmp_path: Path) -> None:
    target = at("parquet://x")
    pl.DataFrame({"a": [1]}).write_parquet(tmp_path / "x.parquet")
    first = PARQUET.version(target, None)
    assert first is not None
    assert first.startswith("sha256:")
    pl.DataFrame({"a": [2]}).write_parquet(tmp_path / "x.parquet")
    assert PARQUET.version(target, None) not in (None, first)


def test_a_damaged_file_is_named(at: Any, tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_bytes(b"PAR1 this is no parquet PAR1")
    with pytest.raises(LocationError) as caught:
        PARQUET.load(at("parquet://x"), None, "eager")
    assert caught.value.where == str(tmp_path / "x.parquet")


def test_a_damaged_file_has_a_version_of_its_own(at: Any, make: Any, tmp_path: Path) -> None:
    make(at("parquet://x"), {"a": [1]})
    whole = PARQUET.version(at("parquet://x"), None)
    file = tmp_path / "x.parquet"
    file.write_bytes(file.read_bytes()[:-20])
    damaged = PARQUET.version(at("parquet://x"), None)
    assert damaged is not None
    assert damaged.startswith("sha256:")
    assert damaged != whole


def test_the_other_forms(at: Any, make: Any, days: DailyPartitions) -> None:
    target = at("parquet://o'hare[1]", partitioned=True)
    make(target, {"a": [1]}, days.partition("2013-01-01"))
    make(target, {"a": [2], "b": ["x"]}, days.partition("2013-01-02"))
    assert PARQUET.load(target, None, "pandas")["a"].tolist() == [1, 2]
    assert PARQUET.load(target, None, "relation").aggregate("sum(a)").fetchall() == [(3,)]
    relation = PARQUET.load(target, None, "sql")
    assert isinstance(relation, SqlRelation)
    with duckdb.connect() as connection:
        assert connection.execute(f"SELECT sum(a), count(b) FROM ({relation.select})").fetchall() == [(3, 1)]


def test_options_go_to_the_writer_and_unknown_ones_are_refused(at: Any, make: Any) -> None:
    make(at("parquet://x", options={"compression": "uncompressed"}), {"a": [1]})
    with pytest.raises(DefinitionError, match="'compresion'"):
        make(at("parquet://x", options={"compresion": "zstd"}), {"a": [1]})


def test_partitions_do_not_fit_a_single_file_and_the_reverse(at: Any, days: DailyPartitions) -> None:
    with pytest.raises(DefinitionError, match="single file"):
        PARQUET.version(at("parquet://x.parquet", partitioned=True), days.partition("2013-01-01"))
    with pytest.raises(MaterializationError, match="needs a partition"):
        PARQUET.version(at("parquet://x", partitioned=True), None)
    with pytest.raises(MaterializationError, match="has no partitions"):
        PARQUET.version(at("parquet://x"), days.partition("2013-01-01"))


@pytest.mark.parametrize(
    "name",
    [
        "o'hare",
        '"q"',
        "'; DROP TABLE t; --",
        "{7*7}",
        "-rf",
        "a b%20",
        "\u00e9",
        "e\u0301",
        "\U0001f600",
        "[a]*?",
        "year=2013",
    ],
)
def test_hostile_names_make_the_round_trip(at: Any, make: Any, tmp_path: Path, name: str) -> None:
    target = at(f"parquet://lake/{name.replace('{', '{{').replace('}', '}}')}", partitioned=True)
    for key in (name, "../../up", ".", "..", "CON/aux"):
        make(target, {"k": [key]}, Partition(key=key))
        assert PARQUET.load(target, [Partition(key=key)], "eager").item() == key
        assert PARQUET.load(target, [Partition(key=key)], "relation").fetchall() == [(key,)]
        assert pl.read_parquet_metadata(PARQUET.paths(target, [Partition(key=key)])[0])["headwater.partition"] == key
    assert {path.parent for path in tmp_path.rglob("*.parquet")} == {tmp_path / "lake" / name}


_CHILD = """
import os, signal, sys
from pathlib import Path
from headwater.assets.location import asset_ref
from headwater.assets.protocols import Target
from headwater.materializers.registry import for_ref
root, uri, step = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
target = Target(asset=asset_ref("thing", uri, root=root), root=root)
materializer = for_ref(target.asset)
staged = materializer.stage(target, None, {"a": [2]}, version="new")
if step == "publish":
    materializer.publish(target, None, staged)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("uri", ["parquet://lake/x", "duckdb://lake/w.duckdb/x"])
def test_killed_between_stage_and_publish_the_old_data_stays(
    at: Any, make: Any, hidden: Callable[[], list[str]], tmp_path: Path, uri: str
) -> None:
    from headwater.materializers.registry import for_ref

    target = at(uri)
    materializer = for_ref(target.asset)
    make(target, {"a": [1]}, version="old")
    run = [sys.executable, "-c", _CHILD, str(tmp_path), uri]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(Path.cwd()), *sys.path]))}
    assert subprocess.run([*run, "stage"], env=environment).returncode == -signal.SIGKILL
    assert materializer.version(target, None) == "old"
    assert materializer.load(target, None, "eager").item() == 1
    assert hidden() == [".staging-new.parquet"]
    materializer.discard(target, "new")
    assert hidden() == []
    assert subprocess.run([*run, "publish"], env=environment).returncode == -signal.SIGKILL
    assert materializer.version(target, None) == "new"
    assert materializer.load(target, None, "eager").item() == 2


_FULL = """
import resource, signal, sys
from pathlib import Path
import polars as pl
from headwater.assets.location import asset_ref
from headwater.assets.protocols import Target
from headwater.errors import LocationError
from headwater.materializers.registry import for_ref
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
root = Path(sys.argv[1])
target = Target(asset=asset_ref("thing", "parquet://x", root=root), root=root)
frame = pl.DataFrame({"a": range(300_000)}).with_columns(pl.col("a").hash())
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
try:
    for_ref(target.asset).stage(target, None, frame, version="v")
except LocationError as error:
    print(error.message, sorted(path.name for path in root.iterdir()))
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
staged = for_ref(target.asset).stage(target, None, frame, version="v")
for_ref(target.asset).publish(target, None, staged)
print(for_ref(target.asset).version(target, None))
"""


def test_a_disk_that_takes_no_more_is_a_clear_error_and_leaves_nothing(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(Path.cwd()), *sys.path]))}
    run = subprocess.run(
        [sys.executable, "-c", _FULL, str(tmp_path)], env=environment, capture_output=True, text=True, check=True
    )
    assert run.stdout.splitlines() == ["'thing' can't be written: File too large []", "v"]


def test_a_place_that_cannot_be_written_is_named(at: Any, tmp_path: Path) -> None:
    (tmp_path / "lake").write_text("a file where a folder should be")
    with pytest.raises(LocationError, match="can't be written: Not a directory"):
        PARQUET.stage(at("parquet://lake/x"), None, {"a": [1]}, version="v")


def test_whole_numbers_of_128_bits_are_no_bytes_in_a_query(at: Any, make: Any) -> None:
    target = at("parquet://lake/wide")
    make(target, pl.DataFrame({"x": pl.Series([-5, 10**30], dtype=pl.Int128)}))
    given = PARQUET.load(target, None, "sql")
    assert failing(SqlQuery(text="SELECT x + 1 AS x FROM {rows}", inputs={"rows": given}), ["x"], 2) == (
        2,
        [(-4,), (10**30 + 1,)],
    )


@pytest.mark.parametrize("uri", ["parquet://lake/x", "duckdb://w.duckdb/x", "memory://x"])
def test_a_day_behind_all_days_is_a_time_like_any_other(at: Any, make: Any, uri: str) -> None:
    target = at(uri, time_column="valid_to")
    last = to_us(datetime.max.replace(tzinfo=UTC))
    for days in (pl.Series([date(2013, 1, 5), date.max]), pl.Series([15_000, 5_000_000]).cast(pl.Date)):
        assert make(target, pl.DataFrame({"valid_to": days})).time_max == last


@pytest.mark.parametrize("zone", [None, "Asia/Kolkata"])
@pytest.mark.parametrize("year", [-20_000, 15_000])
@pytest.mark.parametrize("uri", ["parquet://lake/x", "duckdb://w.duckdb/x", "memory://x"])
def test_a_time_in_a_year_that_python_does_not_know_is_its_first_or_last(
    at: Any, make: Any, uri: str, year: int, zone: str | None
) -> None:
    moments = pl.Series([(year - 1970) * 365 * 86_400_000_000]).cast(pl.Datetime("us", zone))
    bound = datetime.max if year > 0 else datetime.min
    staged = make(at(uri, time_column="valid_to"), pl.DataFrame({"valid_to": moments}))
    assert staged.time_max == to_us(bound.replace(tzinfo=UTC))


@pytest.mark.parametrize("column", ["time_column", "partition_column"])
@pytest.mark.parametrize(
    "times",
    [
        pl.Series([5_000_000]).cast(pl.Date),
        pl.Series([1 << 62]).cast(pl.Datetime("us")),
        pl.Series([datetime.max]).dt.replace_time_zone("UTC").dt.convert_time_zone("Asia/Kolkata"),
    ],
)
def test_a_far_time_is_outside_of_its_partition(
    at: Any, make: Any, days: DailyPartitions, times: pl.Series, column: str
) -> None:
    target = at("parquet://x", partitioned=True, **{column: "valid_to"})
    with pytest.raises(
        PartitionError, match=r"1 of 1 rows lies outside the partition 2013-01-05.*valid_to = 9999-12-31"
    ):
        make(target, {"valid_to": times}, days.partition("2013-01-05"))
