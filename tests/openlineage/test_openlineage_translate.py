"""What each event of the journal becomes in a catalog."""

from collections.abc import Callable, Iterable
from typing import Any

import openlineage_cases as cases
import orjson
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from tried import tried_on

from headwater import ids
from headwater.assets.events import (
    AssetObserved,
    CheckResult,
    ColumnSchema,
    Evidence,
    UnknownColumn,
)
from headwater.core.events import LogWritten, RunStarted, TaskStarted
from headwater.core.journal.events import Body
from headwater.lineage.openlineage.translate import translate
from headwater.types import ErrorInfo

Validate = Callable[..., None]
RUN = ids.new_id()


def one(body: Body, **changes: Any) -> dict[str, Any]:
    found = translate(cases.event(body, **changes))
    assert found is not None
    return found


def exported(bodies: Iterable[Body]) -> list[dict[str, Any]]:
    found = [translate(event) for event in cases.history(bodies)]
    return [event for event in found if event is not None]


def output(event: dict[str, Any]) -> dict[str, Any]:
    (found,) = event["outputs"]
    return found


class TestRuns:
    def test_a_start_and_an_end_of_a_flow_run(self) -> None:
        start = one(cases.run_started(RUN, nominal_start=cases.NOON, nominal_end=cases.NOON + cases.DAY))
        end = one(cases.run_ended(RUN), time=cases.NOON + cases.SECOND)
        assert (start["eventType"], end["eventType"]) == ("START", "COMPLETE")
        assert start["eventTime"] == "2013-01-05T12:00:00.000000Z"
        assert end["eventTime"] == "2013-01-05T12:00:01.000000Z"
        assert start["run"]["runId"] == end["run"]["runId"] == RUN
        assert start["job"]["name"] == end["job"]["name"] == "nightly"
        assert start["run"]["facets"]["nominalTime"]["nominalEndTime"] == "2013-01-06T12:00:00.000000Z"
        assert "parent" not in start["run"]["facets"]

    @pytest.mark.parametrize(
        ("state", "expected"),
        [
            ("Completed", "COMPLETE"),
            ("Cached", "COMPLETE"),
            ("Failed", "FAIL"),
            ("TimedOut", "FAIL"),
            ("Blocked", "FAIL"),
            ("Cancelled", "ABORT"),
            ("Crashed", "ABORT"),
        ],
    )
    def test_the_state_says_how_it_ended(self, state: str, expected: str) -> None:
        assert one(cases.run_ended(RUN, state))["eventType"] == expected

    def test_what_is_rolled_back_has_had_its_end(self) -> None:
        assert exported([cases.run_ended(RUN, "RolledBack")]) == []

    def test_the_error_stands_with_the_end(self) -> None:
        error = ErrorInfo(type="ValueError", message="no such day", traceback="Traceback …")
        found = one(cases.run_ended(RUN, "Failed", error=error))["run"]["facets"]["errorMessage"]
        assert found["message"] == "ValueError: no such day"
        assert found["programmingLanguage"] == "PYTHON"
        assert found["stackTrace"] == "Traceback …"

    @pytest.mark.parametrize(
        ("type", "expected"), [("flow", "FLOW"), ("backfill", "BACKFILL"), ("materialize", "MATERIALIZE")]
    )
    def test_the_type_of_the_job(self, type: str, expected: str) -> None:
        found = one(cases.run_started(RUN, type=type))["job"]["facets"]["jobType"]
        assert (found["processingType"], found["integration"], found["jobType"]) == ("BATCH", "HEADWATER", expected)

    def test_each_attempt_is_a_run_of_its_own(self, validate: Validate) -> None:
        found = exported(
            [
                cases.run_started(RUN),
                cases.run_ended(RUN, "Crashed"),
                cases.run_started(RUN, attempt=2),
                cases.run_ended(RUN, attempt=2),
            ]
        )
        first, second = (found[0]["run"]["runId"], found[2]["run"]["runId"])
        assert [event["run"]["runId"] for event in found] == [first, first, second, second]
        assert first == RUN != second
        validate(found, finished=True)

    def test_a_subflow_names_its_parent_and_its_root(self) -> None:
        parent, root = ids.new_id(), ids.new_id()
        body = cases.run_started(RUN, parent_run_id=parent, parent_flow="inner", root_run_id=root, root_flow="outer")
        found = one(body)["run"]["facets"]["parent"]
        assert found["run"]["runId"] == parent
        assert found["job"] == {"namespace": "shop", "name": "inner"}
        assert found["root"] == {"run": {"runId": root}, "job": {"namespace": "shop", "name": "outer"}}

    def test_a_subflow_names_the_attempt_that_called_it(self) -> None:
        outer = ids.new_id()
        second = one(cases.run_started(outer, attempt=2, root_attempt=2))["run"]["runId"]
        same: dict[str, Any] = {
            "parent_run_id": outer,
            "parent_flow": "nightly",
            "parent_attempt": 2,
            "root_run_id": outer,
            "root_attempt": 2,
        }
        for body in (cases.run_started(RUN, **same), cases.run_ended(RUN, **same)):
            found = one(body)["run"]["facets"]["parent"]
            assert found["run"]["runId"] == found["root"]["run"]["runId"] == second

    def test_an_end_is_never_before_its_start_though_the_clock_was_set_back(self) -> None:
        found = one(cases.run_ended(RUN, started=cases.NOON), time=cases.NOON - cases.DAY)
        assert found["eventTime"] == "2013-01-05T12:00:00.000000Z"

    def test_the_source_is_a_legal_url(self, validate: Validate) -> None:
        for file in ("flows/nightly.py", "/srv/my flows/100%.py", "ünï/ცode.py", "C:\\odd\n.py"):
            source = cases.SourceCode(file=file, line=7, name="nightly", hash="9f86d081")
            start = one(cases.run_started(RUN, source=source))
            assert start["job"]["facets"]["sourceCodeLocation"]["path"] == file
            validate([start])


