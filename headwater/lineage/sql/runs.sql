-- What the reader asks about runs, their tasks, their logs, materializations and backfills.

-- name: runs
-- The newest runs, each with its newest attempt.
FROM (
    SELECT run_id AS id, flow, state, started, ended, attempt, type, parent_run_id AS parent, error
    FROM runs
    WHERE ($flow IS NULL OR flow = $flow) AND ($run IS NULL OR starts_with(run_id, $run))
    QUALIFY row_number() OVER (PARTITION BY run_id ORDER BY attempt DESC) = 1
)
WHERE ($state IS NULL OR state = $state)
    AND ($last IS NULL OR started < $started::TIMESTAMP OR (started = $started::TIMESTAMP AND id < $last))
ORDER BY started DESC, id DESC
LIMIT $limit;

-- name: task_counts
-- A plain filter on the run's id, not a join: it reaches below the view's GROUP BY.
SELECT run_id, attempt, state, count(*) FROM task_runs WHERE list_contains($runs::VARCHAR[], run_id)
GROUP BY ALL ORDER BY ALL;

-- name: pruned
SELECT run_id, attempt, tasks, greatest(task_runs_before, logs_before) FROM pruned_runs
WHERE list_contains($runs::VARCHAR[], run_id);

-- name: pruned_detail
-- Of all attempts of a run.
SELECT max(task_runs_before) AS task_runs, max(logs_before) AS logs FROM pruned_runs WHERE run_id = $run;

-- name: task_runs
SELECT task_run_id AS id, task, state, tries, started, ended, attempt, parent_task_run_id AS parent, error
FROM task_runs WHERE run_id = $run
ORDER BY started, task_run_id
LIMIT $limit OFFSET $offset;

-- name: logs
SELECT CAST(id AS VARCHAR) AS id, "at", level, logger, message, task_run_id AS task_run, attempt
FROM logs WHERE run_id = $run AND level >= $level
ORDER BY "at", id
LIMIT $limit OFFSET $offset;

-- name: materializations
SELECT asset, partition, state, version, replaces, run_id AS run, make_timestamp(time) AS "at", rows, bytes, code_version,
       error.message AS error
FROM facts.outcomes
WHERE namespace = $namespace AND dataset = $dataset
ORDER BY time DESC, id DESC
LIMIT $limit;

-- name: checks
-- One row a check: of how many partitions it was asked, on how many it failed when it was asked last, and the newest of
-- these failures; of a check that failed on none, its newest answer.
WITH answers AS (
    SELECT *, row_number() OVER (PARTITION BY namespace, dataset, name, partition ORDER BY "at" DESC) = 1 AS newest
    FROM checks
    WHERE $everything OR list_contains($names::VARCHAR[], asset)
)
SELECT asset, name, partition, passed, severity, blocking, kind, message, metrics, description, run_id AS run, "at",
       count(*) FILTER (newest) OVER one AS partitions, count(*) FILTER (newest AND NOT passed) OVER one AS failing
FROM answers
WINDOW one AS (PARTITION BY namespace, dataset, name)
QUALIFY row_number() OVER (PARTITION BY namespace, dataset, name ORDER BY newest AND NOT passed DESC, "at" DESC) = 1
    AND (failing > 0 OR NOT $failed)
ORDER BY failing > 0 DESC, asset, name
LIMIT $limit;

-- name: check_history
SELECT asset, partition, version, name, passed, severity, blocking, kind, message, metrics, description, run_id AS run, "at",
       published
FROM checks
WHERE ($everything OR list_contains($names::VARCHAR[], asset)) AND (NOT $failed OR NOT passed)
ORDER BY "at" DESC, asset, partition DESC, name
LIMIT $limit;

