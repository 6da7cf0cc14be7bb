-- What ingestion does around the statements of each kind (ingest.sql).

-- name: stage
-- The lines of the file. `b` stays JSON: each kind takes it apart in its own way.
CREATE OR REPLACE TEMP TABLE staged AS
SELECT
    coalesce(TRY_CAST(id AS UUID), CAST(md5(id) AS UUID)) AS id, w AS writer, n AS seq, t AS time,
    CASE WHEN id IS NOT NULL THEN k END AS kind, b AS body
FROM read_json(
    $path, format = 'newline_delimited', compression = 'uncompressed', maximum_object_size = $longest,
    ignore_errors = true,
    columns = {w: 'VARCHAR', n: 'BIGINT', id: 'VARCHAR', t: 'BIGINT', k: 'VARCHAR', b: 'JSON'}
);

-- name: kinds
-- The kinds that are there, how many events and ids each has, and between which two ids they lie.
SELECT kind, count(*), count(DISTINCT id), min(id), max(id) FROM staged GROUP BY kind;

-- name: once
-- Of events that were read twice one stays.
CREATE OR REPLACE TEMP TABLE staged AS SELECT DISTINCT ON (id) * FROM staged;

-- name: trim
-- Leaves out what lies past these positions: a projection that is to be compared with another reads as far, no further.
DELETE FROM staged
WHERE NOT EXISTS (
    FROM (SELECT unnest($writers::VARCHAR[]) AS writer, unnest($seqs::BIGINT[]) AS seq) AS until
    WHERE until.writer = staged.writer AND staged.seq < until.seq
);

-- name: begin
-- The keys whose row in `state.latest` must be made again before the transaction ends.
CREATE OR REPLACE TEMP TABLE touched (namespace VARCHAR, dataset VARCHAR, partition VARCHAR);

-- name: positions
SELECT writer, seq, "offset", closed FROM state.positions WHERE writer IN (SELECT unnest($writers::VARCHAR[]));

-- name: gone
DELETE FROM state.positions WHERE writer IN (SELECT unnest($writers::VARCHAR[]));

-- name: tried
-- Whether one of these keys has a row already.
FROM state.latest
SEMI JOIN (SELECT unnest($keys::STRUCT(namespace VARCHAR, dataset VARCHAR, partition VARCHAR)[]) AS key)
    ON key = {namespace: namespace, dataset: dataset, partition: partition}
LIMIT 1;

-- name: latest
-- In place is the published version that no other one replaces; should a clock have run backwards, the chain of
-- `replaces` still says so. Where the chain does not decide, the newest by (time, id) does: never the order of arrival.
DELETE FROM state.latest USING touched AS t
WHERE latest.namespace = t.namespace AND latest.dataset = t.dataset
  AND latest.partition IS NOT DISTINCT FROM t.partition;
INSERT INTO state.latest BY NAME
WITH tried AS MATERIALIZED (
    SELECT o.namespace, o.dataset, o.partition, o.asset, o.id, o.time, o.state, o.error.message AS error, o.version,
           o.replaces, o.started_at, o.run_id, o.rows, o.bytes, o.time_max, o.partition_start, o.partition_end,
           o.code_version, coalesce(len(o.unknown_inputs), 0) > 0 AS unknown_inputs
    FROM facts.outcomes AS o
    SEMI JOIN touched AS t
        ON o.namespace = t.namespace AND o.dataset = t.dataset AND o.partition IS NOT DISTINCT FROM t.partition
),
replaced AS (
    SELECT DISTINCT namespace, dataset, partition, replaces FROM tried
    WHERE state = 'published' AND replaces IS NOT NULL AND replaces <> version
),
newest AS (
    SELECT
        p.namespace, p.dataset, p.partition, max(p.started_at) AS last_run,
        arg_max({asset: p.asset, attempt_id: p.id, attempt_at: p.time, attempt_state: p.state, attempt_error: p.error},
                {time: coalesce(p.time, 0), id: p.id}) AS attempt,
        arg_max({id: p.id, version: p.version, made_at: p.time, started_at: p.started_at, run_id: p.run_id, rows: p.rows,
                 bytes: p.bytes, time_max: p.time_max, partition_start: p.partition_start,
                 partition_end: p.partition_end, code_version: p.code_version, unknown_inputs: p.unknown_inputs},
                {kept: r.replaces IS NULL, time: coalesce(p.time, 0), id: p.id}) FILTER (p.state = 'published') AS made
    FROM tried AS p
    LEFT JOIN replaced AS r
        ON p.namespace = r.namespace AND p.dataset = r.dataset AND p.partition IS NOT DISTINCT FROM r.partition
       AND p.version = r.replaces
    GROUP BY p.namespace, p.dataset, p.partition
)
SELECT namespace, dataset, partition, last_run, unnest(attempt), unnest(made) FROM newest;
INSERT INTO state.pending SELECT DISTINCT namespace, dataset, false FROM touched;

