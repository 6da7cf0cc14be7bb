-- What ProjectionCatalog asks: definitions, versions in place and what they were made of, observations.

-- name: read_so_far
-- Up to where the journal was read: all else here follows from that.
SELECT count(*), CAST(sum(hash(writer, seq, "offset")) AS VARCHAR) FROM state.positions;

-- name: defined_names
SELECT name FROM facts.definitions;

-- name: definitions
-- Oldest first, so that the newest definition of a name is the last one. Those that are loaded are known better.
SELECT name, namespace, dataset, hash, CAST(definition AS VARCHAR) FROM assets
WHERE name NOT IN (SELECT unnest($loaded::VARCHAR[]))
ORDER BY defined, dataset, namespace;

-- name: standing
-- The datasets that names stand for, with the hashes of their definitions.
SELECT namespace, dataset, hash FROM assets
QUALIFY row_number() OVER (PARTITION BY name ORDER BY defined DESC, dataset DESC, namespace DESC) = 1;

-- name: called
-- What datasets are called by their newest definitions, and were before, as `definitions` orders them.
SELECT name, namespace, dataset,
       CASE WHEN contains(CAST(definition AS VARCHAR), '"renamed_from"') THEN definition ->> '$.renamed_from' END
FROM assets
WHERE name NOT IN (SELECT unnest($loaded::VARCHAR[]))
ORDER BY defined, dataset, namespace;

-- name: called_before
-- For each dataset that says it had another name (these are given of what is loaded): the datasets that were called so until it
-- said that, and are still; last the one that was called so last before this one had its name: what was called so afterwards is another
-- asset. A dataset that had the name itself before it said so was renamed where it is.
WITH RECURSIVE given AS (
    SELECT unnest($namespaces::VARCHAR[]) AS namespace, unnest($datasets::VARCHAR[]) AS dataset,
           unnest($names::VARCHAR[]) AS name, unnest($befores::VARCHAR[]) AS before
),
told AS (
    SELECT namespace, dataset, name, definition ->> '$.renamed_from' AS before, time FROM facts.definitions
    WHERE contains(CAST(definition AS VARCHAR), '"renamed_from"')
),
said AS (
    (
        SELECT namespace, dataset, name, definition ->> '$.renamed_from' AS before FROM assets
        ANTI JOIN given USING (namespace, dataset)
        WHERE contains(CAST(definition AS VARCHAR), '"renamed_from"')
        UNION ALL
        FROM given
    )
    UNION
    -- What was renamed where it is says by its earlier name where it was before.
    SELECT s.namespace, s.dataset, t.name, t.before
    FROM said AS s JOIN told AS t ON t.namespace = s.namespace AND t.dataset = s.dataset AND t.name = s.before
),
dated AS (
    SELECT s.namespace, s.dataset, s.before, min(d.time) AS named,
           min(d.time) FILTER ((d.definition ->> '$.renamed_from') = s.before) AS said
    FROM said AS s
    LEFT JOIN facts.definitions AS d ON d.namespace = s.namespace AND d.dataset = s.dataset AND d.name = s.name
    GROUP BY ALL
)
SELECT coalesce(s.said, $never) AS said, s.namespace, s.dataset, o.namespace, o.dataset
FROM dated AS s
JOIN facts.definitions AS o ON o.name = s.before AND (s.said IS NULL OR o.time <= s.said)
JOIN assets AS a ON a.namespace = o.namespace AND a.dataset = o.dataset AND a.name = o.name
WHERE NOT EXISTS (
    FROM facts.definitions AS d
    WHERE d.namespace = s.namespace AND d.dataset = s.dataset AND d.name = s.before AND (s.said IS NULL OR d.time < s.said)
)
GROUP BY ALL
ORDER BY max(o.time) FILTER (s.named IS NULL OR o.time <= s.named) NULLS FIRST, max(o.time), o.dataset, o.namespace;

