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

-- name: dataset_of
-- The dataset that a name stands for: by the newest definition of that name, or else what was called so.
SELECT namespace, dataset FROM (
    SELECT namespace, dataset, 1 AS rank, defined FROM assets WHERE name = $name
    UNION ALL
    SELECT namespace, dataset, 0, NULL FROM state.latest WHERE asset = $name
    UNION ALL
    SELECT namespace, dataset, 0, NULL FROM facts.observations WHERE asset = $name
)
ORDER BY rank DESC, defined DESC, dataset DESC, namespace DESC LIMIT 1;

-- name: settled_dataset_of
-- The same out of what is worked out on demand, one row a dataset.
SELECT namespace, dataset FROM (
    SELECT namespace, dataset, 1 AS rank, defined FROM state.policies WHERE name = $name
    UNION ALL
    SELECT namespace, dataset, 0, NULL FROM state.latest WHERE asset = $name
    UNION ALL
    SELECT namespace, dataset, 0, NULL FROM facts.observations WHERE asset = $name
)
ORDER BY rank DESC, defined DESC, dataset DESC, namespace DESC LIMIT 1;

-- name: dataset_read_as
-- The same of what was only read: it has neither a definition nor a version.
SELECT source_namespace, source_dataset FROM dataset_edges WHERE source = $name
UNION
SELECT target_namespace, target_dataset FROM dataset_edges WHERE target = $name
ORDER BY ALL DESC LIMIT 1;

-- name: names_of
-- What these datasets are called by their newest definitions.
SELECT name, namespace, dataset FROM assets
WHERE (namespace, dataset) IN (SELECT (unnest($namespaces::VARCHAR[]), unnest($datasets::VARCHAR[])))
ORDER BY defined, dataset, namespace;

-- name: settled_names_of
SELECT name, namespace, dataset FROM state.policies
WHERE (namespace, dataset) IN (SELECT (unnest($namespaces::VARCHAR[]), unnest($datasets::VARCHAR[])))
ORDER BY defined, dataset, namespace;

-- name: named
-- The datasets at these places that are defined, each with its newest name.
SELECT state.short([namespace, dataset]) AS place, namespace, dataset, name FROM assets
WHERE place IN (SELECT unnest($places::UBIGINT[]));

-- name: settled_named
SELECT place, namespace, dataset, name FROM state.policies WHERE place IN (SELECT unnest($places::UBIGINT[]));

-- name: ends
-- The datasets at these places as edges call them.
SELECT source_place, any_value(source_namespace), any_value(source_dataset), max(source) FROM dataset_edges
WHERE source_place IN (SELECT unnest($places::UBIGINT[])) GROUP BY source_place
UNION ALL
SELECT target_place, any_value(target_namespace), any_value(target_dataset), max(target) FROM dataset_edges
WHERE target_place IN (SELECT unnest($places::UBIGINT[])) GROUP BY target_place;

-- name: pairs
-- Every edge by its places alone: numbers side by side, of which a million are looked through in no time.
SELECT source_place, target_place, origin, runs FROM dataset_edges;

-- name: settled_pairs
SELECT source_place, target_place, 'observed' AS origin, runs FROM state.edges
UNION ALL
SELECT coalesce(d.source_place, p.place), d.target_place, 'declared', 0
FROM state.declared AS d LEFT JOIN state.policies AS p ON d.source_place IS NULL AND p.name = d.source AND p.stands;

-- name: step
-- A step of a walk: the places on the other side ({there} is source or target) of the edges at these places, which are numbers.
SELECT DISTINCT {there}_place FROM dataset_edges WHERE {here}_place IN ({keys});

-- name: settled_step
-- The same out of what is worked out on demand: an index finds the few rows of a step among millions.
SELECT {there}_place FROM state.edges WHERE {here}_place IN ({keys})
UNION ALL
SELECT {there}_place FROM (
    SELECT coalesce(d.source_place, p.place) AS source_place, d.target_place
    FROM state.declared AS d
    LEFT JOIN state.policies AS p ON d.source_place IS NULL AND p.name = d.source AND p.stands
)
WHERE {here}_place IN ({keys}) AND {there}_place IS NOT NULL;

