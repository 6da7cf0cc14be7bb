"""The outbox: what stands in the journal gets out, each event once, whatever happens on the way."""

import errno
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import openlineage_cases as cases
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from tried import tried_on

from headwater import clock, ids
from headwater.core.events import LogWritten
from headwater.core.journal.events import Body
from headwater.core.journal.files import FileCarrier
from headwater.core.journal.home import Home
from headwater.core.journal.locks import Locks
from headwater.core.journal.reader import Reader
from headwater.core.journal.writer import Writer
from headwater.errors import ExportError
from headwater.lineage.openlineage import delivery as delivery_module
from headwater.lineage.openlineage import exporter as exporter_module
from headwater.lineage.openlineage.cursor import CursorFile
from headwater.lineage.openlineage.destination import Receipt
from headwater.lineage.openlineage.exporter import Exporter
from headwater.lineage.openlineage.file import FileDestination
from headwater.lineage.openlineage.translate import translate

Validate = Callable[..., None]


class Killed(BaseException):
    """Stands for the process's end at a place."""


class Place:
    """A home with a journal, and a file to export to."""

    def __init__(self, folder: Path) -> None:
        self.home = Home.open(folder / ".headwater", create=True)
        self.file = folder / "exports" / "events.ndjson"

    def write(self, *bodies: Body) -> None:
        writer = Writer(self.home)
        for body in bodies:
            writer.append(body)
        writer.close()

    def exporter(self) -> Exporter:
        return Exporter(self.home, FileCarrier(self.home), FileDestination(self.file))

    def expected(self) -> list[dict[str, Any]]:
        found = [translate(event) for event in Reader(self.home).events()]
        return [event for event in found if event is not None]

    def exported(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.file.read_text().splitlines()]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@contextmanager
def small_pieces(size: int = 2) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exporter_module, "_LINES", size)
        patch.setattr(delivery_module, "_EVENTS", size)
        yield


def a_run(run_id: str | None = None) -> list[Body]:
    run_id = run_id or ids.new_id()
    start = cases.started(run_id, inputs=(cases.read(),))
    log = LogWritten(run_id=run_id, level=20, logger="shop", message='a "k":"run.started" in a text')
    return [cases.run_started(run_id), start, log, cases.ended(start), cases.run_ended(run_id)]


class TestDrain:
    def test_everything_gets_out_in_order_and_once(self, place: Place, validate: Validate) -> None:
        place.write(*a_run())
        assert place.exporter().drain() == 4
        assert place.exporter().drain() == 0
        assert [event["eventType"] for event in place.exported()] == ["START", "START", "COMPLETE", "COMPLETE"]
        assert place.exported() == place.expected()
        validate(place.exported(), finished=True)

    def test_what_is_new_goes_with_the_next_one_from_live_and_closed_writers_alike(self, place: Place) -> None:
        writer = Writer(place.home)
        first, *rest = a_run()
        writer.append(first)
        exporter = place.exporter()
        assert exporter.drain() == 1
        writer.append(*rest)
        place.write(*a_run())
        assert exporter.drain() == 7
        writer.close()
        assert exporter.drain() == 0
        assert sorted(map(str, place.exported())) == sorted(map(str, place.expected()))

    def test_two_destinations_do_not_disturb_each_other(self, place: Place, tmp_path: Path) -> None:
        place.write(*a_run())
        other = Exporter(place.home, FileCarrier(place.home), FileDestination(tmp_path / "other.ndjson"))
        assert (place.exporter().drain(), other.drain(), other.drain()) == (4, 4, 0)

    def test_while_another_one_is_at_work_nothing_is_delivered(self, place: Place) -> None:
        place.write(*a_run())
        with Locks(place.home.locks).hold(f"openlineage:{FileDestination(place.file).id}"):
            assert place.exporter().drain() == 0
        assert not place.file.exists()
        assert place.exporter().drain() == 4

    def test_when_the_time_is_up_the_rest_is_left_for_the_next(self, place: Place) -> None:
        class Ticking:
            us = cases.NOON

            def now_us(self) -> int:
                self.us += 100_000
                return self.us

            def sleep(self, seconds: float) -> None: ...

        place.write(*a_run(), *a_run())
        with small_pieces(), clock.use(Ticking()):
            first = place.exporter().drain(deadline=0.25)
            assert 0 < first < 8
            assert place.exported() == place.expected()[:first]
            assert first + place.exporter().drain() == 8
        assert place.exported() == place.expected()

    def test_a_journal_without_anything_to_say_makes_an_empty_file(self, place: Place) -> None:
        place.write(LogWritten(run_id="r", level=20, logger="shop", message="hello"))
        assert place.exporter().drain() == 0
        assert place.file.read_bytes() == b""

    def test_the_namespace_may_be_given(self, place: Place) -> None:
        place.write(*a_run())
        destination = FileDestination(place.file)
        Exporter(place.home, FileCarrier(place.home), destination, namespace="prod").drain()
        assert {event["job"]["namespace"] for event in place.exported()} == {"prod"}

    def test_the_position_is_private_and_small(self, place: Place) -> None:
        place.write(*a_run())
        place.exporter().drain()
        (file,) = (place.home.path / "openlineage").iterdir()
        assert file.stat().st_mode & 0o777 == 0o600
        assert file.parent.stat().st_mode & 0o777 == 0o700
        assert place.file.stat().st_mode & 0o777 == 0o600
        state = json.loads(file.read_bytes())
        assert state["positions"] == {}
        assert state["finished"] == Reader(place.home).writers()