class TestNamespace:
    def test_is_the_projects(self) -> None:
        assert one(cases.run_started(RUN))["job"]["namespace"] == "shop"

    def test_may_be_given(self) -> None:
        found = translate(cases.event(cases.started(RUN)), namespace="prod")
        assert found is not None
        assert found["job"]["namespace"] == "prod"
        assert found["run"]["facets"]["parent"]["root"]["job"]["namespace"] == "prod"


class TestNotExported:
    @pytest.mark.parametrize(
        "body",
        [
            cases.run_started(RUN, type="task"),
            cases.run_ended(RUN, type="task"),
            TaskStarted(task_run_id=RUN, run_id=RUN, task="fetch"),
            LogWritten(run_id=RUN, level=20, logger="shop", message="hello"),
            AssetObserved(observation_id=RUN, project="shop", asset=cases.FLIGHTS),
        ],
        ids=lambda body: body.kind,
    )
    def test_plain_tasks_logs_and_observations(self, body: Body) -> None:
        assert translate(cases.event(body)) is None


class TestMaterializations:
    def test_a_start_says_what_is_certain(self) -> None:
        start = cases.started(RUN, inputs=(cases.read(),), partition="2013-01-05")
        found = one(start)
        assert found["eventType"] == "START"
        assert found["run"]["runId"] == start.materialization_id
        assert found["job"]["name"] == "nightly.summarise"
        assert found["run"]["facets"]["parent"]["run"]["runId"] == RUN
        assert [dataset["name"] for dataset in found["inputs"]] == ["/srv/shop/lake/flights"]
        assert output(found)["name"] == "warehouse.main.delays"
        assert "version" not in output(found)["facets"]
        assert "lineage" not in found["job"]["facets"]

    @pytest.mark.parametrize(
        ("state", "expected"),
        [
            ("published", "COMPLETE"),
            ("failed", "FAIL"),
            ("refused", "FAIL"),
            ("discarded", "ABORT"),
            ("skipped", "COMPLETE"),
        ],
    )
    def test_the_state_says_how_it_ended(self, state: str, expected: str) -> None:
        assert one(cases.ended(cases.started(RUN), state))["eventType"] == expected

    def test_the_parent_is_the_attempt_that_made_it(self) -> None:
        first = one(cases.run_started(RUN, attempt=3))
        found = one(cases.started(RUN, attempt=3))["run"]["facets"]["parent"]
        assert found["run"]["runId"] == found["root"]["run"]["runId"] == first["run"]["runId"]

    def test_an_end_repeats_the_inputs_of_its_start(self, validate: Validate) -> None:
        start = cases.started(RUN, inputs=(cases.read(),))
        end = cases.ended(start, evidence=Evidence(version="v2", inputs=(cases.read(cases.DELAYS),)))
        found = exported([start, end])
        assert {dataset["name"] for dataset in found[1]["inputs"]} == {
            "/srv/shop/lake/flights",
            "warehouse.main.delays",
        }
        validate(found, finished=True)

    def test_a_dataset_that_was_read_in_several_partitions_is_one_input(self) -> None:
        reads = tuple(cases.read(partition=f"2013-01-0{day}", version=f"v{day}") for day in (1, 2, 3))
        (found,) = one(cases.ended(cases.started(RUN), evidence=Evidence(version="v9", inputs=reads)))["inputs"]
        condition = found["inputFacets"]["subset"]["inputCondition"]
        assert [partition["identifier"] for partition in condition["partitions"]] == [
            "2013-01-01",
            "2013-01-02",
            "2013-01-03",
        ]
        assert "version" not in found["facets"]

    def test_a_dataset_that_only_a_column_names_is_an_input(self) -> None:
        evidence = Evidence(version="v2", column_edges=(cases.edge("delay", "dep_delay"),))
        found = one(cases.ended(cases.started(RUN), evidence=evidence))
        assert [dataset["name"] for dataset in found["inputs"]] == ["/srv/shop/lake/flights"]
        assert "inputFacets" not in found["inputs"][0]

    def test_an_input_that_nobody_could_follow_makes_no_claim_of_exactness(self) -> None:
        known = Evidence(version="v2", inputs=(cases.read(),))
        unknown = Evidence(version="v2", inputs=(cases.read(),), unknown_inputs=("flown",))
        exact = one(cases.ended(cases.started(RUN), evidence=known))["job"]["facets"]["lineage"]["entries"]
        assert [source["name"] for source in exact[0]["inputs"]] == ["/srv/shop/lake/flights"]
        assert "lineage" not in one(cases.ended(cases.started(RUN), evidence=unknown))["job"]["facets"]

    def test_what_was_refused_is_not_what_the_dataset_is(self) -> None:
        checks = (CheckResult(name="some_delays", passed=False, blocking=True, message="0 rows"),)
        columns = (ColumnSchema(name="date", type="DATE"),)
        evidence = Evidence(version="v2", rows=0, columns=columns, checks=checks, inputs=(cases.read(),))
        found = one(cases.ended(cases.started(RUN), "refused", evidence=evidence))
        assert set(output(found)["facets"]) == {"dataSource", "dataQualityAssertions"}
        assert "outputFacets" not in output(found)
        assert output(found)["facets"]["dataQualityAssertions"]["assertions"] == [
            {
                "assertion": "some_delays",
                "name": "some_delays",
                "success": False,
                "severity": "error",
                "actual": "0 rows",
            }
        ]

    def test_a_figure_that_is_only_called_a_count_is_none(self, validate: Validate) -> None:
        metrics = {"nulls(carrier)": 0.25, "distinct(flight)": 2.5, "distinct(carrier)": 2.0, "min(flight)": 0.5}
        checks = (CheckResult(name="shares", passed=True, blocking=False, metrics=metrics),)
        start = cases.started(RUN)
        found = exported([start, cases.ended(start, evidence=Evidence(version="v2", checks=checks))])
        validate(found)
        facet = output(found[-1])["facets"]["dataQualityMetrics"]
        assert facet["columnMetrics"] == {"carrier": {"distinctCount": 2.0}, "flight": {"min": 0.5}}

    def test_columns_whose_origin_is_unknown_are_left_out(self) -> None:
        edges = (cases.edge("name", "name"), cases.edge("delay", "dep_delay"))
        unknown = (UnknownColumn(column="delay", reason="map_batches"),)
        found = one(
            cases.ended(
                cases.started(RUN), evidence=Evidence(version="v2", column_edges=edges, unknown_columns=unknown)
            )
        )
        assert set(output(found)["facets"]["columnLineage"]["fields"]) == {"name"}

    def test_when_all_columns_are_unknown_nothing_is_said_of_any(self) -> None:
        unknown = (UnknownColumn(column=None, reason="eager frame"),)
        evidence = Evidence(version="v2", column_edges=(cases.edge("a", "b"),), unknown_columns=unknown)
        assert "columnLineage" not in output(one(cases.ended(cases.started(RUN), evidence=evidence)))["facets"]

    def test_several_ways_from_one_column_to_another_are_one_input_field(self) -> None:
        edges = (
            cases.edge("delay", "dep_delay", "DIRECT", "AGGREGATION"),
            cases.edge("delay", "dep_delay", "INDIRECT", "CONDITIONAL"),
            cases.edge("delay", "dep_delay", "DIRECT", "AGGREGATION"),
        )
        found = one(cases.ended(cases.started(RUN), evidence=Evidence(version="v2", column_edges=edges)))
        (field,) = output(found)["facets"]["columnLineage"]["fields"]["delay"]["inputFields"]
        assert field["transformations"] == [
            {"type": "DIRECT", "subtype": "AGGREGATION"},
            {"type": "INDIRECT", "subtype": "CONDITIONAL"},
        ]
        assert "dataset" not in output(found)["facets"]["columnLineage"]


