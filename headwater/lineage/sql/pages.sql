-- What the web pages ask beside the reader's questions: what can be searched for, and an asset's history with its durations.

-- name: searched_assets
-- Every asset that has a name now, the retired ones left out. Of one that was renamed and moved the datasets that it was are given.
SELECT DISTINCT name, kind FROM assets
ANTI JOIN (SELECT unnest($namespaces::VARCHAR[]) AS namespace, unnest($datasets::VARCHAR[]) AS dataset) AS former
    USING (namespace, dataset)
WHERE definition->>'retired' IS DISTINCT FROM 'true';

-- name: searched_columns
-- Each column's name once, with the assets that have it: of each its newest version, or else its newest observation. What was
-- renamed and moved has the name of now also for the datasets that it was.
WITH former AS (
    SELECT unnest($namespaces::VARCHAR[]) AS namespace, unnest($datasets::VARCHAR[]) AS dataset, unnest($names::VARCHAR[]) AS called
),
seen AS (
    SELECT l.asset, l.namespace, l.dataset, l.id, l.time
    FROM (SELECT asset, namespace, dataset, id, made_at AS time FROM state.latest WHERE id IS NOT NULL) AS l
    QUALIFY row_number() OVER (PARTITION BY namespace, dataset ORDER BY time DESC, id DESC) = 1
),
newest AS (
    SELECT s.asset, s.namespace, s.dataset, o.columns FROM seen AS s JOIN facts.outcomes AS o ON o.id = s.id WHERE len(o.columns) > 0
    UNION ALL
    SELECT asset, namespace, dataset, columns FROM (
        SELECT asset, namespace, dataset, columns FROM facts.observations WHERE len(columns) > 0
        QUALIFY row_number() OVER (PARTITION BY namespace, dataset ORDER BY time DESC, id DESC) = 1
    ) AS o ANTI JOIN seen USING (namespace, dataset)
)
SELECT "column", list(DISTINCT asset ORDER BY asset)
FROM (
    SELECT coalesce(called, asset) AS asset, unnest(columns).name AS "column" FROM newest LEFT JOIN former USING (namespace, dataset)
)
GROUP BY "column";

-- name: found_runs
-- The newest starts of runs whose id begins so, or whose flow's or own name holds the text.
SELECT run_id, flow FROM facts.run_started
WHERE starts_with(run_id, $text) OR contains(lower(flow), $text) OR contains(lower(name), $text)
ORDER BY time DESC LIMIT $limit;

-- name: states_of_runs
SELECT run_id, state, epoch_us(started) FROM runs
WHERE run_id BETWEEN $least AND $most AND list_contains($runs::VARCHAR[], run_id)
QUALIFY row_number() OVER (PARTITION BY run_id ORDER BY attempt DESC) = 1;

-- name: history
-- What was tried to make the datasets that an asset is and was, the newest first, from its intent to its outcome.
SELECT CAST(id AS VARCHAR) AS id, partition, state, version, run_id AS run, time, rows, bytes,
       greatest(0, (time - started_at) / 1e6) AS seconds, error.type AS error_type, error.message AS error, flow, code_version
FROM facts.outcomes
WHERE (namespace, dataset) IN (SELECT (unnest($namespaces::VARCHAR[]), unnest($datasets::VARCHAR[])))
    AND ($state IS NULL OR state = $state)
    AND ($partition IS NULL OR partition = $partition)
    AND ($time IS NULL OR time < $time OR (time = $time AND CAST(id AS VARCHAR) < $last))
ORDER BY time DESC, CAST(id AS VARCHAR) DESC
LIMIT $limit;

-- name: newest_query
-- The query that made what was published last, if a query did.
SELECT sql FROM facts.outcomes WHERE namespace = $namespace AND dataset = $dataset AND state = 'published'
ORDER BY time DESC LIMIT 1;

-- name: defined
SELECT count(*), max(id) FROM facts.definitions;

-- name: made
SELECT count(*) FROM state.latest;

-- name: failed_partitions
-- Partitions at which the newest attempt did not publish.
SELECT namespace, dataset, partition FROM state.latest WHERE attempt_state NOT IN ('published', 'skipped');
