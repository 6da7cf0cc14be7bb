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
-- Found by their places: to compare one number for each of many assets is quicker than two texts.
SELECT name, namespace, dataset FROM state.policies
WHERE place IN (
    SELECT state.short([namespace, dataset])
    FROM (SELECT unnest($namespaces::VARCHAR[]) AS namespace, unnest($datasets::VARCHAR[]) AS dataset)
)
ORDER BY defined, dataset, namespace;

-- name: named
-- The datasets at these places that are defined, each with its newest name.
SELECT state.short([namespace, dataset]) AS place, namespace, dataset, name FROM assets
WHERE place IN (SELECT unnest($places::UBIGINT[]));

-- name: settled_named
SELECT n.number AS place, p.namespace, p.dataset, p.name
FROM state.nodes AS n JOIN state.policies AS p USING (place)
WHERE n.number IN (SELECT unnest($places::INTEGER[]));

-- name: places
-- What these datasets are called for short, in the same order.
SELECT state.short([namespace, dataset])
FROM (SELECT unnest($namespaces::VARCHAR[]) AS namespace, unnest($datasets::VARCHAR[]) AS dataset,
             unnest(range(len($datasets))) AS place)
ORDER BY place;

-- name: settled_places
-- Where there is no edge the number is one that nothing has.
SELECT coalesce(n.number, -1 - w.place)
FROM (
    SELECT unnest($namespaces::VARCHAR[]) AS namespace, unnest($datasets::VARCHAR[]) AS dataset,
           unnest(range(len($datasets))) AS place
) AS w
LEFT JOIN state.nodes AS n USING (namespace, dataset)
ORDER BY w.place;

-- name: ends
-- The datasets at these places as edges call them.
SELECT source_place, any_value(source_namespace), any_value(source_dataset), max(source) FROM dataset_edges
WHERE source_place IN (SELECT unnest($places::UBIGINT[])) GROUP BY source_place
UNION ALL
SELECT target_place, any_value(target_namespace), any_value(target_dataset), max(target) FROM dataset_edges
WHERE target_place IN (SELECT unnest($places::UBIGINT[])) GROUP BY target_place;

-- name: settled_ends
SELECT number, namespace, dataset, name FROM state.nodes WHERE number IN (SELECT unnest($places::INTEGER[]));

-- name: pairs
-- Every edge by its places alone: numbers side by side, of which a million are looked through in no time.
SELECT source_place, target_place, origin, runs FROM dataset_edges;

-- name: settled_pairs
SELECT source_place, target_place, 'observed' AS origin, runs FROM state.edges
UNION ALL
SELECT source_place, target_place, 'declared', 0 FROM state.declared_steps;

-- name: step
-- A step of a walk: the edges that end ({here} is target) or begin (source) at these places.
SELECT source_place, target_place, origin, declared, runs, last_seen FROM dataset_edges
WHERE {here}_place IN (SELECT unnest($keys::UBIGINT[]));

-- name: settled_step
-- The same out of what is worked out on demand: columns of small numbers are looked through faster than an index is read. An edge
-- that was declared and observed comes twice, as observed first.
SELECT source_place, target_place, 'observed' AS origin, false AS declared, runs, make_timestamp(last_seen) AS last_seen
FROM state.edges WHERE {here}_place IN (SELECT unnest($keys::INTEGER[]))
UNION ALL
SELECT source_place, target_place, 'declared', true, 0, NULL
FROM state.declared_steps WHERE {here}_place IN (SELECT unnest($keys::INTEGER[]));

-- name: current_code
-- Since when these datasets have been made by the code that made them last, and by no other.
WITH made AS (
    SELECT namespace, dataset, code_version, time, {time: time, id: id} AS "at" FROM facts.outcomes
    WHERE state = 'published'
      AND (namespace, dataset) IN (SELECT (unnest($namespaces::VARCHAR[]), unnest($datasets::VARCHAR[])))
),
newest AS (
    SELECT namespace, dataset, arg_max({code: code_version}, "at").code AS code_version FROM made GROUP BY namespace, dataset
),
other AS (
    SELECT m.namespace, m.dataset, max(m."at") AS "at"
    FROM made AS m JOIN newest AS n
        ON n.namespace = m.namespace AND n.dataset = m.dataset AND n.code_version IS DISTINCT FROM m.code_version
    GROUP BY m.namespace, m.dataset
)
SELECT m.namespace, m.dataset, make_timestamp(min(m.time))
FROM made AS m LEFT JOIN other AS o ON o.namespace = m.namespace AND o.dataset = m.dataset
WHERE o."at" IS NULL OR m."at" > o."at"
GROUP BY m.namespace, m.dataset;

-- name: joined
-- How many edges lead from each group of datasets to each other one. One end after the other: left to itself DuckDB, which takes
-- a list for a short one, pairs all datasets with all others first.
WITH grouped AS MATERIALIZED (
    SELECT unnest($namespaces::VARCHAR[]) AS namespace, unnest($datasets::VARCHAR[]) AS dataset, unnest($groups::VARCHAR[]) AS name
),
led AS MATERIALIZED (
    SELECT g.name AS source, e.target_namespace AS namespace, e.target_dataset AS dataset
    FROM dataset_edges AS e JOIN grouped AS g ON g.namespace = e.source_namespace AND g.dataset = e.source_dataset
)
SELECT source, name, count(*) FROM led JOIN grouped USING (namespace, dataset) WHERE source <> name
GROUP BY ALL ORDER BY ALL;

