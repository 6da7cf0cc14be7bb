"""From a flow that runs to the file that a catalog reads."""

import json
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import openlineage_cases as cases
import polars as pl
import pytest

from headwater import Asset, DailyPartitions, check, flow, ids, materialize, task, testing, transaction
from headwater.checks import anomaly, in_range, not_null
from headwater.core.journal.recovery import crashed
from headwater.errors import CheckFailed
from headwater.lineage.openlineage.translate import translate
from headwater.project import Project
from headwater.types import OuterRun

Validate = Callable[..., None]


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Project]:
    with testing.project(tmp_path) as project:
        yield project


def exported(project: Project) -> list[dict[str, Any]]:
    file = project.root / "events.ndjson"
    project.exporter(file).drain()
    return [json.loads(line) for line in file.read_text().splitlines()]


def told(events: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(event["eventType"], event["job"]["name"]) for event in events]


def test_a_flow_with_a_subflow_a_task_and_two_assets(shop: Project, validate: Validate) -> None:
    days = DailyPartitions("2013-01-01", "2013-01-10")
    sales = Asset("sales", at="parquet://lake/sales", partitions=days, owners=["team:ops"], tags={"tier": "gold"})
    totals = Asset("totals", at="duckdb://shop.duckdb/main.totals", partitions=days, partition_column="day")

    @task
    def fetch() -> pl.DataFrame:
        return pl.DataFrame({"day": [date(2013, 1, 5)] * 3, "item": ["a", "b", "a"], "price": [1, 2, 3]})

    @materialize(sales)
    def ingest() -> pl.DataFrame:
        return fetch()

    @materialize(totals)
    def summarise(sold: Annotated[pl.LazyFrame, sales]) -> pl.LazyFrame:
        return sold.group_by("day", "item").agg(pl.col("price").sum())

    @flow
    def evening() -> None:
        summarise.at("2013-01-05")()

    @flow
    def nightly() -> None:
        ingest.at("2013-01-05")()
        evening()

    nightly()
    events = exported(shop)
    validate(events, finished=True)
    assert told(events) == [
        ("START", "nightly"),
        ("START", "nightly.ingest"),
        ("COMPLETE", "nightly.ingest"),
        ("START", "evening"),
        ("START", "evening.summarise"),
        ("COMPLETE", "evening.summarise"),
        ("COMPLETE", "evening"),
        ("COMPLETE", "nightly"),
    ]
    made = events[5]
    (read,), (written,) = made["inputs"], made["outputs"]
    assert read["name"] == events[2]["outputs"][0]["name"]
    assert read["facets"]["version"] == events[2]["outputs"][0]["facets"]["version"]
    assert made["run"]["facets"]["parent"]["root"]["run"] == {"runId": events[0]["run"]["runId"]}
    assert set(written["facets"]["columnLineage"]["fields"]) == {"day", "item", "price"}
    assert written["outputFacets"]["outputStatistics"]["rowCount"] == 2


def test_a_check_that_refuses_fails_the_run_and_publishes_nothing(shop: Project, validate: Validate) -> None:
    sales = Asset("sales", at="parquet://lake/sales")

    @materialize(sales)
    def ingest() -> pl.DataFrame:
        return pl.DataFrame({"price": []}, schema={"price": pl.Int64})

    @check(sales, blocking=True)
    def some_sales(frame: pl.DataFrame) -> bool:
        return frame.height > 0

    @flow
    def nightly() -> None:
        ingest()

    with pytest.raises(CheckFailed):
        nightly()
    events = exported(shop)
    validate(events, finished=True)
    assert [kind for kind, _ in told(events)] == ["START", "START", "FAIL", "FAIL"]
    refused = events[2]
    assert "errorMessage" in refused["run"]["facets"]
    assert refused["outputs"][0]["facets"]["dataQualityAssertions"]["assertions"][0]["success"] is False
    assert "version" not in refused["outputs"][0]["facets"]


def test_checks_are_assertions_and_what_they_measured_are_metrics(shop: Project, validate: Validate) -> None:
    sales = Asset(
        "sales",
        at="parquet://lake/sales",
        checks=[
            not_null("item", blocking=True),
            in_range("price", 0, description="No price is negative."),
            anomaly("sum(price)"),
            anomaly("mean(price)"),
        ],
    )

    @materialize(sales)
    def ingest() -> pl.DataFrame:
        return pl.DataFrame({"item": ["a", "b"], "price": [3, -1]})

    ingest()
    events = exported(shop)
    validate(events, finished=True)
    [made] = [event for event in events if event["eventType"] == "COMPLETE" and event["outputs"]]
    facets = made["outputs"][0]["facets"]
    keys = ("assertion", "name", "column", "success", "severity")
    assertions = facets["dataQualityAssertions"]["assertions"]
    assert [tuple(one[key] for key in keys) for one in assertions] == [
        ("not_null", "not_null(item)", "item", True, "error"),
        ("in_range", "in_range(price)", "price", False, "warn"),
        ("anomaly", "anomaly(sum(price))", "price", True, "warn"),
        ("anomaly", "anomaly(mean(price))", "price", True, "warn"),
    ]
    assert assertions[1]["description"] == "No price is negative."
    assert assertions[1]["actual"] == "1 of 2 rows: price is below 0 (price=-1)"
    metrics = facets["dataQualityMetrics"]
    assert metrics["columnMetrics"] == {"item": {"nullCount": 0}, "price": {"sum": 2}}
    assert (metrics["rowCount"], metrics["bytes"] > 0) == (2, True)


