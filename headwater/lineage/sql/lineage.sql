-- What the reader asks about the graph.

-- name: datasets
-- Every dataset that is defined, with its name; the newest definition of a name comes last.
SELECT name, namespace, dataset FROM assets ORDER BY defined, dataset, namespace;

-- name: mentioned_datasets
-- Every dataset that was made, observed, or stands at an end of an edge, with the name that was used for it.
SELECT source AS name, source_namespace AS namespace, source_dataset AS dataset FROM dataset_edges
UNION
SELECT target, target_namespace, target_dataset FROM dataset_edges
UNION
SELECT asset, namespace, dataset FROM state.latest
UNION
SELECT asset, namespace, dataset FROM facts.observations
ORDER BY ALL;

-- name: all_edges
SELECT source_namespace, source_dataset, target_namespace, target_dataset, source, target, origin, runs, last_seen
FROM dataset_edges ORDER BY ALL;

-- name: all_column_edges
SELECT source_namespace, source_dataset, source_column, target_namespace, target_dataset, target_column, source, target,
       type, subtype, runs, last_seen
FROM dataset_column_edges ORDER BY ALL;

-- name: edges
-- The edges that lead to the root, and those that lead away from it, at most `depth` steps off. A dataset is walked once, at its
-- least depth: a cycle ends by itself.
WITH RECURSIVE pairs AS MATERIALIZED (FROM dataset_edges),
up(namespace, dataset, depth) USING KEY (namespace, dataset) AS (
    SELECT $namespace::VARCHAR, $dataset::VARCHAR, 0
    UNION
    SELECT p.source_namespace, p.source_dataset, u.depth + 1
    FROM up AS u
    JOIN pairs AS p ON p.target_namespace = u.namespace AND p.target_dataset = u.dataset
    LEFT JOIN recurring.up AS seen ON seen.namespace = p.source_namespace AND seen.dataset = p.source_dataset
    WHERE seen.dataset IS NULL AND u.depth < $depth
),
down(namespace, dataset, depth) USING KEY (namespace, dataset) AS (
    SELECT $namespace::VARCHAR, $dataset::VARCHAR, 0
    UNION
    SELECT p.target_namespace, p.target_dataset, d.depth + 1
    FROM down AS d
    JOIN pairs AS p ON p.source_namespace = d.namespace AND p.source_dataset = d.dataset
    LEFT JOIN recurring.down AS seen ON seen.namespace = p.target_namespace AND seen.dataset = p.target_dataset
    WHERE seen.dataset IS NULL AND d.depth < $depth
)
SELECT source_namespace, source_dataset, target_namespace, target_dataset, source, target, origin, runs, last_seen
FROM pairs AS p
SEMI JOIN up AS u ON $up AND p.target_namespace = u.namespace AND p.target_dataset = u.dataset AND u.depth < $depth
UNION
SELECT source_namespace, source_dataset, target_namespace, target_dataset, source, target, origin, runs, last_seen
FROM pairs AS p
SEMI JOIN down AS d ON $down AND p.source_namespace = d.namespace AND p.source_dataset = d.dataset AND d.depth < $depth
ORDER BY ALL;

