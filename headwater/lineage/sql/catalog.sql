-- What ProjectionCatalog asks: definitions, versions in place and what they were made of, observations.

-- name: defined_names
SELECT name FROM facts.definitions;

-- name: definitions
-- Oldest first, so that the newest definition of a name is the last one. Those that are loaded are known better.
SELECT name, namespace, dataset, hash, CAST(definition AS VARCHAR) FROM assets
WHERE name NOT IN (SELECT unnest($loaded::VARCHAR[]))
ORDER BY defined, dataset, namespace;

-- name: consumed_pairs
-- Which datasets the versions in place were made of.
SELECT DISTINCT target_namespace, target_dataset, source_namespace, source_dataset
FROM facts.inputs SEMI JOIN state.latest USING (id);

-- name: latest
-- Here and below: of these datasets, or simply of all (which costs half). From `partition` on the columns are the fields
-- of `Made` in their order; a number names the version in `consumed`, for that is cheaper than its id.
SELECT namespace, dataset, rowid, last_run, partition, version, made_at, started_at, run_id, rows, time_max,
       partition_start, partition_end, code_version, unknown_inputs
FROM state.latest
WHERE $everything OR (namespace, dataset) IN (SELECT (unnest($namespaces::VARCHAR[]), unnest($datasets::VARCHAR[])));

-- name: failed
-- The newest attempts that did not publish.
SELECT namespace, dataset, partition, attempt_state, attempt_at, attempt_error
FROM state.latest
WHERE attempt_state <> 'published'
  AND ($everything OR (namespace, dataset) IN (SELECT (unnest($namespaces::VARCHAR[]), unnest($datasets::VARCHAR[]))));

-- name: replaced
-- Versions that are no longer in place, as far as something was made of them. Which they are is asked first: mostly few.
WITH gone AS MATERIALIZED (SELECT id FROM facts.outcomes ANTI JOIN state.latest USING (id) WHERE state = 'published')
SELECT namespace, dataset, CAST(id AS VARCHAR), partition, version, time, started_at, run_id, rows, time_max,
       partition_start, partition_end, code_version, coalesce(len(unknown_inputs), 0) > 0
FROM facts.outcomes AS o
WHERE ($everything OR (namespace, dataset) IN (SELECT (unnest($namespaces::VARCHAR[]), unnest($datasets::VARCHAR[]))))
  AND id IN (FROM gone)
  AND EXISTS (
    FROM facts.inputs AS i
    WHERE i.source_namespace = o.namespace AND i.source_dataset = o.dataset
      AND i.source_partition IS NOT DISTINCT FROM o.partition AND i.source_version = o.version
  )
ORDER BY time, id;

-- name: consumed
-- What each version in place was made of, and each that was replaced since: a row an input, in no order. Those that
-- were replaced are numbered -1, -2 and so on. What was read is the number of a version in place, or its texts.
WITH chosen AS (
    SELECT rowid AS number, id, namespace, dataset, partition, version FROM state.latest
    WHERE $everything
       OR (namespace, dataset) IN (SELECT (unnest($namespaces::VARCHAR[]), unnest($datasets::VARCHAR[])))
)
SELECT l.number AS reader, i.source, s.number AS read,
       CASE WHEN s.number IS NULL THEN [source_namespace, source_dataset, source_partition, source_version] END AS texts
FROM facts.inputs AS i
JOIN (
    SELECT id, number FROM chosen
    UNION ALL
    SELECT unnest($replaced::UUID[]), -1 - unnest(range(len($replaced::UUID[])))
) AS l ON i.id = l.id
LEFT JOIN chosen AS s
    ON s.namespace = i.source_namespace AND s.dataset = i.source_dataset AND s.version = i.source_version
    AND s.partition IS NOT DISTINCT FROM i.source_partition;

-- name: observed
-- Whether anything was ever observed.
FROM facts.observations SELECT 1 LIMIT 1;

-- name: observations
-- The newest observation of each version of each partition, and which of them is the newest of the partition.
SELECT namespace, dataset, partition, time, version, data_through, rows,
       row_number() OVER (PARTITION BY namespace, dataset, partition ORDER BY time DESC, id DESC) = 1
FROM facts.observations
WHERE $everything OR (namespace, dataset) IN (SELECT (unnest($namespaces::VARCHAR[]), unnest($datasets::VARCHAR[])))
QUALIFY row_number() OVER (PARTITION BY namespace, dataset, partition, version ORDER BY time DESC, id DESC) = 1;
