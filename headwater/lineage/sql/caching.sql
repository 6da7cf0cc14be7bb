-- What is asked about cached results.

-- name: candidates
-- The task runs of a run that are meant by a task's name, or by an id's beginning.
SELECT task_run_id, task, state, started, attempt FROM task_runs
WHERE run_id = $run AND (task = $task OR starts_with(task_run_id, $task))
ORDER BY started, task_run_id;

-- name: looked_up
-- A task run looks once.
SELECT verdict, because, text, policy, key, CAST(parts AS VARCHAR) AS parts, origin, origin_run_id, kept_at, time, task
FROM facts.task_cache WHERE task_run_id = $task_run ORDER BY time, id LIMIT 1;

-- name: reused
SELECT reused.task_run_id AS task_run, reused.attempt AS attempt FROM facts.task_ended
WHERE task_run_id = $task_run AND reused.task_run_id IS NOT NULL LIMIT 1;

-- name: resumed
-- What a resumed run said of a task run: why it was made again, or that its code has changed since.
SELECT message FROM facts.logs WHERE task_run_id = $task_run AND logger = 'headwater.resume' ORDER BY time, id;

-- name: kept
SELECT refused, expires, encoding, size FROM facts.task_kept WHERE task_run_id = $task_run ORDER BY time, id LIMIT 1;

-- name: kept_before
-- The last task run of this task before a moment that kept its result, with what that depended on.
SELECT k.task_run_id, k.run_id, k.time, CAST(c.parts AS VARCHAR) AS parts
FROM facts.task_kept AS k JOIN facts.task_cache AS c USING (task_run_id)
WHERE k.task = $task AND k.refused IS NULL AND k.time < $time
ORDER BY k.time DESC, k.id DESC LIMIT 1;

-- name: same_key
-- What became of the last call before a moment that had the very same key.
SELECT task_run_id, refused, time FROM facts.task_kept WHERE key = $key AND time < $time
ORDER BY time DESC, id DESC LIMIT 1;

-- name: named_files
-- When each file of the result store was last named by the end of a task run.
SELECT result.file AS file, max(time) AS time FROM facts.task_ended WHERE result.file IS NOT NULL GROUP BY 1;
