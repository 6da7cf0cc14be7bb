-- What the reader asks about runs, their tasks, their logs, materializations and backfills.

-- name: newest_runs
-- The ids of the newest runs among those that are asked for, and when they started; what is not so in the end (their states) is
-- left out afterwards. The view would be worked out for all runs: this takes a hundredth of that.
-- Earlier attempts of the same runs are among them, and most runs are in both lists: each is full when it has $limit rows.
WITH started AS (
    SELECT run_id AS id, time AS started FROM facts.run_started
    WHERE ($flow IS NULL OR flow = $flow) AND ($run IS NULL OR starts_with(run_id, $run))
        AND ($parent IS NULL OR parent_run_id = $parent)
        AND ($text = '' OR contains(lower(flow), lower($text)) OR contains(lower(name), lower($text)) OR starts_with(run_id, $text))
        AND ($since IS NULL OR time < $since OR (time = $since AND run_id < $last))
        AND $state IS NULL
    ORDER BY time DESC, run_id DESC
    LIMIT $limit
),
ended AS (
    SELECT run_id AS id, started FROM facts.run_ended
    WHERE ($flow IS NULL OR flow = $flow) AND ($run IS NULL OR starts_with(run_id, $run))
        AND ($parent IS NULL OR parent_run_id = $parent)
        AND ($text = '' OR contains(lower(flow), lower($text)) OR starts_with(run_id, $text))
        AND ($since IS NULL OR started < $since OR (started = $since AND run_id < $last))
        AND ($state IS NULL OR state = $state) AND started IS NOT NULL
    ORDER BY started DESC, run_id DESC
    LIMIT $limit
),
named AS (
    -- Of a state and with a name of their own, which ends do not tell.
    SELECT run_id AS id, e.started FROM facts.run_ended AS e JOIN facts.run_started AS s USING (run_id, attempt)
    WHERE $text <> '' AND $state IS NOT NULL AND e.state = $state AND contains(lower(s.name), lower($text))
        AND ($flow IS NULL OR e.flow = $flow) AND ($run IS NULL OR starts_with(run_id, $run))
        AND ($parent IS NULL OR e.parent_run_id = $parent)
        AND ($since IS NULL OR e.started < $since OR (e.started = $since AND run_id < $last))
    ORDER BY e.started DESC, run_id DESC
    LIMIT $limit
)
SELECT id, started, 'started' AS list FROM started UNION ALL SELECT id, started, 'ended' AS list FROM ended
UNION ALL SELECT id, started, 'named' AS list FROM named;

-- name: open_runs
-- The same of those that have not ended: hardly any, so that all of them are found first.
WITH open AS (
    SELECT run_id, attempt FROM facts.run_started EXCEPT SELECT run_id, attempt FROM facts.run_ended
)
SELECT run_id AS id, max(time) AS started, 'open' AS list FROM facts.run_started AS s
WHERE (run_id, attempt) IN (FROM open) AND $state IS NOT NULL
    AND ($flow IS NULL OR flow = $flow) AND ($run IS NULL OR starts_with(run_id, $run))
    AND ($parent IS NULL OR parent_run_id = $parent)
    AND ($text = '' OR contains(lower(flow), lower($text)) OR contains(lower(name), lower($text)) OR starts_with(run_id, $text))
    AND ($since IS NULL OR time < $since OR (time = $since AND run_id < $last))
GROUP BY run_id ORDER BY started DESC, run_id DESC LIMIT $limit;

-- name: runs
-- These runs, each with its newest attempt. Between the first and the last of the ids, which say when a run began, few others lie.
SELECT run_id AS id, flow, name, state, started, ended, attempt, type, parent_run_id AS parent, error
FROM runs
WHERE run_id BETWEEN $least AND $most AND list_contains($runs::VARCHAR[], run_id)
QUALIFY row_number() OVER (PARTITION BY run_id ORDER BY attempt DESC) = 1;

-- name: is_run
SELECT run_id FROM facts.run_started WHERE run_id = $run
UNION ALL SELECT run_id FROM facts.run_ended WHERE run_id = $run LIMIT 1;

-- name: task_counts
-- A plain filter on the run's id, not a join: it reaches below the view's GROUP BY.
SELECT run_id, attempt, state, count(*) FROM task_runs
WHERE run_id BETWEEN $least AND $most AND list_contains($runs::VARCHAR[], run_id)
GROUP BY ALL ORDER BY ALL;

-- name: pruned
SELECT run_id, attempt, tasks, greatest(task_runs_before, logs_before) FROM pruned_runs
WHERE list_contains($runs::VARCHAR[], run_id);

-- name: pruned_detail
-- Of all attempts of a run.
SELECT max(task_runs_before) AS task_runs, max(logs_before) AS logs FROM pruned_runs WHERE run_id = $run;

