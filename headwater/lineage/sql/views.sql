-- The documented views: a stable interface for everybody's SQL. Times are UTC TIMESTAMPs.

-- What the view `runs` says: of all runs, or, without a look at the others, of those that backfills are:
-- `headwater materialize` drives one, too.
CREATE MACRO state.runs_of(backfills) AS TABLE
SELECT
    run_id, min(flow) AS flow, attempt,
    coalesce(
        arg_min(outcome, rank).state,
        CASE WHEN (run_id, attempt) IN (SELECT (run_id, attempt) FROM facts.cancel_requested) THEN 'Cancelling' END,
        arg_max(step, moment),
        'Running'
    ) AS state,
    make_timestamp(min(started)) AS started,
    make_timestamp(arg_min(outcome, rank).ended) AS ended,
    min(type) AS type, min(project) AS project, min(parent_run_id) AS parent_run_id, min(root_run_id) AS root_run_id,
    min(root_flow) AS root_flow, arg_min(outcome, rank).error AS error, min(name) AS name
FROM (
    SELECT run_id, attempt, flow, name, type, project, parent_run_id, root_run_id, root_flow, time AS started,
           NULL AS outcome, NULL AS rank, NULL AS step, NULL AS moment
    FROM facts.run_started WHERE NOT backfills OR type IN ('backfill', 'materialize')
    UNION ALL
    SELECT run_id, attempt, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, state, {time: time, id: id}
    FROM facts.run_state
    UNION ALL
    SELECT run_id, attempt, flow, NULL, type, project, parent_run_id, root_run_id, root_flow, started,
           {state: state, ended: time, error: error.message},
           {state: state_rank(state), time: time, id: id}, NULL, NULL
    FROM facts.run_ended WHERE NOT backfills OR type IN ('backfill', 'materialize')
)
GROUP BY run_id, attempt;

-- One row an attempt of a run. Without an end it is Running, AwaitingSlot while it waits for a limit, or Cancelling when
-- somebody asked it to stop; among several ends the fixed precedence of states decides.
CREATE VIEW runs AS FROM state.runs_of(false);

-- One row a task run. Ended: the terminal state, by precedence. Not ended: the last state that it changed into.
CREATE VIEW task_runs AS
SELECT
    task_run_id, run_id, min(task) AS task,
    coalesce(arg_min(outcome, rank).state, arg_max(step, moment).state, 'Running') AS state,
    coalesce(arg_min(outcome, rank).tries, arg_max(step, moment).tries, 1) AS tries,
    make_timestamp(min(started)) AS started,
    make_timestamp(arg_min(outcome, rank).ended) AS ended,
    CASE WHEN count(outcome) > 0 THEN arg_min(outcome, rank).error ELSE arg_max(step, moment).error END AS error,
    attempt, min(parent_task_run_id) AS parent_task_run_id
FROM (
    SELECT task_run_id, run_id, attempt, task, parent_task_run_id, time AS started,
           NULL AS outcome, NULL AS rank, NULL AS step, NULL AS moment
    FROM facts.task_started
    UNION ALL
    SELECT task_run_id, run_id, attempt, NULL, NULL, NULL,
           NULL, NULL,
           {state: state, tries: tries, error: error.message}, {tries: tries, time: time, id: id}
    FROM facts.task_state
    UNION ALL
    SELECT task_run_id, run_id, attempt, task, NULL, started,
           {state: state, tries: tries, ended: time, error: error.message},
           {state: state_rank(state), time: time, id: id},
           NULL, NULL
    FROM facts.task_ended
)
GROUP BY task_run_id, run_id, attempt;

-- One row a log record; `level` is the number of Python's logging module.
CREATE VIEW logs AS
SELECT run_id, task_run_id, make_timestamp(time) AS "at", level, logger, message, attempt, id FROM facts.logs;

