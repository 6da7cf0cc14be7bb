"""What a command shows while it reads much."""

import io
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_project import Cli

from headwater import clock
from headwater.cli.long_work import Shown
from headwater.core.events import LogWritten
from headwater.core.journal import archive
from headwater.core.journal.home import Home
from headwater.core.journal.writer import Writer
from headwater.core.long_work import Work, heard_by, working
from headwater.lineage import ingest

MANY = 2_000


class Slow(clock.SystemClock):
    """The machine's clock, in whose eyes each look takes half a second."""

    def __init__(self) -> None:
        self._at = 0

    def steady_us(self) -> int:
        self._at += 500_000
        return self._at


class Screen(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def journal(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """Many events of twelve processes, which nobody has looked at yet."""
    home = Home.open(folder / ".headwater", create=True)
    for _ in range(12):
        writer = Writer(home)
        writer.append(*(LogWritten(run_id="r", level=20, logger="shop", message="x" * 90) for _ in range(MANY)))
        writer.close()
    monkeypatch.setattr(ingest, "CHUNK_BYTES", 1 << 20)
    return home


@pytest.fixture
def slow() -> Iterator[None]:
    with clock.use(Slow()):
        yield


def shares(told: str, what: str) -> list[int]:
    return [int(one) for one in re.findall(re.escape(what) + r": [^\n\r]*\((\d+)%\)", told)]


def test_a_first_look_at_a_large_journal_tells_how_far_it_is(cli: Cli, journal: Home, slow: None) -> None:
    for command in (("runs", "--json"), ("rebuild", "--json")):
        done = cli(*command)
        found = shares(done.err, "taking in the journal")
        assert found == sorted(found)
        assert len(found) >= 3
        assert found[0] < 60
        assert found[-1] > 80
        assert isinstance(done.json, dict)
    assert "about" in done.err


def test_archives_count_as_what_is_in_them(
    cli: Cli, journal: Home, monkeypatch: pytest.MonkeyPatch, slow: None
) -> None:
    assert archive.compact(journal) is not None
    heard: list[tuple[float, float]] = []

    def hear(work: Work | None) -> None:
        if work is not None and work.what == "taking in the journal":
            heard.append((work.done, work.total))

    with heard_by(hear):
        from headwater.lineage.projection import Projection

        assert Projection(journal).refresh()
    assert heard[-1][0] == pytest.approx(heard[-1][1], rel=0.01)
    assert len({total for _, total in heard}) == 1


def test_verify_tells_how_far_it_is(cli: Cli, journal: Home, slow: None) -> None:
    assert cli("runs").code == 0
    told = cli("verify").err
    for what in ("verifying the journal", "taking in the journal", "comparing the projection with the journal"):
        assert shares(told, what)


def test_what_is_soon_over_is_not_told(cli: Cli, journal: Home) -> None:
    assert cli("runs").err == cli("verify").err == ""


def test_a_terminal_has_one_line_that_is_gone_afterwards(monkeypatch: pytest.MonkeyPatch, slow: None) -> None:
    screen = Screen()
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("TERM", "xterm")
    with heard_by(Shown().tell), working("reading", "files", 20) as work:
        for _ in range(20):
            work.go(1)
    lines = screen.getvalue().split("\r\x1b[K")
    assert "\n" not in screen.getvalue()
    assert (lines[0], lines[-1]) == ("", "")
    assert lines[-2] == "reading: 20 of 20 files (100%)"
    assert all(len(line) < 60 for line in lines)
    assert len(lines) > 10


def test_work_that_comes_long_after_other_work_waits_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    class By(clock.SystemClock):
        at = 0

        def steady_us(self) -> int:
            return self.at

    by, screen = By(), Screen()
    monkeypatch.setattr("sys.stderr", screen)
    shown = Shown()
    with clock.use(by), heard_by(shown.tell):
        for _ in range(5):
            with working("reading", "files", 2) as work:
                work.go(1)
                by.at += 1_900_000
                work.go(1)
            by.at += 1_000_000
    assert screen.getvalue() == ""
