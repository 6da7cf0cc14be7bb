from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from polars.testing.parametric import column, dataframes

from headwater.assets.events import AssetRef
from headwater.assets.forms import form_of
from headwater.assets.location import asset_ref
from headwater.assets.partitions import DailyPartitions
from headwater.assets.protocols import SqlRelation, Target
from headwater.clock import to_us
from headwater.errors import LocationError, MaterializationError, PartitionError, ReturnTypeError
from headwater.materializers import memory, registry
from headwater.materializers.convert import as_eager, as_lazy, convert
from headwater.materializers.memory import MemoryMaterializer
from headwater.materializers.parquet import ParquetMaterializer
from headwater.materializers.registry import for_ref

MEMORY, PARQUET = MemoryMaterializer(), ParquetMaterializer()


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    yield
    memory.clear()


def test_any_value_is_kept_as_it_is(at: Any, make: Any) -> None:
    target, value = at("memory://x"), {"anything": object()}
    assert MEMORY.version(target, None) is None
    make(target, value, version="v1")
    assert MEMORY.load(target, None, "any") is value
    assert MEMORY.version(target, None) == "v1"


@pytest.mark.parametrize("rows", [[{"t": date(2013, 1, 5)}], {"t": [date(2013, 1, 5)]}])
def test_plain_rows_are_measured_where_the_asset_names_a_column_of_them(at: Any, make: Any, rows: Any) -> None:
    staged = make(at("memory://x", time_column="t"), rows)
    assert (staged.rows, staged.time_max) == (1, to_us(datetime(2013, 1, 6, tzinfo=UTC)))
    assert MEMORY.load(at("memory://x"), None, "any") is staged.frame() is rows
    days = DailyPartitions("2013-01-01", "2014-01-01")
    for named in ({"time_column": "t"}, {"partition_column": "t"}):
        target = at("memory://y", partitioned=True, **named)
        make(target, rows, days.partition("2013-01-05"))
        with pytest.raises(PartitionError, match="1 of 1 rows lies outside"):
            make(target, rows, days.partition("2013-01-06"))


def test_frames_are_measured_and_lazy_ones_executed_once(at: Any, make: Any) -> None:
    calls = []

    def spy(frame: pl.DataFrame) -> pl.DataFrame:
        calls.append(1)
        return frame

    target = at("memory://x", time_column="t")
    staged = make(target, pl.LazyFrame({"t": [datetime(2013, 1, 1, tzinfo=UTC)]}).map_batches(spy))
    assert (staged.rows, staged.time_max, len(calls)) == (1, 1_356_998_400_000_000, 1)
    assert staged.frame().collect().height == 1
    for _ in range(2):
        assert MEMORY.load(target, None, "lazy").collect().height == 1
    assert len(calls) == 1


def test_nothing_is_seen_before_it_is_published(at: Any, make: Any) -> None:
    target = at("memory://x")
    make(target, 1, version="old")
    staged = MEMORY.stage(target, None, 2, version="new")
    assert MEMORY.load(target, None, "any") == 1
    MEMORY.discard(target, staged.version)
    MEMORY.discard(target, staged.version)
    with pytest.raises(LocationError, match="not there any more"):
        MEMORY.publish(target, None, staged)
    assert MEMORY.version(target, None) == "old"
    again = MEMORY.stage(target, None, 3, version="newer")
    MEMORY.publish(target, None, again)
    MEMORY.publish(target, None, again)
    assert MEMORY.load(target, None, "any") == 3


def test_partitions_of_frames_are_put_together(at: Any, make: Any, days: DailyPartitions) -> None:
    target = at("memory://x", partitioned=True, partition_column="d")
    for day in (1, 2):
        make(target, pl.DataFrame({"d": [date(2013, 1, day)]}), days.partition(f"2013-01-0{day}"))
    assert MEMORY.load(target, None, "eager").height == 2
    assert MEMORY.load(target, [days.partition("2013-01-02")], "lazy").collect().item() == date(2013, 1, 2)
    with pytest.raises(LocationError, match="no data"):
        MEMORY.load(target, [days.partition("2013-01-03")], "lazy")
    with pytest.raises(PartitionError):
        make(target, pl.DataFrame({"d": [date(2013, 1, 4)]}), days.partition("2013-01-03"))


def test_partitions_of_plain_rows_are_put_together_for_who_asks_for_a_table(
    at: Any, make: Any, days: DailyPartitions
) -> None:
    target, parts = at("memory://x", partitioned=True), [days.partition(f"2013-01-0{day}") for day in (1, 2, 3)]
    for number, part in enumerate(parts):
        make(target, [{"n": number}] if number else [], part)
    for form in ("lazy", "eager", "sql"):
        assert as_eager(MEMORY.load(target, parts, form)).rows() == [(1,), (2,)]
        without = as_eager(MEMORY.load(target, parts[:1], form))
        assert (without.columns, without.rows()) == (["n"], [])
    assert MEMORY.load(target, None, "relation").fetchall() == [(1,), (2,)]
    assert MEMORY.load(target, parts[:2], "any") == {"2013-01-01": [], "2013-01-02": [{"n": 1}]}
    make(target, "no rows", parts[0])
    assert MEMORY.load(target, parts[:2], "lazy") == {"2013-01-01": "no rows", "2013-01-02": [{"n": 1}]}