def test_a_journal_of_an_earlier_version_lacks_members_that_have_defaults() -> None:
    event = cases.event(cases.ended(cases.started(RUN)))
    for name in ("attempt", "inputs", "source", "owners", "description", "partition", "partition_start"):
        del event.body["started"][name]
    event.body["evidence"] = {"version": "v1"}
    found = translate(event)
    assert found is not None
    assert output(found)["facets"]["version"]["datasetVersion"] == "v1"


quick = tried_on(12, suppress_health_check=list(HealthCheck))


@quick
@given(story=st.lists(cases.runs(), min_size=1, max_size=2), data=st.data())
def test_any_prefix_of_a_history_is_valid_and_the_whole_has_one_start_and_one_end_a_run(
    validate: Validate, story: list[list[Body]], data: st.DataObject
) -> None:
    bodies = [body for run in story for body in run]
    validate(exported(bodies), finished=True)
    validate(exported(bodies[: data.draw(st.integers(0, len(bodies)))]))


@quick
@given(story=cases.runs())
def test_every_parent_and_every_root_is_a_run_of_its_own(story: list[Body]) -> None:
    found = exported(story)
    known = {(event["job"]["name"], event["run"]["runId"]) for event in found}
    outer = next(body.started_by for body in story if isinstance(body, RunStarted))
    if outer is not None:
        known |= {(outer.job, outer.run_id), (outer.root_job, outer.root_run_id)}
    for event in found:
        parent = event["run"]["facets"].get("parent")
        for named in (parent, parent["root"]) if parent else ():
            assert (named["job"]["name"], named["run"]["runId"]) in known


@quick
@given(story=cases.runs())
def test_translation_changes_nothing_and_says_the_same_each_time(story: list[Body]) -> None:
    for event in cases.history(story):
        before = orjson.dumps(event.body)
        first = orjson.dumps(translate(event))
        assert orjson.dumps(translate(event)) == first
        assert orjson.dumps(event.body) == before