-- name: task_runs
SELECT task_run_id AS id, task, state, tries, started, ended, attempt, parent_task_run_id AS parent, error
FROM task_runs
WHERE run_id = $run AND ($state IS NULL OR state = $state) AND ($text = '' OR contains(lower(task), lower($text)))
ORDER BY started, task_run_id
LIMIT $limit OFFSET $offset;

-- name: logs
SELECT CAST(id AS VARCHAR) AS id, "at", level, logger, message, task_run_id AS task_run, attempt
FROM logs WHERE run_id = $run AND level >= $level
ORDER BY "at", id
LIMIT $limit OFFSET $offset;

-- name: materializations
-- Of the datasets that an asset is and was.
SELECT $asset AS asset, partition, state, version, replaces, run_id AS run, make_timestamp(time) AS "at", rows, bytes, code_version,
       error.message AS error, CAST(id AS VARCHAR) AS id
FROM facts.outcomes
WHERE (namespace, dataset) IN (SELECT (unnest($namespaces::VARCHAR[]), unnest($datasets::VARCHAR[])))
    AND ($since IS NULL OR make_timestamp(time) < $since::TIMESTAMP
         OR (make_timestamp(time) = $since::TIMESTAMP AND CAST(id AS VARCHAR) < $last))
ORDER BY time DESC, CAST(id AS VARCHAR) DESC
LIMIT $limit;

-- name: checked
-- The datasets that checks were asked of, with what each was called then, and whether a definition tells of it.
SELECT namespace, dataset, max(asset), (namespace, dataset) IN (SELECT (namespace, dataset) FROM facts.definitions)
FROM facts.checks GROUP BY namespace, dataset ORDER BY ALL;

-- name: checks
-- One row a check: of how many partitions it was asked, on how many it failed when it was asked last, and the newest of
-- these failures; of a check that failed on none, its newest answer. The datasets are those that assets are and were, each with the
-- asset's name of now.
WITH called AS (
    SELECT unnest($namespaces::VARCHAR[]) AS namespace, unnest($datasets::VARCHAR[]) AS dataset, unnest($names::VARCHAR[]) AS called
),
answers AS (
    SELECT *, row_number() OVER (PARTITION BY called, name, partition ORDER BY "at" DESC) = 1 AS newest
    FROM checks JOIN called USING (namespace, dataset)
)
SELECT called AS asset, name, partition, passed, severity, blocking, kind, message, metrics, description, run_id AS run, "at",
       count(*) FILTER (newest) OVER one AS partitions, count(*) FILTER (newest AND NOT passed) OVER one AS failing
FROM answers
WINDOW one AS (PARTITION BY called, name)
QUALIFY row_number() OVER (PARTITION BY called, name ORDER BY newest AND NOT passed DESC, "at" DESC) = 1
    AND (failing > 0 OR NOT $failed)
ORDER BY failing > 0 DESC, called, name
LIMIT $limit OFFSET $offset;

-- name: check_history
SELECT called AS asset, partition, version, name, passed, severity, blocking, kind, message, metrics, description, run_id AS run,
       "at", published
FROM checks JOIN (
    SELECT unnest($namespaces::VARCHAR[]) AS namespace, unnest($datasets::VARCHAR[]) AS dataset, unnest($names::VARCHAR[]) AS called
) USING (namespace, dataset)
WHERE ($check IS NULL OR name = $check) AND (NOT $failed OR NOT passed) AND ($until IS NULL OR "at" <= $until::TIMESTAMP)
ORDER BY "at" DESC, called, partition DESC, name
LIMIT $limit OFFSET $offset;

-- name: usual_seconds
-- The median of the seconds that the last fifty versions of each asset took, from its intent to its outcome.
SELECT called, median((time - started_at) / 1e6) AS seconds
FROM (
    SELECT called, time, started_at FROM facts.outcomes JOIN (
        SELECT unnest($namespaces::VARCHAR[]) AS namespace, unnest($datasets::VARCHAR[]) AS dataset, unnest($names::VARCHAR[]) AS called
    ) USING (namespace, dataset)
    WHERE state = 'published'
    QUALIFY row_number() OVER (PARTITION BY called ORDER BY time DESC, id DESC) <= 50
)
GROUP BY called;

-- name: backfills
SELECT backfill_id AS id, state, targets AS assets, range, name, "at", ended, attempt, requested, completed,
       failed, running, skipped, blocked, cancelled
FROM backfills
WHERE ($wanted IS NULL OR backfill_id = $wanted OR name = $wanted)
    AND ($last IS NULL OR backfills."at" < $since::TIMESTAMP OR (backfills."at" = $since::TIMESTAMP AND backfill_id < $last))
ORDER BY backfills."at" DESC, backfill_id DESC
LIMIT $limit;

-- name: backfill_partitions
SELECT asset, partition, state, attempt, reason, "at" FROM backfill_partitions WHERE backfill_id = $backfill
ORDER BY asset, partition;

