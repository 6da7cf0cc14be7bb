-- How events become rows. `staged` holds the events that were just read, each once, without those that the tables have already
-- (by the first table of their kind's section): any repetition gives the same tables. A section runs when there are events of
-- its kind. json_transform gives NULL for what does not fit its type: one odd body can't stop the projection.

-- name: run.started
INSERT INTO facts.run_started BY NAME
SELECT id, time, unnest(json_transform(body, '{
    "run_id": "VARCHAR", "attempt": "INTEGER", "flow": "VARCHAR", "type": "VARCHAR", "parent_run_id": "VARCHAR",
    "parent_task_run_id": "VARCHAR", "parent_flow": "VARCHAR", "root_run_id": "VARCHAR", "root_flow": "VARCHAR",
    "root_attempt": "INTEGER", "project": "VARCHAR", "parameters": "JSON", "kept": "JSON", "defaulted": ["VARCHAR"],
    "lost": ["VARCHAR"], "name": "VARCHAR", "request_id": "VARCHAR",
    "source": {"file": "VARCHAR", "line": "INTEGER", "name": "VARCHAR", "hash": "VARCHAR"},
    "nominal_start": "BIGINT", "nominal_end": "BIGINT"}'))
FROM staged WHERE kind = 'run.started';

-- name: run.ended
INSERT INTO facts.run_ended BY NAME
SELECT id, time, unnest(json_transform(body, '{
    "run_id": "VARCHAR", "attempt": "INTEGER", "flow": "VARCHAR", "type": "VARCHAR", "state": "VARCHAR",
    "started": "BIGINT", "parent_run_id": "VARCHAR", "parent_flow": "VARCHAR", "root_run_id": "VARCHAR",
    "root_flow": "VARCHAR", "project": "VARCHAR",
    "error": {"type": "VARCHAR", "message": "VARCHAR", "traceback": "VARCHAR"}}'))
FROM staged WHERE kind = 'run.ended';

-- name: run.cancel_requested
INSERT INTO facts.cancel_requested BY NAME
SELECT id, time, unnest(json_transform(body, '{"run_id": "VARCHAR", "attempt": "INTEGER", "asked_by": "VARCHAR"}'))
FROM staged WHERE kind = 'run.cancel_requested';

-- name: run.state
INSERT INTO facts.run_state BY NAME
SELECT id, time, unnest(json_transform(body, '{"run_id": "VARCHAR", "attempt": "INTEGER", "state": "VARCHAR", "limit": "VARCHAR"}'))
FROM staged WHERE kind = 'run.state';

-- name: task.started
INSERT INTO facts.task_started BY NAME
SELECT id, time, unnest(json_transform(body, '{
    "task_run_id": "VARCHAR", "run_id": "VARCHAR", "attempt": "INTEGER", "task": "VARCHAR",
    "parent_task_run_id": "VARCHAR", "tags": ["VARCHAR"]}'))
FROM staged WHERE kind = 'task.started';

-- name: task.state
INSERT INTO facts.task_state BY NAME
SELECT id, time, unnest(json_transform(body, '{
    "task_run_id": "VARCHAR", "run_id": "VARCHAR", "attempt": "INTEGER", "state": "VARCHAR", "tries": "INTEGER",
    "delay": "DOUBLE", "error": {"type": "VARCHAR", "message": "VARCHAR", "traceback": "VARCHAR"}}'))
FROM staged WHERE kind = 'task.state';

-- name: task.ended
INSERT INTO facts.task_ended BY NAME
SELECT id, time, unnest(json_transform(body, '{
    "task_run_id": "VARCHAR", "run_id": "VARCHAR", "attempt": "INTEGER", "task": "VARCHAR", "state": "VARCHAR",
    "tries": "INTEGER", "started": "BIGINT",
    "error": {"type": "VARCHAR", "message": "VARCHAR", "traceback": "VARCHAR"},
    "identity": "VARCHAR", "result": {"encoding": "VARCHAR", "data": "VARCHAR", "file": "VARCHAR", "size": "BIGINT",
    "hash": "VARCHAR"}, "unkept": "VARCHAR", "code": "VARCHAR", "sources": "JSON",
    "reused": {"attempt": "INTEGER", "task_run_id": "VARCHAR"}}'))
FROM staged WHERE kind = 'task.ended';

-- name: task.cache
INSERT INTO facts.task_cache BY NAME
SELECT id, time, unnest(json_transform(body, '{
    "task_run_id": "VARCHAR", "run_id": "VARCHAR", "attempt": "INTEGER", "task": "VARCHAR", "verdict": "VARCHAR",
    "because": "VARCHAR", "text": "VARCHAR", "policy": "VARCHAR", "key": "VARCHAR", "parts": "JSON",
    "origin": "VARCHAR", "origin_run_id": "VARCHAR", "kept_at": "BIGINT"}'))
FROM staged WHERE kind = 'task.cache';

-- name: task.kept
INSERT INTO facts.task_kept BY NAME
SELECT id, time, unnest(json_transform(body, '{
    "task_run_id": "VARCHAR", "run_id": "VARCHAR", "attempt": "INTEGER", "task": "VARCHAR", "key": "VARCHAR",
    "refused": "VARCHAR", "expires": "BIGINT", "encoding": "VARCHAR", "size": "BIGINT", "file": "VARCHAR"}'))
FROM staged WHERE kind = 'task.kept';

-- name: log.written
INSERT INTO facts.logs BY NAME
SELECT id, time, unnest(json_transform(body, '{
    "run_id": "VARCHAR", "attempt": "INTEGER", "task_run_id": "VARCHAR", "level": "INTEGER", "logger": "VARCHAR",
    "message": "VARCHAR"}'))
FROM staged WHERE kind = 'log.written';

-- name: runs.pruned
INSERT INTO facts.pruned BY NAME
SELECT id, time, before, unnest(run)
FROM (
    SELECT id, time, b.before AS before, unnest(b.runs) AS run
    FROM (
        SELECT id, time, json_transform(body, '{
            "before": "BIGINT",
            "runs": [{"run_id": "VARCHAR", "attempt": "INTEGER", "tasks": "MAP(VARCHAR, BIGINT)", "logs": "BIGINT"}]
        }') AS b
        FROM staged WHERE kind = 'runs.pruned'
    )
);

-- name: asset.defined
INSERT INTO facts.definitions BY NAME
SELECT id, time, unnest(b.asset), b.hash, b.project, b.definition
FROM (
    SELECT id, time, json_transform(body, '{
        "asset": {"name": "VARCHAR", "uri": "VARCHAR", "kind": "VARCHAR", "namespace": "VARCHAR", "dataset": "VARCHAR"},
        "hash": "VARCHAR", "project": "VARCHAR", "definition": "JSON"}') AS b
    FROM staged WHERE kind = 'asset.defined'
);
INSERT INTO state.pending
SELECT DISTINCT body ->> '$.asset.namespace', body ->> '$.asset.dataset', true FROM staged WHERE kind = 'asset.defined';

-- name: materialization.ended
-- What was read before the function was called stands in `started`; the evidence, once there is some, says all of it.
CREATE OR REPLACE TEMP TABLE ended AS
SELECT id, time, b.materialization_id, b.state, b.started_at, b.error, b.started AS s, b.evidence AS e,
       coalesce(b.state = 'published', false) AS published
FROM (
    SELECT id, time, json_transform(body, '{
        "materialization_id": "VARCHAR", "state": "VARCHAR", "started_at": "BIGINT",
        "error": {"type": "VARCHAR", "message": "VARCHAR", "traceback": "VARCHAR"},
        "started": {
            "run_id": "VARCHAR", "attempt": "INTEGER", "task_run_id": "VARCHAR", "flow": "VARCHAR", "task": "VARCHAR",
            "root_run_id": "VARCHAR", "root_flow": "VARCHAR", "project": "VARCHAR",
            "asset": {"name": "VARCHAR", "uri": "VARCHAR", "kind": "VARCHAR", "namespace": "VARCHAR",
                      "dataset": "VARCHAR"},
            "partition": "VARCHAR", "partition_start": "BIGINT", "partition_end": "BIGINT",
            "inputs": [{"asset": "VARCHAR", "namespace": "VARCHAR", "dataset": "VARCHAR", "partition": "VARCHAR",
                        "version": "VARCHAR", "via": "VARCHAR"}],
            "source": {"file": "VARCHAR", "line": "INTEGER", "name": "VARCHAR", "hash": "VARCHAR"},
            "owners": ["VARCHAR"], "tags": "JSON", "description": "VARCHAR"},
        "evidence": {
            "version": "VARCHAR", "replaces": "VARCHAR", "rows": "BIGINT", "bytes": "BIGINT",
            "columns": [{"name": "VARCHAR", "type": "VARCHAR"}], "time_min": "BIGINT", "time_max": "BIGINT",
            "inputs": [{"asset": "VARCHAR", "namespace": "VARCHAR", "dataset": "VARCHAR", "partition": "VARCHAR",
                        "version": "VARCHAR", "via": "VARCHAR"}],
            "unknown_inputs": ["VARCHAR"],
            "column_edges": [{"column": "VARCHAR", "source_asset": "VARCHAR", "source_namespace": "VARCHAR",
                              "source_dataset": "VARCHAR", "source_column": "VARCHAR", "type": "VARCHAR",
                              "subtype": "VARCHAR"}],
            "unknown_columns": [{"column": "VARCHAR", "reason": "VARCHAR"}],
            "checks": [{"name": "VARCHAR", "passed": "BOOLEAN", "blocking": "BOOLEAN", "message": "VARCHAR",
                        "severity": "VARCHAR", "kind": "VARCHAR", "metrics": "JSON", "description": "VARCHAR"}],
            "code_version": "VARCHAR", "sql": "VARCHAR"}}') AS b
    FROM staged WHERE kind = 'materialization.ended'
);
INSERT INTO facts.outcomes BY NAME
SELECT
    id, time, materialization_id, state, started_at, s.run_id, s.attempt, s.task_run_id, s.flow, s.task,
    s.root_run_id, s.root_flow, s.project,
    s.asset.name AS asset, s.asset.uri AS uri, s.asset.kind AS kind, s.asset.namespace AS namespace,
    s.asset.dataset AS dataset, s.partition, s.partition_start, s.partition_end,
    e.version, e.replaces, e.rows, e.bytes, e.columns, e.time_min, e.time_max, e.unknown_inputs, e.code_version, e.sql,
    error, s.source, s.owners, s.tags, s.description
FROM ended;
INSERT INTO facts.inputs BY NAME
SELECT
    id, time, s.run_id AS run_id, published,
    i.asset AS source, i.namespace AS source_namespace, i.dataset AS source_dataset, i.partition AS source_partition,
    i.version AS source_version,
    s.asset.name AS target, s.asset.namespace AS target_namespace, s.asset.dataset AS target_dataset,
    s.partition AS target_partition, e.version AS target_version, min(i.via) AS via
FROM (SELECT *, unnest(coalesce(e.inputs, s.inputs)) AS i FROM ended)
GROUP BY ALL;
INSERT INTO facts.column_edges BY NAME
SELECT DISTINCT
    id, time, s.run_id AS run_id, published,
    c.source_asset AS source, c.source_namespace, c.source_dataset, c.source_column,
    s.asset.name AS target, s.asset.namespace AS target_namespace, s.asset.dataset AS target_dataset,
    s.partition AS target_partition, c.column AS target_column, c.type, c.subtype
FROM (SELECT *, unnest(e.column_edges) AS c FROM ended);
INSERT INTO facts.unknown_columns BY NAME
SELECT
    id, time, s.run_id AS run_id, published, s.asset.name AS asset, s.asset.namespace AS namespace,
    s.asset.dataset AS dataset, s.partition AS partition, u.column AS "column", u.reason AS reason
FROM (SELECT *, unnest(e.unknown_columns) AS u FROM ended);
INSERT INTO facts.checks BY NAME
SELECT
    id, time, s.run_id AS run_id, published, s.asset.name AS asset, s.asset.namespace AS namespace,
    s.asset.dataset AS dataset, s.partition AS partition, e.version AS version,
    c.name AS name, c.passed AS passed, c.blocking AS blocking, c.message AS message, c.severity AS severity,
    c.kind AS kind, c.metrics AS metrics, c.description AS description
FROM (SELECT *, unnest(e.checks) AS c FROM ended);
INSERT INTO touched BY NAME
SELECT DISTINCT s.asset.namespace AS namespace, s.asset.dataset AS dataset, s.partition AS partition FROM ended;

-- name: asset.observed
INSERT INTO facts.observations BY NAME
SELECT id, time, b.observation_id, b.run_id, b.task_run_id, b.project, b.asset.name AS asset, b.asset.uri AS uri,
       b.asset.kind AS kind, b.asset.namespace AS namespace, b.asset.dataset AS dataset, b.partition,
       b.partition_end, b.version, b.data_through, b.rows, b.bytes, b.columns
FROM (
    SELECT id, time, json_transform(body, '{
        "observation_id": "VARCHAR", "run_id": "VARCHAR", "task_run_id": "VARCHAR", "project": "VARCHAR",
        "asset": {"name": "VARCHAR", "uri": "VARCHAR", "kind": "VARCHAR", "namespace": "VARCHAR", "dataset": "VARCHAR"},
        "partition": "VARCHAR", "partition_end": "BIGINT", "version": "VARCHAR", "data_through": "BIGINT",
        "rows": "BIGINT", "bytes": "BIGINT", "columns": [{"name": "VARCHAR", "type": "VARCHAR"}]}') AS b
    FROM staged WHERE kind = 'asset.observed'
);
INSERT INTO state.pending
SELECT DISTINCT body ->> '$.asset.namespace', body ->> '$.asset.dataset', CAST(NULL AS BOOLEAN)
FROM staged WHERE kind = 'asset.observed';

-- name: freshness.judged
INSERT INTO facts.verdicts BY NAME
SELECT id, time, b.project, b.asset.name AS asset, b.asset.namespace AS namespace, b.asset.dataset AS dataset, b.verdict,
       b.before, b.at, b.clock, b.stands, b.next_change, b.seen
FROM (
    SELECT id, time, json_transform(body, '{
        "project": "VARCHAR", "asset": {"name": "VARCHAR", "namespace": "VARCHAR", "dataset": "VARCHAR"},
        "verdict": "VARCHAR", "before": "VARCHAR", "at": "BIGINT", "clock": "VARCHAR", "stands": "BIGINT",
        "next_change": "BIGINT", "seen": "BIGINT"}') AS b
    FROM staged WHERE kind = 'freshness.judged'
);

-- name: asset.checked
INSERT INTO facts.checks BY NAME
SELECT
    id, time, b.run_id AS run_id, true AS published, b.asset.name AS asset, b.asset.namespace AS namespace,
    b.asset.dataset AS dataset, b.partition AS partition, b.version AS version,
    c.name AS name, c.passed AS passed, c.blocking AS blocking, c.message AS message, c.severity AS severity,
    c.kind AS kind, c.metrics AS metrics, c.description AS description
FROM (
    SELECT id, time, b, unnest(b.checks) AS c
    FROM (
        SELECT id, time, json_transform(body, '{
            "run_id": "VARCHAR",
            "asset": {"name": "VARCHAR", "namespace": "VARCHAR", "dataset": "VARCHAR"},
            "partition": "VARCHAR", "version": "VARCHAR",
            "checks": [{"name": "VARCHAR", "passed": "BOOLEAN", "blocking": "BOOLEAN", "message": "VARCHAR",
                        "severity": "VARCHAR", "kind": "VARCHAR", "metrics": "JSON", "description": "VARCHAR"}]
        }') AS b
        FROM staged WHERE kind = 'asset.checked'
    )
);

-- name: backfill.requested
INSERT INTO facts.backfill_requested BY NAME
SELECT id, time, unnest(json_transform(body, '{
    "backfill_id": "VARCHAR", "name": "VARCHAR", "targets": ["VARCHAR"], "range": "VARCHAR", "options": "JSON",
    "plan": "JSON", "requested": "BIGINT", "origin": "JSON"}'))
FROM staged WHERE kind = 'backfill.requested';

-- name: backfill.partition_launched
INSERT INTO facts.backfill_launched BY NAME
SELECT id, time, unnest(json_transform(body, '{
    "backfill_id": "VARCHAR", "attempt": "INTEGER", "asset": "VARCHAR", "partition": "VARCHAR"}'))
FROM staged WHERE kind = 'backfill.partition_launched';

-- name: backfill.partition_ended
INSERT INTO facts.backfill_ended BY NAME
SELECT id, time, unnest(json_transform(body, '{
    "backfill_id": "VARCHAR", "attempt": "INTEGER", "asset": "VARCHAR", "partition": "VARCHAR", "state": "VARCHAR",
    "reason": "VARCHAR"}'))
FROM staged WHERE kind = 'backfill.partition_ended';

-- name: partitions.added
INSERT INTO facts.dynamic_keys BY NAME
SELECT id, time, b.name, unnest(range(len(b.keys))) AS place, unnest(b.keys) AS key, true AS here
FROM (SELECT id, time, json_transform(body, '{"name": "VARCHAR", "keys": ["VARCHAR"]}') AS b
    FROM staged WHERE kind = 'partitions.added');

-- name: partitions.removed
INSERT INTO facts.dynamic_keys BY NAME
SELECT id, time, b.name, unnest(range(len(b.keys))) AS place, unnest(b.keys) AS key, false AS here
FROM (SELECT id, time, json_transform(body, '{"name": "VARCHAR", "keys": ["VARCHAR"]}') AS b
    FROM staged WHERE kind = 'partitions.removed');

-- name: backfill.asked
INSERT INTO facts.backfill_asked BY NAME
SELECT id, time, unnest(json_transform(body, '{
    "backfill_id": "VARCHAR", "what": "VARCHAR", "asked_by": "VARCHAR"}'))
FROM staged WHERE kind = 'backfill.asked';

-- name: backfill.stopped
INSERT INTO facts.backfill_stopped BY NAME
SELECT id, time, unnest(json_transform(body, '{
    "backfill_id": "VARCHAR", "attempt": "INTEGER", "what": "VARCHAR", "asked_by": "VARCHAR"}'))
FROM staged WHERE kind = 'backfill.stopped';

-- name: work.asked
INSERT INTO facts.work_asked BY NAME
SELECT id, time, unnest(json_transform(body, '{
    "request_id": "VARCHAR", "what": "VARCHAR", "arguments": "JSON", "asked_by": "VARCHAR", "project": "VARCHAR"}'))
FROM staged WHERE kind = 'work.asked';

-- name: work.taken
INSERT INTO facts.work_taken BY NAME
SELECT id, time, unnest(json_transform(body, '{
    "request_id": "VARCHAR", "pid": "BIGINT", "host": "VARCHAR"}'))
FROM staged WHERE kind = 'work.taken';

-- name: work.started
INSERT INTO facts.work_started BY NAME
SELECT id, time, unnest(json_transform(body, '{"request_id": "VARCHAR", "pid": "BIGINT", "host": "VARCHAR", "numbers": "VARCHAR"}'))
FROM staged WHERE kind = 'work.started';

-- name: work.cancel_requested
INSERT INTO facts.work_cancel_requested BY NAME
SELECT id, time, unnest(json_transform(body, '{"request_id": "VARCHAR", "asked_by": "VARCHAR"}'))
FROM staged WHERE kind = 'work.cancel_requested';

-- name: work.ended
INSERT INTO facts.work_ended BY NAME
SELECT id, time, unnest(json_transform(body, '{
    "request_id": "VARCHAR", "exit_code": "INTEGER", "message": "VARCHAR", "cancelled_by": "VARCHAR"}'))
FROM staged WHERE kind = 'work.ended';

-- name: access.recorded
INSERT INTO facts.access BY NAME
SELECT id, time, unnest(json_transform(body, '{"what": "VARCHAR", "subject": "VARCHAR", "by": "VARCHAR", "count": "BIGINT"}'))
FROM staged WHERE kind = 'access.recorded';
