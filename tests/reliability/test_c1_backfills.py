"""C1: random programs of partitions and backfills. Each partition is launched at most once an attempt, and gets an outcome.

Definitions grow, shrink and vanish, dynamic keys come and go, and backfills are requested, fail, are paused, cancelled, retried,
resumed, and die in the middle; at the end all of them end.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any
from unittest.mock import patch

import duckdb
import polars as pl
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from tried import STRESS

from headwater import Asset, DailyPartitions, DynamicPartitions, Partition, PartitionSet, clock, materialize
from headwater.assets import backfilling, listening, registry
from headwater.assets.backfill import BackfillRequest, Only, plan, plan_from_json
from headwater.assets.backfill_events import BackfillAsked, BackfillPartitionEnded, BackfillPartitionLaunched
from headwater.assets.events import MaterializationEnded
from headwater.core.journal.memory import MemoryCarrier
from headwater.lineage import store
from headwater.lineage.backfills import backfill_record
from headwater.testing import project

OUTCOMES = {"completed", "failed", "skipped", "blocked"}
RAN: Counter[str] = Counter()
PARTS = 4 if STRESS else 1
"""The full form takes more than an hour of CPU: its parts are told one by one, and may run side by side (`ARGS="-n 2"`)."""


class Died(BaseException):
    """The process dies here, as far as a program can say so."""


@dataclass
class Trap:
    """What happens at the so-manieth call of a function, if anything."""

    at: int = 0
    what: str = ""
    calls: int = 0
    failing: frozenset[str] = frozenset()
    heard: threading.Event = field(default_factory=threading.Event)
    """Whether the process that drives a backfill has heard what was asked of it."""


@dataclass(frozen=True)
class Attempt:
    """How somebody drives a backfill, and what goes wrong meanwhile; drawn before anything is done.

    What one draws may not depend on how far two threads got, or Hypothesis could not tell a program again.
    """

    parallel: int
    what: str
    at: int
    failing: frozenset[str]
    retry: bool


UNITS = [f"{name}@2024-01-{day:02}" for name in ("raw", "sums") for day in range(1, 6)] + ["visits@a"]
ATTEMPTS = st.builds(
    Attempt,
    parallel=st.sampled_from([1, 1, 2]),
    what=st.sampled_from(["", "pause", "cancel", "die", "die"]),
    at=st.integers(1, 3),
    failing=st.frozensets(st.sampled_from(UNITS), max_size=3),
    retry=st.booleans(),
)


class Heard(logging.Handler):
    """Knows when a driver has heard."""

    def __init__(self, trap: Trap) -> None:
        super().__init__(logging.WARNING)
        self.trap = trap

    def emit(self, record: logging.LogRecord) -> None:
        if "this backfill" in record.getMessage():
            self.trap.heard.set()


class InMemory:
    """A projection that stays open in memory: opening a file, some sixty times a program, takes longer than all else.

    Those who look still take turns, by the projection's lock, and each sees what was written until then.
    """

    def __init__(self, stack: ExitStack) -> None:
        self._connect, self._kept = store.connect, None
        stack.callback(self._end)
        for name, replaced in (("connect", self.connect), ("close", self.close), ("confine", self.confine)):
            stack.enter_context(patch.object(store, name, replaced))

    def connect(self, path: Path, *, temp: Path) -> duckdb.DuckDBPyConnection:
        if self._kept is None:
            self._kept = self._connect(Path(":memory:"), temp=temp)
            # For a few hundred rows, waking more threads costs more than the work, and so does looking for a better plan.
            self._kept.execute("SET threads = 1; PRAGMA disable_optimizer")
        return self._kept

    @staticmethod
    def close(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
        # A look that has ended; a change has committed, and has nothing to take back.
        with suppress(duckdb.TransactionException):
            connection.rollback()

    @staticmethod
    def confine(connection: duckdb.DuckDBPyConnection) -> None:
        """What is asked here is our own; and it could not be undone for the next look."""

    def _end(self) -> None:
        if self._kept is not None:
            self._kept.close()


class Backfills(RuleBasedStateMachine):
    """A project with three assets, and people who ask for its partitions."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.journal = MemoryCarrier()
        InMemory(self.stack)
        self.project = self.stack.enter_context(project(carrier=self.journal, in_memory=True))
        self.stack.enter_context(patch.object(listening, "EVERY", 0.001))
        self.trap = Trap()
        handler, logger = Heard(self.trap), logging.getLogger("headwater.run")
        logger.addHandler(handler)
        self.stack.callback(logger.removeHandler, handler)
        self.days, self.ranged = 3, False
        self.guests = DynamicPartitions("guests")
        self.open: list[str] = []
        self.define()

    def define(self) -> None:
        """All definitions, as they are now."""
        days = DailyPartitions("2024-01-01", f"2024-01-{self.days + 1:02}")
        raw = Asset("raw", at="memory://raw", partitions=days)
        sums = Asset("sums", at="memory://sums", partitions=days)
        visits = Asset("visits", at="memory://visits", partitions=self.guests)

        if self.ranged:

            @materialize(raw, batch=2)
            def ingest(partitions: PartitionSet) -> Any:
                for partition in partitions:
                    yield partition, self.made("raw", partition)
        else:

            @materialize(raw)
            def ingest(partition: Partition) -> pl.DataFrame:
                return self.made("raw", partition)

        @materialize(sums)
        def add(rows: Annotated[pl.LazyFrame, raw.window(-1, 0)], partition: Partition) -> pl.LazyFrame:
            self.made("sums", partition)
            return rows.select(pl.col("n").sum())

        @materialize(visits)
        def visit(partition: Partition) -> pl.DataFrame:
            return self.made("visits", partition)

    def made(self, asset: str, partition: Partition) -> pl.DataFrame:
        """One partition, or what the trap wants."""
        trap = self.trap
        trap.calls += 1
        if trap.calls == trap.at and trap.what == "die":
            raise Died
        if trap.calls == trap.at and trap.what in ("pause", "cancel"):
            self.project.journal.append(BackfillAsked(backfill_id=self.open[-1], what=trap.what, asked_by="anna"))
            assert trap.heard.wait(30), "nobody heard"
        if f"{asset}@{partition.key}" in trap.failing:
            raise ValueError("it fails today")
        return pl.DataFrame({"n": [len(str(partition.key))]})

    @rule(days=st.integers(1, 5), ranged=st.booleans())
    def redefine(self, days: int, ranged: bool) -> None:
        """More days, or fewer; one partition a call, or two."""
        self.days, self.ranged = days, ranged
        self.define()

    @rule(name=st.sampled_from(["sums", "visits"]))
    def vanish(self, name: str) -> None:
        """Nothing makes an asset any more, until all is defined anew."""
        registry.current().producers.pop(name, None)
        registry.current().assets.pop(name, None)

    @rule(keys=st.sets(st.sampled_from("abcd"), min_size=1), there=st.booleans())
    def guests_come_and_go(self, keys: set[str], there: bool) -> None:
        """Keys are added or removed."""
        (self.guests.add if there else self.guests.remove)(*sorted(keys))

    @rule(
        asset=st.sampled_from(["raw", "sums", "visits"]),
        upstream=st.booleans(),
        only=st.sampled_from([(), ("missing",), ("stale", "failed")]),
        drive=st.integers(0, 3).map(bool),
        attempt=ATTEMPTS,
    )
    def ask(self, asset: str, upstream: bool, only: tuple[Only, ...], drive: bool, attempt: Attempt) -> None:
        """Somebody requests a backfill; it may never be started by whoever asked."""
        self.request(asset, upstream, only, attempt if drive else None)

    @initialize(attempt=ATTEMPTS)
    def begin(self, attempt: Attempt) -> None:
        """Something is always asked for."""
        self.request("raw", False, (), attempt)

    def request(self, asset: str, upstream: bool, only: tuple[Only, ...], attempt: Attempt | None) -> None:
        """What `backfill` does, as far as an attempt gets."""
        if asset not in registry.current().producers:
            asset = "raw"
        facts = self.project.catalog.facts()
        wanted = BackfillRequest(targets=(asset,), upstream=upstream, only=frozenset(only))
        found = plan(facts, wanted, clock.now_us())
        made = [step for step in found.steps if step.asset in registry.current().producers]
        if not found.total or len(made) < len(found.steps):
            return
        request = backfilling.request(self.project, found, name="some", targets=(asset,))
        self.open.append(request.backfill_id)
        if attempt is not None:
            self.drive(request.backfill_id, attempt)

    @rule(which=st.integers(0, 11), attempt=ATTEMPTS)
    def go_on(self, which: int, attempt: Attempt) -> None:
        """One is resumed, or what failed in it is tried again."""
        if not self.open:
            return
        chosen = self.open.pop(which % len(self.open))
        self.open.append(chosen)
        self.drive(chosen, attempt)

    def drive(self, backfill_id: str, attempt: Attempt) -> None:
        """An attempt, in which things may go wrong."""
        trap = self.trap
        # A death is told by an exception, which only the thread that drives alone gets.
        trap.what = "" if attempt.what == "die" and attempt.parallel > 1 else attempt.what
        trap.at, trap.failing = trap.calls + attempt.at, attempt.failing
        try:
            self.attempt(backfill_id, attempt.parallel, retry=attempt.retry)
        except Died:
            RAN["deaths"] += 1
        finally:
            trap.what, trap.failing = "", frozenset()
            trap.heard.clear()

    def attempt(self, backfill_id: str, parallel: int, *, retry: bool) -> backfilling.Outcome | None:
        """What `backfill resume` and `backfill retry` do."""
        facts = self.project.catalog.facts()
        record = backfill_record(self.project.projection, backfill_id)
        found = plan_from_json(record.plan, facts.definitions)
        done = {unit: state for unit, state in record.outcomes.items() if state in ("completed", "skipped")}
        if retry:
            found = found.only({unit for unit, state in record.outcomes.items() if state in ("failed", "blocked")})
            done = {}
            if not found.total:
                return None
        request = backfilling.Request(
            backfill_id=backfill_id, name="some", targets=record.targets, plan=found, parallel=parallel, batch=2
        )
        published = [] if retry else backfilling.published_before(request, facts, done)
        outcome = backfilling.carry_out(
            self.project, request, facts.definitions, attempt=record.attempt + 1, done=done, published=published
        )
        RAN["attempts"] += 1
        self.check(outcome, record.attempt + 1, self.trap.failing)
        return outcome

    def check(self, outcome: backfilling.Outcome, attempt: int, failing: frozenset[str]) -> None:
        """What must be so after an attempt."""
        mine = (outcome.backfill_id, attempt)
        launched, ended = [], []
        published = set()
        for event in self.journal.events:
            if event.kind == BackfillPartitionLaunched.kind:
                one = event.record(BackfillPartitionLaunched)
                launched += [(one.asset, one.partition)] if (one.backfill_id, one.attempt) == mine else []
            elif event.kind == BackfillPartitionEnded.kind:
                end = event.record(BackfillPartitionEnded)
                ended += [(end.asset, end.partition, end.state)] if (end.backfill_id, end.attempt) == mine else []
            elif event.kind == MaterializationEnded.kind:
                body = event.record(MaterializationEnded)
                if body.state == "published" and body.started.run_id == mine[0]:
                    published.add((body.started.asset.name, body.started.partition))
        assert len(launched) == len(set(launched)), "a partition was launched twice in one attempt"
        assert len(ended) == len({unit[:2] for unit in ended}), "a partition has two outcomes in one attempt"
        for asset, key, state in ended:
            assert state in OUTCOMES
            assert (state == "completed") <= ((asset, key) in published)
            assert not (state == "completed" and f"{asset}@{key}" in failing and (asset, key) in set(launched))
        counts = outcome.counts
        settled = sum(counts[state] for state in (*OUTCOMES, "cancelled"))
        assert settled == counts["requested"] or outcome.state in ("paused", "cancelled")
        RAN["partitions"] += len(ended)

    def teardown(self) -> None:
        """Without further trouble, every backfill ends, and every partition in it has its outcome."""
        try:
            for backfill_id in self.open:
                self.attempt(backfill_id, 1, retry=False)
                found = self.project.reader.backfill(backfill_id)
                counts = found["partitions"]
                assert found["state"] in ("completed", "failed"), found
                assert sum(counts[state] for state in OUTCOMES) == counts["requested"] == len(found["outcomes"])
                assert not counts["failed"], found
            RAN["programs"] += 1
        finally:
            self.stack.close()


@pytest.mark.parametrize("part", range(PARTS))
def test_c1_random_programs_of_backfills(stress: bool, part: int) -> None:
    RAN.clear()
    examples, steps = (2_000 // PARTS, 60) if stress else (4, 10)
    run_state_machine_as_test(
        Backfills, settings=settings(max_examples=examples, stateful_step_count=steps, deadline=None)
    )
    assert RAN["attempts"]
    print(
        f"C1, part {part + 1} of {PARTS}: {RAN['programs']:,} programs of up to {steps} steps, {RAN['attempts']:,} attempts,"
        f" {RAN['deaths']:,} deaths: {RAN['partitions']:,} partitions, each launched at most once an attempt, each with its"
        " outcome"
    )
