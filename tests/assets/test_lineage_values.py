"""Values that are easily taken for each other: each keeps the edges that are its own, and gets none of the others'."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from headwater import Asset, derived_from, flow, materialize, transaction
from headwater.assets import tracking
from headwater.assets.events import InputVersion
from headwater.project import Project
from headwater.testing import project


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Project]:
    with project(tmp_path) as found:
        yield found


def edges(shop: Project) -> set[tuple[Any, ...]]:
    with shop.projection.session() as session:
        return set(session.rows("select source, target from edges where origin = 'observed'"))


def columns(shop: Project, target: str) -> set[tuple[Any, ...]]:
    with shop.projection.session() as session:
        found = session.rows("select source, source_column, target_column from column_edges where target = ?", [target])
        return set(found)


def unknown(shop: Project, name: str) -> bool:
    return bool(shop.catalog.facts().of(name).made[None].unknown_inputs)


@pytest.mark.parametrize(
    "make",
    [
        lambda: pl.DataFrame({"x": [1, 2]}),
        lambda: [{"x": 1}],
        lambda: {"x": [1]},
        lambda: ({"x": 1},),
        lambda: pytest.importorskip("pandas").DataFrame({"x": [1]}),
    ],
)
def test_what_a_function_gives_back_as_it_got_it_is_told_apart(shop: Project, make: Any) -> None:
    @materialize("memory://raw")
    def raw() -> Any:
        return make()

    @materialize("memory://validated")
    def validated(value: Any) -> Any:
        return value

    @materialize("memory://of_raw")
    def of_raw(value: Any) -> Any:
        return [{"y": 1}]

    @materialize("memory://of_validated")
    def of_validated(value: Any) -> Any:
        return [{"y": 1}]

    @flow
    def daily() -> None:
        first = raw()
        second = validated(first)
        of_raw(first)
        of_validated(second)

    daily()
    assert edges(shop) == {("raw", "validated"), ("raw", "of_raw"), ("validated", "of_validated")}


@pytest.mark.parametrize("wanted", [pl.DataFrame, pl.LazyFrame, Any])
@pytest.mark.parametrize("given", ["lazy", "eager", "rows"])
def test_what_was_given_to_be_kept_in_memory_is_not_the_asset(shop: Project, given: str, wanted: Any) -> None:
    kept = Asset("kept", at="memory://kept")

    @materialize(kept)
    def keep(value: Any) -> Any:
        return value

    @materialize("memory://reader", inputs={"found": kept})
    def reader(found: wanted) -> Any:
        return [{"y": 1}]

    @materialize("parquet://lake/beside")
    def beside(value: Any) -> Any:
        return value

    @materialize("parquet://lake/after")
    def after(value: Any) -> Any:
        return value

    @flow
    def daily(whole: bool) -> None:
        frame = pl.DataFrame({"x": [1, 2], "name": ["a", "b"], "none": [None, None], "false": [False, False]})
        frame = frame if whole else pl.DataFrame({"nested": [[1, 2], [3]]})
        value = {"lazy": frame.lazy(), "eager": frame, "rows": [{"x": 1}]}[given]
        after(keep(value))
        reader()
        beside(value)
        if given != "rows":
            beside(frame.lazy())
        with transaction():
            after(keep(value))
            beside(value)

    for whole in (True, False):
        daily(whole)
    assert edges(shop) == {("kept", "after"), ("kept", "reader")}


def test_lazy_frames_of_a_frame_that_was_passed_on_are_told_apart(shop: Project) -> None:
    @materialize("memory://raw")
    def raw() -> pl.DataFrame:
        return pl.DataFrame({"x": [1, 2]})

    @materialize("parquet://lake/validated")
    def validated(value: pl.DataFrame) -> pl.DataFrame:
        return value

    @materialize("parquet://lake/of_raw")
    def of_raw(value: pl.LazyFrame) -> pl.LazyFrame:
        return value

    @materialize("parquet://lake/of_validated")
    def of_validated(value: pl.LazyFrame) -> pl.LazyFrame:
        return value

    @materialize("memory://of_stranger")
    def of_stranger(value: pl.LazyFrame) -> pl.LazyFrame:
        return value

    @flow
    def daily() -> None:
        first = raw()
        second = validated(first)
        of_raw(first.lazy().filter(pl.col("x") > 0))
        of_validated(second.lazy().filter(pl.col("x") > 0))
        stranger = pl.DataFrame({"x": [1, 2]})
        validated(stranger)
        of_stranger(stranger.lazy())

    daily()
    assert edges(shop) == {("raw", "validated"), ("raw", "of_raw"), ("validated", "of_validated")}
    assert unknown(shop, "of_stranger")


@pytest.mark.parametrize("place", ["memory://raw", "parquet://lake/raw"])
def test_a_lazy_frame_that_is_executed_in_the_function_keeps_its_edge(shop: Project, place: str) -> None:
    @materialize(place)
    def raw() -> pl.LazyFrame:
        return pl.LazyFrame({"x": [1, 2]})

    @materialize("memory://counted")
    def counted(values: list[pl.LazyFrame]) -> Any:
        return [{"n": one.collect().height} for one in values]

    @materialize("memory://stray")
    def stray(value: pl.LazyFrame) -> Any:
        return [{"n": value.collect().height}]

    @materialize("parquet://lake/changed")
    def changed(value: pl.LazyFrame) -> pl.LazyFrame:
        return value.with_columns(y=pl.col("x") * 2)

    @flow
    def daily() -> None:
        frame = raw()
        counted([frame.filter(pl.col("x") > 1)])
        changed(frame.with_columns(z=1))
        stray(pl.LazyFrame({"x": [1]}))

    daily()
    assert edges(shop) == {("raw", "counted"), ("raw", "changed")}
    assert ("raw", "x", "y") in columns(shop, "changed")
    assert not unknown(shop, "counted")
    assert not unknown(shop, "changed")
    assert unknown(shop, "stray")


def test_derived_from_says_nothing_of_columns_and_holds_for_lazy_frames_too(shop: Project) -> None:
    @materialize("memory://raw")
    def raw() -> pl.DataFrame:
        return pl.DataFrame({"x": [1, 2], "k": [1, 1]})

    @materialize("parquet://lake/stated")
    def stated(value: pl.DataFrame) -> pl.DataFrame:
        return derived_from(value.with_columns(x=pl.col("k"), new=pl.lit(1)), value)

    @materialize("memory://lazily")
    def lazily(value: pl.LazyFrame) -> pl.LazyFrame:
        return value.filter(pl.col("x") > 0)

    @flow
    def daily() -> None:
        frame = raw()
        stated(frame)
        lazily(derived_from(frame.with_columns(x=pl.col("x") + 1), [frame.lazy().filter(pl.col("x") > 1)]).lazy())

    daily()
    assert edges(shop) == {("raw", "stated"), ("raw", "lazily")}
    assert columns(shop, "stated") == set()
    assert not unknown(shop, "lazily")


def test_what_was_derived_from_futures_waits_for_them(shop: Project) -> None:
    @materialize("memory://raw")
    def raw() -> Any:
        return [{"x": 1}]

    @materialize("memory://other")
    def other() -> Any:
        return [{"x": 2}]

    @materialize("memory://made")
    def made(value: Any) -> Any:
        return value

    @materialize("memory://broken")
    def broken() -> Any:
        raise OSError("no such luck")

    @flow
    def daily() -> None:
        made(derived_from([{"x": 3}], raw.submit(), {"inside": [other.submit()]}))
        with pytest.raises(OSError, match="no such luck"):
            derived_from([{"x": 4}], [broken.submit()])

    daily()
    assert edges(shop) == {("raw", "made"), ("other", "made")}


def test_what_is_known_of_values_is_bounded_and_the_oldest_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, most in {"HELD_AT_MOST": 2, "SCANS_AT_MOST": 2, "MANY_FRAMES": 2, "FRAMES_AT_MOST": 100}.items():
        monkeypatch.setattr(tracking, name, most)
    tracker, one = tracking.Tracker(), InputVersion(asset="orders", namespace="file", dataset="/orders")
    sources = [(replace(one, version=str(number)),) for number in range(3)]
    values: list[Any] = [[number] for number in range(3)]
    for value, found in zip(values, sources, strict=True):
        tracker.add(value, found)
        tracker.add_scan(value, found)
        tracker.add_frame(value, {"x": 7}, found, size=10)
    assert [tracker.of(value) for value in values] == [None, *sources[1:]]
    assert [tracker.scan_of(found) for found in sources] == [None, *values[1:]]
    assert [tracker.columns_of(value) for value in values] == [None, {"x": 7}, {"x": 7}]
    # By their size: one that is added anew counts once, and one that is too large forgets nobody.
    for value, size in ((values[1], 60), (values[1], 60), (values[2], 40), (values[0], 101)):
        tracker.add_frame(value, {"x": 7}, sources[0], size=size)
    assert [tracker.columns_of(value) for value in values] == [None, {"x": 7}, {"x": 7}]
    tracker.add_frame(values[0], {"x": 8}, sources[0], size=41)
    assert [tracker.columns_of(value) for value in values] == [{"x": 8}, None, {"x": 7}]
    assert tracker.knows_other({"x": 7}, sources[1])
    assert not tracker.knows_other({"x": 7}, sources[0])
    assert not tracker.knows_other({"x": 9}, sources[1])
