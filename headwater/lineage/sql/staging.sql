-- What ingestion does around the statements of each kind (ingest.sql).

-- name: stage
-- The lines of the file, each event once. `b` stays JSON: each kind takes it apart in its own way.
CREATE OR REPLACE TEMP TABLE staged AS
SELECT DISTINCT ON (id)
    coalesce(TRY_CAST(id AS UUID), CAST(md5(id) AS UUID)) AS id, w AS writer, n AS seq, t AS time,
    CASE WHEN id IS NOT NULL THEN k END AS kind, b AS body
FROM read_json(
    $path, format = 'newline_delimited', compression = 'uncompressed', maximum_object_size = $longest,
    ignore_errors = true,
    columns = {w: 'VARCHAR', n: 'BIGINT', id: 'VARCHAR', t: 'BIGINT', k: 'VARCHAR', b: 'JSON'}
);

-- name: kinds
SELECT DISTINCT kind FROM staged;

-- name: range
SET VARIABLE first = (SELECT min(id) FROM staged);
SET VARIABLE last = (SELECT max(id) FROM staged);

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

-- name: reached
-- The farthest position wins, in whatever order the batches come.
CREATE OR REPLACE TEMP TABLE reached AS
SELECT writer, max(seq) AS seq, max("offset") AS "offset", bool_or(closed) AS closed
FROM (
    SELECT unnest($writers::VARCHAR[]) AS writer, unnest($seqs::BIGINT[]) AS seq,
           unnest($offsets::BIGINT[]) AS "offset", unnest($closed::BOOLEAN[]) AS closed
    UNION ALL
    SELECT writer, seq, "offset", closed FROM state.positions
)
GROUP BY writer
HAVING list_contains($writers::VARCHAR[], writer);

-- name: positions
DELETE FROM state.positions WHERE writer IN (SELECT writer FROM reached);
INSERT INTO state.positions BY NAME SELECT * FROM reached;

-- name: absorbed
-- An archive stands for the writers that it absorbed.
DELETE FROM state.positions WHERE writer IN (SELECT unnest($absorbed::VARCHAR[]));

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