class TestStatus:
    def test_counts_what_went_out_and_what_waits(self, place: Place) -> None:
        place.write(*a_run())
        before = place.exporter().status()
        assert (before.delivered, before.pending, before.at) == (0, 4, None)
        assert not place.file.exists()
        place.exporter().drain()
        place.write(*a_run()[:2])
        after = place.exporter().status()
        assert (after.destination, after.delivered, after.pending) == (str(place.file), 4, 2)
        assert after.at is not None


class TestTheFile:
    def test_what_stood_in_it_before_stays(self, place: Place) -> None:
        place.file.parent.mkdir(parents=True)
        place.file.write_text('{"already": "here"}\n')
        place.write(*a_run())
        place.exporter().drain()
        assert place.exported() == [{"already": "here"}, *place.expected()]

    @pytest.mark.parametrize("how", ["removed", "emptied"])
    def test_gone_it_gets_everything_again(self, place: Place, how: str) -> None:
        place.write(*a_run())
        place.exporter().drain()
        place.file.unlink() if how == "removed" else place.file.write_bytes(b"")
        place.write(*a_run())
        assert place.exporter().drain() == 8
        assert place.exported() == place.expected()

    @pytest.mark.parametrize("left", [b'{"half":', b"x" * 1_000_000])
    def test_when_it_is_another_one_it_is_left_alone(self, place: Place, left: bytes) -> None:
        place.write(*a_run())
        place.exporter().drain()
        place.file.write_bytes(left)
        with pytest.raises(ExportError, match="not as it was left") as raised:
            place.exporter().drain()
        assert raised.value.where == str(place.file)
        assert place.file.read_bytes() == left

    def test_where_it_cannot_be_opened_the_error_says_so(self, place: Place) -> None:
        place.write(*a_run())
        place.file.mkdir(parents=True)
        with pytest.raises(ExportError, match="can't be written: Is a directory"):
            place.exporter().drain()

    def test_a_full_disk_loses_nothing(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        place.write(*a_run())
        write = os.write

        def half(descriptor: int, data: Any) -> int:
            if os.path.samestat(os.fstat(descriptor), place.file.stat()):
                write(descriptor, data[: len(data) // 2])
                raise OSError(errno.ENOSPC, "No space left on device")
            return write(descriptor, data)

        with monkeypatch.context() as patch:
            patch.setattr(os, "write", half)
            with pytest.raises(ExportError, match="No space left"):
                place.exporter().drain()
        assert place.file.stat().st_size > 0
        assert place.exporter().drain() == 4
        assert place.exported() == place.expected()


@pytest.mark.parametrize("text", ["{", "[]", '{"format": 99}'])
def test_a_position_that_cannot_be_read_stops_the_export(place: Place, text: str) -> None:
    place.write(*a_run())
    place.exporter().drain()
    (file,) = (place.home.path / "openlineage").iterdir()
    file.write_text(text)
    with pytest.raises(ExportError, match="position of an export") as raised:
        place.exporter().drain()
    assert raised.value.where == str(file)
    assert place.exported() == place.expected()
    status = place.exporter().status()
    assert (status.delivered, status.pending) == (0, 4)
    assert str(status.error).startswith("the position of an export can't be read: ")
    assert str(file) in str(status.error)


@pytest.mark.parametrize("held", ["[tool.headwater]\n", "{}\n{", "a,b\n1,2\n"])
def test_a_file_of_something_else_is_left_alone(place: Place, held: str) -> None:
    place.write(*a_run())
    place.file.parent.mkdir(parents=True)
    place.file.write_text(held)
    with pytest.raises(ExportError, match="the file holds something else than whole lines of events"):
        place.exporter().drain()
    assert place.file.read_text() == held
    place.file.unlink()
    assert place.exporter().drain() == len(place.expected())


def test_a_pipe_is_no_file_to_keep_events_in(place: Place) -> None:
    place.write(*a_run())
    place.file.parent.mkdir(parents=True)
    os.mkfifo(place.file)
    with pytest.raises(ExportError, match="no file that events can be kept in"):
        place.exporter().drain()


class _Mortal(FileDestination):
    """Dies in a delivery: after so many bytes of it, or after all of them."""

    def __init__(self, path: Path, deaths: list[float]) -> None:
        super().__init__(path)
        self._deaths = deaths

    def deliver(self, events: Sequence[bytes], seconds: float | None = None) -> Receipt:
        part = self._deaths.pop() if self._deaths else 2.0
        if part > 1:
            return super().deliver(events)
        data = b"".join(event + b"\n" for event in events)
        os.write(self._descriptor, data[: int(part * len(data))])
        raise Killed


quick = tried_on(15, suppress_health_check=list(HealthCheck))


@quick
@given(
    deaths=st.lists(st.sampled_from([0.0, 0.3, 1.0, 2.0]), max_size=6),
    steps=st.lists(st.integers(0, 5), min_size=1, max_size=6),
)
def test_however_often_it_is_killed_in_a_delivery_each_event_stands_once(deaths: list[float], steps: list[int]) -> None:
    with tempfile.TemporaryDirectory() as folder, small_pieces():
        place = Place(Path(folder))
        writer = Writer(place.home)
        for count in steps:
            for body in a_run()[:count]:
                writer.append(body)
            destination = _Mortal(place.file, deaths)
            with suppress(Killed):
                Exporter(place.home, FileCarrier(place.home), destination).drain()
        writer.close()
        place.exporter().drain()
        assert place.exported() == place.expected()


@pytest.mark.parametrize("saves", [0, 1, 2])
def test_killed_before_its_position_is_saved_it_delivers_again_in_place(place: Place, saves: int) -> None:
    place.write(*a_run(), *a_run())
    script = f"""
import os, signal
from pathlib import Path
from headwater.core.journal.files import FileCarrier
from headwater.core.journal.home import Home
from headwater.lineage.openlineage import cursor, delivery, exporter
from headwater.lineage.openlineage.file import FileDestination

save, count = cursor.CursorFile.save, 0
def dying(self, found):
    global count
    if count == {saves}:
        os.kill(os.getpid(), signal.SIGKILL)
    count += 1
    save(self, found)
cursor.CursorFile.save = dying
exporter._LINES = delivery._EVENTS = 2
home = Home(Path({str(place.home.path)!r}))
exporter.Exporter(home, FileCarrier(home), FileDestination({str(place.file)!r})).drain()
"""
    done = subprocess.run([sys.executable, "-c", script], check=False, cwd=Path(__file__).parents[2])
    assert done.returncode == -signal.SIGKILL
    saved = CursorFile(place.home, FileDestination(place.file).id).load().delivered
    assert place.exporter().drain() == 8 - saved
    assert place.exported() == place.expected()
