"""Our plain values against the official client: built with its classes, an event comes out the same."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import openlineage_cases as cases
from openlineage.client import event_v2 as v2
from openlineage.client import facet_v2 as official
from openlineage.client.serde import Serde

from headwater import ids
from headwater.assets.events import CheckResult, ColumnSchema, Evidence
from headwater.lineage.openlineage.facets import PRODUCER, processing_engine
from headwater.lineage.openlineage.translate import translate
from headwater.types import ErrorInfo

RUN = ids.new_id()


def serialised(event: v2.RunEvent) -> Any:
    """The official event as plain values; the empty objects and lists that the client writes we leave out."""
    return cases.without_empty(Serde.to_dict(event))


def ours(body: Any) -> Any:
    return cases.without_empty(translate(cases.event(body)))


def run_facets(**more: Any) -> dict[str, Any]:
    version = processing_engine()["version"]
    engine = official.processing_engine_run.ProcessingEngineRunFacet(
        version=version, name="Headwater", openlineageAdapterVersion=version, producer=PRODUCER
    )
    return {"processing_engine": engine, **more}


def parent() -> official.parent_run.ParentRunFacet:
    module = official.parent_run
    return module.ParentRunFacet(
        run=module.Run(runId=RUN),
        job=module.Job(namespace="shop", name="nightly"),
        root=module.Root(run=module.RootRun(runId=RUN), job=module.RootJob(namespace="shop", name="nightly")),
        producer=PRODUCER,
    )


def job_facets(kind: str, **more: Any) -> dict[str, Any]:
    job_type = official.job_type_job.JobTypeJobFacet(
        processingType="BATCH", integration="HEADWATER", jobType=kind, producer=PRODUCER
    )
    location = official.source_code_location_job.SourceCodeLocationJobFacet(
        type="file",
        url="file:flows/nightly.py#L12",
        path="flows/nightly.py",
        version="9f86d081",
        producer=PRODUCER,
    )
    return {"jobType": job_type, "sourceCodeLocation": location, **more}


def datasource(name: str, uri: str | None = None) -> official.datasource_dataset.DatasourceDatasetFacet:
    return official.datasource_dataset.DatasourceDatasetFacet(name=name, uri=uri, producer=PRODUCER)


def input_dataset() -> v2.InputDataset:
    subset = official.base_subset_dataset
    partition = subset.Partition(identifier="2013-01-05", dimensions={"partition": "2013-01-05"})
    condition = subset.PartitionSubsetCondition(partitions=[partition])
    return v2.InputDataset(
        namespace="file",
        name="/srv/shop/lake/flights",
        facets={
            "dataSource": datasource("file"),
            "version": official.dataset_version_dataset.DatasetVersionDatasetFacet("v1", producer=PRODUCER),
        },
        inputFacets={"subset": subset.InputSubsetInputDatasetFacet(condition, producer=PRODUCER)},
    )


def column_lineage() -> official.column_lineage_dataset.ColumnLineageDatasetFacet:
    module = official.column_lineage_dataset

    def source(field: str, type: str, subtype: str) -> Any:
        transformation = module.Transformation(type=type, subtype=subtype)
        return module.InputField("file", "/srv/shop/lake/flights", field, transformations=[transformation])

    return module.ColumnLineageDatasetFacet(
        fields={"delay": module.Fields(inputFields=[source("dep_delay", "DIRECT", "AGGREGATION")])},
        dataset=[source("carrier", "INDIRECT", "JOIN")],
        producer=PRODUCER,
    )


def output_dataset() -> v2.OutputDataset:
    subset = official.base_subset_dataset
    partition = subset.Partition(identifier="2013-01-05", dimensions={"partition": "2013-01-05"})
    place = "duckdb:///srv/shop/warehouse.duckdb"
    assertion = official.data_quality_assertions_dataset.Assertion(
        assertion="some_delays", name="some_delays", success=True, severity="error"
    )
    return v2.OutputDataset(
        namespace=place,
        name="warehouse.main.delays",
        facets={
            "dataSource": datasource(place, place),
            "version": official.dataset_version_dataset.DatasetVersionDatasetFacet("v2", producer=PRODUCER),
            "schema": official.schema_dataset.SchemaDatasetFacet(
                fields=[official.schema_dataset.SchemaDatasetFacetFields(name="delay", type="DOUBLE")],
                producer=PRODUCER,
            ),
            "ownership": official.ownership_dataset.OwnershipDatasetFacet(
                owners=[official.ownership_dataset.Owner(name="team:ops")], producer=PRODUCER
            ),
            "tags": official.tags_dataset.TagsDatasetFacet(
                tags=[official.tags_dataset.TagsDatasetFacetFields("tier", "gold", source="USER")], producer=PRODUCER
            ),
            "documentation": official.documentation_dataset.DocumentationDatasetFacet(
                "Delays a day", producer=PRODUCER
            ),
            "columnLineage": column_lineage(),
            "dataQualityAssertions": official.data_quality_assertions_dataset.DataQualityAssertionsDatasetFacet(
                assertions=[assertion], producer=PRODUCER
            ),
        },
        outputFacets={
            "outputStatistics": official.output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
                rowCount=842, size=12_345, producer=PRODUCER
            ),
            "subset": subset.OutputSubsetOutputDatasetFacet(
                subset.PartitionSubsetCondition(partitions=[partition]), producer=PRODUCER
            ),
        },
    )


def lineage() -> official.lineage.LineageJobFacet:
    source = official.lineage.LineageDatasetInput(namespace="file", name="/srv/shop/lake/flights", type="DATASET")
    entry = official.lineage.LineageDatasetEntry(
        namespace="duckdb:///srv/shop/warehouse.duckdb", name="warehouse.main.delays", type="DATASET", inputs=[source]
    )
    return official.lineage.LineageJobFacet(entries=[entry], producer=PRODUCER)


def test_a_published_materialization() -> None:
    start = cases.started(
        RUN,
        partition="2013-01-05",
        partition_start=cases.NOON,
        partition_end=cases.NOON + cases.DAY,
        source=cases.SOURCE,
        owners=("team:ops",),
        tags={"tier": "gold"},
        description="Delays a day",
    )
    evidence = Evidence(
        version="v2",
        rows=842,
        bytes=12_345,
        columns=(ColumnSchema(name="delay", type="DOUBLE"),),
        inputs=(cases.read(),),
        column_edges=(
            cases.edge("delay", "dep_delay", "DIRECT", "AGGREGATION"),
            cases.edge(None, "carrier", "INDIRECT", "JOIN"),
        ),
        checks=(CheckResult(name="some_delays", passed=True, blocking=True),),
        sql="select 1",
    )
    nominal = official.nominal_time_run.NominalTimeRunFacet(
        "2013-01-05T12:00:00.000000Z", "2013-01-06T12:00:00.000000Z", producer=PRODUCER
    )
    sql = official.sql_job.SQLJobFacet(query="select 1", dialect="duckdb", producer=PRODUCER)
    expected = v2.RunEvent(
        eventType=v2.RunState.COMPLETE,
        eventTime="2013-01-05T12:00:00.000000Z",
        run=v2.Run(start.materialization_id, facets=run_facets(parent=parent(), nominalTime=nominal)),
        job=v2.Job("shop", "nightly.summarise", facets=job_facets("TASK", sql=sql, lineage=lineage())),
        inputs=[input_dataset()],
        outputs=[output_dataset()],
        producer=PRODUCER,
    )
    assert ours(cases.ended(start, evidence=evidence)) == serialised(expected)


def test_a_failed_run() -> None:
    error = official.error_message_run.ErrorMessageRunFacet(
        message="ValueError: no", programmingLanguage="PYTHON", stackTrace="Traceback …", producer=PRODUCER
    )
    expected = v2.RunEvent(
        eventType=v2.RunState.FAIL,
        eventTime="2013-01-05T12:00:00.000000Z",
        run=v2.Run(RUN, facets=run_facets(errorMessage=error)),
        job=v2.Job("shop", "nightly", facets=job_facets("FLOW")),
        producer=PRODUCER,
    )
    body = cases.run_ended(
        RUN, "Failed", source=cases.SOURCE, error=ErrorInfo(type="ValueError", message="no", traceback="Traceback …")
    )
    assert ours(body) == serialised(expected)


def test_exporting_loads_neither_the_client_nor_any_engine() -> None:
    script = "import sys; from headwater.lineage.openlineage import exporter, file; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True, cwd=Path(__file__).parents[2]
    )
    assert not {"openlineage", "duckdb", "polars", "pydantic", "sqlglot", "networkx"} & set(done.stdout.split())
