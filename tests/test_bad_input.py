"""Every mistake of the table is answered by one clear error, and costs nothing that was there before."""

import contextlib
from collections.abc import Iterator

import pytest
from bad_input_page import MISTAKES, PAGE, SECTIONS, block
from bad_input_world import Mistake, World, printed

from headwater.core.journal.home import Home
from headwater.core.journal.verify import verify_journal
from headwater.materializers import attaching


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """The good project; made once, and restored for each row."""
    return World(tmp_path_factory.mktemp("bad_input"))


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another program holds its file for as long as the test lasts: waiting for it is no use."""
    monkeypatch.setattr(attaching, "FOREIGN_WAIT", 0.1)


@pytest.mark.parametrize("row", MISTAKES, ids=lambda row: row.title)
def test_a_mistake_is_answered_by_what_where_and_what_to_do(world: World, row: Mistake) -> None:
    with world.spoilt(row):
        data, home = world.data(row), world.tree()
        with nothing_lost(world, row):
            done = world.make(row)
        text = printed(row, done, world.folder)
        assert done.code == row.code, text
        for part in (row.what, row.where, row.hint):
            assert part in text
        assert row.hint or row.code == 0 or row.verify or row.does.startswith("python")
        assert ("Traceback" in text) == (row.does.startswith("python") and row.code != 0)
        after = world.data(row)
        assert {name: after.get(name) for name in data} == data
        if row.verify or row.limit is not None or row.process or (row.spoil and world.tree() != home):
            assert world.cli("verify").code == row.verify
        elif world.tree() != home:
            assert verify_journal(Home(world.folder / ".headwater")) == []
        elif row.code and not row.process and row.limit is None:
            same_as_json(world, row, done.err)
    on_the_page(row, text)


@contextlib.contextmanager
def nothing_lost(world: World, row: Mistake) -> Iterator[None]:
    """All events that could be read before can be read afterwards."""
    if "format" in row.what or "journal" in row.damages:
        yield  # a home in an unknown format is not read at all; that it is left alone is seen by its files
        return
    before = world.events()
    yield
    assert world.events() >= before


def same_as_json(world: World, row: Mistake, err: str) -> None:
    """With --json the same error is the one document on standard output."""
    done = world.make(row, "--json")
    assert (done.code, done.err) == (row.code, "")
    (error,) = done.json.values()
    assert list(done.json) == ["error"]
    assert set(error) <= {"kind", "message", "where", "hint"}
    assert err.startswith(f"error: {error['message'].splitlines()[0]}")
    for part in ("where", "hint"):
        assert f"  {part}: {error[part]}\n" in err if part in error else f"  {part}: " not in err


def on_the_page(row: Mistake, text: str) -> None:
    """The page shows what was printed; where an engine is quoted, no more than its words may be others."""
    shown = PAGE.read_text()
    if not row.engine:
        assert block(row, text) + "\n" in shown, "python tests/bad_input_page.py writes the page anew"
    head, tail = block(row, "…").split("…")
    assert head in shown
    assert tail in shown.split(head)[1]


def test_the_page_lists_the_table_and_nothing_else() -> None:
    headings = [line for line in PAGE.read_text().splitlines() if line.startswith(("## ", "### "))]
    expected = []
    for section, rows in SECTIONS.items():
        expected += [f"## {section}", *(f"### {row.title}" for row in rows)]
    assert headings == expected
    assert len(set(expected)) == len(expected)