MIXED = [
    pl.Int8,
    pl.Int64,
    pl.Float64,
    pl.Date,
    pl.Datetime("us", "UTC"),
    pl.String,
    pl.Null,
    pl.List(pl.Int8),
    pl.List(pl.Null),
]
"""Types of which Polars by itself makes one that holds other values, or none at all."""


@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_partitions_in_memory_fit_together_as_they_do_in_files(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    root = tmp_path_factory.mktemp("root")
    days = DailyPartitions("2013-01-01", "2014-01-01")
    target = Target(asset=asset_ref("thing", "parquet://lake/x", root=root), root=root, partitioned=True)
    columns = [column("a", dtype=data.draw(st.sampled_from(MIXED))) for _ in range(2)]
    frames = [data.draw(dataframes([column("n", dtype=pl.Int16), one], max_size=3)) for one in columns]
    for number, frame in enumerate(frames, 1):
        for materializer in (MEMORY, PARQUET):
            part = days.partition(f"2013-01-0{number}")
            staged = materializer.stage(
                target, part, frame.select(frame.columns[:: 3 - 2 * number]), version=f"v{number}"
            )
            materializer.publish(target, part, staged)
    try:
        wanted = PARQUET.load(target, None, "eager")
    except MaterializationError as error:
        with pytest.raises(MaterializationError, match=re.escape(error.message)):
            MEMORY.load(target, None, "eager")
    else:
        assert_frame_equal(MEMORY.load(target, None, "eager"), wanted, check_column_order=False)


@pytest.mark.parametrize(("older", "newer"), [(1, date(2013, 1, 2)), ("1", 2), (1, {"x": 1}), ([1], 1)])
def test_what_polars_would_turn_into_something_else_is_refused(
    at: Any, make: Any, days: DailyPartitions, older: Any, newer: Any
) -> None:
    target = at("memory://x", partitioned=True)
    for number, value in enumerate((older, newer), 1):
        make(target, [{"a": value}], days.partition(f"2013-01-0{number}"))
    with pytest.raises(
        MaterializationError, match=r"the column 'a' of 'thing' is .* in some partitions and .* in others"
    ):
        MEMORY.load(target, None, "eager")
    make(target, [{"a": older}], days.partition("2013-01-02"))
    assert MEMORY.load(target, None, "eager")["a"].to_list() == [older, older]


def test_a_late_date_is_not_lost_among_nanoseconds(at: Any, make: Any, days: DailyPartitions) -> None:
    target, late = at("memory://x", partitioned=True), date(9999, 12, 31)
    make(target, {"a": [late]}, days.partition("2013-01-01"))
    make(target, {"a": [datetime(2013, 1, 2)]}, days.partition("2013-01-02"))
    assert MEMORY.load(target, None, "eager")["a"].dt.date().to_list() == [late, date(2013, 1, 2)]
    make(target, pl.DataFrame({"a": pl.Series([0], dtype=pl.Datetime("ns"))}), days.partition("2013-01-02"))
    with pytest.raises(MaterializationError, match="'a' of 'thing' is Date in some partitions and Datetime"):
        MEMORY.load(target, None, "eager")


def test_numbers_of_plain_rows_need_not_be_of_one_kind(at: Any, make: Any, days: DailyPartitions) -> None:
    target = at("memory://x", partitioned=True)
    for number, value in enumerate((1, 2.5, None), 1):
        make(target, [{"a": value}], days.partition(f"2013-01-0{number}"))
    assert MEMORY.load(target, None, "eager")["a"].to_list() == [1.0, 2.5, None]


def test_projects_do_not_see_each_others_values(at: Any, make: Any, tmp_path: Path) -> None:
    target = at("memory://x")
    make(target, 1)
    other = Target(asset=target.asset, root=tmp_path / "other")
    assert MEMORY.version(other, None) is None


class _Plugin(MemoryMaterializer):
    pass


def test_plugins_are_found_by_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib.metadata import EntryPoint

    entry = EntryPoint(name="ftp", value=f"{__name__}:_Plugin", group="headwater.materializers")
    monkeypatch.setattr(EntryPoint, "load", lambda self: _Plugin)
    monkeypatch.setattr(registry, "entry_points", lambda group: [entry])
    monkeypatch.setattr(registry, "_made", {})
    ref = AssetRef(name="x", uri="ftp://h/x", kind="ftp", namespace="ftp://h", dataset="x")
    assert isinstance(for_ref(ref), _Plugin)
    unknown = AssetRef(name="x", uri="gopher://h/x", kind="gopher", namespace="gopher://h", dataset="x")
    with pytest.raises(LocationError, match="scheme 'gopher'"):
        for_ref(unknown)


def test_forms_are_known_by_the_class_of_an_annotation() -> None:
    import pandas as pd

    assert form_of(pl.LazyFrame) == "lazy"
    assert form_of(pl.DataFrame) == "eager"
    assert form_of(pd.DataFrame) == "pandas"
    assert form_of(duckdb.DuckDBPyRelation) == "relation"
    assert form_of(Path) == "path"
    assert form_of(SqlRelation) == "sql"
    assert form_of(Any) == "any"
    assert form_of(object) == "any"
    for other in (int, dict, "text", None, pl.Series, list[int]):
        assert form_of(other) is None


def test_a_value_of_the_form_asked_for_is_given_back_itself() -> None:
    for value, form in ((pl.DataFrame({"a": [1]}), "eager"), (pl.LazyFrame({"a": [1]}), "lazy"), (7, "any")):
        assert convert(value, form) is value  # type: ignore[arg-type]


def test_the_named_index_of_a_pandas_frame_is_columns() -> None:
    import pandas as pd

    sold = pd.DataFrame({"shop": ["b", "a", "b"], "day": [1, 1, 2], "amount": [1, 2, 4]})
    assert as_eager(sold.groupby("shop").agg({"amount": "sum"})).to_dict(as_series=False) == {
        "shop": ["a", "b"],
        "amount": [2, 5],
    }
    assert as_eager(sold.groupby(["shop", "day"]).sum()).columns == ["shop", "day", "amount"]
    assert as_eager(sold.set_index("shop", drop=False)).columns == ["shop", "day", "amount"]
    assert as_eager(sold[sold["day"] == 1]).columns == ["shop", "day", "amount"], "an index without a name is left out"
    assert as_eager(sold.set_index("shop")[[]]).columns == ["shop"]
    levels = [pd.Index([1, 2, 3], name=name) for name in ("k", "k", 0, None)]
    assert as_eager(sold.set_index(levels)).columns == ["k", "shop", "day", "amount"]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_durations_of_a_pandas_frame_are_durations(unit: str) -> None:
    import pandas as pd

    spans = [timedelta(days=400), timedelta(seconds=-1), None]
    rows = pd.DataFrame({"n": spans, "a": spans}).astype(f"timedelta64[{unit}]")
    rows.columns = ["a", "a"]
    found = as_eager(rows.set_index(pd.Index(rows.iloc[:, 0], name="k")))
    assert [*found.schema.items()] == [(name, pl.Duration("ms" if unit == "s" else unit)) for name in ("k", "a", "a_1")]  # type: ignore[arg-type]
    assert found.rows() == [(one, one, one) for one in spans]
    assert as_eager(rows[:0]).rows() == []


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_times_in_a_pandas_frame_keep_their_zone(unit: Any) -> None:
    frame = pl.DataFrame({"t": pl.Series([0, None], dtype=pl.Datetime(unit, "Europe/Berlin"))})
    found = convert(frame, "pandas")["t"]
    assert str(found.dt.tz) == "UTC"
    assert (found[0].timestamp(), found.isna().tolist()) == (0.0, [False, True])


def test_a_time_in_a_struct_needs_pytz_in_a_pandas_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pytz", None)
    frame = pl.DataFrame({"s": [{"t": datetime(2013, 1, 1, tzinfo=UTC)}]})
    with pytest.raises(MaterializationError, match="pytz is not installed"):
        convert(frame, "pandas")


def test_every_table_becomes_every_other() -> None:
    frame = pl.DataFrame({"a": [1, 2], "s": ["x", None], "t": [datetime(2013, 1, 1, tzinfo=UTC)] * 2})
    values = [frame, frame.lazy(), frame.to_dicts(), frame.to_dict(as_series=False)]
    values += [convert(frame, "pandas"), convert(frame, "relation")]
    for value in values:
        assert as_eager(value).equals(frame), type(value)
        assert as_lazy(value).collect().equals(frame)
        assert convert(value, "pandas")["a"].tolist() == [1, 2]
        assert convert(value, "relation").aggregate("sum(a)").fetchall() == [(3,)]


def test_what_has_no_other_form_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MaterializationError, match="as a path"):
        convert(pl.DataFrame(), "path")
    with pytest.raises(MaterializationError, match=r"as a polars\.LazyFrame"):
        convert(tmp_path, "lazy")
    with pytest.raises(ReturnTypeError, match="type int"):
        convert(7, "eager")


def test_rows_whose_first_hundred_hold_only_nulls_are_understood() -> None:
    frame = as_eager([{"a": None}] * 200 + [{"a": 1.5}])
    assert frame["a"].to_list()[-1] == 1.5
    with pytest.raises(ReturnTypeError, match="make no table"):
        as_eager({"a": [1, 2], "b": [1]})