def test_a_materialization_without_a_flow_and_a_plain_task(shop: Project, validate: Validate) -> None:
    sales = Asset("sales", at="parquet://lake/sales")

    @materialize(sales)
    def ingest() -> pl.DataFrame:
        return pl.DataFrame({"price": [1, 2]})

    @task
    def add(a: int, b: int) -> int:
        return a + b

    ingest()
    assert add(1, 2) == 3
    events = exported(shop)
    validate(events, finished=True)
    assert told(events) == [
        ("START", "ingest"),
        ("START", "ingest.ingest"),
        ("COMPLETE", "ingest.ingest"),
        ("COMPLETE", "ingest"),
    ]


def test_what_a_transaction_takes_back_has_one_end(shop: Project, validate: Validate) -> None:
    alerts = Asset("alerts", at="parquet://lake/alerts", optional=True)

    @materialize(alerts, Asset("rows", at="parquet://lake/rows"))
    def split() -> Any:
        return {"rows": pl.DataFrame({"n": [1]})}

    @flow
    def inner() -> None:
        split()

    @flow
    def outer() -> None:
        with transaction() as found:
            inner()
            found.rollback("it was not meant")

    outer()
    with transaction("by itself") as found:
        found.rollback("it was not meant")
    events = exported(shop)
    validate(events, finished=True)
    ends = [event["run"]["runId"] for event in events if event["eventType"] != "START"]
    assert len(ends) == len(set(ends))
    assert [one for one in told(events) if one[0] != "START"] == [
        ("COMPLETE", "inner"),
        ("ABORT", "inner.split"),
        ("ABORT", "inner.split"),
        ("COMPLETE", "outer"),
        ("COMPLETE", "by itself"),
    ]


PARENT, ROOT = "0199aa00-0000-7000-8000-000000000001", "0199aa00-0000-7000-8000-000000000002"


@pytest.mark.parametrize("rooted", [True, False])
@pytest.mark.parametrize("runner", ["threads", "processes"])
def test_a_flow_that_another_orchestrator_started_names_its_run(
    shop: Project, monkeypatch: pytest.MonkeyPatch, validate: Validate, rooted: bool, runner: Any
) -> None:
    monkeypatch.setenv("OPENLINEAGE_PARENT_ID", f"s3://lake/air/nightly.load/{PARENT}")
    if rooted:
        monkeypatch.setenv("OPENLINEAGE_ROOT_PARENT_ID", f"airflow/nightly/{ROOT}")
    sales = Asset("sales", at="parquet://lake/sales")

    @materialize(sales)
    def ingest() -> pl.DataFrame:
        return pl.DataFrame({"price": [1]})

    @flow
    def evening() -> None:
        ingest.submit().result()

    @flow(runner=runner)
    def nightly() -> None:
        evening()

    nightly()
    events = exported(shop)
    validate(events, finished=True)
    load = {"run": {"runId": PARENT}, "job": {"namespace": "s3://lake/air", "name": "nightly.load"}}
    dag = {"run": {"runId": ROOT}, "job": {"namespace": "airflow", "name": "nightly"}} if rooted else load
    parents: dict[tuple[str, str], Any] = {
        (event["eventType"], event["job"]["name"]): event["run"]["facets"]["parent"] for event in events
    }
    assert len(parents) == 6
    for kind in ("START", "COMPLETE"):
        found = parents[kind, "nightly"]
        assert {"run": found["run"], "job": found["job"]} == load
        assert parents[kind, "evening"]["job"]["name"] == "nightly"
        assert parents[kind, "evening.ingest"]["job"]["name"] == "evening"
    assert [parent["root"] for parent in parents.values()] == [dag] * 6


@pytest.mark.parametrize("said", ["", " ", "airflow/nightly", f"nightly/{PARENT}", "airflow/nightly/manual__2024"])
def test_a_parent_that_cannot_be_read_is_told_and_left_out(
    shop: Project, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, validate: Validate, said: str
) -> None:
    monkeypatch.setenv("OPENLINEAGE_PARENT_ID", said)

    @flow
    def nightly() -> None:
        """Does nothing."""

    nightly()
    events = exported(shop)
    validate(events, finished=True)
    assert ["parent" in event["run"]["facets"] for event in events] == [False, False]
    assert ("OPENLINEAGE_PARENT_ID" in caplog.text) == bool(said.strip())


def test_a_run_that_died_names_the_same_parent_at_its_end(validate: Validate) -> None:
    outer = OuterRun(
        namespace="airflow",
        job="nightly.load",
        run_id=PARENT,
        root_namespace="airflow",
        root_job="nightly",
        root_run_id=ROOT,
    )
    within = {
        "parent_run_id": PARENT,
        "parent_flow": "load",
        "parent_attempt": 2,
        "root_run_id": ROOT,
        "root_attempt": 3,
    }
    for body in (cases.run_started(ids.new_id(), started_by=outer), cases.run_started(ids.new_id(), **within)):
        started = cases.event(body)
        _, (ended,) = crashed([started])
        events = [event for event in (translate(started), translate(cases.event(ended, seq=1))) if event is not None]
        validate(events, finished=True)
        assert events[0]["run"]["facets"]["parent"] == events[1]["run"]["facets"]["parent"]