-- name: outlines
-- Of the datasets of which something was tried, and of what read them: that may be settled no longer, or again.
CREATE OR REPLACE TEMP TABLE tried AS SELECT DISTINCT namespace, dataset FROM state.pending WHERE NOT defined;
CREATE OR REPLACE TEMP TABLE outlined AS
WITH reading AS (
    SELECT DISTINCT id FROM facts.inputs WHERE id IN (SELECT id FROM state.latest SEMI JOIN tried USING (namespace, dataset))
),
made AS (
    -- Of an end that is known to be unknown there is nothing to say.
    SELECT *, coalesce(least(partition_end, started_at), started_at) AS furthest,
           CASE
               WHEN time_max IS NOT NULL AND rows IS DISTINCT FROM 0
                   THEN CASE WHEN started_at <= partition_start THEN 'unknown' ELSE 'measured' END
               WHEN unknown_inputs THEN 'unknown'
               WHEN id IN (FROM reading) THEN 'derived'
               WHEN rows = 0 OR partition IS NULL OR started_at <= partition_start THEN 'unknown'
               WHEN partition_end IS NULL THEN 'derived'
               ELSE 'claimed'
           END AS basis
    FROM state.latest SEMI JOIN tried USING (namespace, dataset)
    WHERE version IS NOT NULL
)
SELECT namespace, dataset, list(partition ORDER BY partition NULLS FIRST) AS keys, min(code_version) AS code,
       coalesce(min(code_version) <> max(code_version), false) AS mixed, min(started_at) AS oldest, max(made_at) AS newest,
       CASE WHEN count(partition) = 0 THEN true WHEN count(partition) = count(*) THEN false END AS whole,
       max(CASE basis WHEN 'measured' THEN least(time_max, furthest) WHEN 'claimed' THEN furthest END) AS told,
       max(furthest) FILTER (basis = 'derived') AS untold
FROM made
GROUP BY namespace, dataset;
DELETE FROM state.outlines USING tried AS t WHERE outlines.namespace = t.namespace AND outlines.dataset = t.dataset;
INSERT INTO state.outlines BY NAME
SELECT * EXCLUDE (keys), state.short([namespace, dataset]) AS place, state.short(keys) AS keys_id FROM outlined;
DELETE FROM state.keys WHERE keys_id NOT IN (SELECT keys_id FROM state.outlines);
INSERT INTO state.keys
SELECT state.short(keys) AS keys_id, unnest(keys) FROM (SELECT DISTINCT keys FROM outlined)
WHERE keys_id NOT IN (SELECT keys_id FROM state.keys);
CREATE OR REPLACE TEMP TABLE consumed AS
WITH used AS (
    SELECT target_namespace, target_dataset, target_partition, source, source_namespace, source_dataset,
           source_partition, source_version
    FROM facts.inputs
    WHERE id IN (SELECT id FROM state.latest SEMI JOIN tried USING (namespace, dataset))
    UNION ALL
    SELECT target_namespace, target_dataset, target_partition, source, source_namespace, source_dataset,
           source_partition, source_version
    FROM (
        FROM facts.inputs AS i
        SEMI JOIN tried AS t ON t.namespace = i.source_namespace AND t.dataset = i.source_dataset
    ) AS i
    ANTI JOIN tried AS t ON t.namespace = i.target_namespace AND t.dataset = i.target_dataset
    WHERE id IN (SELECT id FROM state.latest)
)
SELECT u.target_namespace AS namespace, u.target_dataset AS dataset, u.source, u.source_namespace, u.source_dataset,
       list_sort(list_distinct(list({partition: u.target_partition, source_partition: u.source_partition}))) AS pairs,
       bool_and(l.version IS NOT NULL) AS settled