-- name: usual_seconds
-- The median of the seconds that the last fifty versions of each asset took, from its intent to its outcome.
SELECT asset, median((time - started_at) / 1e6) AS seconds
FROM (
    SELECT asset, time, started_at FROM facts.outcomes WHERE state = 'published' AND list_contains($assets::VARCHAR[], asset)
    QUALIFY row_number() OVER (PARTITION BY asset ORDER BY time DESC, id DESC) <= 50
)
GROUP BY asset;

-- name: backfills
SELECT backfill_id AS id, state, targets AS assets, range, name, "at", ended, attempt, requested, completed,
       failed, running, skipped, blocked, cancelled
FROM backfills
WHERE $wanted IS NULL OR backfill_id = $wanted OR name = $wanted
ORDER BY backfills."at" DESC, backfill_id DESC
LIMIT $limit;

-- name: backfill_partitions
SELECT asset, partition, state, attempt, reason, "at" FROM backfill_partitions WHERE backfill_id = $backfill
ORDER BY asset, partition;

-- name: dynamic_keys
-- Every key that was ever added to a list, in that order, and whether it is there now.
SELECT key, arg_max(here, id) AS here FROM facts.dynamic_keys WHERE name = $name
GROUP BY key ORDER BY min(id), arg_min(place, id), key;

-- name: dynamic_lists
SELECT name, count(*) FILTER (here) AS partitions, count(*) FILTER (NOT here) AS removed
FROM (SELECT name, key, arg_max(here, id) AS here FROM facts.dynamic_keys GROUP BY name, key)
GROUP BY name ORDER BY name;

-- name: backfill_asked
SELECT what, asked_by FROM facts.backfill_asked WHERE backfill_id = $backfill AND time >= $since ORDER BY time, id;

-- name: backfill_requests
-- The first request of each backfill whose id begins so, with the newest attempt of its run.
SELECT backfill_id, name, targets, range, CAST(options AS VARCHAR) AS options, CAST(plan AS VARCHAR) AS plan,
       coalesce((SELECT max(r.attempt) FROM runs AS r WHERE r.run_id = backfill_id), 0) AS attempt
FROM facts.backfill_requested
WHERE starts_with(backfill_id, $wanted)
QUALIFY row_number() OVER (PARTITION BY backfill_id ORDER BY time, id) = 1
ORDER BY time DESC;

-- name: work_requests
SELECT request_id AS id, what, state, CAST(arguments AS VARCHAR) AS arguments, asked_by, "at", taken, ended, exit_code, message,
       pid, host
FROM work_requests
WHERE ($wanted IS NULL OR request_id = $wanted) AND (NOT $open OR state IN ('asked', 'running'))
ORDER BY work_requests."at" DESC, id DESC
LIMIT $limit;

-- name: ended_runs
-- Each attempt once: of several ends the first.
SELECT flow, state, count(*) AS count, sum(seconds) AS seconds,
       list_transform($buckets::DOUBLE[], lambda b: len(list_filter(list(seconds), lambda s: s <= b))) AS buckets
FROM (
    SELECT flow, state, greatest(0, (time - started) / 1e6) AS seconds FROM facts.run_ended
    QUALIFY row_number() OVER (PARTITION BY run_id, attempt ORDER BY state_rank(state), time) = 1
)
GROUP BY flow, state ORDER BY flow, state;

-- name: running_runs
SELECT flow, count(DISTINCT run_id) AS count FROM facts.run_started AS s
WHERE NOT EXISTS (FROM facts.run_ended AS e WHERE e.run_id = s.run_id AND e.attempt = s.attempt)
GROUP BY flow ORDER BY flow;

-- name: ended_tasks
SELECT state, count(*) AS count, sum(greatest(0, (time - started) / 1e6)) AS seconds FROM facts.task_ended
GROUP BY state ORDER BY state;

-- name: freshness_history
SELECT asset, verdict, before, "at", clock, stands, found FROM freshness_history
WHERE $everything OR asset IN (SELECT unnest($names::VARCHAR[]))
ORDER BY "at" DESC, found DESC, asset
LIMIT $limit;