-- name: settled_joined
WITH grouped AS MATERIALIZED (
    SELECT n.number, g.name
    FROM (
        SELECT unnest($namespaces::VARCHAR[]) AS namespace, unnest($datasets::VARCHAR[]) AS dataset,
               unnest($groups::VARCHAR[]) AS name
    ) AS g
    JOIN state.nodes AS n USING (namespace, dataset)
),
led AS MATERIALIZED (
    SELECT g.name AS source, e.target_place AS number
    FROM (
        SELECT source_place, target_place FROM state.edges
        UNION
        SELECT source_place, target_place FROM state.declared_steps
    ) AS e
    JOIN grouped AS g ON g.number = e.source_place
)
SELECT source, name, count(*) FROM led JOIN grouped USING (number) WHERE source <> name
GROUP BY ALL ORDER BY ALL;

-- name: column_step
-- A step along columns: the edges of which {here} (source_key, target_key, source_place or target_place) is one of these.
SELECT source_key, target_key, source_place, target_place, type, subtype, runs, last_seen FROM dataset_column_edges
WHERE {here} IN (SELECT unnest($keys::UBIGINT[]));

-- name: settled_column_step
SELECT source_key, target_key, source_place, target_place, type, subtype, runs, make_timestamp(last_seen) AS last_seen
FROM state.column_edges WHERE {here} IN (SELECT unnest($keys::INTEGER[]));

-- name: column_ends
-- The columns of these keys, or (NULL) the datasets as a whole, and what edges call their datasets.
SELECT source_key, any_value(source_namespace), any_value(source_dataset), any_value(source_column), max(source)
FROM dataset_column_edges WHERE source_key IN (SELECT unnest($keys::UBIGINT[])) GROUP BY source_key
UNION ALL
SELECT target_key, any_value(target_namespace), any_value(target_dataset), any_value(target_column), max(target)
FROM dataset_column_edges WHERE target_key IN (SELECT unnest($keys::UBIGINT[])) GROUP BY target_key;

-- name: settled_column_ends
WITH wanted AS MATERIALIZED (
    SELECT number, place, "column" FROM state.column_nodes WHERE number IN (SELECT unnest($keys::INTEGER[]))
    UNION ALL
    SELECT key, -1 - key, NULL FROM (SELECT unnest($keys::INTEGER[]) AS key) WHERE key < 0
)
SELECT w.number, n.namespace, n.dataset, w."column", n.name FROM wanted AS w JOIN state.nodes AS n ON n.number = w.place;

-- name: place
-- The place of a dataset, and the key of a column of it or (NULL) of all of it.
SELECT state.short([$namespace::VARCHAR, $dataset::VARCHAR]) AS place,
       CASE WHEN $column IS NULL THEN place ELSE state.short([$namespace::VARCHAR, $dataset::VARCHAR, $column::VARCHAR]) END;

-- name: settled_place
-- Where there is no edge there is no row.
SELECT n.number, coalesce(c.number, -1 - n.number)
FROM state.nodes AS n LEFT JOIN state.column_nodes AS c ON c.place = n.number AND c."column" = $column::VARCHAR
WHERE n.place = state.short([$namespace::VARCHAR, $dataset::VARCHAR]) AND ($column IS NULL OR c.number IS NOT NULL);

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

-- name: schemas_of
-- The same of these datasets. Outcomes are found by their times, which stand in order in few bytes, unlike their ids.
WITH wanted AS MATERIALIZED (
    SELECT unnest($namespaces::VARCHAR[]) AS namespace, unnest($datasets::VARCHAR[]) AS dataset
),
latest AS MATERIALIZED (
    SELECT namespace, dataset, id, made_at FROM state.latest WHERE dataset IN (SELECT dataset FROM wanted)
),
made AS MATERIALIZED (SELECT id, columns FROM facts.outcomes WHERE time IN (SELECT made_at FROM latest)),
seen AS (
    SELECT namespace, dataset, columns, made_at AS moment, id FROM latest JOIN made USING (id)
    UNION ALL
    SELECT namespace, dataset, columns, time, id FROM facts.observations
    WHERE dataset IN (SELECT dataset FROM wanted)
),
newest AS (
    SELECT namespace, dataset, columns FROM seen SEMI JOIN wanted USING (namespace, dataset) WHERE len(columns) > 0
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

-- name: unknown_datasets
-- The datasets of which the newest run that published them could not tell all, each with what it called them.
SELECT u.namespace, u.dataset, max(l.asset) FROM facts.unknown_columns AS u JOIN state.latest AS l ON u.id = l.id
GROUP BY u.namespace, u.dataset;

-- name: checks_of
-- The checks of the assets that have these names, and the columns that the checks name, by the newest definition of each dataset.
SELECT name, CAST(definition -> '$.checks' AS VARCHAR), CAST(definition -> '$.check_columns' AS VARCHAR) FROM (
    FROM facts.definitions
    WHERE (namespace, dataset) IN (
        SELECT (namespace, dataset) FROM facts.definitions WHERE name IN (SELECT unnest($names::VARCHAR[]))
    )
    QUALIFY row_number() OVER (PARTITION BY namespace, dataset ORDER BY time DESC, id DESC) = 1
)
WHERE name IN (SELECT unnest($names::VARCHAR[]))
ORDER BY time, dataset, namespace;

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
