-- Edges, a row each over all runs, worked out on demand like outlines: so a walk over a million of them takes no look at what
-- each run read. What is pending says whose edges must be worked out again.

-- name: observed
CREATE OR REPLACE TEMP TABLE tried AS SELECT DISTINCT namespace, dataset FROM state.pending WHERE NOT defined;
DELETE FROM state.edges USING tried AS t WHERE target_namespace = t.namespace AND target_dataset = t.dataset;
INSERT INTO state.edges BY NAME
SELECT *, state.short([source_namespace, source_dataset]) AS source_place,
       state.short([target_namespace, target_dataset]) AS target_place
FROM (
    SELECT source_namespace, source_dataset, target_namespace, target_dataset, max(source) AS source,
           max(target) AS target, count(DISTINCT run_id) AS runs, min(time) AS first_seen, max(time) AS last_seen,
           min(via) AS via
    FROM facts.inputs
    WHERE published AND (target_namespace, target_dataset) IN (FROM tried)
    GROUP BY source_namespace, source_dataset, target_namespace, target_dataset
);
DELETE FROM state.column_edges USING tried AS t WHERE target_namespace = t.namespace AND target_dataset = t.dataset;
INSERT INTO state.column_edges BY NAME
SELECT *, state.short([source_namespace, source_dataset]) AS source_place,
       state.short([target_namespace, target_dataset]) AS target_place,
       state.short([source_namespace, source_dataset, source_column]) AS source_key,
       CASE WHEN target_column IS NOT NULL THEN state.short([target_namespace, target_dataset, target_column])
            ELSE target_place END AS target_key
FROM (
    SELECT source_namespace, source_dataset, source_column, target_namespace, target_dataset, target_column, type, subtype,
           max(source) AS source, max(target) AS target, count(DISTINCT run_id) AS runs, min(time) AS first_seen,
           max(time) AS last_seen
    FROM facts.column_edges
    WHERE published AND (target_namespace, target_dataset) IN (FROM tried)
    GROUP BY source_namespace, source_dataset, source_column, target_namespace, target_dataset, target_column, type,
             subtype
);

-- name: many
-- Of fewer edges a scan finds some as fast as an index does.
SELECT count(*) > 50000 FROM state.column_edges UNION ALL SELECT count(*) > 50000 FROM state.edges
ORDER BY 1 DESC LIMIT 1;

-- name: index
CREATE INDEX IF NOT EXISTS edges_by_source ON state.edges (source_place);
CREATE INDEX IF NOT EXISTS edges_by_target ON state.edges (target_place);
CREATE INDEX IF NOT EXISTS column_edges_by_source ON state.column_edges (source_key);
CREATE INDEX IF NOT EXISTS column_edges_by_target ON state.column_edges (target_key);
CREATE INDEX IF NOT EXISTS column_edges_by_source_place ON state.column_edges (source_place);

-- name: declared
-- Inputs of the newest definition of each dataset that was defined anew.
CREATE OR REPLACE TEMP TABLE redefined AS SELECT DISTINCT namespace, dataset FROM state.pending WHERE defined;
DELETE FROM state.declared USING redefined AS r WHERE target_namespace = r.namespace AND target_dataset = r.dataset;
INSERT INTO state.declared BY NAME
SELECT DISTINCT i.asset AS source, i.namespace AS source_namespace, i.dataset AS source_dataset,
       CASE WHEN i.dataset IS NOT NULL THEN state.short([i.namespace, i.dataset]) END AS source_place,
       name AS target, namespace AS target_namespace, dataset AS target_dataset,
       state.short([namespace, dataset]) AS target_place
FROM (
    SELECT name, namespace, dataset,
           unnest(json_transform(definition->'inputs',
               '[{"asset": "VARCHAR", "namespace": "VARCHAR", "dataset": "VARCHAR"}]')) AS i
    FROM (
        FROM facts.definitions SEMI JOIN redefined USING (namespace, dataset)
        QUALIFY row_number() OVER (PARTITION BY namespace, dataset ORDER BY time DESC, id DESC) = 1
    )
);