-- name: earlier_code
-- What the versions of the code are made of that made what is in place, as the definitions of then say it.
SELECT namespace, dataset, definition ->> '$.code_version' AS code_version, CAST(max_by(definition -> '$.code', time) AS VARCHAR)
FROM facts.definitions
WHERE (namespace, dataset, definition ->> '$.code_version') IN (
    SELECT (l.namespace, l.dataset, l.code_version) FROM state.latest AS l WHERE l.code_version IS NOT NULL
)
GROUP BY ALL;

-- name: pairs_of_inputs
-- From which datasets the inputs of functions were read when the versions in place were made.
SELECT DISTINCT target_namespace, target_dataset, source, source_namespace, source_dataset
FROM facts.inputs
SEMI JOIN state.latest USING (id)
WHERE via = 'load';

-- name: read_as_inputs
-- The same of each version of these datasets.
SELECT DISTINCT l.partition, l.version, i.source, i.source_namespace, i.source_dataset
FROM facts.inputs AS i
JOIN state.latest AS l USING (id)
WHERE i.via = 'load'
  AND ($everything OR (l.namespace, l.dataset) IN (SELECT (unnest($namespaces::VARCHAR[]), unnest($datasets::VARCHAR[]))))
ORDER BY ALL;

-- name: consumed_pairs
-- Which datasets the versions in place were made of, and what was read by calls that left out what they make.
SELECT DISTINCT target_namespace, target_dataset, source_namespace, source_dataset
FROM facts.inputs
SEMI JOIN (SELECT id FROM state.latest UNION ALL SELECT id FROM facts.outcomes WHERE state = 'skipped') USING (id);

-- name: latest
-- Here and below: of these datasets, or simply of all (which costs half). From `partition` on the columns are the fields
-- of `Made` in their order; a number names the version in `consumed`, for that is cheaper than its id.
SELECT namespace, dataset, rowid, last_run, partition, version, made_at, started_at, run_id, rows, time_max,
       partition_start, partition_end, code_version, unknown_inputs
FROM state.latest
WHERE $everything OR (namespace, dataset) IN (SELECT (unnest($namespaces::VARCHAR[]), unnest($datasets::VARCHAR[])));

-- name: told
-- Since when versions in place that something else made, so that no code of theirs is known, were told without another one in
-- between; of those where that is not when they were recorded.
SELECT l.rowid, max(t.told)
FROM state.latest AS l
JOIN state.told_of($everything, $namespaces, $datasets) AS t
    ON t.namespace = l.namespace AND t.dataset = l.dataset AND t.partition IS NOT DISTINCT FROM l.partition
    AND t.version = l.version
WHERE l.code_version IS NULL
GROUP BY l.rowid, l.made_at HAVING max(t.told) <> l.made_at;

-- name: known
-- What was the last word of others on a partition when something began to read it, and when it was told.
WITH told AS MATERIALIZED (
    SELECT *, [namespace, dataset, partition] AS what FROM state.told_of($everything, $namespaces, $datasets)
),
begun AS (
    SELECT DISTINCT [i.source_namespace, i.source_dataset, i.source_partition] AS what, r.started_at
    FROM facts.inputs AS i
    SEMI JOIN told AS t ON t.namespace = i.source_namespace AND t.dataset = i.source_dataset
    JOIN facts.outcomes AS r ON r.id = i.id
)
SELECT DISTINCT namespace, dataset, partition, version, told
FROM begun AS b ASOF JOIN told AS t ON b.what = t.what AND b.started_at >= t.told;

-- name: outlines
-- Each column as one JSON list: tens of thousands of rows are read in half the time so.
SELECT to_json(list(place)), to_json(list(namespace)), to_json(list(dataset)), to_json(list(keys_id)),
       to_json(list(code)), to_json(list(mixed)), to_json(list(oldest)), to_json(list(newest))
FROM state.outlines;

-- name: keys
SELECT keys_id, partition FROM state.keys ORDER BY keys_id, partition NULLS FIRST;

