"""Retention: what may expire and what never does, and that nothing else can be told from what was before."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from lineage_world import cache_story, content_of, defined, ended, made, started, story, task_story
from tried import tried_on

from headwater import clock
from headwater.assets.events import KINDS as ASSET_KINDS
from headwater.core.events import KINDS, LogWritten, TaskStarted
from headwater.core.journal.events import Body, Event
from headwater.core.journal.files import FileCarrier
from headwater.core.journal.home import Home
from headwater.core.journal.lines import decode
from headwater.core.journal.reader import Position
from headwater.core.journal.reader import Reader as JournalReader
from headwater.core.journal.writer import Writer
from headwater.errors import DefinitionError, ProjectionError
from headwater.lineage.catalog import ProjectionCatalog
from headwater.lineage.openlineage.exporter import Exporter
from headwater.lineage.openlineage.file import FileDestination
from headwater.lineage.openlineage.translate import TRANSLATORS
from headwater.lineage.projection import Projection
from headwater.lineage.reader import Reader
from headwater.lineage.retention import DETAIL, Pruned, cutoff, prune
from headwater.testing import FakeClock

SECOND = 1_000_000
START = 1_700_000_000 * SECOND
AGES = 100_000


class History:
    """A journal whose events lie a second apart, the first at `START`."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.clock = FakeClock(START)
        self.alive: list[Writer] = []

    def write(self, bodies: Iterable[Body], *, close: bool = True) -> str:
        """A writer's events; its id."""
        with clock.use(self.clock):
            writer = Writer(self.home)
            name = writer.id
            for body in bodies:
                writer.append(body)
                self.clock.sleep(1)
            if close:
                writer.close()
                self.clock.sleep(1)
            else:
                self.alive.append(writer)
        return name

    def prune(self, projection: Projection, before: int, **more: Any) -> Pruned:
        """Prune what is older than so many seconds after the start."""
        with clock.use(FakeClock(START + AGES * SECOND)):
            return prune(projection, older_than=timedelta(seconds=AGES - before), **more)

    def lines(self) -> dict[bytes, Event]:
        """Every line of the journal but those of retention itself, with its event."""
        found = {line: decode(line) for batch in JournalReader(self.home).read() for line in batch.lines}
        kinds: dict[str, set[str]] = {}
        for event in found.values():
            kinds.setdefault(event.writer, set()).add(event.kind)
        own = {"writer.opened", "runs.pruned", "writer.closed"}
        return {line: event for line, event in found.items() if kinds[event.writer] != own}

    def close(self) -> None:
        for writer in self.alive:
            writer.close()


@contextmanager
def history_in(home: Home) -> Iterator[History]:
    found = History(home)
    try:
        yield found
    finally:
        found.close()


@pytest.fixture
def history(home: Home) -> Iterator[History]:
    with history_in(home) as found:
        yield found


def chapter(number: int, *, logs: int = 2) -> list[Body]:
    """A run with a task run, log records, and the next version of an asset."""
    run = f"run{number}"
    return [
        started(run),
        *task_story(f"task{number}", run),
        *cache_story(f"task{number}", run),
        *(LogWritten(run_id=run, task_run_id=f"task{number}", level=20, logger="shop", message="o") for _ in range(logs)),
        defined("board", ["flights"], more=number),
        made("board", f"d{number % 2}", f"v{number}", [("flights", None, f"s{number}")], run=run,
             columns={"day": [("flights", "time")]}),
        ended(run),
    ]  # fmt: skip


TASK_KINDS = ("task.started", "task.state", "task.ended", "task.cache", "task.kept")


LENGTH = len(chapter(0)) + 1
"""So many seconds a closed chapter takes."""


VIEWS = (
    "runs", "assets", "materializations", "materialization_outcomes", "current_materializations", "checks",
    "observations", "declared_edges", "edges", "column_edges", "unknown_columns", "dataset_edges", "dataset_column_edges",
    "backfill_partitions", "backfills",
)  # fmt: skip
"""All of them, but those of the detail."""


