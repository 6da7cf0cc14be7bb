-- What a resumed run asks about its earlier attempts.

-- name: outermost
-- The newest attempt of a run: how it was called, and where its function stands.
SELECT attempt, flow, type, parent_run_id, root_run_id, CAST(parameters AS VARCHAR) AS parameters, CAST(kept AS VARCHAR) AS kept,
       defaulted, lost, source.file AS file, source.name AS name
FROM facts.run_started WHERE run_id = $run
ORDER BY attempt DESC, time DESC LIMIT 1;

-- name: calls
-- Every task run of all attempts of an outermost run and of its subflows, by the attempt of the outermost one. Of several
-- ends the strongest state counts, and among those the one with a result: what completed in a transaction has one from its
-- commit on.
WITH inside AS (
    SELECT run_id, attempt, min(coalesce(root_attempt, 1)) AS root_attempt, min(parent_task_run_id) AS outer_task
    FROM facts.run_started WHERE root_run_id = $run OR run_id = $run
    GROUP BY run_id, attempt
),
began AS (
    SELECT task_run_id, run_id, attempt, min(task) AS task, min(time) AS started, min(parent_task_run_id) AS outer_task
    FROM facts.task_started SEMI JOIN inside USING (run_id, attempt)
    GROUP BY ALL
),
ended AS (
    SELECT e.* FROM facts.task_ended AS e SEMI JOIN inside USING (run_id, attempt)
    QUALIFY row_number() OVER (
        PARTITION BY task_run_id, run_id, attempt
        ORDER BY {state: state_rank(state), unkept: result.encoding IS NULL, time: time, id: id}
    ) = 1
)
SELECT task_run_id, coalesce(e.task, b.task) AS task, i.root_attempt AS attempt, coalesce(e.state, 'Running') AS state,
       coalesce(e.started, b.started) AS started, e.time AS ended, coalesce(b.outer_task, i.outer_task) AS "outer",
       e.identity, e.result, e.unkept, e.code, CAST(e.sources AS VARCHAR) AS sources
FROM began AS b FULL JOIN ended AS e USING (task_run_id, run_id, attempt) JOIN inside AS i USING (run_id, attempt)
ORDER BY task_run_id;

-- name: expired
-- Before when task runs of these runs may be gone.
SELECT make_timestamp(max(p.before)) FROM facts.pruned AS p
SEMI JOIN (SELECT run_id, attempt FROM facts.run_started WHERE root_run_id = $run OR run_id = $run) USING (run_id, attempt)
WHERE p.tasks IS NOT NULL;
