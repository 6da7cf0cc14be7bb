-- What is asked of the part of a graph that is drawn.

-- name: places
-- What these datasets are called for short, in the same order.
SELECT state.short([namespace, dataset])
FROM (SELECT unnest($namespaces::VARCHAR[]) AS namespace, unnest($datasets::VARCHAR[]) AS dataset,
             unnest(range(len($datasets))) AS place)
ORDER BY place;

-- name: within
-- The edges between these places.
SELECT source_place, target_place, origin, runs FROM ({pairs})
WHERE source_place IN (SELECT unnest($places::UBIGINT[])) AND target_place IN (SELECT unnest($places::UBIGINT[]));

-- name: columns_within
SELECT * FROM ({edges}) WHERE target_place IN (SELECT unnest($places::UBIGINT[]))
ORDER BY source_dataset, target_dataset, source_column, target_column, type, subtype LIMIT $limit;

-- name: beyond
-- How many other places are joined to each of these.
SELECT {here}_place, count(DISTINCT {there}_place) FROM ({pairs})
WHERE {here}_place IN (SELECT unnest($places::UBIGINT[])) AND {there}_place NOT IN (SELECT unnest($places::UBIGINT[]))
GROUP BY ALL;

-- name: unknown_of
-- What the newest run that published these datasets could not tell of their columns.
WITH wanted AS (SELECT unnest($namespaces::VARCHAR[]) AS namespace, unnest($datasets::VARCHAR[]) AS dataset)
SELECT DISTINCT u.namespace, u.dataset, u."column", u.reason
FROM facts.unknown_columns AS u SEMI JOIN state.latest AS l ON u.id = l.id SEMI JOIN wanted AS w
ON u.namespace = w.namespace AND u.dataset = w.dataset
ORDER BY ALL;
