"""Closures over a large graph, asked through the public API of a projection with many runs.

The graph: layers of datasets, each reading four neighbours of the layer above; each of its five columns is made of the like
column of these four. `runs` runs made them one at a time, over and over. Its tables are filled here, without a journal.
"""

import time

from common import Stopwatch, main, peak_mb, say

LAYERS = 12
INPUTS = 4
COLUMNS = 5

_PLACES = """
CREATE TEMP TABLE placed AS
SELECT range AS n, range // $width AS layer, range % $width AS at, 'd' || range AS name,
       '/lake/d' || range AS dataset, 'run-' || lpad(CAST(range AS VARCHAR), 9, '0') AS run
FROM range($width * $layers)
"""
_READS = """
CREATE TEMP TABLE reads AS
SELECT t.n, t.name AS target, t.dataset AS target_dataset, s.name AS source, s.dataset AS source_dataset
FROM (SELECT *, unnest(range($inputs)) AS k FROM placed WHERE layer > 0) AS t
JOIN placed AS s ON s.layer = t.layer - 1 AND s.at = (t.at + t.k) % $width
"""
_RUNS = """
INSERT INTO facts.run_started BY NAME
SELECT uuid() AS id, range AS time, 'run-' || lpad(CAST(range AS VARCHAR), 9, '0') AS run_id, 1 AS attempt, 'nightly' AS flow,
       'flow' AS type, run_id AS root_run_id, 'nightly' AS root_flow FROM range($runs)
"""
_ENDED = """
INSERT INTO facts.run_ended BY NAME
SELECT uuid() AS id, time + 1 AS time, run_id, attempt, flow, type, 'Completed' AS state, time AS started
FROM facts.run_started
"""
_INPUTS = """
INSERT INTO facts.inputs BY NAME
SELECT uuid() AS id, n + round * $datasets AS time, 'run-' || lpad(CAST(n + round * $datasets AS VARCHAR), 9, '0') AS run_id,
       true AS published, source, 'file' AS source_namespace, source_dataset, target, 'file' AS target_namespace,
       target_dataset, 'load' AS via
FROM reads, (SELECT unnest(range($rounds)) AS round)
"""
_COLUMN_EDGES = """
INSERT INTO facts.column_edges BY NAME
SELECT uuid() AS id, n AS time, 'run-' || lpad(CAST(n AS VARCHAR), 9, '0') AS run_id, true AS published, source,
       'file' AS source_namespace, source_dataset, 'c' || c AS source_column, target, 'file' AS target_namespace,
       target_dataset, 'c' || c AS target_column, 'DIRECT' AS type, 'IDENTITY' AS subtype
FROM reads, (SELECT unnest(range($columns)) AS c)
"""
_OUTCOMES = """
INSERT INTO facts.outcomes BY NAME
SELECT uuid() AS id, range AS time, 'published' AS state, range AS started_at, 'v' || range AS version,
       'run-' || lpad(CAST(range AS VARCHAR), 9, '0') AS run_id, 'd' || range % $datasets AS asset, 'file' AS namespace,
       '/lake/d' || range % $datasets AS dataset, 100 AS rows,
       [{name: 'c0', type: 'Int64'}, {name: 'c1', type: 'Int64'}, {name: 'c2', type: 'Int64'}] AS columns
FROM range($runs)
"""
_LATEST = """
INSERT INTO state.latest BY NAME
SELECT namespace, dataset, id, asset, version, time AS made_at, started_at, run_id, rows, time AS attempt_at,
       'published' AS attempt_state
FROM facts.outcomes QUALIFY row_number() OVER (PARTITION BY dataset ORDER BY time DESC) = 1
"""
_PENDING = "INSERT INTO state.pending SELECT DISTINCT 'file', target_dataset, false FROM reads"


def headwater(datasets, runs):
    """Fill a projection with so many datasets and runs; then ask for closures around one of the last layer."""
    from headwater.project import Project

    project = Project.open()
    width = datasets // LAYERS
    fill(project, width, runs)
    with Stopwatch() as worked_out, project.projection.session(outlined=True) as session:
        edges, column_edges = (
            session.rows(f"SELECT count(*) FROM state.{table}")[0][0] for table in ("edges", "column_edges")
        )
    middle = width * (LAYERS - 1) + width // 2
    reader = project.reader
    found = {
        "edges_ms": timed(lambda: reader.graph(f"d{middle}", down=False)),
        "columns_ms": timed(lambda: reader.graph(f"d{middle}.c1", down=False)),
        "down_ms": timed(lambda: reader.graph(f"d{width // 2}", up=False)),
    }
    answer = len(reader.graph(f"d{middle}", down=False).edges)
    recorded = f"{runs:,} runs, {edges:,} edges, {column_edges:,} column edges; {answer:,} edges in the answer"
    say(recorded, **found, worked_out_ms=worked_out.wall_ms, peak_mb=peak_mb())


def fill(project, width, runs):
    """The tables of the projection, as runs would have left them."""
    datasets = width * LAYERS
    with project.projection.changing() as connection:
        connection.execute("BEGIN")
        connection.execute(_PLACES, {"width": width, "layers": LAYERS})
        connection.execute(_READS, {"inputs": INPUTS, "width": width})
        connection.execute(_RUNS, {"runs": runs})
        connection.execute(_ENDED)
        connection.execute(_INPUTS, {"datasets": datasets, "rounds": max(1, runs // datasets)})
        connection.execute(_COLUMN_EDGES, {"columns": COLUMNS})
        connection.execute(_OUTCOMES, {"datasets": datasets, "runs": runs})
        connection.execute(_LATEST)
        connection.execute(_PENDING)
        connection.execute("COMMIT; CHECKPOINT")


def timed(ask, times=5):
    """The fastest of several, in milliseconds."""
    best = float("inf")
    for _ in range(times):
        began = time.perf_counter()
        ask()
        best = min(best, (time.perf_counter() - began) * 1_000)
    return best


if __name__ == "__main__":
    main(headwater)
