"""The rows: what is measured, with which goal, on which sides. What a side does stands in sides/, a file for each row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from benchmarks.measure import side


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One way to do a row's work: who does it, in whose environment, how often, and how durable what it recorded is.

    `times` is what its figures are multiplied with, when it does a part of the work only. `fresh` is with homes that were
    never used. `aside` is shown with its row, and not compared: it is other work, or its cost can't be told apart. `slow` ones are
    left out of a quick run.
    """

    who: str
    label: str
    environment: str = "own"
    run: tuple[str, ...]
    repeat: int = 5
    durable: str = ""
    times: int = 1
    fresh: bool = False
    aside: bool = False
    slow: bool = False
    timeout: float = 240


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A measure: the figure that counts (a name of what a side says), its goal, and the sides.

    With `over_raw` the goal is for what Headwater needs beyond the raw work, in the figure that it names; with `of_raw` it is
    the share of the raw work's rate that Headwater must reach. `beside` is what the peers, or the raw work, took where
    the goal was set, on another machine: a goal is also a ratio to them. Units: ms, MB, or /s, where more is better.
    """

    name: str
    measure: str
    figure: str
    unit: str = "ms"
    goal: float | None = None
    over_raw: str = ""
    of_raw: bool = False
    beside: tuple[tuple[str, float], ...] = ()
    sides: tuple[Side, ...]
    note: str = ""


_JOURNAL = (
    "a checksummed journal: every event handed to the kernel before the task goes on (a killed process loses none), "
    "synced at the run's start and end"
)
_PUBLISHED = (
    "the file and the journal synced at every step before the data is published, its folder after it; "
    "lineage to the column"
)
_PREFECT = (
    "SQLite of the server (WAL, synchronous=NORMAL: a commit is not synced, a power loss may take the last ones); "
    "task run states reach it over a websocket after the task went on"
)
_PREFECT_DATA = _PREFECT + "; the files are not synced, assets are events only, without versions"
_DAGSTER = "SQLite, a file for each run's events (WAL, synchronous=FULL: each event is a synced commit)"
_DAGSTER_DATA = _DAGSTER + "; the files are not synced; no column lineage unless the user states it"


def _own(label: str, *arguments: str, who: str = "Headwater", durable: str = "", repeat: int = 5, **how: Any) -> Side:
    return Side(who=who, label=label, run=side(*arguments), repeat=repeat, durable=durable, **how)


def _raw(label: str, *arguments: str, durable: str = "", repeat: int = 5, **how: Any) -> Side:
    return _own(label, *arguments, who="raw", durable=durable, repeat=repeat, **how)


def _prefect(label: str, *arguments: str, durable: str = _PREFECT, repeat: int = 1, **how: Any) -> Side:
    run = side(*arguments)
    return Side(who="Prefect", label=label, environment="prefect", run=run, repeat=repeat, durable=durable, **how)


def _dagster(label: str, *arguments: str, durable: str = _DAGSTER, repeat: int = 3, **how: Any) -> Side:
    run = side(*arguments)
    return Side(who="Dagster", label=label, environment="dagster", run=run, repeat=repeat, durable=durable, **how)


def _imports(name: str, measure: str, goal: float | None, texts: tuple[str, str, str]) -> Row:
    ours, prefect, dagster = texts
    return Row(
        name=name,
        measure=measure,
        figure="wall_ms",
        goal=goal,
        beside=(("Prefect", 900), ("Dagster", 530)) if goal else (),
        sides=(
            _own(f"`{ours}`", "process", "code", ours, repeat=9),
            _raw("`pass`", "process", "code", "pass", repeat=9),
            _prefect(f"`{prefect}`", "process", "code", prefect, durable="", repeat=5),
            _dagster(f"`{dagster}`", "process", "code", dagster, durable="", repeat=5),
        ),
        note="The whole process, `python -c`, the bytecode compiled before.",
    )


def _task(name: str, measure: str, how: str, goal: float | None) -> Row:
    return Row(
        name=name,
        measure=measure,
        figure="cpu_ms",
        goal=goal,
        beside=(("Prefect", 2.9), ("Dagster", 19)) if goal else (),
        sides=(
            _own("5,000 calls in a flow", "one_task", "headwater", "5000", how, durable=_JOURNAL),
            _raw("an append for each event", "one_task", "raw", "5000", how, durable="synced at the end"),
            _prefect("200 calls, server up", "one_task", "prefect", "200", how, "up", repeat=2),
            _prefect(
                "200 calls, server of its own", "one_task", "prefect", "200", how, "ephemeral", aside=True, slow=True
            ),
            _dagster("100 ops of a job, in process", "one_task", "dagster", "100", how),
        ),
        note=(
            "CPU of the flow's process for each call: its states, lineage, and the journal's writing. Bringing the projection "
            "up to date is counted apart (projection), and so is Prefect's server (server); with a server of its own "
            "that one's CPU is in the whole process only."
        ),
    )


def _events(kind: str, processes: int, count: int, *, batch: int = 1) -> Row:
    said = f"{processes} process" + "es" * (processes > 1)
    each = f", {batch} in each append" if batch > 1 else ""
    arguments = ("journal", "headwater", str(processes), str(count), kind, str(batch))
    bare = kind == "buffered" and batch == 1
    how = "handed to the kernel before each append returns" if kind == "buffered" else "on the disk before it returns"
    return Row(
        name=f"journal.{kind}.{processes}.{batch}",
        measure=f"journal: {kind} events of {said}{each}",
        figure="events_per_s",
        unit="/s",
        goal=0.5,
        of_raw=True,
        sides=(
            _own(f"{count:,} appends each", *arguments, durable=how),
            _raw(
                "a write" + (" and a sync" if kind == "durable" else "") + " for each",
                arguments[0],
                "raw",
                *arguments[2:],
            ),
            *([_raw("a bare loop: JSON, checksum, write", arguments[0], "bare", *arguments[2:], aside=True)] * bare),
        ),
        note=(
            "Lines of about 350 bytes (durable: 500), each encoded, with a number, an id, a time and a checksum. Raw writes "
            "such lines as they are"
            + bare * ", the bare loop makes them without ids, clock or lock: the most that Python does"
            + ". The processes share the cores there are."
        ),
    )


EVENTS = "1000000"
"""How many events the rows of the projection have, unless `--scale` says so."""


def _projection() -> tuple[Row, ...]:
    rebuild = _own("from the segments, one a flow run", "projection", "rebuild", EVENTS, repeat=1, timeout=600)
    refresh = _own("the median of nine", "projection", "refresh", EVENTS, repeat=1, timeout=600)
    raw = "the same lines as they are, into one table of DuckDB's"
    return (
        Row(
            name="rebuild",
            measure="rebuild of the projection, 1M events",
            figure="wall_ms",
            goal=20_000,
            sides=(rebuild, _raw(raw, "projection", "raw_rebuild", EVENTS, repeat=1, timeout=600)),
            note="Flow runs of 40 tasks, with 80 log lines and two materializations of 12 columns, each a process.",
        ),
        Row(
            name="refresh",
            measure="refresh after 1,000 new events, beside 1M",
            figure="wall_ms",
            goal=40,
            beside=(("raw", 23),),
            sides=(
                refresh,
                _raw(f"{raw}, the median of nine", "projection", "raw_refresh", EVENTS, repeat=1, timeout=600),
            ),
            note=(
                "The thousand are six flow runs with twelve materializations. Opening the file and closing it are in the time, "
                "for every third look with a checkpoint (raw: for each)."
            ),
        ),
    )


ROWS: tuple[Row, ...] = (
    _imports(
        "import", "`import headwater`, whole process", 60, ("import headwater", "import prefect", "import dagster")
    ),
    _imports(
        "import.names",
        "import with the names that a script uses, whole process",
        None,
        ("from headwater import flow, task", "from prefect import flow, task", "from dagster import job, op"),
    ),
    Row(
        name="script",
        measure="`python flow.py`, one task, fresh home, whole process",
        figure="wall_ms",
        goal=300,
        beside=(("Prefect", 3_100), ("Dagster", 1_800)),
        sides=(
            _own("fresh home", "process", "script", "headwater", durable=_JOURNAL),
            _own(
                "a home with a projection, which it updates",
                "process",
                "script",
                "headwater",
                "projected",
                durable=_JOURNAL,
                aside=True,
            ),
            _raw("`python -c pass`", "process", "code", "pass"),
            _prefect(
                "fresh home, server of its own", "process", "script", "prefect", "ephemeral", repeat=2, fresh=True
            ),
            _prefect("server up", "process", "script", "prefect", "up", repeat=2),
            _dagster("fresh home, job in process", "process", "script", "dagster"),
        ),
    ),
    _task("task", "one task, fully recorded, CPU", "plain", 0.05),
    _task("task.log", "one task that writes a log line, fully recorded, CPU", "logging", None),
    Row(
        name="chain",
        measure="one materialization in a 200-chain, durable, tiny data",
        figure="wall_ms",
        goal=0.5,
        over_raw="unsynced_wall_ms",
        beside=(("Prefect", 10.5), ("Dagster", 66)),
        sides=(
            _own("200 assets, Parquet", "chain", "headwater", "200", durable=_PUBLISHED, repeat=7),
            _raw("the same reads, files and syncs", "chain", "raw", "200", durable="the same syncs", repeat=7),
            _prefect("200 `@materialize`, server up", "chain", "prefect", "200", "up", durable=_PREFECT_DATA, repeat=2),
            _dagster("50 assets, one run", "chain", "dagster", "50", durable=_DAGSTER_DATA),
        ),
        note=(
            "Each reads the file of the one before and writes its own. The goal is for the wall clock without the syncs, beyond "
            "the raw work's."
        ),
    ),
    Row(
        name="plan",
        measure="a plan for what is stale of 100,000 partitions, CPU",
        figure="cpu_ms",
        goal=1_000,
        sides=(
            _own("100,000 made, 2,000 of the first again", "plan", "headwater", "100000", "stale", repeat=3),
            _own("1,000,000, whatever they are", "plan", "headwater", "1000000", aside=True),
        ),
        note="Five assets in a chain, by the hour; each plan is for the last one with all that it reads.",
    ),
    Row(
        name="backfill",
        measure="backfill, a partition of a trivial Parquet asset, durable",
        figure="wall_ms",
        goal=1.5,
        over_raw="unsynced_wall_ms",
        beside=(("Dagster", 79),),
        sides=(
            _own("10,000 days", "backfill", "headwater", "10000", durable=_PUBLISHED, repeat=3, timeout=600),
            _raw("the same files and syncs", "backfill", "raw", "10000", durable="the same syncs", repeat=3),
            _prefect(
                *("20 flow runs, server up", "backfill", "prefect", "20", "loop", "up"),
                durable=_PREFECT_DATA,
                slow=True,
            ),
            _prefect(
                *("200 tasks of one flow, server up", "backfill", "prefect", "200", "one_flow", "up"),
                durable=_PREFECT_DATA,
            ),
            _dagster("20 runs", "backfill", "dagster", "20", "loop", durable=_DAGSTER_DATA, repeat=2, slow=True),
            _dagster("100 days in one run (ranged)", "backfill", "dagster", "100", "ranged", durable=_DAGSTER_DATA),
        ),
        note=(
            "Headwater journals each partition's launch and outcome, and can be killed and resumed between any two. "
            "A ranged run of Dagster's is all or nothing. The goal is for the wall clock without the syncs, beyond the raw work's."
        ),
    ),
    Row(
        name="graph",
        measure="define and load a graph of 10,000 assets, CPU",
        figure="cpu_ms",
        goal=500,
        beside=(("Dagster", 6_600),),
        sides=(
            _own("import, definitions, order", "graph", "headwater", "10000"),
            _dagster("import, repository, asset graph", "graph", "dagster", "10000", durable="", repeat=2),
        ),
        note="Layers of 100, two inputs each, one module, its bytecode compiled before. Prefect has no graph to load.",
    ),
    Row(
        name="staleness",
        measure="staleness of 10,000 assets of 10 partitions, CPU",
        figure="cpu_ms",
        goal=100,
        beside=(("Dagster", 19_000),),
        sides=(
            _own("100,000 partitions made, 5 again", "stale", "headwater", "10000", "10", repeat=3, timeout=400),
            _own("10,000 without partitions, 5 again", "stale", "headwater", "10000", aside=True),
            _dagster(
                *("1,000 made, times ten", "stale", "dagster", "1000", "made"),
                durable="",
                repeat=1,
                times=10,
                slow=True,
            ),
            _dagster(
                *("10,000 never made", "stale", "dagster", "10000", "never"),
                durable="",
                repeat=1,
                aside=True,
                slow=True,
            ),
        ),
        note=(
            "Headwater's figure is from opening the projection to the judgement on every asset, in a process that has asked before "
            "and keeps what it has read as long as nothing comes; the first question is told apart. The command is `headwater "
            "status --count`, which judges freshness as well. Dagster's records are fetched at once, as its web server does; its "
            "assets were made without inputs and have no partitions, which is less to judge. Prefect knows no staleness."
        ),
    ),
    Row(
        name="freshness",
        measure="freshness verdicts of 100,000 assets, CPU",
        figure="cpu_ms",
        goal=200,
        sides=(_own("100,000 made", "fresh", "headwater", "100000", repeat=2, timeout=400),),
        note=(
            "From opening the projection to a list of the verdicts on all assets, in a process that has not loaded their modules; "
            "where each clock stands is made into values when somebody looks. Neither Prefect nor Dagster gives verdicts for "
            "assets without running something for each of them."
        ),
    ),
    *(
        Row(
            name=f"closure-{what}",
            measure=f"closure of {count} edges, projection of 1,000,000 runs, wall",
            figure=figure,
            goal=goal,
            sides=(_own(what, "closure", "headwater", "273000", "1000000", repeat=2, slow=True, timeout=600),),
            note=(
                "All that one asset (or one column) of the last of twelve layers is made of, from opening the projection to the "
                "graph as a value; the fastest of five. What is worked out once after so many runs came is not part of it."
            ),
        )
        for what, count, figure, goal in (
            ("assets", "1,000,000", "edges_ms", 100),
            ("columns", "5,000,000", "columns_ms", 300),
        )
    ),
    Row(
        name="openlineage",
        measure="OpenLineage COMPLETE, 20 columns, to bytes",
        figure="events_per_s",
        unit="/s",
        goal=8_000,
        beside=(("OpenLineage client", 793),),
        sides=(
            _own("from the journal's event to bytes", "lineage_event", "headwater", "20"),
            _raw("orjson alone, nothing built", "lineage_event", "raw", "20"),
            _own("build and serialise", "lineage_event", "official", "20", "build", who="OpenLineage client", repeat=3),
            _own(
                *("serialise alone", "lineage_event", "official", "20", "serialise"),
                who="OpenLineage client",
                repeat=3,
            ),
        ),
        note="Events a second of CPU; each column is made of two others.",
    ),
    Row(
        name="memory",
        measure="memory, 1,000-task run, peak",
        figure="memory_mb",
        unit="MB",
        goal=60,
        beside=(("Prefect", 97), ("Dagster", 126)),
        sides=(
            _own("whole process", "memory", "headwater", "1000", durable=_JOURNAL, repeat=3),
            _raw("`python -c pass`", "memory", "raw", repeat=3),
            _prefect("server up", "memory", "prefect", "1000", "up", slow=True),
            _dagster("job in process", "memory", "dagster", "1000", repeat=1, slow=True),
        ),
        note="Resident memory. Headwater's process is that of a home in which no asset was made and nobody has looked yet; with a "
        "projection to bring up to date at its end, DuckDB is loaded (`with the projection`).",
    ),
    *(_events("buffered", processes, 100_000) for processes in (1, 4, 8)),
    *(_events("durable", processes, 200) for processes in (1, 4, 8)),
    _events("durable", 1, 200, batch=100),
    *_projection(),
)
