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
    root_attempt INTEGER, project VARCHAR, parameters JSON, kept JSON, defaulted VARCHAR[], lost VARCHAR[],
    source STRUCT(file VARCHAR, line INTEGER, name VARCHAR, hash VARCHAR),
    nominal_start BIGINT, nominal_end BIGINT, name VARCHAR, request_id VARCHAR
);

CREATE TABLE facts.run_ended (
    id UUID, time BIGINT, run_id VARCHAR, attempt INTEGER, flow VARCHAR, type VARCHAR, state VARCHAR, started BIGINT,
    parent_run_id VARCHAR, parent_flow VARCHAR, root_run_id VARCHAR, root_flow VARCHAR, project VARCHAR,
    error STRUCT(type VARCHAR, message VARCHAR, traceback VARCHAR)
);

CREATE TABLE facts.cancel_requested (id UUID, time BIGINT, run_id VARCHAR, attempt INTEGER, asked_by VARCHAR);

CREATE TABLE facts.run_state (id UUID, time BIGINT, run_id VARCHAR, attempt INTEGER, state VARCHAR, "limit" VARCHAR);

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
    tries INTEGER, started BIGINT, error STRUCT(type VARCHAR, message VARCHAR, traceback VARCHAR),
    identity VARCHAR, result STRUCT(encoding VARCHAR, data VARCHAR, file VARCHAR, size BIGINT, hash VARCHAR),
    unkept VARCHAR, code VARCHAR, sources JSON, reused STRUCT(attempt INTEGER, task_run_id VARCHAR)
);

-- Whether a call found a kept result, and why; `parts` are the fingerprints of what its result depends on, by name.
CREATE TABLE facts.task_cache (
    id UUID, time BIGINT, task_run_id VARCHAR, run_id VARCHAR, attempt INTEGER, task VARCHAR, verdict VARCHAR,
    because VARCHAR, text VARCHAR, policy VARCHAR, key VARCHAR, parts JSON, origin VARCHAR, origin_run_id VARCHAR,
    kept_at BIGINT
);

-- What was kept of a call under its key, or why nothing was.
CREATE TABLE facts.task_kept (
    id UUID, time BIGINT, task_run_id VARCHAR, run_id VARCHAR, attempt INTEGER, task VARCHAR, key VARCHAR,
    refused VARCHAR, expires BIGINT, encoding VARCHAR, size BIGINT, file VARCHAR
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
    partition VARCHAR, version VARCHAR, name VARCHAR, passed BOOLEAN, blocking BOOLEAN, message VARCHAR,
    severity VARCHAR, kind VARCHAR, metrics JSON, description VARCHAR
);

CREATE TABLE facts.observations (
    id UUID, time BIGINT, observation_id VARCHAR, run_id VARCHAR, task_run_id VARCHAR, project VARCHAR,
    asset VARCHAR, uri VARCHAR, kind VARCHAR, namespace VARCHAR, dataset VARCHAR,
    partition VARCHAR, partition_end BIGINT, version VARCHAR, data_through BIGINT, rows BIGINT, bytes BIGINT, columns STRUCT(name VARCHAR, type VARCHAR)[]
);

-- Freshness verdicts as they were found: since `at`; nothing else came between up to `seen`.
CREATE TABLE facts.verdicts (
    id UUID, time BIGINT, project VARCHAR, asset VARCHAR, namespace VARCHAR, dataset VARCHAR, verdict VARCHAR,
    before VARCHAR, "at" BIGINT, clock VARCHAR, stands BIGINT, next_change BIGINT, seen BIGINT
);

-- One row for each key that was added to a list of dynamic partitions, or removed from it (`here` is false); `place` is
-- where it stood in its event.
CREATE TABLE facts.dynamic_keys (id UUID, time BIGINT, place BIGINT, name VARCHAR, key VARCHAR, here BOOLEAN);

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