-- One row an attempt of a run that lost detail to `headwater prune`: how its task runs stood when the first of them
-- expired, and before when task runs and log records may be gone (NULL: none of them is).
CREATE VIEW pruned_runs AS
SELECT run_id, attempt, arg_min(tasks, {time: time, id: id}) AS tasks,
       make_timestamp(max(before) FILTER (tasks IS NOT NULL)) AS task_runs_before,
       make_timestamp(max(before) FILTER (logs > 0)) AS logs_before
FROM facts.pruned
GROUP BY run_id, attempt;

-- One row a dataset: its newest definition.
CREATE VIEW assets AS
SELECT name, uri AS location, namespace, dataset, kind, project, make_timestamp(time) AS defined, hash, definition
FROM facts.definitions
QUALIFY row_number() OVER (PARTITION BY namespace, dataset ORDER BY time DESC, id DESC) = 1;

-- What a name stands for: its newest definition, or else a dataset that was called so.
CREATE VIEW asset_names AS
SELECT name, namespace, dataset FROM (
    SELECT name, namespace, dataset, time, id::VARCHAR AS id, 1 AS rank FROM facts.definitions
    UNION ALL
    SELECT asset, namespace, dataset, made_at, NULL, 0 FROM state.latest
    UNION ALL
    SELECT source, source_namespace, source_dataset, max(time), NULL, 0 FROM facts.inputs WHERE published GROUP BY ALL
)
QUALIFY row_number() OVER (PARTITION BY name ORDER BY rank DESC, time DESC, id DESC, dataset DESC) = 1;

-- One row a published version. `data_through` is the version's own evidence (the greatest value of its time column, never
-- beyond its partition's end or its start); what follows from its inputs is not SQL's to say.
CREATE VIEW materializations AS
SELECT
    asset, partition, version, run_id, make_timestamp(time) AS "at", rows, bytes,
    CASE WHEN time_max IS NOT NULL
         THEN make_timestamp(least(time_max, coalesce(partition_end, time_max), started_at)) END AS data_through,
    code_version, namespace, dataset, replaces, task_run_id, flow, task, make_timestamp(started_at) AS started,
    make_timestamp(partition_start) AS partition_start, make_timestamp(partition_end) AS partition_end, project,
    materialization_id
FROM facts.outcomes WHERE state = 'published';

-- One row an ended materialization, whatever came of it: published, refused, failed, skipped, discarded.
CREATE VIEW materialization_outcomes AS
SELECT asset, partition, state, version, run_id, make_timestamp(time) AS "at", error.type AS error_type,
       error.message AS error, namespace, dataset, make_timestamp(started_at) AS started, task_run_id,
       materialization_id
FROM facts.outcomes;

-- The version of each partition that is in place.
CREATE VIEW current_materializations AS
SELECT asset, partition, version, run_id, make_timestamp(made_at) AS "at", rows, bytes, code_version, namespace, dataset
FROM state.latest WHERE version IS NOT NULL;

CREATE VIEW observations AS
SELECT asset, partition, version, make_timestamp(time) AS "at", make_timestamp(data_through) AS data_through, rows, bytes,
       run_id, namespace, dataset
FROM facts.observations;

-- One row each time that the freshness verdict on an asset became another one, at that moment; `found` is when that was seen.
CREATE VIEW freshness_history AS
SELECT asset, verdict, before, make_timestamp("at") AS "at", clock, make_timestamp(stands) AS stands,
       make_timestamp(time) AS found, namespace, dataset
FROM facts.verdicts WHERE before IS DISTINCT FROM verdict;

-- One row a check that was asked: of a version that was being made (`published` says whether it was, `run_id` by which run),
-- or of one in place (`headwater check`). `metrics` are its figures by name.
CREATE VIEW checks AS
SELECT asset, partition, version, name, passed, blocking, message, run_id, make_timestamp(time) AS "at", published,
       namespace, dataset, coalesce(severity, CASE WHEN blocking THEN 'error' ELSE 'warn' END) AS severity,
       coalesce(kind, 'function') AS kind, metrics, description
FROM facts.checks;

