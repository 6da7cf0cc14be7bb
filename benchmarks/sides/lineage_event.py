"""The COMPLETE event of a materialization with `columns` columns, each made of two others: from what is known to bytes."""

from common import Stopwatch, main, say

EVENTS = 2_000


def headwater(columns):
    """As the exporter does it: the journal's event as it was read, translated and encoded."""
    import orjson

    from headwater.lineage.openlineage.translate import translate

    event = journaled(columns)
    data = orjson.dumps(translate(event))
    with Stopwatch() as spent:
        for _ in range(EVENTS):
            orjson.dumps(translate(event))
    _say(spent, EVENTS, len(data))


def raw(columns):
    """The finished event, a plain dictionary, encoded by orjson: nothing is built."""
    import orjson

    from headwater.lineage.openlineage.translate import translate

    value = translate(journaled(columns))
    with Stopwatch() as spent:
        for _ in range(EVENTS):
            data = orjson.dumps(value)
    _say(spent, EVENTS, len(data))


def official(columns, how):
    """openlineage-python: "serialise" a finished RunEvent, or "build" it from the same values, too, as a producer must."""
    import orjson
    from openlineage.client.serde import Serde

    from headwater.lineage.openlineage.translate import translate

    count = EVENTS // 10
    body = translate(journaled(columns))
    event = built(body)
    same = orjson.loads(Serde.to_json(event))
    fields = same["outputs"][0]["facets"]["columnLineage"]["fields"]
    if len(fields) != columns or len(same["outputs"][0]["facets"]["schema"]["fields"]) != columns:
        raise SystemExit("the official client's event is not the same")
    with Stopwatch() as spent:
        for _ in range(count):
            data = Serde.to_json(built(body) if how == "build" else event).encode()
    _say(spent, count, len(data))


def built(body):
    """The same event in the client's classes."""
    from openlineage.client import event_v2 as events
    from openlineage.client.facet_v2 import (
        column_lineage_dataset,
        datasource_dataset,
        output_statistics_output_dataset,
        parent_run,
        schema_dataset,
    )

    output = body["outputs"][0]
    found = output["facets"]
    lineage = {
        name: column_lineage_dataset.Fields(
            inputFields=[
                column_lineage_dataset.InputField(
                    namespace=one["namespace"],
                    name=one["name"],
                    field=one["field"],
                    transformations=[
                        column_lineage_dataset.Transformation(
                            type=how["type"], subtype=how["subtype"], description="", masking=False
                        )
                        for how in one["transformations"]
                    ],
                )
                for one in field["inputFields"]
            ]
        )
        for name, field in found["columnLineage"]["fields"].items()
    }
    parent = body["run"]["facets"]["parent"]
    return events.RunEvent(
        eventType=events.RunState.COMPLETE,
        eventTime=body["eventTime"],
        run=events.Run(
            runId=body["run"]["runId"],
            facets={
                "parent": parent_run.ParentRunFacet(
                    run=parent_run.Run(runId=parent["run"]["runId"]),
                    job=parent_run.Job(namespace=parent["job"]["namespace"], name=parent["job"]["name"]),
                )
            },
        ),
        job=events.Job(namespace=body["job"]["namespace"], name=body["job"]["name"]),
        inputs=[events.InputDataset(namespace=one["namespace"], name=one["name"]) for one in body["inputs"]],
        outputs=[
            events.OutputDataset(
                namespace=output["namespace"],
                name=output["name"],
                facets={
                    "schema": schema_dataset.SchemaDatasetFacet(
                        fields=[
                            schema_dataset.SchemaDatasetFacetFields(name=one["name"], type=one["type"])
                            for one in found["schema"]["fields"]
                        ]
                    ),
                    "dataSource": datasource_dataset.DatasourceDatasetFacet(
                        name=found["dataSource"]["name"], uri=found["dataSource"].get("uri", "file")
                    ),
                    "columnLineage": column_lineage_dataset.ColumnLineageDatasetFacet(fields=lineage),
                },
                outputFacets={
                    "outputStatistics": output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
                        rowCount=1, size=1
                    )
                },
            )
        ],
        producer=body["producer"],
    )


def journaled(columns):
    """What the journal holds of such a materialization, read back from its bytes."""
    from headwater.assets.events import (
        AssetRef,
        ColumnEdge,
        ColumnSchema,
        Evidence,
        InputVersion,
        MaterializationEnded,
        MaterializationStarted,
    )
    from headwater.core.journal.lines import decode, encode, head_of
    from headwater.ids import new_id

    def ref(name):
        return AssetRef(name=name, uri=f"parquet://{name}", kind="parquet", namespace="file", dataset=f"/lake/{name}")

    source, run_id, id_ = ref("flights"), new_id(), new_id()
    started = MaterializationStarted(
        materialization_id=id_,
        run_id=run_id,
        task_run_id=new_id(),
        flow="daily",
        task="delays",
        root_run_id=run_id,
        root_flow="daily",
        project="shop",
        asset=ref("delays"),
        tags={},
    )
    edges = tuple(
        ColumnEdge(
            column=f"column_{number}",
            source_asset="flights",
            source_namespace=source.namespace,
            source_dataset=source.dataset,
            source_column=f"source_{number + more}",
            type="DIRECT",
            subtype="TRANSFORMATION",
        )
        for number in range(columns)
        for more in (0, 1)
    )
    evidence = Evidence(
        version="0198",
        rows=1,
        bytes=1,
        columns=tuple(ColumnSchema(name=f"column_{number}", type="Int64") for number in range(columns)),
        inputs=(InputVersion(asset="flights", namespace="file", dataset="/lake/flights", version="0197"),),
        column_edges=edges,
        code_version="abc",
    )
    body = MaterializationEnded(
        materialization_id=id_, started=started, started_at=0, state="published", evidence=evidence
    )
    return decode(encode(head_of("w"), 0, body).rstrip())


def _say(spent, count, size):
    say(
        f"{size:,} bytes an event",
        events_per_s=count / spent.cpu_ms * 1_000,
        cpu_ms=spent.cpu_ms / count,
        wall_ms=spent.wall_ms / count,
    )


if __name__ == "__main__":
    main(headwater, raw, official)
