"""A CSV file that is read again and again is parsed once, and never serves what has changed since."""

from __future__ import annotations

import os
from pathlib import Path

import polars as pl
from polars.testing import assert_frame_equal

from headwater.assets.location import asset_ref
from headwater.assets.protocols import Target
from headwater.materializers.csv import CsvMaterializer


def target(root: Path, **options: object) -> Target:
    return Target(asset=asset_ref("rates", "csv://rates.csv", root=root), root=root, options=options)


def write(root: Path, rows: int) -> None:
    file = root / "rates.csv"
    file.write_text("day,rate\n" + "".join(f"2024-01-{day:02},{day}.5\n" for day in range(1, rows + 1)))
    # Old enough that a change within the clock's grain can't hide.
    os.utime(file, (1_700_000_000 + rows, 1_700_000_000 + rows))


def test_the_second_read_is_parsed_once_and_pushes_down(tmp_path, monkeypatch):
    write(tmp_path, 9)
    csv, asset = CsvMaterializer(), target(tmp_path, try_parse_dates=True)
    first = csv.load(asset, None, "lazy")
    collected = []
    collect = pl.LazyFrame.collect
    monkeypatch.setattr(pl.LazyFrame, "collect", lambda self, *a, **k: collected.append(1) or collect(self, *a, **k))
    second, third = csv.load(asset, None, "lazy"), csv.load(asset, None, "lazy")
    assert len(collected) == 1
    for lazy in (second, third):
        assert_frame_equal(lazy.collect(), first.collect())
        wanted = lazy.filter(pl.col("rate") > 4).select("day").head(2).collect()
        assert_frame_equal(wanted, first.collect().filter(pl.col("rate") > 4).select("day").head(2))


def test_a_changed_file_and_other_options_are_read_anew(tmp_path):
    write(tmp_path, 3)
    csv = CsvMaterializer()
    for _ in range(3):
        assert csv.load(target(tmp_path), None, "lazy").collect().height == 3
    assert csv.load(target(tmp_path, has_header=False), None, "lazy").collect().height == 4
    write(tmp_path, 5)
    for _ in range(3):
        assert csv.load(target(tmp_path), None, "lazy").collect().height == 5


def test_a_plan_that_asks_for_no_column_still_counts_the_rows(tmp_path):
    write(tmp_path, 3)
    csv, asset = CsvMaterializer(), target(tmp_path)
    for _ in range(2):
        numbered = csv.load(asset, None, "lazy").with_row_index().select("index")
        assert numbered.collect().rows() == [(0,), (1,), (2,)]
