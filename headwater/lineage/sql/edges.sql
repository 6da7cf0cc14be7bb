-- Edges, a row each over all runs, worked out on demand like outlines: so a walk over a million of them takes no look at what
-- each run read. What is pending says whose edges must be worked out again.

-- name: observed
CREATE OR REPLACE TEMP TABLE tried AS SELECT DISTINCT namespace, dataset FROM state.pending WHERE NOT defined;
CREATE OR REPLACE TEMP TABLE found AS
SELECT source_namespace, source_dataset, target_namespace, target_dataset, max(source) AS source,
       max(target) AS target, count(DISTINCT run_id) AS runs, min(time) AS first_seen, max(time) AS last_seen,
       min(via) AS via
FROM facts.inputs
WHERE published AND (target_namespace, target_dataset) IN (FROM tried)
GROUP BY source_namespace, source_dataset, target_namespace, target_dataset;
CREATE OR REPLACE TEMP TABLE found_columns AS
SELECT source_namespace, source_dataset, source_column, target_namespace, target_dataset, target_column, type, subtype,
       max(source) AS source, max(target) AS target, count(DISTINCT run_id) AS runs, min(time) AS first_seen,
       max(time) AS last_seen
FROM facts.column_edges
WHERE published AND (target_namespace, target_dataset) IN (FROM tried)
GROUP BY source_namespace, source_dataset, source_column, target_namespace, target_dataset, target_column, type, subtype;
CREATE OR REPLACE TEMP TABLE ends AS
SELECT namespace, dataset, max(name) AS name
FROM (
    SELECT source_namespace AS namespace, source_dataset AS dataset, source AS name FROM found
    UNION ALL
    SELECT target_namespace, target_dataset, target FROM found
    UNION ALL
    SELECT source_namespace, source_dataset, source FROM found_columns
    UNION ALL
    SELECT target_namespace, target_dataset, target FROM found_columns
)
GROUP BY namespace, dataset;

-- name: nodes
-- Each dataset at an end of an edge gets a number that it keeps; those that are called alike get ones that are close.
UPDATE state.nodes AS n SET name = e.name
FROM ends AS e WHERE e.namespace = n.namespace AND e.dataset = n.dataset AND e.name > n.name;
INSERT INTO state.nodes BY NAME
SELECT coalesce((SELECT max(number) FROM state.nodes), -1) + row_number() OVER (ORDER BY namespace, dataset) AS number,
       state.short([namespace, dataset]) AS place, namespace, dataset, name
FROM ends ANTI JOIN state.nodes USING (namespace, dataset)
ORDER BY number;

-- name: numbered
-- In the order of their targets: so a step of a walk reads little of them.
DELETE FROM state.edges
WHERE target_place IN (SELECT number FROM state.nodes SEMI JOIN tried USING (namespace, dataset));
INSERT INTO state.edges BY NAME
SELECT s.number AS source_place, t.number AS target_place, runs, first_seen, last_seen, via
FROM found AS f
JOIN state.nodes AS s ON s.namespace = f.source_namespace AND s.dataset = f.source_dataset
JOIN state.nodes AS t ON t.namespace = f.target_namespace AND t.dataset = f.target_dataset
ORDER BY target_place, source_place;
CREATE OR REPLACE TEMP TABLE numbered AS
SELECT s.number AS source_place, source_column, t.number AS target_place, target_column, type, subtype, runs, first_seen,
       last_seen
FROM found_columns AS f
JOIN state.nodes AS s ON s.namespace = f.source_namespace AND s.dataset = f.source_dataset
JOIN state.nodes AS t ON t.namespace = f.target_namespace AND t.dataset = f.target_dataset;
INSERT INTO state.column_nodes BY NAME
SELECT coalesce((SELECT max(number) FROM state.column_nodes), -1) + row_number() OVER (ORDER BY place, "column") AS number,
       place, "column"
FROM (
    SELECT source_place AS place, source_column AS "column" FROM numbered
    UNION
    SELECT target_place, target_column FROM numbered WHERE target_column IS NOT NULL
) ANTI JOIN state.column_nodes USING (place, "column")
ORDER BY number;
DELETE FROM state.column_edges
WHERE target_place IN (SELECT number FROM state.nodes SEMI JOIN tried USING (namespace, dataset));
INSERT INTO state.column_edges BY NAME
SELECT s.number AS source_key, coalesce(t.number, -1 - target_place) AS target_key, source_place, target_place, type, subtype,
       runs, first_seen, last_seen
FROM numbered AS f
JOIN state.column_nodes AS s ON s.place = f.source_place AND s."column" = f.source_column
LEFT JOIN state.column_nodes AS t ON t.place = f.target_place AND t."column" = f.target_column
ORDER BY target_place, target_key, source_key;
DROP TABLE found; DROP TABLE found_columns; DROP TABLE numbered;

-- name: declared
-- Inputs of the newest definition of each dataset that was defined anew.
CREATE OR REPLACE TEMP TABLE redefined AS SELECT DISTINCT namespace, dataset FROM state.pending WHERE defined;
DELETE FROM state.declared USING redefined AS r WHERE target_namespace = r.namespace AND target_dataset = r.dataset;
INSERT INTO state.declared BY NAME
SELECT DISTINCT i.asset AS source, i.namespace AS source_namespace, i.dataset AS source_dataset,
       name AS target, namespace AS target_namespace, dataset AS target_dataset
FROM (
    SELECT name, namespace, dataset,
           unnest(json_transform(definition->'inputs',
               '[{"asset": "VARCHAR", "namespace": "VARCHAR", "dataset": "VARCHAR"}]')) AS i
    FROM (
        FROM facts.definitions SEMI JOIN redefined USING (namespace, dataset)
        QUALIFY row_number() OVER (PARTITION BY namespace, dataset ORDER BY time DESC, id DESC) = 1
    )
);
-- One whose dataset was not known then is found by its name: by any definition, so all of them are looked at again.
CREATE OR REPLACE TEMP TABLE resolved AS
SELECT DISTINCT d.source, coalesce(d.source_namespace, p.namespace) AS source_namespace,
       coalesce(d.source_dataset, p.dataset) AS source_dataset, d.target, d.target_namespace, d.target_dataset
FROM state.declared AS d
LEFT JOIN state.policies AS p ON d.source_dataset IS NULL AND p.name = d.source AND p.stands
WHERE d.source_dataset IS NOT NULL OR p.dataset IS NOT NULL;
CREATE OR REPLACE TEMP TABLE ends AS
SELECT namespace, dataset, max(name) AS name
FROM (
    SELECT source_namespace AS namespace, source_dataset AS dataset, source AS name FROM resolved
    UNION ALL
    SELECT target_namespace, target_dataset, target FROM resolved
)
GROUP BY namespace, dataset;

-- name: steps
DELETE FROM state.declared_steps;
INSERT INTO state.declared_steps BY NAME
SELECT DISTINCT s.number AS source_place, t.number AS target_place
FROM resolved AS f
JOIN state.nodes AS s ON s.namespace = f.source_namespace AND s.dataset = f.source_dataset
JOIN state.nodes AS t ON t.namespace = f.target_namespace AND t.dataset = f.target_dataset
ORDER BY target_place, source_place;