-- Inputs as the newest definitions declare them. One whose dataset was not known then is found by its name.
CREATE VIEW declared_edges AS
WITH declared AS (
    SELECT unnest(json_transform(definition->'inputs',
               '[{"asset": "VARCHAR", "namespace": "VARCHAR", "dataset": "VARCHAR"}]')) AS i,
           name, namespace, dataset, defined
    FROM assets
),
named AS (
    SELECT name, arg_max({namespace: namespace, dataset: dataset}, {defined: defined, dataset: dataset}) AS place
    FROM assets GROUP BY name
)
SELECT DISTINCT
    d.i.asset AS source, coalesce(d.i.namespace, n.place.namespace) AS source_namespace,
    coalesce(d.i.dataset, n.place.dataset) AS source_dataset,
    d.name AS target, d.namespace AS target_namespace, d.dataset AS target_dataset, d.defined AS "at"
FROM declared AS d LEFT JOIN named AS n ON n.name = d.i.asset;

-- One row an edge: as it was observed (source partition and version, target partition and version, run), and as declared.
CREATE VIEW edges AS
SELECT source, target, source_partition, target_partition, source_version, target_version, run_id,
       'observed' AS origin, make_timestamp(time) AS "at", via,
       source_namespace, source_dataset, target_namespace, target_dataset
FROM facts.inputs WHERE published
UNION ALL
SELECT source, target, NULL, NULL, NULL, NULL, NULL, 'declared', "at", NULL,
       source_namespace, source_dataset, target_namespace, target_dataset
FROM declared_edges;

-- One row a column edge of a run. target_column is NULL where all of the target depends on the source column.
CREATE VIEW column_edges AS
SELECT source, source_column, target, target_column, type, subtype, run_id, make_timestamp(time) AS "at",
       target_partition, source_namespace, source_dataset, target_namespace, target_dataset
FROM facts.column_edges WHERE published;

-- Columns whose origin could not be told, with what made it so; "column" is NULL where that holds for all of them.
CREATE VIEW unknown_columns AS
SELECT asset, "column", reason, run_id, make_timestamp(time) AS "at", partition, namespace, dataset
FROM facts.unknown_columns WHERE published;

-- One row a pair of datasets, over all runs. A place is short for namespace and dataset.
CREATE VIEW dataset_edges AS
SELECT *, state.short([source_namespace, source_dataset]) AS source_place,
       state.short([target_namespace, target_dataset]) AS target_place
FROM (
    SELECT
        source_namespace, source_dataset, target_namespace, target_dataset,
        max(source) AS source, max(target) AS target,
        CASE WHEN bool_or(origin = 'observed') THEN 'observed' ELSE 'declared' END AS origin,
        bool_or(origin = 'declared') AS declared, count(DISTINCT run_id) AS runs,
        max("at") FILTER (origin = 'observed') AS last_seen, min(via) AS via
    FROM edges
    GROUP BY ALL
);

-- One row a pair of columns and the way that one is made of the other, over all runs. A key is short for namespace, dataset and
-- column; that of a whole dataset is its place.
CREATE VIEW dataset_column_edges AS
SELECT *, state.short([source_namespace, source_dataset]) AS source_place,
       state.short([target_namespace, target_dataset]) AS target_place,
       state.short([source_namespace, source_dataset, source_column]) AS source_key,
       CASE WHEN target_column IS NOT NULL THEN state.short([target_namespace, target_dataset, target_column])
            ELSE target_place END AS target_key
FROM (
    SELECT
        source_namespace, source_dataset, source_column, target_namespace, target_dataset, target_column, type, subtype,
        max(source) AS source, max(target) AS target, count(DISTINCT run_id) AS runs, max("at") AS last_seen
    FROM column_edges
    GROUP BY ALL
);