FROM used AS u
LEFT JOIN state.latest AS l
    ON l.namespace = u.source_namespace AND l.dataset = u.source_dataset AND l.version = u.source_version
    AND l.partition IS NOT DISTINCT FROM u.source_partition
WHERE u.target_namespace IS DISTINCT FROM u.source_namespace OR u.target_dataset IS DISTINCT FROM u.source_dataset
   OR u.target_partition IS DISTINCT FROM u.source_partition
GROUP BY ALL;
DELETE FROM state.reads WHERE place IN (SELECT state.short([namespace, dataset]) FROM tried);
DELETE FROM state.reads WHERE source_place IN (SELECT state.short([namespace, dataset]) FROM tried);
INSERT INTO state.reads BY NAME
SELECT * EXCLUDE (pairs), state.short([namespace, dataset]) AS place,
       state.short([source_namespace, source_dataset]) AS source_place, state.short(pairs) AS pairs_id
FROM consumed;
DELETE FROM state.pairs WHERE pairs_id NOT IN (SELECT pairs_id FROM state.reads);
INSERT INTO state.pairs
SELECT pairs_id, unnest(pairs, recursive := true)
FROM (SELECT DISTINCT pairs, state.short(pairs) AS pairs_id FROM consumed)
WHERE pairs_id NOT IN (SELECT pairs_id FROM state.pairs);

-- name: policies
CREATE OR REPLACE TEMP TABLE redefined AS SELECT DISTINCT namespace, dataset FROM state.pending WHERE defined;
CREATE OR REPLACE TEMP TABLE renamed AS
SELECT name FROM state.policies SEMI JOIN redefined USING (namespace, dataset)
UNION
SELECT name FROM facts.definitions SEMI JOIN redefined USING (namespace, dataset);
DELETE FROM state.policies USING redefined AS r WHERE policies.namespace = r.namespace AND policies.dataset = r.dataset;
INSERT INTO state.policies BY NAME
SELECT namespace, dataset, state.short([namespace, dataset]) AS place, name, time AS defined, false AS stands,
       TRY_CAST(round(CAST(definition ->> '$.freshness.max_lag' AS DOUBLE) * 1e6) AS BIGINT) AS max_lag,
       TRY_CAST(round(CAST(definition ->> '$.freshness.warn' AS DOUBLE) * 1e6) AS BIGINT) AS warn,
       definition ->> '$.freshness.clock' AS clock,
       CASE WHEN coalesce(definition ->> '$.freshness.timezone', definition ->> '$.freshness.calendar') IS NOT NULL
            THEN definition ->> '$.freshness' END AS by_days,
       CASE WHEN definition ->> '$.partitions.type' IS NULL THEN 'not'
            WHEN definition ->> '$.partitions.timezone' IS NULL THEN 'otherwise' ELSE 'by time' END AS divided,
       definition ->> '$.time_column' IS NOT NULL OR definition ->> '$.partitions.timezone' IS NOT NULL
           OR len(definition ->> '$.partitions.dimensions[*][1].timezone') > 0 AS basis,
       coalesce(CAST(definition ->> '$.static' AS BOOLEAN), false) AS static,
       CAST(definition ->> '$.inputs[*].asset' AS VARCHAR[]) AS inputs,
       definition ->> '$.renamed_from' IS NOT NULL AS renamed
