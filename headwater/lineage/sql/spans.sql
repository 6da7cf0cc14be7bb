-- Where runs and task runs belong, for spans.

-- name: run
SELECT root_run_id, root_attempt, parent_task_run_id FROM facts.run_started WHERE run_id = $run AND attempt = $attempt LIMIT 1;

-- name: task
SELECT parent_task_run_id FROM facts.task_started WHERE task_run_id = $task AND attempt = $attempt LIMIT 1;
