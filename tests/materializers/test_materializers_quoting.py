from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, time
from decimal import Decimal

import duckdb
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from tried import tried_on

from headwater.assets.sql import sql
from headwater.core.globs import literal_glob
from headwater.errors import DefinitionError, HeadwaterError, PartitionError
from headwater.materializers.quoting import decode_key, encode_key, identifier, literal

TEXT = st.text(alphabet=st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as found:
        yield found


@given(st.text(max_size=80))
@tried_on(100)
def test_a_partition_key_is_refused_or_comes_back_exactly(key: str) -> None:
    try:
        name = encode_key(key)
    except PartitionError:
        return
    assert decode_key(name) == key
    assert "/" not in name
    assert name.isascii()
    assert not name.startswith((".", "-"))
    assert 0 < len(name) <= 240


@pytest.mark.parametrize("key", ["a\0b", "a\nb", "\u202ea", "\ud800", "x" * 10_000, "ä" * 100])
def test_hostile_keys_are_refused(key: str) -> None:
    with pytest.raises(PartitionError):
        encode_key(key)


def test_keys_in_two_normal_forms_stay_apart() -> None:
    assert encode_key("\u00e9") != encode_key("e\u0301")


@given(TEXT)
@tried_on(50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_literal_and_an_identifier_mean_themselves_to_duckdb(
    connection: duckdb.DuckDBPyConnection, text: str
) -> None:
    assert connection.execute(f"SELECT {literal(text)}").fetchone() == (text,)
    if text:
        connection.execute(f"CREATE OR REPLACE TABLE t ({identifier(text)} INTEGER)")
        assert connection.execute("SELECT * FROM t").description[0][0] == text


@pytest.mark.parametrize("name", ["", "a\0b"])
def test_what_cannot_be_an_identifier_is_refused(name: str) -> None:
    with pytest.raises(HeadwaterError):
        identifier(name)


def test_a_literal_glob_matches_only_its_own_path() -> None:
    assert literal_glob("/a/b.parquet") == "/a/b.parquet"
    assert literal_glob("[*?]") == "[[][*][?]]"


VALUES = st.one_of(
    TEXT,
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.decimals(min_value=-(10**12), max_value=10**12, places=4),
    st.dates(),
    st.datetimes(),
    st.times(),
)


@given(VALUES, VALUES)
@tried_on(200, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_value_in_a_query_means_itself_and_ends_where_it_ends(
    connection: duckdb.DuckDBPyConnection, first: object, second: object
) -> None:
    query = sql("SELECT {first}, -{seven}, '{{{{', {second}", first=first, seven=-7, second=second)
    assert not query.inputs
    assert connection.execute(query.text.format()).fetchone() == (first, 7, "{{", second)


@pytest.mark.parametrize("value", ["a\0b", Decimal("nan"), time(1, tzinfo=UTC)])
def test_a_value_that_a_query_cannot_hold_is_refused(value: object) -> None:
    with pytest.raises(DefinitionError, match="can't be written"):
        sql("SELECT {value}", value=value)


def test_a_value_has_no_format_of_its_own_in_a_query() -> None:
    with pytest.raises(DefinitionError, match="a plain"):
        sql("SELECT {day:%Y}", day=7)
