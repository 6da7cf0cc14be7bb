"""A good project with materialized data, in which one mistake after another is made, and what must hold after each."""

import contextlib
import hashlib
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from cli_project import Done, as_in_a_new_process, write_shop

from headwater.cli.app import run
from headwater.core.journal.home import Home
from headwater.core.journal.reader import Reader

ROOT = "/home/you/shop"
"""What the project's folder is called wherever its path is printed."""

SCRIPT = """\
import os, sys
from datetime import date
from typing import Annotated
import polars as pl
from headwater import *

"""
"""What every script of the table begins with (the page leaves it out)."""

_HIDDEN = [
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "<id>"),
    (r"\(process \d+\)", "(process 4711)"),
    (r"ps -p \d+", "ps -p 4711"),
    (r"damaged-\d{8}T\d{6}\.\d+Z", "damaged-<time>"),
    (r"at byte \d+ \(record \d+\): \d+ bytes", "at byte 16742 (record 18): 362 bytes"),
    (r"at 0x[0-9a-f]+", "at 0x7f"),
]
_LIMITED = """\
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), int(sys.argv[1])))
from headwater.cli import main
main(sys.argv[2:])
"""
"""No file grows beyond so many bytes: what a full disk is to a program, for users without any rights as well."""

Spoil = Callable[[Path], AbstractContextManager[object] | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """A row of the table: how the good project is spoilt, what is done in it, and what has to be printed.

    `what`, `where` and `hint` are parts of what is printed; the whole of it stands on the page `docs/errors.md`.
    """

    title: str
    does: str
    code: int
    what: str
    where: str = ""
    hint: str = ""
    script: str = ""
    edits: tuple[tuple[str, str], ...] = ()
    spoil: Spoil | None = None
    before: str = ""
    """What the page says of how things were before."""
    process: bool = False
    """Whether only a process of its own shows it: what goes through logging, signals, limits, forks."""
    limit: int | None = None
    environment: tuple[tuple[str, str], ...] = ()
    damages: tuple[str, ...] = ()
    """Files that the spoiling left unreadable: they can't be as they were."""
    verify: int = 0
    """The exit code of `headwater verify` afterwards: 1 where the journal itself was spoilt, and it is named."""
    engine: bool = False
    """Whether it quotes a library, whose words may change from version to version."""
    shown: str = "both"
    """Which of "out", "err" or "both" the page shows."""


class World:
    """The project's folder, its good state beside it, and commands that run in it."""

    def __init__(self, base: Path) -> None:
        self.folder, self._good = base / "shop", base / "good"
        self._known: dict[str, object] = {}
        self.folder.mkdir()
        with contextlib.chdir(self.folder):
            write_shop(self.folder)
            for command in (
                "backfill daily --upstream --from 2024-01-05 --to 2024-01-06",
                "materialize totals",
                "run shop.py:report -p day=2024-01-05",
                "status",
            ):
                done = self.cli(*shlex.split(command))
                assert done.code == 0, done
        shutil.copytree(self.folder, self._good, symlinks=True)

    def restore(self) -> None:
        """Everything as it was."""
        shutil.rmtree(self.folder)
        shutil.copytree(self._good, self.folder, symlinks=True)

    @contextlib.contextmanager
    def spoilt(self, row: Mistake) -> Iterator[None]:
        """The world with the mistake in it."""
        self.restore()
        shop = self.folder / "shop.py"
        for old, new in row.edits:
            text = shop.read_text()
            assert text.count(old) == 1, old
            shop.write_text(text.replace(old, new))
        if row.script:
            (self.folder / "also.py").write_text(SCRIPT + row.script)
        with contextlib.ExitStack() as stack:
            stack.enter_context(contextlib.chdir(self.folder))
            for name, value in row.environment:
                os.environ[name] = value.replace(ROOT, str(self.folder))
                stack.callback(os.environ.pop, name)
            entered = row.spoil(self.folder) if row.spoil is not None else None
            if entered is not None:
                stack.enter_context(entered)
            yield

    def make(self, row: Mistake, *more: str) -> Done:
        """Make the mistake."""
        program, *arguments = [*shlex.split(row.does), *more]
        if program == "python":
            # From Python 3.12 on the interpreter warns of each fork beside threads; the page is the same for all.
            return self._process([sys.executable, "-W", "ignore::DeprecationWarning", *arguments])
        if row.limit is not None:
            return self._process([sys.executable, "-c", _LIMITED, str(row.limit), *arguments])
        if row.process:
            return self._process([sys.executable, "-m", "headwater", *arguments])
        return self.cli(*arguments)

    def cli(self, *arguments: str) -> Done:
        """A command in this process."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), as_in_a_new_process():
            code = run(list(arguments))
        return Done(code, out.getvalue(), err.getvalue())

    def _process(self, command: list[str]) -> Done:
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=60, check=False)
        return Done(done.returncode, done.stdout, done.stderr)

    def data(self, row: Mistake) -> dict[str, object]:
        """The old data: each Parquet and CSV file by its hash, and the rows of the tables."""
        files = [*self.folder.glob("lake/**/*.parquet"), *self.folder.glob("shop*.*")]
        return {
            str(path.relative_to(self.folder)): self._content(path)
            for path in files
            if path.suffix in (".parquet", ".csv", ".duckdb")
            and path.name[0] != "."
            and str(path.relative_to(self.folder)) not in row.damages
        }

    def _content(self, file: Path) -> object:
        """The hash of a file; of a database the rows of its tables, whatever bytes they are kept in."""
        key = hashlib.sha256(file.read_bytes()).hexdigest()
        if file.suffix != ".duckdb":
            return key
        if key not in self._known:
            self._known[key] = _tables(file)
        return self._known[key]

    def events(self) -> set[tuple[str, int]]:
        """The journal's events, by writer and number."""
        return {(event.writer, event.seq) for event in Reader(Home(self.folder / ".headwater")).events()}

    def tree(self) -> dict[str, bytes]:
        """The home as it lies on the disk, but for its locks."""
        home = self.folder / ".headwater"
        return {
            str(path): path.read_bytes() for path in home.rglob("*") if path.is_file() and path.parent.name != "locks"
        }


def _tables(file: Path) -> dict[str, object]:
    import duckdb

    # Read in a copy: somebody may hold the file.
    copy = file.with_name(".copy.duckdb")
    shutil.copyfile(file, copy)
    try:
        with duckdb.connect(str(copy)) as connection:
            return {name: connection.execute(f"FROM {name} ORDER BY ALL").fetchall() for name in ("daily", "totals")}
    finally:
        copy.unlink()


def printed(row: Mistake, done: Done, folder: Path) -> str:
    """What was printed, without what changes from time to time and from place to place."""
    text = {"out": done.out, "err": done.err, "both": done.out + done.err}[row.shown]
    text = text.replace(str(folder), ROOT)
    for pattern, shown in _HIDDEN:
        text = re.sub(pattern, shown, text)
    lines = [line for line in text.splitlines() if not re.match(r"\d+ of \d+ \(\d+%\)|doubling \d", line)]
    return "\n".join(lines).strip()
