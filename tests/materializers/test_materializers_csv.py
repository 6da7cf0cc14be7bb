from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from headwater.assets.partitions import DailyPartitions
from headwater.assets.protocols import SqlQuery, SqlRelation, Staged
from headwater.errors import DefinitionError, LocationError, MaterializationError
from headwater.materializers.csv import READER_OPTIONS, CsvMaterializer
from headwater.materializers.duckdb import connect, failing

CSV = CsvMaterializer()
AIRLINES = "carrier;name;since\nUA;United;1926-04-06\nAA;O'Hare;NA\n"


@pytest.fixture
def airlines(at: Any, tmp_path: Path) -> Any:
    (tmp_path / "airlines.csv").write_text(AIRLINES)
    return at("csv://airlines.csv", options={"separator": ";", "null_values": "NA", "try_parse_dates": True})


def test_a_file_is_read_with_the_options_of_its_asset(airlines: Any, tmp_path: Path) -> None:
    frame = CSV.load(airlines, None, "eager")
    assert frame["name"].to_list() == ["United", "O'Hare"]
    assert frame.schema["since"] == pl.Date
    assert frame["since"].null_count() == 1
    lazy = CSV.load(airlines, None, "lazy")
    assert str(tmp_path / "airlines.csv") in lazy.explain(optimized=False)
    assert CSV.load(airlines, None, "path") == tmp_path / "airlines.csv"
    assert CSV.load(airlines, None, "pandas")["carrier"].tolist() == ["UA", "AA"]


TYPES = {
    "BIGINT": pl.Int64,
    "BOOLEAN": pl.Boolean,
    "DOUBLE": pl.Float64,
    "HUGEINT": pl.Int128,
    "VARCHAR": pl.String,
}


def test_as_sql_a_file_is_read_by_the_engine_where_the_options_allow_it(at: Any, airlines: Any) -> None:
    plain = at("csv://airlines.csv", options={"separator": ";", "null_values": ["NA"]})
    relation = CSV.load(plain, None, "sql")
    assert isinstance(relation, SqlRelation)
    with duckdb.connect() as connection:
        assert connection.execute(relation.select).fetchall()[1] == ("AA", "O'Hare", None)
    assert isinstance(CSV.load(airlines, None, "sql"), pl.DataFrame)


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("name\nfoo;bar\nx;y\n", {}),
        ("2023,2024\n1,2\n3,4\n", {}),
        ("note\nhello, world\n", {"separator": "|"}),
        ("a,a\n1,2\n", {}),
        (" a , b\n1,2\n", {}),
        ("1,2\n3,4\n", {"has_header": False}),
        ("a,b\n'x,1\ny',2\n", {}),
        ('a,b\n"x,1\ny"",2\n', {"quote_char": None}),
        ('a,b\n"x ""y"" z",1\n"one\ntwo",2\n', {}),
        ("a,A\n1,2\n", {}),
        ("code,n\n01234,007\n00042,x\n", {}),
        ("day,at,hour\n2024-01-05,2024-01-05 10:00:00,10:00:00\n", {}),
        ('ok,said,x\ntrue,yes,""\nfalse,no,\n', {}),
        ("big,padded,real\n99999999999999999999, 7,1e5\n1,8,inf\n", {}),
        ('a,b\n"NA",NA\n1,x\n', {"null_values": "NA"}),
    ],
)
def test_the_engine_finds_the_rows_and_columns_that_others_find(
    at: Any, tmp_path: Path, text: str, options: dict[str, Any]
) -> None:
    (tmp_path / "data.csv").write_text(text)
    target = at("csv://data.csv", options=options)
    frame, given = CSV.load(target, None, "eager"), CSV.load(target, None, "sql")
    if isinstance(given, SqlRelation):
        with duckdb.connect() as connection:
            relation = connection.sql(given.select)
            assert (relation.columns, relation.fetchall()) == (frame.columns, frame.rows())
            assert [TYPES[str(dtype)] for dtype in relation.types] == frame.dtypes
    else:  # a query could not tell these columns apart
        assert given.equals(frame)
        assert frame.columns == ["a", "A"]


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("a,b\n1,2\n# three,\n# four\n5,6\n", {}),
        ("title\na,b\n1,2\n", {}),
        ('a,b\nx,1\n"y,z",2\n', {"quote_char": None}),
    ],
)
def test_the_engine_leaves_out_no_line_that_looks_like_a_title_or_a_comment(
    at: Any, tmp_path: Path, text: str, options: dict[str, Any]
) -> None:
    (tmp_path / "data.csv").write_text(text)
    given = CSV.load(at("csv://data.csv", options=options), None, "sql")
    with pytest.raises(MaterializationError, match="DuckDB can't read the input 'lines'"):
        failing(SqlQuery(text="SELECT * FROM {lines}", inputs={"lines": given}), [], 1)