-- What was asked through the server, what workers took of it, and how the processes that they started ended.
CREATE TABLE facts.work_asked (
    id UUID, time BIGINT, request_id VARCHAR, what VARCHAR, arguments JSON, asked_by VARCHAR, project VARCHAR
);

CREATE TABLE facts.work_taken (id UUID, time BIGINT, request_id VARCHAR, pid BIGINT, host VARCHAR);

CREATE TABLE facts.work_started (id UUID, time BIGINT, request_id VARCHAR, pid BIGINT, host VARCHAR, numbers VARCHAR);

CREATE TABLE facts.work_cancel_requested (id UUID, time BIGINT, request_id VARCHAR, asked_by VARCHAR);

CREATE TABLE facts.work_ended (
    id UUID, time BIGINT, request_id VARCHAR, exit_code INTEGER, message VARCHAR, cancelled_by VARCHAR
);

-- Tokens that were made and revoked, sessions that began and ended, and who was refused, so many times.
CREATE TABLE facts.access (id UUID, time BIGINT, what VARCHAR, subject VARCHAR, "by" VARCHAR, count BIGINT);

-- One row a (namespace, dataset, partition) that was ever tried: the version in place (NULL when there is none), the
-- newest attempt, and when something last began to make it.
CREATE TABLE state.latest (
    namespace VARCHAR, dataset VARCHAR, partition VARCHAR,
    id UUID, asset VARCHAR, version VARCHAR, made_at BIGINT, started_at BIGINT, run_id VARCHAR, rows BIGINT, bytes BIGINT,
    time_max BIGINT, partition_start BIGINT, partition_end BIGINT, code_version VARCHAR, unknown_inputs BOOLEAN,
    attempt_id UUID, attempt_at BIGINT, attempt_state VARCHAR, attempt_error VARCHAR,
    last_run BIGINT
);

-- Of what others write, too: which versions were told of it, by whoever recorded, observed or made them, and when: each time that
-- another one had been told of that partition before. Names that somebody gave and hashes of the content don't replace each other:
-- the same data may have one of each. Of these datasets, or of all (`everything`).
CREATE MACRO state.told_of(everything, namespaces, datasets) AS TABLE
WITH words AS (
    SELECT id, time, namespace, dataset, partition, version, code_version IS NULL AS by_others
    FROM facts.outcomes WHERE state = 'published'
    UNION ALL
    SELECT id, time, namespace, dataset, partition, version, true FROM facts.observations WHERE version IS NOT NULL
),
others AS (
    SELECT DISTINCT namespace, dataset FROM words
    WHERE by_others
      AND (everything OR (namespace, dataset) IN (SELECT (unnest(namespaces::VARCHAR[]), unnest(datasets::VARCHAR[]))))
)
SELECT namespace, dataset, partition, version, time AS told
FROM words SEMI JOIN others USING (namespace, dataset)
QUALIFY version IS DISTINCT FROM lag(version) OVER (
    PARTITION BY namespace, dataset, partition, starts_with(version, 'sha256:') ORDER BY time, id);

-- Whether something was made of that version of a partition, by that name.
CREATE MACRO state.is_read(namespace_, dataset_, partition_, version_) AS EXISTS (
    FROM facts.inputs
    WHERE source_namespace = namespace_ AND source_dataset = dataset_
      AND source_partition IS NOT DISTINCT FROM partition_ AND source_version = version_
);

-- The tables below are worked out of the others when somebody asks for them, of the datasets that stand here: those of which
-- something was tried, or that were `defined` (NULL: observed), since they were worked out the last time.
CREATE TABLE state.pending (namespace VARCHAR, dataset VARCHAR, defined BOOLEAN);

-- The datasets at the ends of edges, numbered from 0 on, with the name that was used for each; `place` is short for namespace
-- and dataset. Numbers differ from one file to another: they only say what belongs together, in few bytes side by side.
CREATE TABLE state.nodes (number INTEGER, place UBIGINT, namespace VARCHAR, dataset VARCHAR, name VARCHAR);