def answers(projection: Projection) -> dict[str, Any]:
    """Everything that can be asked but the detail itself."""
    reader = Reader(projection)
    with projection.session() as session:
        facts = ProjectionCatalog(projection).facts()
        return {
            **{view: sorted(map(str, session.rows(f"FROM {view}"))) for view in VIEWS},
            "all runs": [{**row, "pruned": None} for row in reader.runs()["runs"]],
            "lineage": reader.lineage(columns=True),
            "definitions": dict(facts.definitions),
            "all facts": {name: str(one) for name, one in facts.assets.items()},
        }


def test_nothing_but_logs_and_task_runs_may_expire() -> None:
    assert set(DETAIL) == {"log.written", *TASK_KINDS}
    assert DETAIL.keys() <= (KINDS | ASSET_KINDS).keys()


def test_nothing_that_may_expire_is_told_to_a_catalog() -> None:
    # Should one of them be told some day, then what was not delivered yet must stay: retention has to look at the cursors.
    assert not DETAIL.keys() & TRANSLATORS.keys()


@pytest.mark.parametrize("wrong", ["soon", "", "-3d", "0s", 0])
def test_what_is_no_duration_is_refused(projection: Projection, wrong: str | float) -> None:
    with pytest.raises(DefinitionError, match="is not a duration"):
        prune(projection, older_than=wrong)


def test_the_beginning_of_time_is_the_end(projection: Projection) -> None:
    assert cutoff("99999w", START) == 0


def test_old_detail_goes_and_all_else_stays(history: History, projection: Projection) -> None:
    for number in range(3):
        history.write(chapter(number))
    reader = Reader(projection)
    before, lines = answers(projection), history.lines()
    found = history.prune(projection, 2 * LENGTH)
    assert found.events == {**dict.fromkeys(TASK_KINDS, 2), "log.written": 4, "task.state": 4}
    assert (found.runs, found.oldest, found.newest) == (2, 5, 5)
    assert answers(projection) == before
    assert history.lines().keys() == {line for line, event in lines.items() if not goes(event, found)}
    assert [reader.logs(f"run{number}")["logs"] != [] for number in range(3)] == [False, False, True]
    assert [reader.task_runs(f"run{number}")["task_runs"] != [] for number in range(3)] == [False, False, True]
    assert projection.verify() == []


def test_what_somebody_has_not_got_yet_stays_and_nothing_younger_goes(history: History, projection: Projection) -> None:
    for number in range(3):
        history.write(chapter(number))
    moment = START + 2 * LENGTH * SECOND
    for undelivered, held_back in ((moment + SECOND, None), (moment, None), (START + LENGTH * SECOND,) * 2):
        found = history.prune(projection, 2 * LENGTH, undelivered=undelivered, dry_run=True)
        assert (found.before, found.undelivered) == (held_back or moment, held_back)
        assert found.events["task.ended"] == (1 if held_back else 2)


def goes(event: Event, found: Pruned) -> bool:
    return event.kind in found.events and event.time < found.before


def test_a_run_says_what_it_lost_and_keeps_its_counts(history: History, projection: Projection) -> None:
    history.write(chapter(0))
    reader = Reader(projection)
    assert "pruned" not in reader.run("run0")
    found = history.prune(projection, LENGTH)
    moment = clock.rfc3339(found.before)
    assert (reader.run("run0")["tasks"], reader.run("run0")["pruned"]) == ({"Completed": 1}, moment)
    assert reader.task_runs("run0") == {"run": "run0", "task_runs": [], "pruned": moment}
    assert reader.logs("run0") == {"run": "run0", "logs": [], "pruned": moment}


def test_counts_stay_however_often_a_run_is_cut(history: History, projection: Projection) -> None:
    history.write([started("r"), *task_story("t1", "r"), *task_story("t2", "r"), *task_story("t3", "r"), ended("r")])
    before = answers(projection)
    for seconds in (4, 9, 12, 15):
        history.prune(projection, seconds)
        assert answers(projection) == before
    assert Reader(projection).task_runs("r")["task_runs"] == []
    assert projection.verify() == []