-- name: reads
SELECT to_json(list(place)), to_json(list(source_place)), to_json(list(pairs_id)) FROM state.reads;

-- name: unsettled
SELECT DISTINCT place FROM state.reads WHERE NOT settled;

-- name: reads_elsewhere
-- What was read of datasets that have no outline, or no name (these are given).
SELECT place, source, source_namespace, source_dataset, pairs_id
FROM state.reads
WHERE source_place NOT IN (SELECT place FROM state.outlines) OR source_place IN (SELECT unnest($nameless::UBIGINT[]))
ORDER BY ALL;

-- name: pairs
SELECT pairs_id, partition, source_partition FROM state.pairs
ORDER BY pairs_id, partition NULLS FIRST, source_partition NULLS LAST;

-- name: failed
-- The newest attempts that did not publish.
SELECT namespace, dataset, partition, attempt_state, attempt_at, attempt_error
FROM state.latest
WHERE attempt_state NOT IN ('published', 'skipped')
  AND ($everything OR (namespace, dataset) IN (SELECT (unnest($namespaces::VARCHAR[]), unnest($datasets::VARCHAR[]))));

-- name: skipped
-- The newest calls that left out an optional output, and of which no later one published it, with the code that said so. From
-- `partition` on the columns are the fields of `Skipped` in their order.
SELECT l.namespace, l.dataset, CAST(o.id AS VARCHAR), l.partition, o.time, o.started_at, o.run_id, o.code_version
FROM facts.outcomes AS o
JOIN state.latest AS l
    ON l.namespace = o.namespace AND l.dataset = o.dataset AND l.partition IS NOT DISTINCT FROM o.partition
WHERE o.state = 'skipped' AND (l.made_at IS NULL OR (o.time, o.id) > (l.made_at, l.id))
  AND ($everything OR (l.namespace, l.dataset) IN (SELECT (unnest($namespaces::VARCHAR[]), unnest($datasets::VARCHAR[]))))
QUALIFY row_number() OVER (PARTITION BY l.namespace, l.dataset, l.partition ORDER BY o.time DESC, o.id DESC) = 1;

-- name: left_out
-- The datasets of which some call left something as it is, or left it out.
SELECT DISTINCT namespace, dataset FROM facts.outcomes WHERE state = 'skipped';

-- name: replaced
-- Versions that are no longer in place, as far as something was made of them, or they are `known`. Which they all are is asked first:
-- mostly few.
WITH gone AS MATERIALIZED (SELECT id FROM facts.outcomes ANTI JOIN state.latest USING (id) WHERE state = 'published')
SELECT namespace, dataset, CAST(id AS VARCHAR), partition, version, time, started_at, run_id, rows, time_max,
       partition_start, partition_end, code_version, coalesce(len(unknown_inputs), 0) > 0
FROM facts.outcomes
WHERE id IN (FROM gone)
  AND ($everything OR (namespace, dataset) IN (SELECT (unnest($namespaces::VARCHAR[]), unnest($datasets::VARCHAR[]))))
  AND (
    [namespace, dataset, partition, version] IN (SELECT unnest($known::VARCHAR[][]))
    OR state.is_read(namespace, dataset, partition, version)
  )
QUALIFY row_number() OVER (PARTITION BY namespace, dataset, partition, version ORDER BY time DESC, id DESC) = 1
ORDER BY time, id;

-- name: consumed
-- What each version in place was made of, and what others were that are asked for besides: a row an input, in no order. Those
-- others are numbered -1, -2 and so on. What was read is the number of a version in place, or its texts.
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
    SELECT unnest($besides::UUID[]), -1 - unnest(range(len($besides::UUID[])))
) AS l ON i.id = l.id
LEFT JOIN chosen AS s
    ON s.namespace = i.source_namespace AND s.dataset = i.source_dataset AND s.version = i.source_version
    AND s.partition IS NOT DISTINCT FROM i.source_partition;