-- One row an edge between two of them that was ever observed; `runs` counts the runs.
CREATE TABLE state.edges (
    source_place INTEGER, target_place INTEGER, runs BIGINT, first_seen BIGINT, last_seen BIGINT, via VARCHAR
);

-- The same of columns, one row a pair and the way that one is made of the other. A key is the number of a column; that of a whole
-- dataset is -1 less the number of the dataset.
CREATE TABLE state.column_nodes (number INTEGER, place INTEGER, "column" VARCHAR);
CREATE TABLE state.column_edges (
    source_key INTEGER, target_key INTEGER, source_place INTEGER, target_place INTEGER, type VARCHAR, subtype VARCHAR,
    runs BIGINT, first_seen BIGINT, last_seen BIGINT
);

-- Inputs as the newest definitions declare them (where the dataset was not known then, it is NULL), and as edges.
CREATE TABLE state.declared (
    source VARCHAR, source_namespace VARCHAR, source_dataset VARCHAR,
    target VARCHAR, target_namespace VARCHAR, target_dataset VARCHAR
);
CREATE TABLE state.declared_steps (source_place INTEGER, target_place INTEGER);

-- A short name for something long: half of the MD5 of its JSON.
CREATE MACRO state.short(value) AS md5_number_lower(CAST(to_json(value) AS VARCHAR));

-- One row a (namespace, dataset) that something is in place of: what follows from its versions in place. `place` is short for
-- the two, `keys_id` says which partitions they are of (in `state.keys`), `code` is the code version of those that have one,
-- unless they are `mixed`; `whole` says that it has no partitions (NULL: it did once, or did not). `told` is the furthest end of
-- data that versions tell by themselves, measured or claimed; no other one can reach further than `untold`.
CREATE TABLE state.outlines (
    namespace VARCHAR, dataset VARCHAR, place UBIGINT, keys_id UBIGINT, code VARCHAR, mixed BOOLEAN, oldest BIGINT,
    newest BIGINT, whole BOOLEAN, told BIGINT, untold BIGINT
);

-- What the versions in place of a dataset read, one row a dataset that they read. `place` and `source_place` are short for the
-- two, `pairs_id` says which partitions read which ones (in `state.pairs`), `settled` that all of that is in place still, in the
-- version that was read.
CREATE TABLE state.reads (
    namespace VARCHAR, dataset VARCHAR, source VARCHAR, source_namespace VARCHAR, source_dataset VARCHAR,
    place UBIGINT, source_place UBIGINT, pairs_id UBIGINT, settled BOOLEAN
);

-- What the ids stand for: thousands of datasets have the same partitions in place, each made of the same ones.
CREATE TABLE state.keys (keys_id UBIGINT, partition VARCHAR);
CREATE TABLE state.pairs (pairs_id UBIGINT, partition VARCHAR, source_partition VARCHAR);

-- One row a dataset, of its newest definition: its freshness policy (in microseconds; as JSON, too, if it goes by days), whether
-- the definition alone gives `data_through` a basis, whether its name stands for this dataset or for another one by now, and whether
-- it was `renamed`.
CREATE TABLE state.policies (
    namespace VARCHAR, dataset VARCHAR, place UBIGINT, name VARCHAR, defined BIGINT, stands BOOLEAN, max_lag BIGINT, warn BIGINT,
    clock VARCHAR, by_days VARCHAR, divided VARCHAR, basis BOOLEAN, static BOOLEAN, inputs VARCHAR[],
    renamed BOOLEAN
);

-- One row an asset, all that its verdict follows from: the policy, and where which clock stands. `judged` is the clock that the
-- policy is about: 0 data_through, 1 last_materialized; 2 says that it takes all facts to tell, NULL that there is no policy.
-- `clock` is the same once the versions in place have been asked: 2 where they leave open how far the data reaches.
CREATE TABLE state.clocks (
    place UBIGINT, name VARCHAR, max_lag BIGINT, warn BIGINT, by_days BOOLEAN, whole BOOLEAN, judged UTINYINT,
    clock UTINYINT, stands BIGINT
);
