"""Column lineage as text: input, and exactly the edges that must come out."""

from __future__ import annotations

import pytest
from columns_data import Pair, found_lines, lineage_of_frame, lineage_of_sql, read_pairs


@pytest.mark.parametrize("pair", read_pairs("polars.txt"), ids=lambda pair: pair.title)
def test_polars_plan(pair: Pair) -> None:
    assert found_lines(lineage_of_frame(pair.text)) == [*pair.edges, *pair.unknown]


@pytest.mark.parametrize(
    "pair", [*read_pairs("duckdb.txt"), *read_pairs("duckdb_incomplete.txt")], ids=lambda pair: pair.title
)
def test_duckdb_query(pair: Pair) -> None:
    assert found_lines(lineage_of_sql(pair.text, "duckdb")) == [*pair.edges, *pair.unknown]


@pytest.mark.parametrize("pair", read_pairs("postgres.txt"), ids=lambda pair: pair.title)
def test_postgres_query(pair: Pair) -> None:
    assert found_lines(lineage_of_sql(pair.text, "postgres")) == [*pair.edges, *pair.unknown]
