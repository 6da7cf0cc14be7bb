from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from journal_cases import finish, start

from headwater.core.journal.home import Home
from headwater.core.journal.verify import verify_journal
from headwater.errors import FormatError, HomeError

NOISY = """
import os
from headwater import flow, task

@task
def native(number):
    for output in (0, 1, 2):
        try:
            os.write(output, b"a panic of native code\\n")
        except OSError:
            pass
    return number

@flow
def noisy():
    return [native(number) for number in range(3)]

noisy()
"""


def test_a_new_home_is_private_and_hidden_from_git(home: Home) -> None:
    for folder in (home.path, home.journal, home.locks, home.tmp):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert (home.path / ".gitignore").read_text() == "*\n"
    assert Home.open(home.path, create=False) == home
    assert Home.open(home.path, create=True) == home


def test_what_is_written_to_closed_outputs_stays_out_of_the_journal(tmp_path: Path) -> None:
    (tmp_path / "flow.py").write_text(NOISY)
    for closed in ("2>&-", ">&- 2>&-", "<&- >&- 2>&-"):
        subprocess.run(["sh", "-c", f"{sys.executable} flow.py {closed}"], cwd=tmp_path, check=True, timeout=60)
    home = Home.open(tmp_path / ".headwater", create=False)
    assert verify_journal(home) == []
    assert not any(b"panic" in path.read_bytes() for path in home.path.rglob("*") if path.is_file())


def test_an_absent_home_is_named(tmp_path: Path) -> None:
    with pytest.raises(HomeError, match="no Headwater home") as error:
        Home.open(tmp_path / "nowhere", create=False)
    assert error.value.where == str(tmp_path / "nowhere")
    assert error.value.hint
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("marker", ["headwater-home 3", "headwater-home 0", "headwater-home 1.5", "something else", ""])
def test_a_home_of_an_unknown_format_is_left_alone(home: Home, marker: str) -> None:
    home.marker.write_text(marker)
    for create in (True, False):
        with pytest.raises(FormatError, match="knows formats 1 to 2"):
            Home.open(home.path, create=create)
    assert home.marker.read_text() == marker


def test_a_folder_with_somebodys_work_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "report.csv").write_text("1")
    with pytest.raises(HomeError, match="not empty"):
        Home.open(tmp_path, create=True)
    assert [path.name for path in tmp_path.iterdir()] == ["report.csv"]


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    with pytest.raises(HomeError) as error:
        Home.open(tmp_path / "home", create=True)
    assert str(tmp_path / "home") in str(error.value)


def test_a_home_that_was_half_made_is_completed(home: Home) -> None:
    home.marker.unlink()
    home.tmp.rmdir()
    assert Home.open(home.path, create=True).tmp.is_dir()


def test_a_read_only_home_is_named() -> None:
    folder = Path(tempfile.mkdtemp())
    try:
        path = Home.open(folder / "home", create=True).path
        folder.chmod(0o755)
        for entry in (path, *path.iterdir()):
            entry.chmod(0o555 if entry.is_dir() else 0o444)
        assert as_ordinary_user(lambda: Home.open(path, create=True).check_writable()) == (
            "HomeError: the home is not writable"
        )
        assert as_ordinary_user(lambda: Home.open(path, create=False)) == "nothing"  # it can be looked at
        assert as_ordinary_user(lambda: Home.open(folder / "new", create=True)).startswith(
            "HomeError: the home can't be used"
        )
    finally:
        for entry in (folder, *folder.rglob("*")):
            entry.chmod(0o700)
        shutil.rmtree(folder)


def as_ordinary_user(action: object) -> str:
    """What an action raises in a child that may not write everywhere, as root may."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        if os.getuid() == 0:
            os.setgid(65534)
            os.setuid(65534)
        try:
            action()  # type: ignore[operator]
            said = "nothing"
        except HomeError as error:
            said = f"{type(error).__name__}: {error.args[0]}"
        os.write(writing, said.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return said


def test_many_processes_make_it_at_once(tmp_path: Path) -> None:
    home = Home(tmp_path / "together")
    script = "writer = Writer(home); writer.append(run_started(str(os.getpid()))); say('ok')"
    processes = [start(home, script) for _ in range(4)]
    assert [finish(process).strip() for process in processes] == ["ok"] * 4
    assert sorted(path.name for path in home.path.iterdir()) == [".gitignore", "format", "journal", "locks", "tmp"]


def test_many_threads_make_it_at_once(tmp_path: Path) -> None:
    for number in range(20):
        path, together = tmp_path / str(number), threading.Barrier(8)

        def make(path: Path = path, together: threading.Barrier = together) -> Home:
            together.wait()
            return Home.open(path, create=True)

        with ThreadPoolExecutor(8) as pool:
            homes = [made.result() for made in [pool.submit(make) for _ in range(8)]]
        assert {home.path for home in homes} == {path}
        assert sorted(entry.name for entry in path.iterdir()) == [".gitignore", "format", "journal", "locks", "tmp"]
