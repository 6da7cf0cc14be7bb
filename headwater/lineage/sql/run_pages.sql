-- What pages about runs and backfills ask: flows, the course of a run, its log from the end, and how far a backfill is.

-- name: running
-- The partitions of an asset that a backfill, or `headwater materialize`, makes now.
SELECT partition FROM backfill_partitions WHERE asset = $asset AND state = 'running';

-- name: tried
-- The newest attempt at a partition, whatever came of it.
SELECT run_id AS run, make_timestamp(time) AS "at", state FROM facts.outcomes
WHERE asset = $asset AND partition IS NOT DISTINCT FROM $partition ORDER BY time DESC, id DESC LIMIT 1;

-- name: flows
-- The flows of the newest attempts that ended, with the median of the seconds that those took that completed.
SELECT flow, count(*) AS runs, median(seconds) FILTER (state = 'Completed') AS usual,
       arg_max(state, time) AS last_state, make_timestamp(max(time)) AS last_ended
FROM (
    SELECT flow, state, time, greatest(0, (time - started) / 1e6) AS seconds FROM facts.run_ended
    ORDER BY time DESC LIMIT $newest
)
GROUP BY flow ORDER BY last_ended DESC, flow LIMIT $limit;

-- name: failures
-- The task runs of a run that failed, with what failed them, the first one first.
SELECT task_run_id AS id, task, state, tries, make_timestamp(time) AS "at", error.type AS type, error.message AS message,
       error.traceback AS traceback
FROM facts.task_ended
WHERE run_id = $run AND attempt = $attempt AND state IN ('Failed', 'Crashed', 'TimedOut')
ORDER BY time, id LIMIT $limit;

-- name: groups
-- The task runs of an attempt by their tasks: how many, in which states, from when to when, and where in the run's time
-- they begin (in forty parts).
SELECT task, count(*) AS count, min(started) AS started, max(ended) AS ended,
       count(*) FILTER (ended IS NULL) AS open, sum(date_diff('microsecond', started, coalesce(ended, started))) / 1e6 AS seconds,
       median(date_diff('microsecond', started, ended)) / 1e6 AS usual, CAST(histogram(state) AS JSON)::VARCHAR AS states,
       CAST(histogram(least(39, greatest(0, floor(40 * date_diff('microsecond', $from::TIMESTAMP, started)
           / greatest(1, date_diff('microsecond', $from::TIMESTAMP, $until::TIMESTAMP))))::INTEGER)) AS JSON)::VARCHAR AS bins
FROM task_runs WHERE run_id = $run AND attempt = $attempt
GROUP BY task ORDER BY started, task LIMIT $limit;

-- name: bars
SELECT task_run_id AS id, task, state, tries, started, ended, parent_task_run_id AS parent, error
FROM task_runs
WHERE run_id = $run AND attempt = $attempt AND ($task IS NULL OR task = $task) AND ($state IS NULL OR state = $state)
    AND ($until IS NULL OR started <= $until::TIMESTAMP)
    AND ($since IS NULL OR ended IS NULL OR ended >= $since::TIMESTAMP)
ORDER BY started, task_run_id LIMIT $limit OFFSET $offset;

-- name: steps
-- The states that task runs came through, with the try that they were of.
SELECT task_run_id AS id, make_timestamp(time) AS "at", state, tries FROM facts.task_state
WHERE run_id = $run AND attempt = $attempt AND list_contains($tasks::VARCHAR[], task_run_id)
ORDER BY time, id LIMIT 5000;

-- name: children
-- The runs of flows that a run's flow called.
SELECT run_id AS id, any_value(flow) AS flow, min(time) AS started, any_value(parent_task_run_id) AS parent
FROM facts.run_started WHERE parent_run_id = $run GROUP BY run_id ORDER BY started LIMIT $limit;

-- name: made
-- What a run, or one that it called, made of each asset.
SELECT asset, count(*) AS attempts, count(DISTINCT partition) AS partitions, sum(rows) FILTER (state = 'published') AS rows,
       count(*) FILTER (state = 'published') AS published,
       count(*) FILTER (state IN ('failed', 'refused')) AS failed,
       min(partition) AS first, max(partition) AS last, arg_max(version, time) FILTER (state = 'published') AS version,
       make_timestamp(max(time)) AS "at", arg_max(error.message, time) FILTER (state IN ('failed', 'refused')) AS error
FROM facts.outcomes WHERE run_id = $run OR root_run_id = $run
GROUP BY asset ORDER BY failed DESC, asset LIMIT $limit;

-- name: tail
-- The log of a run from its end: what lies before a record, the newest first.
SELECT CAST(id AS VARCHAR) AS id, "at", level, logger, message, task_run_id AS task_run, attempt
FROM logs
WHERE run_id = $run AND level >= $level AND ($task IS NULL OR task_run_id = $task)
    AND ($text IS NULL OR contains(lower(message), lower($text)))
    AND ($id IS NULL OR "at" < $at::TIMESTAMP OR ("at" = $at::TIMESTAMP AND CAST(id AS VARCHAR) < $id))
ORDER BY "at" DESC, id DESC LIMIT $limit;

-- name: log_page
-- The log of a run behind a record, oldest first. What is to be sorted are places, not messages; `found` is how many there were
-- before the page was ended by its bytes.
WITH places AS (
    SELECT rowid AS place, time, id FROM facts.logs
    WHERE run_id = $run AND level >= $level
        AND ($id IS NULL OR (time >= $time AND (time > $time OR id > $id::UUID)))
    ORDER BY time, id LIMIT $limit
), page AS (
    SELECT place, count(*) OVER () AS found,
        sum(strlen(message)) OVER (ORDER BY places.time, places.id ROWS UNBOUNDED PRECEDING) - strlen(message) AS before
    FROM places JOIN facts.logs ON logs.rowid = place
    QUALIFY before <= $bytes
)
SELECT CAST(id AS VARCHAR) AS id, make_timestamp(time) AS "at", level, logger, message, task_run_id AS task_run, attempt,
    time, found
FROM facts.logs JOIN page ON logs.rowid = place ORDER BY time, logs.id;

-- name: log_records
SELECT count(*) FROM logs WHERE run_id = $run AND level >= $level;

-- name: outcomes
-- What became of the partitions of one asset in a backfill; what was interrupted is to be done.
SELECT partition, state FROM backfill_partitions
WHERE backfill_id = $backfill AND asset = $asset AND state <> 'interrupted';

-- name: pace
-- When partitions of a backfill began and ended in its newest attempt, and how many ended of late.
SELECT count(*) AS ended, make_timestamp(min(time)) AS first, make_timestamp(max(time)) AS last,
       count(*) FILTER (time >= $since) AS lately
FROM facts.backfill_ended
WHERE backfill_id = $backfill AND state IN ('completed', 'failed')
    AND attempt = (SELECT max(attempt) FROM facts.backfill_launched WHERE backfill_id = $backfill);

-- name: trouble
SELECT asset, partition, state, reason, "at" FROM backfill_partitions
WHERE backfill_id = $backfill AND state IN ('failed', 'blocked')
ORDER BY state DESC, "at", asset, partition LIMIT $limit;