-- The same two out of what is worked out on demand: of use when nothing is pending. Places and keys are numbers here.
CREATE VIEW state.dataset_edges AS
SELECT s.namespace AS source_namespace, s.dataset AS source_dataset, t.namespace AS target_namespace,
       t.dataset AS target_dataset, s.name AS source, t.name AS target, e.origin, e.declared, e.runs,
       make_timestamp(e.last_seen) AS last_seen, e.via, source_place, target_place
FROM (
    SELECT source_place, target_place, CASE WHEN o.runs IS NULL THEN 'declared' ELSE 'observed' END AS origin,
           d.declared IS NOT NULL AS declared, coalesce(o.runs, 0) AS runs, o.last_seen, o.via
    FROM state.edges AS o
    FULL JOIN (SELECT *, true AS declared FROM state.declared_steps) AS d USING (source_place, target_place)
) AS e
JOIN state.nodes AS s ON s.number = e.source_place
JOIN state.nodes AS t ON t.number = e.target_place;

CREATE VIEW state.dataset_column_edges AS
SELECT s.namespace AS source_namespace, s.dataset AS source_dataset, sc."column" AS source_column,
       t.namespace AS target_namespace, t.dataset AS target_dataset, tc."column" AS target_column, e.type, e.subtype,
       s.name AS source, t.name AS target, e.runs, make_timestamp(e.last_seen) AS last_seen, e.source_place, e.target_place,
       e.source_key, e.target_key
FROM state.column_edges AS e
JOIN state.nodes AS s ON s.number = e.source_place
JOIN state.nodes AS t ON t.number = e.target_place
JOIN state.column_nodes AS sc ON sc.number = e.source_key
LEFT JOIN state.column_nodes AS tc ON tc.number = e.target_key;

-- What the two say, without the numbers.
CREATE VIEW state.told_edges AS
SELECT * EXCLUDE (source, target, source_place, target_place) FROM state.dataset_edges;
CREATE VIEW state.told_column_edges AS
SELECT * EXCLUDE (source, target, source_place, target_place, source_key, target_key) FROM state.dataset_column_edges;

-- All that an asset is made of, and all that is made of it, directly or not, with the fewest steps. A walk meets each dataset
-- once: a cycle ends by itself.
CREATE MACRO upstream(of_asset) AS TABLE
WITH RECURSIVE pairs AS MATERIALIZED (FROM dataset_edges),
walk(place, asset, namespace, dataset, steps) USING KEY (place) AS (
    SELECT state.short([a.namespace, a.dataset]), a.name, a.namespace, a.dataset, 0 FROM asset_names AS a
    WHERE a.name = of_asset
    UNION
    SELECT p.source_place, max(p.source), max(p.source_namespace), max(p.source_dataset), min(w.steps) + 1
    FROM walk AS w
    JOIN pairs AS p ON p.target_place = w.place
    LEFT JOIN recurring.walk AS seen ON seen.place = p.source_place
    WHERE seen.place IS NULL GROUP BY p.source_place
)
SELECT asset, steps, namespace, dataset FROM walk WHERE steps > 0;

CREATE MACRO downstream(of_asset) AS TABLE
WITH RECURSIVE pairs AS MATERIALIZED (FROM dataset_edges),
walk(place, asset, namespace, dataset, steps) USING KEY (place) AS (
    SELECT state.short([a.namespace, a.dataset]), a.name, a.namespace, a.dataset, 0 FROM asset_names AS a
    WHERE a.name = of_asset
    UNION
    SELECT p.target_place, max(p.target), max(p.target_namespace), max(p.target_dataset), min(w.steps) + 1
    FROM walk AS w
    JOIN pairs AS p ON p.source_place = w.place
    LEFT JOIN recurring.walk AS seen ON seen.place = p.target_place
    WHERE seen.place IS NULL GROUP BY p.target_place
)
SELECT asset, steps, namespace, dataset FROM walk WHERE steps > 0;