-- name: dynamic_keys
-- Every key that was ever added to a list, in that order, and whether it is there now.
SELECT key, arg_max(here, id) AS here FROM facts.dynamic_keys WHERE name = $name
GROUP BY key ORDER BY min(id), arg_min(place, id), key;

-- name: dynamic_names
SELECT DISTINCT name FROM facts.dynamic_keys ORDER BY name;

-- name: dynamic_lists
SELECT name, count(*) FILTER (here) AS partitions, count(*) FILTER (NOT here) AS removed
FROM (SELECT name, key, arg_max(here, id) AS here FROM facts.dynamic_keys GROUP BY name, key)
GROUP BY name ORDER BY name;

-- name: backfill_asked
SELECT what, asked_by FROM facts.backfill_asked WHERE backfill_id = $backfill AND time >= $since ORDER BY time, id;

-- name: backfill_requests
-- The first request of each backfill whose id begins so, with the newest attempt of its run.
SELECT backfill_id, name, targets, range, CAST(options AS VARCHAR) AS options, CAST(plan AS VARCHAR) AS plan,
       coalesce((SELECT max(r.attempt) FROM state.runs_of(true) AS r WHERE r.run_id = backfill_id), 0) AS attempt
FROM facts.backfill_requested
WHERE starts_with(backfill_id, $wanted)
QUALIFY row_number() OVER (PARTITION BY backfill_id ORDER BY time, id) = 1
ORDER BY time DESC;

-- name: work_requests
-- `run` is the one that it goes on with, or that has begun for it; NULL until then.
WITH listed AS MATERIALIZED (
    SELECT request_id AS id, what, state, arguments, asked_by, project, "at", taken, ended, exit_code, message, cancelled_by, pid, host,
           coalesce(takes, 0) AS takes, process, process_host, process_numbers
    FROM work_requests
    WHERE ($wanted IS NULL OR request_id = $wanted) AND (NOT $open OR state IN ('asked', 'running'))
        AND ($project IS NULL OR project IS NULL OR project = $project)
        AND ($last IS NULL OR work_requests."at" < $since::TIMESTAMP OR (work_requests."at" = $since::TIMESTAMP AND id < $last))
    ORDER BY work_requests."at" DESC, id DESC
    LIMIT $limit
)
SELECT listed.* REPLACE (CAST(arguments AS VARCHAR) AS arguments),
       coalesce(arguments->>'run', arguments->>'backfill', begun.run_id) AS run
FROM listed LEFT JOIN (SELECT DISTINCT run_id FROM facts.run_started SEMI JOIN listed ON run_id = listed.id) AS begun ON run_id = listed.id
ORDER BY "at" DESC, id DESC;

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
-- Each task run once: what completed in a transaction ends again when that commits, or is rolled back.
SELECT state, count(*) AS count, sum(seconds) AS seconds
FROM (
    SELECT unnest(arg_min({state: state, seconds: greatest(0, (time - started) / 1e6)}, {state: state_rank(state), time: time}))
    FROM facts.task_ended GROUP BY task_run_id, run_id, attempt
)
GROUP BY state ORDER BY state;

-- name: judged_datasets
-- The datasets that verdicts were found on, as `checked` tells them.
SELECT namespace, dataset, max(asset), (namespace, dataset) IN (SELECT (namespace, dataset) FROM facts.definitions)
FROM facts.verdicts GROUP BY namespace, dataset ORDER BY ALL;

-- name: freshness_history
SELECT called AS asset, verdict, before, "at", clock, stands, found FROM freshness_history JOIN (
    SELECT unnest($namespaces::VARCHAR[]) AS namespace, unnest($datasets::VARCHAR[]) AS dataset, unnest($names::VARCHAR[]) AS called
) USING (namespace, dataset)
ORDER BY "at" DESC, found DESC, called
LIMIT $limit;

-- name: run_called
-- How a run was called the last time, who asked for it, and how many runs are within it.
SELECT CAST(parameters AS VARCHAR) AS parameters, project, root_run_id AS root, root_flow, parent_flow,
       parent_task_run_id AS parent_task_run, source,
       (SELECT arg_min(asked_by, time) FROM facts.work_asked WHERE request_id = $run) AS asked_by,
       (SELECT arg_max(asked_by, time) FROM facts.cancel_requested WHERE run_id = $run) AS cancelled_by,
       (SELECT count(DISTINCT run_id) FROM facts.run_started WHERE parent_run_id = $run) AS children
FROM facts.run_started WHERE run_id = $run
ORDER BY attempt DESC, time DESC
LIMIT 1;