-- name: edges
-- The edges that were walked along: those that end ({here} is target) or begin (source) at these places, and what is on their
-- other side ({there}). To read a text of a million takes longer than to find it: none is read twice.
SELECT source_place, target_place, {there}_namespace AS namespace, {there}_dataset AS dataset, {there} AS name, origin, runs,
       last_seen
FROM dataset_edges WHERE {here}_place IN ({keys});

-- name: settled_edges
-- The same out of what is worked out on demand; an edge that was declared and observed comes twice, as observed first.
SELECT source_place, target_place, {there}_namespace AS namespace, {there}_dataset AS dataset, {there} AS name,
       'observed' AS origin, runs, make_timestamp(last_seen) AS last_seen
FROM state.edges WHERE {here}_place IN ({keys})
UNION ALL
SELECT source_place, target_place, {there}_namespace, {there}_dataset, {there}, 'declared', 0, NULL
FROM (
    SELECT d.* REPLACE (
        coalesce(d.source_place, p.place) AS source_place, coalesce(d.source_namespace, p.namespace) AS source_namespace,
        coalesce(d.source_dataset, p.dataset) AS source_dataset
    )
    FROM state.declared AS d
    LEFT JOIN state.policies AS p ON d.source_place IS NULL AND p.name = d.source AND p.stands
)
WHERE {here}_place IN ({keys}) AND source_place IS NOT NULL;

-- name: joined
-- How many edges lead from each group of datasets to each other one.
WITH grouped AS (
    SELECT unnest($namespaces::VARCHAR[]) AS namespace, unnest($datasets::VARCHAR[]) AS dataset, unnest($groups::VARCHAR[]) AS name
)
SELECT s.name, t.name, count(*)
FROM dataset_edges AS e
JOIN grouped AS s ON s.namespace = e.source_namespace AND s.dataset = e.source_dataset
JOIN grouped AS t ON t.namespace = e.target_namespace AND t.dataset = e.target_dataset
WHERE s.name <> t.name
GROUP BY ALL ORDER BY ALL;

-- name: column_step
-- A step along columns: {here} is source_key, target_key, source_place or target_place, {there} source or target.
SELECT DISTINCT {there}_key, {there}_place FROM dataset_column_edges WHERE {here} IN ({keys});

-- name: column_edges
SELECT source_key, target_key, source_place, target_place, source_namespace, source_dataset, source_column, target_namespace,
       target_dataset, target_column, source, target, type, subtype, runs, last_seen
FROM dataset_column_edges WHERE {here} IN ({keys});

-- name: place
SELECT state.short([$namespace::VARCHAR, $dataset::VARCHAR]),
       CASE WHEN $column IS NOT NULL THEN state.short([$namespace::VARCHAR, $dataset::VARCHAR, $column::VARCHAR]) END;

-- name: schemas
-- The columns of the newest version, or else of the newest observation, of these datasets or of all: one row a column.
WITH wanted AS (SELECT unnest($namespaces::VARCHAR[]) AS namespace, unnest($datasets::VARCHAR[]) AS dataset),
seen AS (
    SELECT l.namespace, l.dataset, o.columns, l.made_at AS moment, o.id
    FROM state.latest AS l JOIN facts.outcomes AS o ON o.id = l.id
    WHERE $everything OR (l.namespace, l.dataset) IN (FROM wanted)
    UNION ALL
    SELECT namespace, dataset, columns, time, id FROM facts.observations
    WHERE $everything OR (namespace, dataset) IN (FROM wanted)
),
newest AS (
    SELECT namespace, dataset, columns FROM seen WHERE len(columns) > 0
    QUALIFY row_number() OVER (PARTITION BY namespace, dataset ORDER BY moment DESC, id DESC) = 1
)
SELECT namespace, dataset, c.name, c.type FROM (SELECT namespace, dataset, unnest(columns) AS c FROM newest);

-- name: runs_like
SELECT DISTINCT run_id FROM facts.run_started WHERE starts_with(run_id, $run) ORDER BY run_id DESC LIMIT 50;