FROM facts.definitions SEMI JOIN redefined USING (namespace, dataset)
QUALIFY row_number() OVER (PARTITION BY namespace, dataset ORDER BY time DESC, id DESC) = 1;
-- Of the datasets of one name it stands for the one that was defined last.
UPDATE state.policies SET stands = false WHERE name IN (FROM renamed);
UPDATE state.policies SET stands = true
WHERE (name, {defined: defined, dataset: dataset, namespace: namespace}) IN (
    SELECT (name, max({defined: defined, dataset: dataset, namespace: namespace}))
    FROM state.policies WHERE name IN (FROM renamed) GROUP BY name
);

-- name: rejudged
-- Which clock each policy is about, where that may have changed: by a definition, or by what was observed.
CREATE OR REPLACE TEMP TABLE judged AS
WITH RECURSIVE seen AS (
    SELECT namespace, dataset, bool_or(data_through IS NOT NULL) AS reach FROM facts.observations GROUP BY ALL
),
reads AS (
    SELECT name, static, unnest(inputs) AS source FROM state.policies WHERE stands AND NOT basis
),
aging AS (
    -- Without a basis of its own `data_through` has one if anything has that is read and is not static.
    SELECT name, static FROM state.policies AS p
    LEFT JOIN seen AS s ON s.dataset = p.dataset AND s.namespace = p.namespace
    WHERE stands AND (basis OR s.reach) AND name IN (SELECT source FROM reads)
    UNION
    SELECT r.name, r.static FROM reads AS r JOIN aging AS a ON r.source = a.name WHERE NOT a.static
),
clocks AS (
    SELECT p.*, p.divided = 'otherwise' OR s.dataset IS NOT NULL AS untold,
           CASE WHEN max_lag IS NULL AND by_days IS NULL THEN NULL
                WHEN clock IS NOT NULL THEN clock
                WHEN basis THEN 'data_through'
                WHEN divided = 'otherwise' OR s.reach OR name IN (SELECT name FROM aging) THEN 'undecided'
                ELSE 'last_materialized' END AS about
    FROM state.policies AS p
    LEFT JOIN seen AS s ON s.dataset = p.dataset AND s.namespace = p.namespace
    WHERE stands
)
SELECT place, name, max_lag, warn, by_days IS NOT NULL AS by_days, divided = 'not' AS whole,
       CASE WHEN about IS NULL THEN NULL WHEN about = 'last_materialized' AND divided <> 'otherwise' THEN 1
            WHEN about = 'data_through' AND NOT untold THEN 0 ELSE 2 END::UTINYINT AS judged
FROM clocks;
DELETE FROM state.clocks WHERE place NOT IN (SELECT place FROM judged);
CREATE OR REPLACE TEMP TABLE moved AS
(FROM judged EXCEPT SELECT place, name, max_lag, warn, by_days, whole, judged FROM state.clocks)
UNION
FROM judged WHERE place IN (SELECT state.short([namespace, dataset]) FROM state.pending WHERE NOT defined);

-- name: moved
-- The clocks of datasets of which something was tried stand somewhere else.
CREATE OR REPLACE TEMP TABLE moved AS
SELECT place, name, max_lag, warn, by_days, whole, judged FROM state.clocks
WHERE place IN (SELECT state.short([namespace, dataset]) FROM state.pending WHERE NOT defined);

-- name: clocks
DELETE FROM state.clocks WHERE place IN (SELECT place FROM moved);
INSERT INTO state.clocks BY NAME
SELECT m.*,
       CASE WHEN judged < 2 AND o.place IS NOT NULL
             AND NOT coalesce(o.whole = m.whole AND (judged = 1 OR untold IS NULL OR told >= untold), false)
            THEN 2 ELSE judged END AS clock,
       CASE clock WHEN 0 THEN told WHEN 1 THEN newest END AS stands
FROM moved AS m LEFT JOIN state.outlines AS o ON o.place = m.place;
