-- What ingestion does around the statements of each kind (ingest.sql).

-- name: stage
-- The lines of the file, each event once. `b` stays JSON: each kind takes it apart in its own way.
CREATE OR REPLACE TEMP TABLE staged AS
SELECT DISTINCT ON (id)
    coalesce(TRY_CAST(id AS UUID), CAST(md5(id) AS UUID)) AS id, w AS writer, n AS seq, t AS time, k AS kind, b AS body
FROM read_json(
    $path, format = 'newline_delimited', compression = 'uncompressed', maximum_object_size = $longest,
    ignore_errors = true,
    columns = {w: 'VARCHAR', n: 'BIGINT', id: 'VARCHAR', t: 'BIGINT', k: 'VARCHAR', b: 'JSON'}
);

-- name: kinds
SELECT DISTINCT kind FROM staged;

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

-- name: latest
-- In place is the published version that no other one replaces; should a clock have run backwards, the chain of
-- `replaces` still says so. Where the chain does not decide, the newest by (time, id) does: never the order of arrival.
DELETE FROM state.latest USING touched AS t
WHERE latest.namespace = t.namespace AND latest.dataset = t.dataset
  AND latest.partition IS NOT DISTINCT FROM t.partition;
INSERT INTO state.latest BY NAME
WITH tried AS (
    SELECT o.* FROM facts.outcomes AS o
    SEMI JOIN touched AS t
        ON o.namespace = t.namespace AND o.dataset = t.dataset AND o.partition IS NOT DISTINCT FROM t.partition
),
replaced AS (
    SELECT DISTINCT namespace, dataset, partition, replaces FROM tried
    WHERE state = 'published' AND replaces IS NOT NULL AND replaces <> version
),
made AS (
    SELECT p.namespace, p.dataset, p.partition, p.id, p.version, p.time AS made_at, p.started_at, p.run_id, p.rows,
           p.bytes, p.time_max, p.partition_start, p.partition_end, p.code_version,
           coalesce(len(p.unknown_inputs), 0) > 0 AS unknown_inputs
    FROM tried AS p
    LEFT JOIN replaced AS r
        ON p.namespace = r.namespace AND p.dataset = r.dataset AND p.partition IS NOT DISTINCT FROM r.partition
       AND p.version = r.replaces
    WHERE p.state = 'published'
    QUALIFY row_number() OVER (
        PARTITION BY p.namespace, p.dataset, p.partition
        ORDER BY r.replaces IS NOT NULL, p.time DESC, p.id DESC
    ) = 1
),
newest AS (
    SELECT namespace, dataset, partition, asset, id AS attempt_id, time AS attempt_at, state AS attempt_state,
           error.message AS attempt_error,
           max(started_at) OVER (PARTITION BY namespace, dataset, partition) AS last_run
    FROM tried
    QUALIFY row_number() OVER (PARTITION BY namespace, dataset, partition ORDER BY time DESC, id DESC) = 1
)
SELECT newest.*, made.* EXCLUDE (namespace, dataset, partition)
FROM newest
LEFT JOIN made
    ON newest.namespace = made.namespace AND newest.dataset = made.dataset
   AND newest.partition IS NOT DISTINCT FROM made.partition;
