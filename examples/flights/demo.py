"""The main job on a year of real flights, as a user would do it: `make demo`, or `python examples/flights/demo.py`.

Each step is a command that you can run yourself in this folder. Run it again: everything is found up to date.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from data import unpack  # noqa: E402 - the file beside this one


def headwater(*arguments: str, show: bool = True) -> str:
    """Run a command of Headwater in this folder; its standard output."""
    if show:
        print(
            f"\n\x1b[1m$ headwater {' '.join(arguments)}\x1b[0m"
            if sys.stdout.isatty()
            else f"\n$ headwater {' '.join(arguments)}"
        )
        sys.stdout.flush()
    done = subprocess.run(
        [sys.executable, "-m", "headwater", *arguments], cwd=HERE, stdout=None if show else subprocess.PIPE, text=True
    )
    if done.returncode != 0:
        raise SystemExit(f"headwater {' '.join(arguments)} ended with {done.returncode}")
    return done.stdout or ""


def main() -> None:
    """The demo."""
    began = time.monotonic()
    unpack(HERE / "data")
    headwater("run", "flights.py:observe_sources")
    made = {
        row["name"]: row["last_materialized"] for row in json.loads(headwater("status", "--json", show=False))["assets"]
    }
    if made.get("fleet_notes") is None:
        headwater("run", "flights.py:take_notes")
    headwater(
        *("backfill", "route_risk or carrier_scorecard", "--from", "2013-01-01", "--to", "2013-12-31", "--upstream"),
        *("--only", "missing", "--only", "stale", "--parallel", "2"),
    )
    headwater("freshness", "--as-of", "2014-01-01")
    headwater("status", "--as-of", "2014-01-01")
    headwater("checks")
    headwater("lineage", "route_risk", "--up")
    headwater("lineage", "carrier_scorecard.avg_delay", "--up")
    headwater("explain", "route_risk", "--as-of", "2014-01-01")
    headwater("openlineage", "export")
    facts()
    print(f"\ndone in {time.monotonic() - began:.0f} s")


def facts() -> None:
    """Ask the graph itself, with a plain DuckDB client, and say where everything lies."""
    import duckdb

    graph = HERE / ".headwater" / "headwater.duckdb"
    ask = "select sum(rows) from materializations where asset = 'flights' and partition {}"
    with duckdb.connect(str(graph), read_only=True) as client:
        [(day,)] = client.sql(ask.format("= '2013-01-01'")).fetchall()
        [(year,)] = client.sql(ask.format("like '2013-%'")).fetchall()
    print(f"\nflights on 2013-01-01: {day:,}; in 2013: {year:,}")
    print(f"OpenLineage events:    {HERE.name}/openlineage.ndjson")
    print(
        f"the lineage graph:     {HERE.name}/.headwater/headwater.duckdb   ask it with any DuckDB client, for example"
    )
    print("    select source, target, count(*) from edges where origin = 'observed' group by all order by all")
    print(
        "    select source, source_column, target, target_column, type, subtype from column_edges where target = 'route_risk'"
    )


if __name__ == "__main__":
    main()