def test_logs_alone(history: History, projection: Projection) -> None:
    history.write(chapter(0))
    before, tasks = answers(projection), Reader(projection).task_runs("run0")
    assert history.prune(projection, LENGTH, logs_only=True).events == {"log.written": 2}
    assert (answers(projection), Reader(projection).task_runs("run0")) == (before, tasks)
    assert Reader(projection).logs("run0")["logs"] == []
    assert history.prune(projection, LENGTH).events == {
        "log.written": 0, **dict.fromkeys(TASK_KINDS, 1), "task.state": 2,
    }  # fmt: skip
    assert answers(projection) == before


def test_what_a_living_process_wrote_stays(history: History, projection: Projection) -> None:
    history.write(chapter(0))
    history.write(chapter(1)[:-1], close=False)
    found = history.prune(projection, 2 * LENGTH)
    assert found.events["log.written"] == 2
    assert len(Reader(projection).logs("run1")["logs"]) == 2
    (writer,) = history.alive
    with clock.use(history.clock):
        writer.append(ended("run1"))
        writer.close()
    assert history.prune(projection, 2 * LENGTH).events["log.written"] == 2
    assert Reader(projection).run("run1")["tasks"] == {"Completed": 1}
    assert projection.verify() == []


def test_of_a_run_that_had_not_ended_no_number_is_told(history: History, projection: Projection) -> None:
    history.write([started("r")], close=False)
    history.write([*task_story("t1", "r"), TaskStarted(task_run_id="t2", run_id="r", task="make")])
    history.prune(projection, 5)
    run = Reader(projection).run("r")
    assert (run["state"], run["tasks"], "pruned" in run) == ("Running", {}, True)
    assert projection.verify() == []


def test_a_dry_run_changes_nothing_and_tells_the_same(history: History, projection: Projection, home: Home) -> None:
    history.write(chapter(0))
    history.write(chapter(1))
    history.write(chapter(2)[:-1], close=False)
    damaged = history.write(chapter(3))
    path = home.journal / f"{damaged}.ndjson"
    path.write_bytes(path.read_bytes().replace(b'"shop"', b'"shoq"', 1))
    projection.refresh()
    content, files = content_of(projection), tree(home.journal)
    dry = history.prune(projection, 10 * LENGTH, dry_run=True)
    assert dry.events["log.written"] == 4
    assert (content_of(projection), tree(home.journal)) == (content, files)
    assert dry.to_json()["bytes"]["estimated"]
    done = history.prune(projection, 10 * LENGTH)
    told, did = dry.to_json(), done.to_json()
    assert (told.pop("dry_run"), did.pop("dry_run")) == (True, False)
    told["bytes"], did["bytes"] = told["bytes"]["before"], did["bytes"]["before"]
    assert told == did
    assert path.exists()
    assert history.prune(projection, 10 * LENGTH, dry_run=True).events == dict.fromkeys(DETAIL, 0)


