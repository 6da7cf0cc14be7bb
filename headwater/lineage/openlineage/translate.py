"""The journal's events as OpenLineage events: pure, one event at most for each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from operator import itemgetter
from typing import Any, TypeAlias

from headwater import clock
from headwater.core.journal.events import Event
from headwater.lineage.openlineage import facets, naming
from headwater.lineage.openlineage.facets import Facet, JobRun, Plain, Source

OpenLineageEvent: TypeAlias = dict[str, Any]
"""An OpenLineage RunEvent as plain JSON values."""

_JOB_TYPES = {"flow": "FLOW", "backfill": "BACKFILL", "materialize": "MATERIALIZE"}
"""The types of runs that are exported; a plain task that was called outside a flow is not."""
_RUN_ENDS = {
    "Completed": "COMPLETE",
    "Cached": "COMPLETE",
    "Skipped": "COMPLETE",
    "Cancelled": "ABORT",
    "Crashed": "ABORT",
}
_MATERIALIZATION_ENDS = {"published": "COMPLETE", "skipped": "COMPLETE", "discarded": "ABORT"}


def translate(event: Event, *, namespace: str = "") -> OpenLineageEvent | None:
    """The OpenLineage event that an event of the journal stands for; None when it stands for none.

    Flow runs and materializations are runs: a start gives START, an end COMPLETE, FAIL or ABORT. `namespace` is that of
    the jobs; the event's own project when it is empty. Parts may be shared between events: don't change them.
    """
    translator = TRANSLATORS.get(event.kind)
    return None if translator is None else translator(event, namespace or _project(event.body))


def _project(body: Plain) -> str:
    project: str = body.get("started", body)["project"] if body.get("project") is None else body["project"]
    return project or "default"


def _run_started(event: Event, namespace: str) -> OpenLineageEvent | None:
    body = event.body
    if body.get("type", "flow") not in _JOB_TYPES:
        return None
    nominal = facets.nominal_time(body.get("nominal_start"), body.get("nominal_end"))
    return _run_event(event, "START", event.time, namespace, {"nominalTime": nominal})


def _run_ended(event: Event, namespace: str) -> OpenLineageEvent | None:
    body = event.body
    # A run that is rolled back with its transaction has completed before, and has one end; what it did not publish is aborted.
    if body.get("type", "flow") not in _JOB_TYPES or body["state"] == "RolledBack":
        return None
    # A clock that was set back must not put an end before its start.
    at = max(event.time, body["started"])
    error = facets.error_message(body.get("error"))
    return _run_event(event, _RUN_ENDS.get(body["state"], "FAIL"), at, namespace, {"errorMessage": error})


def _run_event(
    event: Event, kind: str, at: int, namespace: str, run_facets: Mapping[str, Facet | None]
) -> OpenLineageEvent:
    body = event.body
    job = {
        "jobType": facets.job_type(_JOB_TYPES[body.get("type", "flow")]),
        "sourceCodeLocation": facets.source_code_location(body.get("source")),
    }
    run = naming.run_id(body["run_id"], body.get("attempt", 1))
    about = {"parent": _parent_of_run(body, namespace), **run_facets}
    return _event(kind, at, (namespace, naming.job_name(body["flow"]), run), about, job)


def _event(
    kind: str,
    at: int,
    job_run: JobRun,
    run_facets: Mapping[str, Facet | None],
    job_facets: Mapping[str, Facet | None],
    inputs: Iterable[Facet] = (),
    outputs: Iterable[Facet] = (),
) -> OpenLineageEvent:
    namespace, name, run_id = job_run
    return {
        "eventType": kind,
        "eventTime": clock.rfc3339(at),
        "run": {
            "runId": run_id,
            "facets": _known({"processing_engine": facets.processing_engine(), **run_facets}),
        },
        "job": {"namespace": namespace, "name": name, "facets": _known(job_facets)},
        "inputs": list(inputs),
        "outputs": list(outputs),
        "producer": facets.PRODUCER,
        "schemaURL": facets.EVENT_SCHEMA,
    }


def _parent_of_run(body: Plain, namespace: str) -> Facet | None:
    parent, outer = body.get("parent_run_id"), body.get("started_by")
    if parent is None:
        if outer is None:
            return None
        return facets.parent((outer["namespace"], outer["job"], outer["run_id"]), _outermost(outer))
    run = naming.run_id(parent, body.get("parent_attempt", 1))
    root = naming.run_id(body["root_run_id"], body.get("root_attempt", 1))
    return facets.parent((namespace, body.get("parent_flow") or body["root_flow"], run), _root(body, namespace, root))


def _root(body: Plain, namespace: str, run_id: str) -> JobRun:
    """The outermost run: that of the orchestrator which started the process, else our own."""
    outer = body.get("started_by")
    return (namespace, naming.job_name(body["root_flow"]), run_id) if outer is None else _outermost(outer)


def _outermost(outer: Plain) -> JobRun:
    return outer["root_namespace"], outer["root_job"], outer["root_run_id"]


def _materialization_started(event: Event, namespace: str) -> OpenLineageEvent:
    return _materialization("START", event.time, namespace, event.body, {})


def _materialization_ended(event: Event, namespace: str) -> OpenLineageEvent:
    body = event.body
    kind = _MATERIALIZATION_ENDS.get(body["state"], "FAIL")
    return _materialization(kind, max(event.time, body["started_at"]), namespace, body["started"], body)


def _materialization(kind: str, at: int, namespace: str, started: Plain, ended: Plain) -> OpenLineageEvent:
    """`ended` is what its end says; nothing, at the start."""
    evidence, published = ended.get("evidence") or {}, ended.get("state") == "published"
    read = (*evidence.get("inputs", ()), *started.get("inputs", ()))
    inputs = _input_datasets(read, evidence.get("column_edges", ()))
    about = {
        "parent": _parent_of_materialization(started, namespace),
        "nominalTime": facets.nominal_time(started.get("partition_start"), started.get("partition_end")),
        "errorMessage": facets.error_message(ended.get("error")),
    }
    job = (namespace, naming.job_name(started["flow"], started["task"]), started["materialization_id"])
    job_facets = _job_facets(started, evidence, inputs, published=published)
    output = _output_dataset(started, evidence, published=published)
    return _event(kind, at, job, about, job_facets, inputs.values(), [output])


def _parent_of_materialization(started: Plain, namespace: str) -> Facet:
    attempt = started.get("attempt", 1)
    of_root = started["root_run_id"] == started["run_id"]
    root = naming.run_id(started["root_run_id"], attempt if of_root else started.get("root_attempt", 1))
    run = naming.run_id(started["run_id"], attempt)
    return facets.parent((namespace, naming.job_name(started["flow"]), run), _root(started, namespace, root))


def _job_facets(
    started: Plain, evidence: Plain, inputs: Iterable[Source], *, published: bool
) -> Mapping[str, Facet | None]:
    asset = started["asset"]
    # The facet claims to be exact, so an input that nobody could follow leaves it out.
    exact = published and not evidence.get("unknown_inputs")
    return {
        "jobType": facets.job_type("TASK"),
        "sourceCodeLocation": facets.source_code_location(started.get("source")),
        "sql": facets.sql(evidence.get("sql"), asset["kind"]),
        "lineage": facets.lineage((asset["namespace"], asset["dataset"]), inputs) if exact else None,
    }


def _output_dataset(started: Plain, evidence: Plain, *, published: bool) -> Facet:
    asset = started["asset"]
    known: dict[str, Facet | None] = {
        "dataSource": facets.datasource(asset["namespace"]),
        "ownership": facets.ownership(started.get("owners", ())),
        "tags": facets.tags(started.get("tags", {})),
        "documentation": facets.documentation(started.get("description")),
        "dataQualityAssertions": facets.assertions(evidence.get("checks", ())),
    }
    partition = started.get("partition")
    written: dict[str, Facet | None] = {"subset": None if partition is None else facets.output_subset(partition)}
    if published:
        # What was staged and never published is not what the dataset is.
        known["dataQualityMetrics"] = facets.quality_metrics(
            evidence.get("checks", ()), evidence.get("rows"), evidence.get("bytes")
        )
        known["version"] = facets.version(evidence["version"]) if "version" in evidence else None
        known["schema"] = facets.schema(evidence.get("columns", ()))
        known["columnLineage"] = facets.column_lineage(
            evidence.get("column_edges", ()), evidence.get("unknown_columns", ())
        )
        written["outputStatistics"] = facets.output_statistics(evidence.get("rows"), evidence.get("bytes"))
    found = {"namespace": asset["namespace"], "name": asset["dataset"], "facets": _known(known)}
    output = _known(written)
    return {**found, "outputFacets": output} if output else found


def _input_datasets(inputs: Iterable[Plain], edges: Iterable[Plain]) -> dict[Source, Facet]:
    """Each dataset that was read, once, with all its partitions; those that only a column edge names come last."""
    read: dict[Source, list[Plain]] = {}
    for found in inputs:
        read.setdefault((found["namespace"], found["dataset"]), []).append(found)
    for source in dict.fromkeys(map(_SOURCE, edges)):
        read.setdefault(source, [])
    return {source: _input_dataset(source, found) for source, found in read.items()}


_SOURCE = itemgetter("source_namespace", "source_dataset")


def _input_dataset(source: Source, read: Iterable[Plain]) -> Facet:
    known = {"dataSource": facets.datasource(source[0])}
    partitions = dict.fromkeys(found.get("partition") for found in read)
    versions = {found["version"] for found in read if found.get("version") is not None}
    if len(versions) == 1 and len(partitions) == 1:
        # Several partitions, each with its own version, have none together.
        known["version"] = facets.version(versions.pop())
    dataset: Facet = {"namespace": source[0], "name": source[1], "facets": known}
    keys = [key for key in partitions if key is not None]
    if keys:
        dataset["inputFacets"] = {"subset": facets.input_subset(keys)}
    return dataset


def _known(found: Mapping[str, Facet | None]) -> dict[str, Facet]:
    return {name: facet for name, facet in found.items() if facet is not None}


TRANSLATORS: Mapping[str, Callable[[Event, str], OpenLineageEvent | None]] = {
    "run.started": _run_started,
    "run.ended": _run_ended,
    "materialization.started": _materialization_started,
    "materialization.ended": _materialization_ended,
}
"""The kinds of events that have something to say to a catalog, and who says it."""