-- name: edges_as_of
-- Edges of what was published until a moment, in microseconds. Of the last run only that made each target, when `newest`.
WITH until AS (
    FROM facts.inputs WHERE published AND time <= $moment AND ($run IS NULL OR id IN (
        SELECT id FROM facts.outcomes WHERE run_id = $run OR root_run_id = $run))
),
last AS (
    SELECT namespace, dataset, arg_max(run_id, {time: time, id: id}) AS run_id FROM facts.outcomes
    WHERE state = 'published' AND time <= $moment GROUP BY ALL
)
SELECT source_namespace, source_dataset, target_namespace, target_dataset, max(source) AS source, max(target) AS target,
       'observed' AS origin, count(DISTINCT u.run_id) AS runs, make_timestamp(max(time)) AS last_seen
FROM until AS u
WHERE NOT $newest OR (target_namespace, target_dataset, run_id) IN (SELECT (namespace, dataset, run_id) FROM last)
GROUP BY source_namespace, source_dataset, target_namespace, target_dataset
ORDER BY ALL;

-- name: column_edges_as_of
WITH until AS (
    FROM facts.column_edges WHERE published AND time <= $moment AND ($run IS NULL OR id IN (
        SELECT id FROM facts.outcomes WHERE run_id = $run OR root_run_id = $run))
),
last AS (
    SELECT namespace, dataset, arg_max(run_id, {time: time, id: id}) AS run_id FROM facts.outcomes
    WHERE state = 'published' AND time <= $moment GROUP BY ALL
)
SELECT source_namespace, source_dataset, source_column, target_namespace, target_dataset, target_column, type, subtype,
       max(source) AS source, max(target) AS target, count(DISTINCT u.run_id) AS runs,
       make_timestamp(max(time)) AS last_seen
FROM until AS u
WHERE NOT $newest OR (target_namespace, target_dataset, run_id) IN (SELECT (namespace, dataset, run_id) FROM last)
GROUP BY source_namespace, source_dataset, source_column, target_namespace, target_dataset, target_column, type, subtype
ORDER BY ALL;

-- name: column_edges_in_place
-- Column edges of the versions that were in place at a moment: of each partition the one that was published last.
WITH last AS (
    SELECT arg_max(id, {time: time, id: id}) AS id FROM facts.outcomes
    WHERE state = 'published' AND time <= $moment GROUP BY namespace, dataset, partition
)
SELECT DISTINCT source_namespace, source_dataset, source_column, target_namespace, target_dataset, target_column, type, subtype,
       source, target, 1 AS runs, NULL::TIMESTAMP AS last_seen
FROM facts.column_edges SEMI JOIN last USING (id)
ORDER BY ALL;

-- name: unknown_in_place
WITH last AS (
    SELECT arg_max(id, {time: time, id: id}) AS id FROM facts.outcomes
    WHERE state = 'published' AND time <= $moment GROUP BY namespace, dataset, partition
)
SELECT DISTINCT namespace, dataset, "column" FROM facts.unknown_columns SEMI JOIN last USING (id) ORDER BY ALL;

-- name: inputs_in_place
WITH last AS (
    SELECT arg_max(id, {time: time, id: id}) AS id FROM facts.outcomes
    WHERE state = 'published' AND time <= $moment GROUP BY namespace, dataset, partition
)
SELECT DISTINCT source_namespace, source_dataset, target_namespace, target_dataset FROM facts.inputs SEMI JOIN last USING (id)
ORDER BY ALL;

-- name: definitions_as_of
-- The newest definition of each dataset at a moment, the newest last.
SELECT name, namespace, dataset, CAST(definition AS VARCHAR) FROM facts.definitions WHERE time <= $moment
QUALIFY row_number() OVER (PARTITION BY namespace, dataset ORDER BY time DESC, id DESC) = 1
ORDER BY time, dataset, namespace;

-- name: schemas_as_of
WITH seen AS (
    SELECT namespace, dataset, columns, time, id FROM facts.outcomes
    WHERE state = 'published' AND time <= $moment AND ($run IS NULL OR run_id = $run OR root_run_id = $run)
    UNION ALL
    SELECT namespace, dataset, columns, time, id FROM facts.observations WHERE time <= $moment AND $run IS NULL
),
newest AS (
    SELECT namespace, dataset, columns FROM seen WHERE len(columns) > 0
    QUALIFY row_number() OVER (PARTITION BY namespace, dataset ORDER BY time DESC, id DESC) = 1
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
