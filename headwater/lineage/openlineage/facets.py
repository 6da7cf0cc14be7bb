"""The facets that Headwater fills, as plain JSON values.

The client's own classes would do, but importing them costs half a second, and serialising through them is many times
slower than through these functions. A test builds the same events with the client's classes, and so holds the schema
URLs below. Records of the journal come as plain values too: a function takes them as they stand there.
"""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any, TypeAlias
from urllib.parse import quote

from headwater import clock
from headwater.assets.key_text import dimensions_in

PRODUCER = "https://github.com/headwater-data/headwater"
_SPEC = "https://openlineage.io/spec"
EVENT_SCHEMA = f"{_SPEC}/2-0-2/OpenLineage.json#/$defs/RunEvent"
INTEGRATION = "HEADWATER"

Plain: TypeAlias = Mapping[str, Any]
"""A record of the journal as plain JSON values."""
Facet: TypeAlias = dict[str, Any]
Source: TypeAlias = tuple[str, str]
"""A dataset: its namespace and name."""
JobRun: TypeAlias = tuple[str, str, str]
"""A run of a job: the job's namespace and name, and the runId."""


def _base(version: str, schema: str, definition: str | None = None) -> Facet:
    url = f"{_SPEC}/facets/{version}/{schema}.json#/$defs/{definition or schema}"
    return {"_producer": PRODUCER, "_schemaURL": url}


_PROCESSING_ENGINE = _base("1-1-1", "ProcessingEngineRunFacet")
_NOMINAL_TIME = _base("1-0-1", "NominalTimeRunFacet")
_PARENT = _base("1-2-0", "ParentRunFacet")
_ERROR_MESSAGE = _base("1-0-1", "ErrorMessageRunFacet")
_JOB_TYPE = _base("2-0-4", "JobTypeJobFacet")
_SOURCE_CODE_LOCATION = _base("1-1-0", "SourceCodeLocationJobFacet")
_SQL = _base("1-1-0", "SQLJobFacet")
_LINEAGE = _base("1-0-0", "LineageFacet", "LineageJobFacet")
_DATASOURCE = _base("1-0-1", "DatasourceDatasetFacet")
_SCHEMA = _base("1-2-0", "SchemaDatasetFacet")
_VERSION = _base("1-0-1", "DatasetVersionDatasetFacet")
_OWNERSHIP = _base("1-0-1", "OwnershipDatasetFacet")
_TAGS = _base("1-0-0", "TagsDatasetFacet")
_DOCUMENTATION = _base("1-1-0", "DocumentationDatasetFacet")
_COLUMN_LINEAGE = _base("1-2-0", "ColumnLineageDatasetFacet")
_ASSERTIONS = _base("1-1-0", "DataQualityAssertionsDatasetFacet")
_QUALITY_METRICS = _base("1-0-0", "DataQualityMetricsDatasetFacet")
_OUTPUT_STATISTICS = _base("1-0-2", "OutputStatisticsOutputDatasetFacet")
_INPUT_SUBSET = _base("1-0-0", "BaseSubsetDatasetFacet", "InputSubsetInputDatasetFacet")
_OUTPUT_SUBSET = _base("1-0-0", "BaseSubsetDatasetFacet", "OutputSubsetOutputDatasetFacet")

# A namespace need not be a URI ("file", "bigquery"); an IPv6 host is left alone, since quoting would break it.
_URI = re.compile(r"[a-z][a-z0-9+.-]*://(?!\[)", re.IGNORECASE)
_DIALECTS = {"duckdb": "duckdb", "postgres": "postgres", "postgresql": "postgres"}


# Runs


@functools.cache
def processing_engine() -> Facet:
    """Headwater and its version."""
    # The package itself stands above this layer: its version is read without importing it.
    version = str(getattr(sys.modules["headwater"], "__version__", "unknown"))
    return {**_PROCESSING_ENGINE, "name": "Headwater", "version": version, "openlineageAdapterVersion": version}


@functools.lru_cache(maxsize=1024)
def nominal_time(start: int | None, end: int | None) -> Facet | None:
    """The window that a run is for, from microseconds since the epoch; none without a start. Shared between events."""
    if start is None:
        return None
    facet = {**_NOMINAL_TIME, "nominalStartTime": clock.rfc3339(start)}
    if end is not None:
        facet["nominalEndTime"] = clock.rfc3339(end)
    return facet


