"""Column lineage as text: input, and exactly the edges that must come out."""

from __future__ import annotations

import pytest
from columns_data import Pair, found_lines, lineage_of_frame, lineage_of_sql, read_pairs

POLARS = read_pairs("polars.txt")
DUCKDB = [*read_pairs("duckdb.txt"), *read_pairs("duckdb_incomplete.txt"), *read_pairs("shapes.txt")]
POSTGRES = read_pairs("postgres.txt")
DIALECTS = read_pairs("dialects.txt")


@pytest.mark.parametrize("pair", POLARS, ids=lambda pair: pair.title)
def test_polars_plan(pair: Pair) -> None:
    assert found_lines(lineage_of_frame(pair.text)) == [*pair.edges, *pair.unknown]


@pytest.mark.parametrize("pair", DUCKDB, ids=lambda pair: pair.title)
def test_duckdb_query(pair: Pair) -> None:
    assert found_lines(lineage_of_sql(pair.text, "duckdb")) == [*pair.edges, *pair.unknown]


@pytest.mark.parametrize("pair", POSTGRES, ids=lambda pair: pair.title)
def test_postgres_query(pair: Pair) -> None:
    assert found_lines(lineage_of_sql(pair.text, "postgres")) == [*pair.edges, *pair.unknown]


@pytest.mark.parametrize("pair", DIALECTS, ids=lambda pair: pair.title)
def test_query_of_another_dialect(pair: Pair) -> None:
    dialect = pair.title.partition(":")[0]
    assert found_lines(lineage_of_sql(pair.text, dialect)) == [*pair.edges, *pair.unknown]


def test_there_are_three_hundred_pairs_each_with_a_title_of_its_own() -> None:
    for pairs in (POLARS, DUCKDB, POSTGRES, DIALECTS):
        assert len({pair.title for pair in pairs}) == len(pairs)
    assert len([*POLARS, *DUCKDB, *POSTGRES, *DIALECTS]) >= 300
