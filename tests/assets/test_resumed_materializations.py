"""Materializations in a resumed run: read from their assets as long as what was made is still in place."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import polars as pl
import pytest

from headwater import Asset, DailyPartitions, flow, materialize, task
from headwater.assets import registry
from headwater.core import runtime
from headwater.project import Project

DAY = "2024-01-05"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    monkeypatch.chdir(tmp_path)
    with registry.scope():
        found = Project.open()
        with runtime.use(found):
            yield found
            found.close()


class Shop:
    """Flights of a day, delays made of them, and a flow that fails behind both as long as it is broken."""

    def __init__(self, project: Project) -> None:
        self.project, self.ran, self.broken = project, [], True
        self.got: Any = None
        days = DailyPartitions("2024-01-01")
        self.flights = flights = Asset("flights", at="parquet://lake/flights", partitions=days)
        delays = Asset("delays", at="parquet://lake/delays", partitions=days)

        @materialize(flights)
        def ingest(partition: Any) -> pl.LazyFrame:
            self.ran.append("ingest")
            return pl.LazyFrame({"day": [partition.key] * 3, "delay": [1, 2, 6]})

        @materialize(delays)
        def delay(rows: Annotated[pl.LazyFrame, flights]) -> pl.DataFrame:
            self.ran.append("delay")
            return rows.group_by("day").agg(pl.col("delay").mean()).collect()

        @task
        def rows(frame: pl.DataFrame) -> list[dict[str, Any]]:
            self.ran.append("rows")
            return frame.to_dicts()

        @task
        def check(found: list[dict[str, Any]]) -> None:
            self.ran.append("check")
            if self.broken:
                raise ValueError("broken")

        @flow
        def main(pass_on: bool = True) -> list[dict[str, Any]]:
            made = ingest.at(DAY)()
            frame = delay.at(DAY)(made) if pass_on else delay.at(DAY)()
            assert isinstance(made, pl.LazyFrame)
            assert isinstance(frame, pl.DataFrame)
            found = rows(frame)
            check(found)
            return found

        self.ingest, self.delay, self.main = ingest, delay, main

    def taken(self) -> list[str]:
        ran, self.ran = self.ran, []
        return ran

    def fail(self, **parameters: Any) -> str:
        """Run it; the id of the run, which failed."""
        with pytest.raises(ValueError, match="broken"):
            self.main(**parameters)
        self.broken = False
        self.taken()
        return str(self.project.reader.runs(flow="main")["runs"][0]["id"])

    def versions(self, asset: str) -> list[str]:
        return [row["version"] for row in self.project.reader.materializations(asset)["materializations"]]

    def reasons(self, run_id: str) -> list[str]:
        logs = self.project.reader.logs(run_id)["logs"]
        return [row["message"] for row in logs if row["logger"] == "headwater.resume"]


@pytest.fixture
def shop(project: Project) -> Shop:
    return Shop(project)


@pytest.mark.parametrize("pass_on", [True, False])
def test_what_is_in_place_is_read(shop: Shop, pass_on: bool) -> None:
    run_id = shop.fail(pass_on=pass_on)
    assert shop.main.resume(run_id) == [{"day": DAY, "delay": 3.0}]
    assert shop.taken() == ["check"]
    assert len(shop.versions("delays")) == len(shop.versions("flights")) == 1
    assert shop.reasons(run_id) == []


def test_what_was_made_anew_by_somebody_else_is_made_again_with_all_that_is_made_of_it(shop: Shop) -> None:
    run_id = shop.fail()
    shop.ingest.at(DAY)()
    shop.taken()
    assert shop.main.resume(run_id) == [{"day": DAY, "delay": 3.0}]
    assert shop.taken() == ["ingest", "delay", "rows", "check"]
    assert shop.reasons(run_id) == [
        f"'ingest' runs again: its result can't be restored: what it made of flights@{DAY} is not in place any more"
    ]


def test_what_reads_by_itself_what_was_made_anew_is_made_again(shop: Shop) -> None:
    @flow(name="reads")
    def reads() -> None:
        shop.delay.at(DAY)()
        if shop.broken:
            raise ValueError("broken")

    shop.ingest.at(DAY)()
    with pytest.raises(ValueError, match="broken"):
        reads()
    run_id = str(shop.project.reader.runs(flow="reads")["runs"][0]["id"])
    shop.taken()
    with pytest.raises(ValueError, match="broken"):
        reads.resume(run_id)
    assert shop.taken() == []
    shop.ingest.at(DAY)()
    shop.taken()
    shop.broken = False
    reads.resume(run_id)
    assert shop.taken() == ["delay"]


def test_lineage_goes_on_from_what_was_read(shop: Shop) -> None:
    summary = Asset("summary", at="parquet://lake/summary")

    @materialize(summary)
    def summarize(frame: Any) -> pl.DataFrame:
        return pl.DataFrame({"rows": [len(frame)]})

    @flow(name="whole")
    def whole() -> None:
        frame = shop.delay.at(DAY)(shop.ingest.at(DAY)())
        if shop.broken:
            raise ValueError("broken")
        summarize(frame)

    with pytest.raises(ValueError, match="broken"):
        whole()
    shop.broken = False
    whole.resume(str(shop.project.reader.runs(flow="whole")["runs"][0]["id"]))
    with shop.project.projection.session() as session:
        read = session.rows("SELECT source, source_version FROM edges WHERE target = 'summary' AND origin = 'observed'")
    assert read == [("delays", shop.versions("delays")[0])]


@pytest.mark.parametrize(
    ("value", "same"),
    [
        (lambda: pl.LazyFrame({"id": [1]}), lambda found: found.collect().to_dicts() == [{"id": 1}]),
        (lambda: [{"id": 1}], lambda found: found == [{"id": 1}]),
    ],
    ids=["lazy", "rows"],
)
def test_each_form_comes_back(project: Project, value: Callable[[], Any], same: Callable[[Any], bool]) -> None:
    ran, broken = [], [True]

    @materialize(Asset("ids", at="parquet://lake/ids"))
    def ids() -> Any:
        ran.append(1)
        return value()

    @flow
    def main() -> bool:
        found = ids()
        assert type(found) is type(value())
        if broken:
            raise ValueError("broken")
        return same(found)

    with pytest.raises(ValueError, match="broken"):
        main()
    broken.clear()
    assert main.resume(str(project.reader.runs()["runs"][0]["id"]))
    assert len(ran) == 1


def test_several_assets_of_one_function(project: Project) -> None:
    ran, broken = [], [True]
    ones, twos = Asset("ones", at="parquet://lake/ones"), Asset("twos", at="parquet://lake/twos")

    @materialize(ones, twos)
    def both() -> Any:
        ran.append(1)
        return {"twos": pl.DataFrame({"n": [2]}), "ones": pl.DataFrame({"n": [1]})}

    @flow
    def main() -> Any:
        found = both()
        if broken:
            raise ValueError("broken")
        return {name: frame["n"][0] for name, frame in found.items()}

    with pytest.raises(ValueError, match="broken"):
        main()
    broken.clear()
    assert main.resume(str(project.reader.runs()["runs"][0]["id"])) == {"ones": 1, "twos": 2}
    assert len(ran) == 1