-- All columns that are made of a column, directly or not; NULL stands for a whole asset, each row of which depends on it.
CREATE MACRO column_impact(of_asset, of_column) AS TABLE
WITH RECURSIVE pairs AS MATERIALIZED (FROM dataset_column_edges),
walk(key, asset, name, steps) USING KEY (key) AS (
    SELECT state.short([a.namespace, a.dataset, of_column]), a.name, of_column, 0 FROM asset_names AS a
    WHERE a.name = of_asset
    UNION
    SELECT p.target_key, max(p.target), max(p.target_column), min(w.steps) + 1
    FROM walk AS w
    JOIN pairs AS p ON p.source_key = w.key OR (w.name IS NULL AND p.source_place = w.key)
    LEFT JOIN recurring.walk AS seen ON seen.key = p.target_key
    WHERE seen.key IS NULL GROUP BY p.target_key
)
SELECT asset, name AS "column", steps FROM walk WHERE steps > 0;

-- One row a launched or ended (asset, partition) of a backfill: what its newest attempt says. One that was launched and has no
-- outcome is running, or interrupted when the run has ended that launched it.
CREATE VIEW backfill_partitions AS
WITH told AS (
    SELECT
        backfill_id, asset, partition, max(attempt) AS attempt,
        coalesce(arg_max(state, {attempt: attempt, ended: ended, time: time, id: id}), 'running') AS state,
        arg_max({reason: reason}, {attempt: attempt, ended: ended, time: time, id: id}).reason AS reason,
        make_timestamp(max(time)) AS "at"
    FROM (
        SELECT id, time, backfill_id, attempt, asset, partition, 'running' AS state, NULL AS reason, false AS ended
        FROM facts.backfill_launched
        UNION ALL
        SELECT id, time, backfill_id, attempt, asset, partition, state, reason, true FROM facts.backfill_ended
    )
    GROUP BY backfill_id, asset, partition
)
SELECT t.* REPLACE (CASE WHEN t.state = 'running' AND t.attempt <= e.attempt THEN 'interrupted' ELSE t.state END AS state)
FROM told AS t
LEFT JOIN (SELECT run_id, max(attempt) AS attempt FROM facts.run_ended GROUP BY run_id) AS e ON e.run_id = t.backfill_id;

-- One row a backfill. It runs as long as its run does; what it left unsettled then makes it interrupted, unless it
-- ended by itself: failed (after too many failures), or cancelled. One that was asked to stop is pausing or cancelling, then
-- paused or cancelled; after `backfill cancel` what has no outcome counts as cancelled.
CREATE VIEW backfills AS
WITH counted AS (
    SELECT backfill_id,
           count(*) FILTER (state = 'completed') AS completed, count(*) FILTER (state = 'failed') AS failed,
           count(*) FILTER (state = 'running') AS running, count(*) FILTER (state = 'skipped') AS skipped,
           count(*) FILTER (state = 'blocked') AS blocked
    FROM backfill_partitions GROUP BY backfill_id
),
asked AS (
    SELECT * FROM facts.backfill_requested
    QUALIFY row_number() OVER (PARTITION BY backfill_id ORDER BY time, id) = 1
),
last_run AS (
    SELECT run_id, arg_max(state, attempt) AS state, max(ended) AS ended, max(attempt) AS attempt,
           arg_max(started, attempt) AS started
    FROM state.runs_of(true) WHERE run_id IN (SELECT backfill_id FROM facts.backfill_requested) GROUP BY run_id
),
last_stop AS (
    SELECT backfill_id, attempt, arg_max(what, {time: time, id: id}) AS what FROM facts.backfill_stopped GROUP BY ALL
),
last_asked AS (
    SELECT backfill_id, make_timestamp(max(time)) AS "at", arg_max(what, {time: time, id: id}) AS what
    FROM facts.backfill_asked GROUP BY backfill_id
),
told AS (
    SELECT a.backfill_id, a.name, a.targets, a.range, make_timestamp(a.time) AS "at", r.ended, r.attempt,
           r.state AS run_state, a.options, a.plan, a.origin,
           coalesce(a.requested, TRY_CAST(a.plan->>'total' AS BIGINT), 0) AS requested,
           coalesce(c.completed, 0) AS completed, coalesce(c.failed, 0) AS failed,
           coalesce(c.running, 0) AS running, coalesce(c.skipped, 0) AS skipped, coalesce(c.blocked, 0) AS blocked,
           s.what AS stopped, CASE WHEN w."at" >= r.started THEN w.what END AS asked_to
    FROM asked AS a
    LEFT JOIN last_run AS r ON r.run_id = a.backfill_id
    LEFT JOIN counted AS c USING (backfill_id)
    LEFT JOIN last_stop AS s ON s.backfill_id = a.backfill_id AND s.attempt = coalesce(r.attempt, 0)
    LEFT JOIN last_asked AS w ON w.backfill_id = a.backfill_id
)
SELECT
    backfill_id,
    CASE
        WHEN run_state IN ('Running', 'Cancelling') THEN
            CASE asked_to WHEN 'pause' THEN 'pausing' WHEN 'cancel' THEN 'cancelling' ELSE 'running' END
        WHEN stopped = 'cancel' THEN 'cancelled'
        WHEN run_state IS NULL THEN 'requested'
        WHEN stopped = 'pause' AND completed + skipped < requested THEN 'paused'
        WHEN completed + failed + skipped + blocked < requested THEN
            CASE run_state WHEN 'Cancelled' THEN 'cancelled' WHEN 'Failed' THEN 'failed' ELSE 'interrupted' END
        WHEN failed + blocked > 0 THEN 'failed'
        ELSE 'completed'
    END AS state,
    CASE WHEN stopped = 'cancel' AND run_state IS DISTINCT FROM 'Running'
         THEN requested - completed - failed - skipped - blocked ELSE 0 END AS cancelled,
    * EXCLUDE (backfill_id, stopped, asked_to)