@functools.lru_cache(maxsize=1024)
def parent(run: JobRun, root: JobRun) -> Facet:
    """The parent and the root of a run. Shared between events."""
    return {**_PARENT, **_job_run(run), "root": _job_run(root)}


def _job_run(run: JobRun) -> Facet:
    namespace, name, run_id = run
    return {"run": {"runId": run_id}, "job": {"namespace": namespace, "name": name}}


def error_message(error: Plain | None) -> Facet | None:
    """What a run failed with."""
    if error is None:
        return None
    text = f"{error['type']}: {error['message']}"
    facet = {**_ERROR_MESSAGE, "message": text, "programmingLanguage": "PYTHON"}
    if error.get("traceback"):
        facet["stackTrace"] = error["traceback"]
    return facet


# Jobs


@functools.cache
def job_type(kind: str) -> Facet:
    """Batch, ours, and what kind of job: FLOW, BACKFILL, MATERIALIZE or TASK. Shared between events."""
    return {**_JOB_TYPE, "processingType": "BATCH", "integration": INTEGRATION, "jobType": kind}


def source_code_location(source: Plain | None) -> Facet | None:
    """Where the job's function is defined.

    The schema asks for a URL, and the journal knows no repository: so the type is "file" and the URL a file's, relative
    to the project's root where the file lies in it. `version` is the hash of the function's source.
    """
    if source is None:
        return None
    return _code_at(source["file"], source["line"], source["hash"])


@functools.lru_cache(maxsize=1024)
def _code_at(file: str, line: int, hashed: str) -> Facet:
    url = f"file:{_quoted(('//' if file.startswith('/') else '') + file)}#L{line}"
    return {**_SOURCE_CODE_LOCATION, "type": "file", "url": url, "path": file, "version": hashed}


def sql(query: str | None, kind: str) -> Facet | None:
    """The query of a materialization inside an engine; `kind` is its asset's."""
    if query is None:
        return None
    facet = {**_SQL, "query": query}
    if kind in _DIALECTS:
        facet["dialect"] = _DIALECTS[kind]
    return facet


def lineage(output: Source, inputs: Iterable[Source]) -> Facet:
    """Exactly these datasets went into the output, so that nobody need infer it. No input means that there is none."""
    entry = {
        "namespace": output[0],
        "name": output[1],
        "type": "DATASET",
        "inputs": [{"namespace": namespace, "name": name, "type": "DATASET"} for namespace, name in inputs],
    }
    return {**_LINEAGE, "entries": [entry]}


# Datasets


@functools.lru_cache(maxsize=1024)
def datasource(namespace: str) -> Facet:
    """The store that a dataset lies in. Shared between events: never to be changed."""
    facet = {**_DATASOURCE, "name": namespace}
    if _URI.match(namespace):
        facet["uri"] = _quoted(namespace)
    return facet


def schema(columns: Sequence[Plain]) -> Facet | None:
    """The columns of a dataset, in their order."""
    return {**_SCHEMA, "fields": columns} if columns else None


def version(value: str) -> Facet:
    """The version of a dataset that was read or written."""
    return {**_VERSION, "datasetVersion": value}


def ownership(owners: Sequence[str]) -> Facet | None:
    """Who owns a dataset."""
    return {**_OWNERSHIP, "owners": [{"name": owner} for owner in owners]} if owners else None


def tags(values: Mapping[str, str]) -> Facet | None:
    """The tags of a dataset."""
    if not values:
        return None
    return {**_TAGS, "tags": [{"key": key, "value": value, "source": "USER"} for key, value in values.items()]}


def documentation(text: str | None) -> Facet | None:
    """What is said of a dataset."""
    return {**_DOCUMENTATION, "description": text} if text else None


def assertions(checks: Sequence[Plain]) -> Facet | None:
    """What the checks said; the severity of a blocking one is "error"."""
    return {**_ASSERTIONS, "assertions": [_assertion(check) for check in checks]} if checks else None


def _assertion(check: Plain) -> Facet:
    kind, columns = check.get("kind"), check.get("columns", ())
    found = {
        # A function is no kind of test that anybody else knows.
        "assertion": check["name"] if kind in (None, "function") else kind,
        "name": check["name"],
        "success": check["passed"],
        "severity": check.get("severity") or ("error" if check["blocking"] else "warn"),
    }
    if len(columns) == 1:
        found["column"] = columns[0]
    if check.get("description"):
        found["description"] = check["description"]
    if check.get("message"):
        found["actual"] = check["message"]
    return found


