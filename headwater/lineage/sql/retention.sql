-- What `headwater prune` asks. `staying` holds the ids of old events that are in no archive, and so can't expire yet.

-- name: begin
CREATE OR REPLACE TEMP TABLE staying (id UUID);

-- name: stay
-- Ids as staging.sql makes them.
INSERT INTO staying
SELECT coalesce(TRY_CAST(id AS UUID), CAST(md5(id) AS UUID)) FROM (SELECT unnest($ids::VARCHAR[]) AS id);

-- name: generation
UPDATE state.positions SET seq = $seq WHERE writer = $archive;

-- name: runs
-- The attempts that lose detail, with the states of their task runs as the views tell them now.
CREATE OR REPLACE TEMP TABLE losing AS
SELECT run_id, coalesce(attempt, 1) AS attempt, count(*) FILTER (kind = 'log.written') AS logs,
       count(*) FILTER (kind <> 'log.written') AS steps, min(time) AS first
FROM (
    SELECT id, time, run_id, attempt, 'log.written' AS kind FROM facts.logs
    UNION ALL SELECT id, time, run_id, attempt, 'task.started' FROM facts.task_started
    UNION ALL SELECT id, time, run_id, attempt, 'task.state' FROM facts.task_state
    UNION ALL SELECT id, time, run_id, attempt, 'task.ended' FROM facts.task_ended
    UNION ALL SELECT id, time, run_id, attempt, 'task.cache' FROM facts.task_cache
    UNION ALL SELECT id, time, run_id, attempt, 'task.kept' FROM facts.task_kept
)
WHERE time < $before AND list_contains($kinds::VARCHAR[], kind) AND id NOT IN (FROM staying)
GROUP BY ALL;

-- name: losing
WITH counted AS (
    SELECT run_id, attempt, map_from_entries(list((state, number) ORDER BY state)) AS tasks
    FROM (
        SELECT run_id, attempt, state, count(*) AS number FROM task_runs
        WHERE run_id IN (SELECT run_id FROM losing WHERE steps > 0)
        GROUP BY ALL
    )
    GROUP BY ALL
)
SELECT l.run_id, l.attempt, l.logs,
       CASE WHEN l.steps > 0 THEN coalesce(CASE WHEN r.ended IS NOT NULL THEN c.tasks END, MAP {}) END AS tasks,
       coalesce(epoch_us(r.started), l.first) AS started
FROM losing AS l
LEFT JOIN runs AS r ON r.run_id = l.run_id AND r.attempt = l.attempt
LEFT JOIN counted AS c ON c.run_id = l.run_id AND c.attempt = l.attempt
ORDER BY started, l.run_id, l.attempt;
