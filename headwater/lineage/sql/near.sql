-- What is asked of the part of a graph that is drawn.

-- name: places
-- What these datasets are called for short, in the same order.
SELECT state.short([namespace, dataset])
FROM (SELECT unnest($namespaces::VARCHAR[]) AS namespace, unnest($datasets::VARCHAR[]) AS dataset,
             unnest(range(len($datasets))) AS place)
ORDER BY place;

-- name: beside
-- The places on the other side of these edges ({there} is source or target).
SELECT DISTINCT {there}_place FROM ({edges});

-- name: within
-- Of the edges that begin at some places (numbers) those that end there, too.
SELECT * FROM ({edges}) WHERE target_place IN ({keys});

-- name: columns_within
SELECT * FROM ({edges}) WHERE target_place IN ({keys})
ORDER BY source_dataset, target_dataset, source_column, target_column, type, subtype LIMIT $limit;

-- name: beyond
-- How many other places are joined to each of these.
SELECT {here}_place, count(DISTINCT {there}_place) FROM ({edges}) WHERE {there}_place NOT IN ({keys}) GROUP BY ALL;

-- name: unknown_of
-- What the newest run that published these datasets could not tell of their columns.
WITH wanted AS (SELECT unnest($namespaces::VARCHAR[]) AS namespace, unnest($datasets::VARCHAR[]) AS dataset)
SELECT DISTINCT u.namespace, u.dataset, u."column", u.reason
FROM facts.unknown_columns AS u SEMI JOIN state.latest AS l ON u.id = l.id SEMI JOIN wanted AS w
ON u.namespace = w.namespace AND u.dataset = w.dataset
ORDER BY ALL;

-- name: joined
-- How many edges lead from each group of datasets to each other one.
WITH grouped AS (
    SELECT unnest($namespaces::VARCHAR[]) AS namespace, unnest($datasets::VARCHAR[]) AS dataset, unnest($groups::VARCHAR[]) AS name
)
SELECT s.name, t.name, count(*)
FROM ({edges}) AS e
JOIN grouped AS s ON s.namespace = e.source_namespace AND s.dataset = e.source_dataset
JOIN grouped AS t ON t.namespace = e.target_namespace AND t.dataset = e.target_dataset
WHERE s.name <> t.name
GROUP BY ALL ORDER BY ALL;
