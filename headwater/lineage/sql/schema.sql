-- The tables of the projection. `facts` holds what the journal says, insert-only, one row an event (`id` is the event's);
-- `state` holds what is maintained beside it. Times are microseconds since the epoch, UTC; the views make TIMESTAMPs of them.

CREATE SCHEMA facts;
CREATE SCHEMA state;

-- Which schema this file was made with; a file that says otherwise is rebuilt.
CREATE TABLE state.format (application VARCHAR, schema VARCHAR);

-- How far each segment of the journal was read: the next sequence number expected, and the byte at which it starts.
CREATE TABLE state.positions (writer VARCHAR, seq BIGINT, "offset" BIGINT, closed BOOLEAN);

CREATE TABLE facts.run_started (
    id UUID, time BIGINT, run_id VARCHAR, attempt INTEGER, flow VARCHAR, type VARCHAR,
    parent_run_id VARCHAR, parent_task_run_id VARCHAR, parent_flow VARCHAR, root_run_id VARCHAR, root_flow VARCHAR,
    project VARCHAR, parameters JSON,
    source STRUCT(file VARCHAR, line INTEGER, name VARCHAR, hash VARCHAR),
    nominal_start BIGINT, nominal_end BIGINT
);

CREATE TABLE facts.run_ended (
    id UUID, time BIGINT, run_id VARCHAR, attempt INTEGER, flow VARCHAR, type VARCHAR, state VARCHAR, started BIGINT,
    parent_run_id VARCHAR, parent_flow VARCHAR, root_run_id VARCHAR, root_flow VARCHAR, project VARCHAR,
    error STRUCT(type VARCHAR, message VARCHAR, traceback VARCHAR)
);

CREATE TABLE facts.cancel_requested (id UUID, time BIGINT, run_id VARCHAR, attempt INTEGER, asked_by VARCHAR);

CREATE TABLE facts.task_started (
    id UUID, time BIGINT, task_run_id VARCHAR, run_id VARCHAR, attempt INTEGER, task VARCHAR,
    parent_task_run_id VARCHAR, tags VARCHAR[]
);

CREATE TABLE facts.task_state (
    id UUID, time BIGINT, task_run_id VARCHAR, run_id VARCHAR, attempt INTEGER, state VARCHAR, tries INTEGER,
    delay DOUBLE, error STRUCT(type VARCHAR, message VARCHAR, traceback VARCHAR)
);

CREATE TABLE facts.task_ended (
    id UUID, time BIGINT, task_run_id VARCHAR, run_id VARCHAR, attempt INTEGER, task VARCHAR, state VARCHAR,
    tries INTEGER, started BIGINT, error STRUCT(type VARCHAR, message VARCHAR, traceback VARCHAR)
);

CREATE TABLE facts.logs (
    id UUID, time BIGINT, run_id VARCHAR, attempt INTEGER, task_run_id VARCHAR, level INTEGER, logger VARCHAR,
    message VARCHAR
);

-- One row an attempt of a run that lost detail, each time that it did. Task runs that were counted are in `tasks`, which is
-- NULL when none of them expired, and empty when the attempt had not ended.
CREATE TABLE facts.pruned (
    id UUID, time BIGINT, before BIGINT, run_id VARCHAR, attempt INTEGER, tasks MAP(VARCHAR, BIGINT), logs BIGINT
);

CREATE TABLE facts.definitions (
    id UUID, time BIGINT, name VARCHAR, uri VARCHAR, kind VARCHAR, namespace VARCHAR, dataset VARCHAR, hash VARCHAR,
    project VARCHAR, definition JSON
);

-- One row an ended materialization, whatever came of it.
CREATE TABLE facts.outcomes (
    id UUID, time BIGINT, materialization_id VARCHAR, state VARCHAR, started_at BIGINT, run_id VARCHAR, attempt INTEGER,
    task_run_id VARCHAR, flow VARCHAR, task VARCHAR, root_run_id VARCHAR, root_flow VARCHAR, project VARCHAR,
    asset VARCHAR, uri VARCHAR, kind VARCHAR, namespace VARCHAR, dataset VARCHAR,
    partition VARCHAR, partition_start BIGINT, partition_end BIGINT,
    version VARCHAR, replaces VARCHAR, rows BIGINT, bytes BIGINT, columns STRUCT(name VARCHAR, type VARCHAR)[],
    time_min BIGINT, time_max BIGINT, unknown_inputs VARCHAR[], code_version VARCHAR, sql VARCHAR,
    error STRUCT(type VARCHAR, message VARCHAR, traceback VARCHAR),
    source STRUCT(file VARCHAR, line INTEGER, name VARCHAR, hash VARCHAR),
    owners VARCHAR[], tags JSON, description VARCHAR
);

-- What the materialization of `id` read: one row an input version.
CREATE TABLE facts.inputs (
    id UUID, time BIGINT, run_id VARCHAR, published BOOLEAN,
    source VARCHAR, source_namespace VARCHAR, source_dataset VARCHAR, source_partition VARCHAR, source_version VARCHAR,
    target VARCHAR, target_namespace VARCHAR, target_dataset VARCHAR, target_partition VARCHAR, target_version VARCHAR,
    via VARCHAR
);

-- Which column was made of which; target_column is NULL where the whole target depends on the source column.
CREATE TABLE facts.column_edges (
    id UUID, time BIGINT, run_id VARCHAR, published BOOLEAN,
    source VARCHAR, source_namespace VARCHAR, source_dataset VARCHAR, source_column VARCHAR,
    target VARCHAR, target_namespace VARCHAR, target_dataset VARCHAR, target_partition VARCHAR, target_column VARCHAR,
    type VARCHAR, subtype VARCHAR
);

CREATE TABLE facts.unknown_columns (
    id UUID, time BIGINT, run_id VARCHAR, published BOOLEAN, asset VARCHAR, namespace VARCHAR, dataset VARCHAR,
    partition VARCHAR, "column" VARCHAR, reason VARCHAR
);

CREATE TABLE facts.checks (
    id UUID, time BIGINT, run_id VARCHAR, published BOOLEAN, asset VARCHAR, namespace VARCHAR, dataset VARCHAR,
    partition VARCHAR, version VARCHAR, name VARCHAR, passed BOOLEAN, blocking BOOLEAN, message VARCHAR
);

CREATE TABLE facts.observations (
    id UUID, time BIGINT, observation_id VARCHAR, run_id VARCHAR, task_run_id VARCHAR, project VARCHAR,
    asset VARCHAR, uri VARCHAR, kind VARCHAR, namespace VARCHAR, dataset VARCHAR, partition VARCHAR, version VARCHAR,
    data_through BIGINT, rows BIGINT, bytes BIGINT, columns STRUCT(name VARCHAR, type VARCHAR)[]
);

CREATE TABLE facts.backfill_requested (
    id UUID, time BIGINT, backfill_id VARCHAR, name VARCHAR, targets VARCHAR[], range VARCHAR, options JSON, plan JSON,
    requested BIGINT, origin JSON
);

CREATE TABLE facts.backfill_launched (
    id UUID, time BIGINT, backfill_id VARCHAR, attempt INTEGER, asset VARCHAR, partition VARCHAR
);

CREATE TABLE facts.backfill_ended (
    id UUID, time BIGINT, backfill_id VARCHAR, attempt INTEGER, asset VARCHAR, partition VARCHAR, state VARCHAR,
    reason VARCHAR
);

CREATE TABLE facts.backfill_asked (
    id UUID, time BIGINT, backfill_id VARCHAR, what VARCHAR, asked_by VARCHAR
);

CREATE TABLE facts.backfill_stopped (
    id UUID, time BIGINT, backfill_id VARCHAR, attempt INTEGER, what VARCHAR, asked_by VARCHAR
);

-- One row a (namespace, dataset, partition) that was ever tried: the version in place (NULL when there is none), the
-- newest attempt, and when something last began to make it.
CREATE TABLE state.latest (
    namespace VARCHAR, dataset VARCHAR, partition VARCHAR,
    id UUID, asset VARCHAR, version VARCHAR, made_at BIGINT, started_at BIGINT, run_id VARCHAR, rows BIGINT, bytes BIGINT,
    time_max BIGINT, partition_start BIGINT, partition_end BIGINT, code_version VARCHAR, unknown_inputs BOOLEAN,
    attempt_id UUID, attempt_at BIGINT, attempt_state VARCHAR, attempt_error VARCHAR,
    last_run BIGINT
);
