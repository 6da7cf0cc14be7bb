-- What the reader asks about runs, their tasks, their logs, materializations and backfills.

-- name: runs
-- The newest runs, each with its newest attempt.
SELECT run_id AS id, flow, state, started, ended, attempt, type, parent_run_id AS parent, error
FROM runs
WHERE ($flow IS NULL OR flow = $flow) AND ($run IS NULL OR starts_with(run_id, $run))
QUALIFY row_number() OVER (PARTITION BY run_id ORDER BY attempt DESC) = 1
ORDER BY started DESC, run_id DESC
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
ORDER BY started, task_run_id;

-- name: logs
SELECT id, "at", level, logger, message, task_run_id AS task_run, attempt
FROM logs WHERE run_id = $run AND level >= $level
ORDER BY "at", id;

-- name: materializations
SELECT asset, partition, state, version, replaces, run_id AS run, make_timestamp(time) AS "at", rows, bytes, code_version,
       error.message AS error
FROM facts.outcomes
WHERE namespace = $namespace AND dataset = $dataset
ORDER BY time DESC, id DESC
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