-- name: observed
-- Whether anything was ever observed.
FROM facts.observations SELECT 1 LIMIT 1;

-- name: observations
-- The newest observation of each partition, the time of the oldest one, and since when its version was told without another one in
-- between.
WITH seen AS (
    SELECT *, min(time) OVER (PARTITION BY namespace, dataset, partition) AS first
    FROM facts.observations
    WHERE $everything OR (namespace, dataset) IN (SELECT (unnest($namespaces::VARCHAR[]), unnest($datasets::VARCHAR[])))
    QUALIFY row_number() OVER (PARTITION BY namespace, dataset, partition ORDER BY time DESC, id DESC) = 1
)
SELECT s.namespace, s.dataset, s.partition, time, first, max(coalesce(t.told, time)), s.version, data_through, rows,
       partition_end
FROM seen AS s
LEFT JOIN state.told_of($everything, $namespaces, $datasets) AS t
    ON t.namespace = s.namespace AND t.dataset = s.dataset AND t.partition IS NOT DISTINCT FROM s.partition
    AND t.version = s.version
GROUP BY ALL;

-- name: observed_before
-- Versions that were observed, as far as something was made of them, or they are `known`: the newest observation of each.
SELECT namespace, dataset, partition, time, time, time, version, data_through, rows, partition_end
FROM facts.observations
WHERE ($everything OR (namespace, dataset) IN (SELECT (unnest($namespaces::VARCHAR[]), unnest($datasets::VARCHAR[]))))
  AND (
    [namespace, dataset, partition, version] IN (SELECT unnest($known::VARCHAR[][]))
    OR state.is_read(namespace, dataset, partition, version)
  )
QUALIFY row_number() OVER (PARTITION BY namespace, dataset, partition, version ORDER BY time DESC, id DESC) = 1
ORDER BY time, id;

-- name: past
-- Published versions of these datasets, which are one asset, the newest first; of its partitions, the newest of each.
SELECT partition, version, time, rows, bytes, columns, partition_start
FROM facts.outcomes
WHERE state = 'published'
  AND (namespace, dataset) IN (SELECT (unnest($namespaces::VARCHAR[]), unnest($datasets::VARCHAR[])))
  AND ($before IS NULL OR partition_start IS NULL OR partition_start < $before)
QUALIFY partition IS NULL OR row_number() OVER (PARTITION BY partition ORDER BY time DESC, id DESC) = 1
ORDER BY coalesce(partition_start, time) DESC, time DESC, id DESC
LIMIT $limit;

-- name: past_metrics
-- What checks found of these versions, the newest last.
SELECT partition, version, CAST(metrics AS VARCHAR)
FROM facts.checks
WHERE (namespace, dataset) IN (SELECT (unnest($namespaces::VARCHAR[]), unnest($datasets::VARCHAR[])))
  AND version IN (SELECT unnest($versions::VARCHAR[]))
  AND metrics IS NOT NULL
ORDER BY time, id, name;

-- name: returned
-- The keys of dynamic partitions that were removed and are there again, and since when.
SELECT name, key, arg_max(time, id) FROM facts.dynamic_keys
GROUP BY name, key HAVING arg_max(here, id) AND NOT bool_and(here);

-- name: any_failed_check
FROM facts.checks SELECT 1 WHERE NOT passed LIMIT 1;

-- name: failed_checks
-- The checks whose newest answer on the version in place is no.
SELECT c.namespace, c.dataset, c.partition, c.name, coalesce(c.severity, CASE WHEN c.blocking THEN 'error' ELSE 'warn' END),
       c.message, c.time
FROM facts.checks AS c
JOIN state.latest AS l
    ON l.namespace = c.namespace AND l.dataset = c.dataset AND l.version = c.version
    AND l.partition IS NOT DISTINCT FROM c.partition
