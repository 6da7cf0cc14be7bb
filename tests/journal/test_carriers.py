"""Every carrier of the journal does what a carrier must do; how to test another one stands in docs/architecture.md."""

from __future__ import annotations

import base64
import pickle
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from carrier_cases import MemorySuite
from journal_cases import kill, start
from tried import STRESS

from headwater import flow
from headwater.core.journal.archive import compact
from headwater.core.journal.carrier import Carrier
from headwater.core.journal.events import Body
from headwater.core.journal.files import FileCarrier
from headwater.core.journal.home import Home
from headwater.core.journal.reader import Batch, Position
from headwater.errors import JournalError
from headwater.testing import MemoryCarrier, project
from headwater.testing.carriers import CarrierSuite, Process
from headwater.testing.carriers.cases import log, messages, open_work

pytestmark = pytest.mark.usefixtures("no_sync")


EXAMPLES = 300 if STRESS else 20


class TestFiles(CarrierSuite):
    """With real processes that are really killed."""

    examples = EXAMPLES

    @contextmanager
    def carrier(self) -> Iterator[Carrier]:
        with tempfile.TemporaryDirectory(prefix="headwater-") as folder:
            self.home = Home.open(Path(folder) / ".headwater", create=True)
            yield FileCarrier(self.home)

    @contextmanager
    def process(self, carrier: Carrier) -> Iterator[Process]:
        other = RealProcess(self.home)
        try:
            yield other
        finally:
            other.kill()


class TestArchivedFiles(TestFiles):
    """The same when whatever is closed has gone into archives before anybody reads."""

    examples = EXAMPLES // 6

    @contextmanager
    def carrier(self) -> Iterator[Carrier]:
        with super().carrier():
            yield Archiving(self.home)


class Archiving(FileCarrier):
    def read(self, after: Mapping[str, Position] | None = None, *, skip: Collection[str] = ()) -> Iterator[Batch]:
        with self.locks.hold("projection"):
            while compact(self._home):
                pass
        return super().read(after, skip=skip)


class TestMemory(MemorySuite):
    """In memory, with deaths that are only played."""

    examples = EXAMPLES


class RealProcess:
    """A Python process beside this one, which does what it is told and can be killed."""

    def __init__(self, home: Home) -> None:
        self._process = start(
            home,
            """
            import base64, pickle
            writer, locks, held = Writer(home), Locks(home.locks), []
            for line in sys.stdin:
                command, *arguments = pickle.loads(base64.b64decode(line))
                if command == "append":
                    writer.append(*arguments)
                    say(writer.id)
                else:
                    held.append(locks.try_hold(*arguments))
                    say(held[-1] is not None)
            """,
        )
        self.pid = self._process.pid

    def append(self, *bodies: Body) -> str:
        return self._ask("append", *bodies)

    def hold(self, name: str) -> None:
        assert self._ask("hold", name) == "True"

    def kill(self) -> None:
        if self._process.returncode is None:
            kill(self._process)

    def _ask(self, *command: object) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(base64.b64encode(pickle.dumps(command)).decode() + "\n")
        self._process.stdin.flush()
        return self._process.stdout.readline().strip()


def test_what_was_killed_in_memory_does_nothing_any_more() -> None:
    carrier = MemoryCarrier()
    writer = carrier.writer()
    writer.append(*open_work("run"))
    carrier.kill()
    with pytest.raises(JournalError, match="was killed"):
        writer.append(log("late"))
    with pytest.raises(JournalError, match="was killed"):
        carrier.writer().append(log("later"))
    with pytest.raises(JournalError, match="was killed"):
        carrier.locks.try_hold("it")
    writer.close()
    assert messages(carrier.events) == []
    assert carrier.process().recover()[0].crashed == ("run",)


def test_a_lock_in_memory_that_nobody_can_release_frees_itself() -> None:
    carrier = MemoryCarrier()
    carrier.locks.try_hold("it")
    with carrier.locks.hold("it", timeout=0):
        pass


def test_a_changed_line_in_memory_is_damage() -> None:
    carrier = MemoryCarrier()
    writer = carrier.writer()
    writer.append(log("a"), log("b"))
    lines = carrier._shared.segments[writer.id].lines
    lines[1] = lines[1].replace(b'"a"', b'"x"')
    assert [(damage.kind, damage.seq) for damage in carrier.verify()] == [("record", 1)]


def test_a_project_may_have_its_journal_in_memory() -> None:
    @flow
    def hello(name: str) -> str:
        return name

    carrier = MemoryCarrier()
    with project(carrier=carrier) as found:
        hello("you")
        dead = carrier.process()
        dead.writer().append(*open_work("dead"))
        dead.kill()
        runs = {run["flow"]: run["state"] for run in found.reader.runs()["runs"]}
        assert runs == {"hello": "Completed", "f": "Crashed"}
        assert found.projection.verify() == []
        assert list(found.home.journal.iterdir()) == []