def tree(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_less_is_left_on_disk(history: History, projection: Projection) -> None:
    for number in range(3):
        history.write(chapter(number, logs=400))
    found = history.prune(projection, 3 * len(chapter(0, logs=401)))
    assert found.bytes_after < found.bytes_before / 5


def test_nothing_is_old_enough(history: History, projection: Projection) -> None:
    history.write(chapter(0))
    found = history.prune(projection, 0)
    assert (found.runs, found.oldest, set(found.events.values())) == (0, None, {0})
    assert projection.verify() == []


def test_readers_in_the_middle_of_a_writer_go_on(history: History, projection: Projection, home: Home) -> None:
    writer = history.write(chapter(0))
    history.write(chapter(1))
    lines = [decode(line) for batch in JournalReader(home).read() for line in batch.lines if batch.writer == writer]
    found = history.prune(projection, LENGTH - 3)
    for seq in range(len(lines) + 1):
        batches = JournalReader(home).read({writer: Position(seq)})
        read = [decode(line) for batch in batches for line in batch.lines if batch.writer == writer]
        assert read == [event for event in lines[seq:] if not goes(event, found)]


def test_a_catalog_gets_all_that_it_had_not_got(history: History, projection: Projection, tmp_path: Path) -> None:
    home = history.home

    def exported(name: str) -> Counter[str]:
        Exporter(home, FileCarrier(home), FileDestination(tmp_path / name)).drain()
        lines = (tmp_path / name).read_text().splitlines()
        return Counter(json.dumps(json.loads(line), sort_keys=True) for line in lines)

    for number in range(3):
        history.write(chapter(number))
    # One destination stands in the middle of a writer when that goes into an archive and loses events.
    bodies = chapter(3)
    history.write(bodies[:4], close=False)
    exported("late.ndjson")
    (writer,) = history.alive
    with clock.use(history.clock):
        writer.append(*bodies[4:])
        writer.close()
    whole = exported("whole.ndjson")
    assert sum(whole.values()) == 4 * 3
    history.prune(projection, 10 * LENGTH)
    assert exported("late.ndjson") == exported("whole.ndjson") == exported("new.ndjson") == whole


def test_a_file_from_before_something_expired_is_made_anew(
    history: History, projection: Projection, home: Home
) -> None:
    history.write(chapter(0))
    before = answers(projection)
    copy = home.path / "copy.duckdb"
    copy.write_bytes(home.database.read_bytes())
    history.prune(projection, LENGTH)
    # A copy that comes back from a backup, or a file that could not follow because another program had it open.
    copy.replace(home.database)
    assert answers(projection) == before
    assert Reader(projection).logs("run0")["logs"] == []
    assert projection.verify() == []


def test_nothing_of_a_damaged_archive_expires(history: History, projection: Projection, home: Home) -> None:
    history.write(chapter(0))
    history.prune(projection, 2)
    history.write(chapter(1))
    history.prune(projection, 2)
    (first, second) = sorted(home.archive.glob("*.parquet"))
    data = bytearray(first.read_bytes())
    data[len(data) // 2] ^= 0xFF
    first.write_bytes(bytes(data))
    before = answers(projection)
    for dry_run in (True, False):
        found = history.prune(projection, 3 * LENGTH, dry_run=dry_run)
        assert (found.damaged, found.to_json()["damaged"]) == ((str(first),), [str(first)])
        assert second.exists() == dry_run
    assert first.read_bytes() == bytes(data)
    assert answers(projection) == before
    assert Reader(projection).logs("run1")["logs"] == []


def test_an_archive_whose_index_is_damaged_is_pruned_like_others(
    history: History, projection: Projection, home: Home
) -> None:
    history.write(chapter(0))
    history.prune(projection, 2)
    (index,) = home.archive.glob("*.json")
    index.write_bytes(b"damaged")
    history.prune(projection, 3 * LENGTH)
    before = answers(projection)
    assert projection.verify() == []
    projection.rebuild()
    assert answers(projection) == before


def test_pruning_inside_a_session_is_refused(history: History, projection: Projection) -> None:
    with projection.session(), pytest.raises(ProjectionError, match="inside a session"):
        history.prune(projection, 1)


@tried_on(3, full=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    chapters=st.lists(st.tuples(st.booleans(), st.integers(0, 3)), min_size=1, max_size=4),
    cuts=st.lists(st.tuples(st.integers(0, 6 * LENGTH), st.booleans()), min_size=1, max_size=2),
    with_story=st.booleans(),
)
def test_all_else_survives_byte_for_byte_and_every_answer_is_the_same(
    chapters: Sequence[tuple[bool, int]],
    cuts: Sequence[tuple[int, bool]],
    with_story: bool,
    empty_database: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    home = Home.open(tmp_path_factory.mktemp("retention") / "home", create=True)
    home.database.write_bytes(empty_database.read_bytes())
    projection = Projection(home)
    with history_in(home) as history:
        if with_story:
            history.write(story())
        for number, (close, logs) in enumerate(chapters):
            history.write(chapter(number, logs=logs), close=close)
        alive = {writer.id for writer in history.alive}
        before = answers(projection)
        for seconds, logs_only in cuts:
            lines = history.lines()
            found = history.prune(projection, seconds, logs_only=logs_only)
            expected = {line for line, one in lines.items() if one.writer in alive or not goes(one, found)}
            assert history.lines().keys() == expected
            assert sum(found.events.values()) == len(lines) - len(expected)
            assert answers(projection) == before
        assert projection.verify() == []
        followed = content_of(projection)
        projection.rebuild()
        assert content_of(projection) == followed