-- name: column_edges
-- The same for columns. `whole` stands for a dataset as a whole: the root when no column is named, and the target of an
-- indirect edge (a filter, a join), on which every column of it depends.
WITH RECURSIVE pairs AS MATERIALIZED (FROM dataset_column_edges),
up(namespace, dataset, name, whole, depth) USING KEY (namespace, dataset, name, whole) AS (
    SELECT $namespace::VARCHAR, $dataset::VARCHAR, coalesce($column::VARCHAR, ''), $column IS NULL, 0
    UNION
    SELECT p.source_namespace, p.source_dataset, p.source_column, false, min(u.depth) + 1
    FROM up AS u
    JOIN pairs AS p
        ON p.target_namespace = u.namespace AND p.target_dataset = u.dataset
       AND (u.whole OR p.target_column IS NULL OR p.target_column = u.name)
    LEFT JOIN recurring.up AS seen
        ON seen.namespace = p.source_namespace AND seen.dataset = p.source_dataset AND seen.name = p.source_column
       AND NOT seen.whole
    WHERE seen.dataset IS NULL AND u.depth < $depth
    GROUP BY p.source_namespace, p.source_dataset, p.source_column
),
down(namespace, dataset, name, whole, depth) USING KEY (namespace, dataset, name, whole) AS (
    SELECT $namespace::VARCHAR, $dataset::VARCHAR, coalesce($column::VARCHAR, ''), $column IS NULL, 0
    UNION
    SELECT p.target_namespace, p.target_dataset, coalesce(p.target_column, ''), p.target_column IS NULL, min(d.depth) + 1
    FROM down AS d
    JOIN pairs AS p
        ON p.source_namespace = d.namespace AND p.source_dataset = d.dataset AND (d.whole OR p.source_column = d.name)
    LEFT JOIN recurring.down AS seen
        ON seen.namespace = p.target_namespace AND seen.dataset = p.target_dataset
       AND seen.name = coalesce(p.target_column, '') AND seen.whole = (p.target_column IS NULL)
    WHERE seen.dataset IS NULL AND d.depth < $depth
    GROUP BY p.target_namespace, p.target_dataset, p.target_column
)
SELECT source_namespace, source_dataset, source_column, target_namespace, target_dataset, target_column, source, target,
       type, subtype, runs, last_seen
FROM pairs AS p
SEMI JOIN up AS u
    ON $up AND p.target_namespace = u.namespace AND p.target_dataset = u.dataset AND u.depth < $depth
   AND (u.whole OR p.target_column IS NULL OR p.target_column = u.name)
UNION
SELECT source_namespace, source_dataset, source_column, target_namespace, target_dataset, target_column, source, target,
       type, subtype, runs, last_seen
FROM pairs AS p
SEMI JOIN down AS d
    ON $down AND p.source_namespace = d.namespace AND p.source_dataset = d.dataset AND d.depth < $depth
   AND (d.whole OR p.source_column = d.name)
ORDER BY ALL;

-- name: schemas
-- The columns of the newest version, or else of the newest observation, of each dataset: one row a column.
WITH seen AS (
    SELECT l.namespace, l.dataset, o.columns, l.made_at AS moment, o.id
    FROM state.latest AS l JOIN facts.outcomes AS o ON o.id = l.id
    UNION ALL
    SELECT namespace, dataset, columns, time, id FROM facts.observations
),
newest AS (
    SELECT namespace, dataset, columns FROM seen WHERE len(columns) > 0
    QUALIFY row_number() OVER (PARTITION BY namespace, dataset ORDER BY moment DESC, id DESC) = 1
)
SELECT namespace, dataset, c.name, c.type FROM (SELECT namespace, dataset, unnest(columns) AS c FROM newest);

-- name: unknown
-- What the newest run that published the dataset could not tell of its columns.
SELECT DISTINCT u.namespace, u.dataset, u."column", u.reason
FROM facts.unknown_columns AS u SEMI JOIN state.latest AS l ON u.id = l.id
ORDER BY ALL;

-- name: declared_only
-- Declared and never observed; `made` says whether the target was made at all.
SELECT d.source, d.target, EXISTS (
    FROM state.latest AS l
    WHERE l.namespace = d.target_namespace AND l.dataset = d.target_dataset AND l.version IS NOT NULL
) AS made
FROM dataset_edges AS d WHERE d.declared AND d.runs = 0
ORDER BY ALL;

-- name: observed_only
SELECT source, target, via, runs, last_seen FROM dataset_edges WHERE NOT declared AND runs > 0 ORDER BY ALL;

-- name: unknown_inputs
-- Versions in place that were made of something whose origin could not be told.
SELECT l.asset, l.partition, unnest(o.unknown_inputs) AS reason
FROM state.latest AS l JOIN facts.outcomes AS o ON o.id = l.id
WHERE l.unknown_inputs
ORDER BY ALL;