WHERE $everything
   OR (c.namespace, c.dataset) IN (SELECT (unnest($namespaces::VARCHAR[]), unnest($datasets::VARCHAR[])))
QUALIFY row_number() OVER (PARTITION BY c.namespace, c.dataset, c.partition, c.name ORDER BY c.time DESC, c.id DESC) = 1
    AND NOT c.passed
ORDER BY c.partition DESC NULLS LAST, c.name;

-- name: judged
-- The newest verdict on each dataset that somebody found.
SELECT namespace, dataset, verdict, stands, next_change, seen FROM facts.verdicts
QUALIFY row_number() OVER (PARTITION BY namespace, dataset ORDER BY seen DESC, "at" DESC, id DESC) = 1;

-- name: versions_since
-- Of these datasets the versions that were published after a moment (one for each dataset), and what was in place then, the
-- oldest first. From `partition` on the columns are the fields of `Made` in their order.
WITH asked AS (
    SELECT unnest($namespaces::VARCHAR[]) AS namespace, unnest($datasets::VARCHAR[]) AS dataset, unnest($since::BIGINT[]) AS since
),
chosen AS (
    SELECT o.* FROM facts.outcomes AS o JOIN asked AS a USING (namespace, dataset)
    WHERE state = 'published'
    QUALIFY time > since OR row_number() OVER (
        PARTITION BY namespace, dataset, partition, time > since ORDER BY time DESC, id DESC) = 1
)
SELECT namespace, dataset, partition, version, time, started_at, run_id, rows, time_max, partition_start, partition_end,
       code_version, coalesce(len(unknown_inputs), 0) > 0, inputs
FROM chosen AS c
LEFT JOIN (
    SELECT id, list({source: source, namespace: source_namespace, dataset: source_dataset, partition: source_partition,
                     version: source_version}) AS inputs
    FROM facts.inputs SEMI JOIN chosen USING (id) GROUP BY id
) AS i ON i.id = c.id
ORDER BY time, c.id;

-- name: observations_since
-- The same of what was observed.
WITH asked AS (
    SELECT unnest($namespaces::VARCHAR[]) AS namespace, unnest($datasets::VARCHAR[]) AS dataset, unnest($since::BIGINT[]) AS since
)
SELECT namespace, dataset, partition, time, data_through
FROM facts.observations AS o JOIN asked AS a USING (namespace, dataset)
QUALIFY time > since OR row_number() OVER (
    PARTITION BY namespace, dataset, partition, time > since ORDER BY time DESC, id DESC) = 1
ORDER BY time, id;

-- name: policies
SELECT name, namespace, dataset, max_lag, warn, clock, by_days, divided, basis, static, inputs
FROM state.policies WHERE stands;

-- name: any_renamed
FROM state.policies SELECT 1 WHERE renamed LIMIT 1;

-- name: policies_by_days
SELECT name, by_days FROM state.policies WHERE stands AND by_days IS NOT NULL;

-- name: verdicts
-- The verdict on every asset: 0 fresh, 1 warn, 2 late, 3 unknown, 4 none; 5 says that it takes all facts to tell, 6 that the policy
-- is to be asked. It comes as three times that, and the clock: 0 data_through, 1 last_materialized, 2 neither. Each column as one
-- JSON list, see `outlines`.
SELECT to_json(list(name)), to_json(list(verdict * 3 + coalesce(clock, 2))), to_json(list(stands)), to_json(list(change))
FROM (
    SELECT name, clock, stands, stands + max_lag + 1 AS late, coalesce(stands + warn + 1, late) AS warned,
           CASE WHEN clock = 2 THEN 5 WHEN clock IS NULL THEN 4 WHEN stands IS NULL THEN 3 WHEN by_days THEN 6
                WHEN $as_of < warned THEN 0 WHEN $as_of < late THEN 1 ELSE 2 END AS verdict,
           CASE WHEN $as_of < warned THEN warned WHEN $as_of < late THEN late END AS change
    FROM state.clocks
);