-- name: run_attempts
-- Among several ends of an attempt the precedence of states decides, as it does in the view.
SELECT r.attempt, r.state, r.started, r.ended, e.error
FROM (FROM runs WHERE run_id = $run) AS r
LEFT JOIN (
    SELECT attempt, error FROM facts.run_ended WHERE run_id = $run
    QUALIFY row_number() OVER (PARTITION BY attempt ORDER BY state_rank(state), time, id) = 1
) AS e ON e.attempt = r.attempt
ORDER BY r.attempt DESC
LIMIT $limit;

-- name: began
-- The state of the newest attempt that began for a request; nothing when none did. A run that the request has made is its own by
-- its id, whatever the clock said when; of one that it goes on with, the attempt that names it is, and what follows. Workers that
-- wrote no work.started started attempts that name none: of these, those that are younger than the request.
SELECT state
FROM runs JOIN (
    SELECT request_id, arg_min(coalesce(arguments->>'run', arguments->>'backfill'), time) AS earlier, make_timestamp(min(time)) AS "at"
    FROM facts.work_asked WHERE request_id = $request GROUP BY request_id
) AS asked ON runs.run_id = coalesce(asked.earlier, asked.request_id)
WHERE asked.earlier IS NULL OR runs.attempt >= (SELECT min(attempt) FROM facts.run_started WHERE request_id = $request)
    OR (runs.started >= asked."at" AND NOT EXISTS (FROM facts.work_started WHERE request_id = $request))
ORDER BY attempt DESC
LIMIT 1;

-- name: known_flows
-- The flows that ran by themselves, each as it stood the last time, and which of its parameters are never kept. Of several
-- projects in a home that have a flow of the same name, the one that is asked for comes first.
SELECT flow, newest.source.file AS file, newest.source.name AS name, newest.lost AS lost
FROM (
    SELECT flow, arg_max({source: source, lost: lost}, {own: coalesce(project = $project, false), time: time}) AS newest
    FROM facts.run_started
    WHERE type = 'flow' AND parent_run_id IS NULL AND ($flow IS NULL OR flow = $flow)
    GROUP BY flow
)
ORDER BY flow;

-- name: known_tasks
SELECT DISTINCT task FROM task_runs ORDER BY task;

-- name: artifacts
-- What the attempts of a run made: partitions of assets, what checks said about them, results that can be restored.
SELECT *, make_timestamp(time) AS "at" FROM (
    SELECT CAST(id AS VARCHAR) AS id, 'materialization' AS kind, time, asset AS name, partition, version, state,
           error.message AS message, rows, bytes, attempt, task_run_id AS task_run
    FROM facts.outcomes WHERE run_id = $run
    UNION ALL
    SELECT CAST(id AS VARCHAR) || '-' || name, 'check', time, asset || ': ' || name, partition, version,
           CASE WHEN passed THEN 'passed' ELSE 'failed' END, message, NULL, NULL, NULL, NULL
    FROM facts.checks WHERE run_id = $run
    UNION ALL
    SELECT CAST(id AS VARCHAR), 'result', time, task, NULL, NULL, 'kept', result.encoding, NULL, result.size, attempt, task_run_id
    FROM facts.task_ended WHERE run_id = $run AND result IS NOT NULL
)
WHERE $since IS NULL OR make_timestamp(time) < $since::TIMESTAMP OR (make_timestamp(time) = $since::TIMESTAMP AND id < $last)
ORDER BY time DESC, id DESC
LIMIT $limit;

-- name: audit
-- Who asked through the server, or with a command, that something be started or stopped; who was let in, and who was not.
SELECT CAST(id AS VARCHAR) AS id, make_timestamp(time) AS "at", asked_by AS "by", what, subject, count FROM (
    SELECT id, time, asked_by, 'work: ' || what AS what, request_id AS subject, 1 AS count FROM facts.work_asked
    UNION ALL
    SELECT id, time, cancelled_by, 'work: cancel', request_id, 1 FROM facts.work_ended WHERE cancelled_by IS NOT NULL
    UNION ALL
    SELECT id, time, asked_by, 'work: cancel', request_id, 1 FROM facts.work_cancel_requested
    UNION ALL
    SELECT id, time, asked_by, 'run: cancel', run_id, 1 FROM facts.cancel_requested
    UNION ALL
    SELECT id, time, asked_by, 'backfill: ' || what, backfill_id, 1 FROM facts.backfill_asked
    UNION ALL
    SELECT id, time, asked_by, 'backfill: ' || what, backfill_id, 1 FROM facts.backfill_stopped WHERE asked_by IS NOT NULL
    UNION ALL
    SELECT id, time, "by", 'access: ' || what, subject, count FROM facts.access
)
WHERE $since IS NULL OR make_timestamp(time) < $since::TIMESTAMP
    OR (make_timestamp(time) = $since::TIMESTAMP AND CAST(id AS VARCHAR) < $last)
ORDER BY time DESC, CAST(id AS VARCHAR) DESC
LIMIT $limit;