def test_a_file_that_begins_with_an_empty_line_has_its_header_behind_it(at: Any, tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("\na,b\n1,2\n")
    given = CSV.load(at("csv://data.csv"), None, "sql")
    assert failing(SqlQuery(text="SELECT * FROM {lines}", inputs={"lines": given}), ["a", "b"], 9) == (1, [(1, 2)])


def test_empty_lines_are_rows_in_frames_only(at: Any, tmp_path: Path) -> None:
    (tmp_path / "gaps.csv").write_text("a,b\n1,x\n\n2,y\n")
    target = at("csv://gaps.csv")
    assert CSV.load(target, None, "eager").rows() == [(1, "x"), (None, None), (2, "y")]
    with duckdb.connect() as connection:
        assert connection.execute(CSV.load(target, None, "sql").select).fetchall() == [(1, "x"), (2, "y")]


def test_a_file_that_only_the_engine_can_not_read_is_named(at: Any, tmp_path: Path) -> None:
    (tmp_path / "ragged.csv").write_text("a,b\n1,2\n3\n")
    target = at("csv://ragged.csv")
    assert CSV.load(target, None, "eager").rows() == [(1, 2), (3, None)]
    given = {"rows": CSV.load(target, None, "sql")}
    with pytest.raises(MaterializationError, match=r"can't read the input 'rows': .*ragged\.csv"):
        failing(SqlQuery(text="SELECT * FROM {rows}", inputs=given), ["a"], 1)
    with pytest.raises(MaterializationError, match="can't read the input 'rows'"):
        connect(given)


def test_the_version_follows_the_content(airlines: Any, tmp_path: Path) -> None:
    first = CSV.version(airlines, None)
    assert first == CSV.version(airlines, None)
    assert first == CsvMaterializer().version(airlines, None)
    file = tmp_path / "airlines.csv"
    file.write_text(AIRLINES.replace("UA", "DL"))  # of the same size
    second = CSV.version(airlines, None)
    assert second != first
    file.write_text(AIRLINES)
    assert CSV.version(airlines, None) == first
    file.unlink()
    assert CSV.version(airlines, None) is None


def test_a_file_that_is_missing_or_damaged_is_named(at: Any, tmp_path: Path) -> None:
    target = at("csv://data.csv")
    with pytest.raises(LocationError, match="no file of 'thing'"):
        CSV.load(target, None, "lazy")
    for content in (b"a,b\n1,2,3\n", b"a\n\xff\xfe\n", b""):
        (tmp_path / "data.csv").write_bytes(content)
        with pytest.raises(LocationError) as caught:
            CSV.load(target, None, "eager")
        assert caught.value.where == str(tmp_path / "data.csv")


def test_a_file_is_never_written(airlines: Any, tmp_path: Path) -> None:
    with pytest.raises(LocationError, match="can only be read"):
        CSV.stage(airlines, None, pl.DataFrame({"a": [1]}), version="v")
    with pytest.raises(LocationError, match="can only be read"):
        CSV.publish(airlines, None, Staged(version="v", staging={}))
    CSV.discard(airlines, "v1")
    assert (tmp_path / "airlines.csv").read_text() == AIRLINES


def test_unknown_options_and_partitions_are_refused(at: Any, airlines: Any, days: DailyPartitions) -> None:
    with pytest.raises(DefinitionError, match="'seperator'"):
        CSV.load(at("csv://airlines.csv", options={"seperator": ";"}), None, "lazy")
    with pytest.raises(MaterializationError, match="has no partitions"):
        CSV.load(airlines, [days.partition("2013-01-01")], "lazy")


def test_every_option_is_one_of_polars() -> None:
    assert set(inspect.signature(pl.scan_csv).parameters) >= READER_OPTIONS


@pytest.mark.parametrize("name", ["o'hare", "-rf", "[a]*?", "\u00e9", "e\u0301", "'; DROP"])
def test_hostile_names_are_read(at: Any, tmp_path: Path, name: str) -> None:
    (tmp_path / f"{name}.csv").write_text("a\n1\n")
    target = at(f"csv://{name}.csv")
    assert CSV.load(target, None, "eager").item() == 1
    with duckdb.connect() as connection:
        assert connection.execute(CSV.load(target, None, "sql").select).fetchall() == [(1,)]