FROM told;

-- One row a request to start work: asked, until a worker has taken it, then running, done or failed; cancelled, when it was
-- taken back before its run began. One that was taken twice (its worker died at once) counts once; `process` is the one that was
-- started since it was taken last.
CREATE VIEW work_requests AS
SELECT a.request_id, a.what, a.arguments, a.asked_by, a.project, make_timestamp(a.time) AS "at", t.pid, t.host, t.takes,
       CASE WHEN s.time >= t.time THEN s.pid END AS process, s.host AS process_host, s.numbers AS process_numbers,
       make_timestamp(t.time) AS taken, make_timestamp(e.time) AS ended, e.exit_code, e.message,
       coalesce(e.cancelled_by, c.asked_by) AS cancelled_by,
       CASE WHEN e.cancelled_by IS NOT NULL OR (e.exit_code <> 0 AND c.request_id IS NOT NULL) THEN 'cancelled' WHEN e.exit_code = 0 THEN 'done' WHEN e.exit_code IS NOT NULL THEN 'failed'
            WHEN t.request_id IS NOT NULL THEN 'running' ELSE 'asked' END AS state
FROM facts.work_asked AS a
LEFT JOIN (
    SELECT *, count(*) OVER (PARTITION BY request_id) AS takes FROM facts.work_taken
    QUALIFY row_number() OVER (PARTITION BY request_id ORDER BY time DESC, id DESC) = 1
) AS t USING (request_id)
LEFT JOIN (SELECT * FROM facts.work_started QUALIFY row_number() OVER (PARTITION BY request_id ORDER BY time DESC, id DESC) = 1) AS s
    USING (request_id)
LEFT JOIN (SELECT request_id, arg_min(asked_by, time) AS asked_by FROM facts.work_cancel_requested GROUP BY request_id) AS c
    USING (request_id)
LEFT JOIN (SELECT * FROM facts.work_ended QUALIFY row_number() OVER (PARTITION BY request_id ORDER BY time DESC, id DESC) = 1) AS e
    USING (request_id)
QUALIFY row_number() OVER (PARTITION BY a.request_id ORDER BY a.time, a.id) = 1;