def quality_metrics(checks: Sequence[Plain], rows: int | None, size: int | None) -> Facet | None:
    """What the checks have measured of each column, with rows and bytes; none when they measured no column."""
    columns: dict[str, dict[str, float]] = {}
    for check in checks:
        for name, value in (check.get("metrics") or {}).items():
            found = _METRIC.fullmatch(name)
            if found is None or value is None:
                continue
            metric = _METRICS[found[1]]
            # A check of one's own may call by this name what is no count: the schema takes whole numbers only.
            if metric not in _COUNTS or float(value).is_integer():
                columns.setdefault(found[2], {})[metric] = value
    if not columns:
        return None
    known = {key: value for key, value in (("rowCount", rows), ("bytes", size)) if value is not None}
    return {**_QUALITY_METRICS, **known, "columnMetrics": columns}


_METRICS = {"nulls": "nullCount", "distinct": "distinctCount", "sum": "sum", "min": "min", "max": "max"}
"""OpenLineage's names of the metrics that it knows."""
_COUNTS = frozenset({"nullCount", "distinctCount"})
_METRIC = re.compile(rf"({'|'.join(_METRICS)})\((.+)\)", re.DOTALL)


def output_statistics(rows: int | None, size: int | None) -> Facet | None:
    """Rows and bytes written, as far as they are known."""
    known = {key: value for key, value in (("rowCount", rows), ("size", size)) if value is not None}
    return {**_OUTPUT_STATISTICS, **known} if known else None


def input_subset(partitions: Iterable[str]) -> Facet:
    """Which partitions of a dataset were read."""
    return {**_INPUT_SUBSET, "inputCondition": _partitions(partitions)}


def output_subset(partition: str) -> Facet:
    """Which partition of a dataset was written."""
    return {**_OUTPUT_SUBSET, "outputCondition": _partitions((partition,))}


def _partitions(keys: Iterable[str]) -> Facet:
    found = ({"identifier": key, "dimensions": dimensions_in(key) or {"partition": key}} for key in keys)
    return {"type": "partition", "partitions": list(found)}


def column_lineage(edges: Sequence[Plain], unknown: Sequence[Plain]) -> Facet | None:
    """What each column was made of, and what the whole dataset depends on (the edges without a column).

    OpenLineage has no word for "unknown": such a column is left out, and the whole facet when all columns are unknown.
    """
    blind = {column["column"] for column in unknown}
    if None in blind or not edges:
        return None
    found: dict[str | None, list[Facet]] = {}
    places: dict[tuple[str | None, str, str, str], int] = {}
    for column, namespace, name, source, kind, subtype in map(_EDGE, edges):
        if column in blind:
            continue
        sources = found.get(column)
        if sources is None:
            found[column] = [_field(namespace, name, source, kind, subtype)]
            continue
        if len(sources) == 1:
            first = sources[0]
            places[column, first["namespace"], first["name"], first["field"]] = 0
        place = places.setdefault((column, namespace, name, source), len(sources))
        if place == len(sources):
            sources.append(_field(namespace, name, source, kind, subtype))
        else:
            sources[place] = _transformed(sources[place], kind, subtype)
    if not found:
        return None
    whole = found.pop(None, None)
    facet = {**_COLUMN_LINEAGE, "fields": {column: {"inputFields": sources} for column, sources in found.items()}}
    if whole is not None:
        facet["dataset"] = whole
    return facet


_EDGE = itemgetter("column", "source_namespace", "source_dataset", "source_column", "type", "subtype")


@functools.lru_cache(maxsize=16_384)
def _field(namespace: str, name: str, column: str, kind: str, subtype: str) -> Facet:
    """A column that another one was made of. The tables of a project have few: shared between events."""
    transformation = {"type": kind, "subtype": subtype}
    return {"namespace": namespace, "name": name, "field": column, "transformations": [transformation]}


def _transformed(field: Facet, kind: str, subtype: str) -> Facet:
    """A column that was also used in another way."""
    transformation = {"type": kind, "subtype": subtype}
    known = field["transformations"]
    return field if transformation in known else {**field, "transformations": [*known, transformation]}


def _quoted(text: str) -> str:
    # A path may hold whatever a file system allows; a URI may not.
    return quote(text, safe="/:@+,;=~!$&'()*")
