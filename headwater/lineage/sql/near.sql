-- What is asked of the part of a graph that is drawn.

-- name: within
-- The edges between these places.
SELECT source_place, target_place, origin, runs FROM ({pairs})
WHERE source_place IN (SELECT unnest($places::{kind}[])) AND target_place IN (SELECT unnest($places::{kind}[]));

-- name: columns_within
-- So many of the edges between columns of these places, those of the same two beside each other.
SELECT source_key, target_key, type, subtype, runs FROM {edges}
WHERE source_place IN (SELECT unnest($places::{kind}[])) AND target_place IN (SELECT unnest($places::{kind}[]))
ORDER BY source_place, target_place, source_key, target_key, type, subtype LIMIT $limit;

-- name: beyond
-- How many other places are joined to each of these.
SELECT {here}_place, count(DISTINCT {there}_place) FROM ({pairs})
WHERE {here}_place IN (SELECT unnest($places::{kind}[])) AND {there}_place NOT IN (SELECT unnest($places::{kind}[]))
GROUP BY ALL;

-- name: unknown_of
-- What the newest run that published these datasets could not tell of their columns.
WITH wanted AS (SELECT unnest($namespaces::VARCHAR[]) AS namespace, unnest($datasets::VARCHAR[]) AS dataset)
SELECT DISTINCT u.namespace, u.dataset, u."column", u.reason
FROM facts.unknown_columns AS u SEMI JOIN state.latest AS l ON u.id = l.id SEMI JOIN wanted AS w
ON u.namespace = w.namespace AND u.dataset = w.dataset
ORDER BY ALL;
