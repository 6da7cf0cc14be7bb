"""The home: the folder (`.headwater` in a project) that holds the journal, the projection and the locks."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from headwater import failpoints
from headwater.core.journal import descriptors
from headwater.core.journal.lines import FORMAT
from headwater.errors import FormatError, HomeError
from headwater.ids import new_id
from headwater.records import dataclass
from headwater.wording import remedy

_MARKER = "headwater-home"
ARCHIVED = 2
"""The format of a home with archives, and the newest that this version reads; one without is in format 1."""


@dataclass(frozen=True, slots=True)
class Home:
    """Where everything is kept. Made by `Home.open`; its folders are private to their owner (0700).

    >>> Home(Path("/srv/shop/.headwater")).database
    PosixPath('/srv/shop/.headwater/headwater.duckdb')
    """

    path: Path

    @property
    def journal(self) -> Path:
        """The folder of the segments, one a writer."""
        return self.path / "journal"

    @property
    def archive(self) -> Path:
        """The folder of the archives, made with the first of them."""
        return self.journal / "archive"

    @property
    def locks(self) -> Path:
        """The folder of the lock files."""
        return self.path / "locks"

    @property
    def tmp(self) -> Path:
        """A folder for what is in the making, on the same file system."""
        return self.path / "tmp"

    @property
    def database(self) -> Path:
        """The projection's file, which can be deleted at any time."""
        return self.path / "headwater.duckdb"

    @property
    def marker(self) -> Path:
        """The file that says in which format the home is."""
        return self.path / "format"

    @classmethod
    def open(cls, path: Path | str, *, create: bool) -> Home:
        """The home at a path, made first if `create`. Safe when several processes do it at once.

        Raises HomeError when it is absent, not a home or not writable, FormatError when a newer version wrote it.

        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     home = Home.open(Path(folder) / ".headwater", create=True)
        ...     sorted(entry.name for entry in home.path.iterdir())
        ['.gitignore', 'format', 'journal', 'locks', 'tmp']
        """
        home = cls(Path(path).absolute())
        try:
            descriptors.keep_standard()
            if create:
                home._create()
            home._check()
        except OSError as error:
            raise _unusable(home.path, error) from error
        return home

    def _create(self) -> None:
        if not self.marker.exists():
            self._refuse_foreign()
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write_once(self.path / ".gitignore", "*\n")
            failpoints.reach("home.marker")
            _write_once(self.marker, f"{_MARKER} {FORMAT}\n")
            failpoints.reach("home.folders")
            for folder in (self.journal, self.locks, self.tmp):
                folder.mkdir(mode=0o700, exist_ok=True)
            sync_folder(self.path)
            sync_folder(self.path.parent)
        for folder in (self.journal, self.locks, self.tmp):
            if not folder.is_dir():
                folder.mkdir(mode=0o700, exist_ok=True)

    def _refuse_foreign(self) -> None:
        # Our .gitignore hides everything beside it: it must never land in a folder with somebody's work in it.
        if not self.path.is_dir() or self.journal.is_dir():
            return
        ours = {self.locks.name, self.tmp.name, self.database.name}
        for entry in self.path.iterdir():
            if entry.name not in ours and not entry.name.startswith((".gitignore", "format")):
                if self.marker.exists():
                    return  # somebody else has just made it
                raise HomeError(
                    f"the folder is not a Headwater home, and not empty: it holds '{entry.name}'",
                    where=str(self.path),
                    hint="choose another folder with the setting `home` (or HEADWATER_HOME)",
                )

    def _check(self) -> None:
        if not self.marker.exists():
            raise HomeError(
                "there is no Headwater home here yet",
                where=str(self.path),
                hint="run a flow or materialize an asset first, or point the setting `home` (or HEADWATER_HOME) at it",
            )
        name, _, version = self.marker.read_text(encoding="utf-8", errors="replace").strip().partition(" ")
        if name != _MARKER or version not in map(str, range(FORMAT, ARCHIVED + 1)):
            raise unknown_format(version if name == _MARKER else f"{name} {version}".strip(), self.marker, ARCHIVED)
        for folder in (self.path, self.journal):
            if not folder.exists():
                raise HomeError("the home misses a folder", where=str(folder), hint=INCOMPLETE)
            if not os.access(folder, os.R_OK | os.X_OK):
                raise HomeError("the home is not readable", where=str(folder), hint=_NOT_YOURS)

    def raise_format(self) -> None:
        """Note that there are archives, which a version that knows only format 1 would pass over. Raises OSError."""
        raised = f"{_MARKER} {ARCHIVED}\n"
        if self.marker.read_text(encoding="utf-8", errors="replace") != raised:
            _write_once(self.marker, raised)
            sync_folder(self.path)

    def is_writable(self) -> bool:
        """Whether something can be recorded here: what can't be written can still be looked at."""
        return self._unwritable() is None

    def check_writable(self) -> None:
        """Raises HomeError, which names the folder, when nothing can be recorded here."""
        folder = self._unwritable()
        if folder is not None:
            raise HomeError("the home is not writable", where=str(folder), hint=_NOT_YOURS)

    def _unwritable(self) -> Path | None:
        folders = (self.path, self.journal, self.locks, self.tmp)
        return next((folder for folder in folders if not os.access(folder, os.R_OK | os.W_OK | os.X_OK)), None)


class Standing(contextlib.AbstractContextManager["Standing"]):
    """Whether a home still is the one that was opened, for whoever lives long: people delete homes, and put others in their place.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     home = Home.open(Path(folder) / ".headwater", create=True)
    ...     with Standing(home) as standing:
    ...         moved = home.path.rename(Path(folder) / "old")
    ...         away = standing.is_gone()
    ...         other = Home.open(home.path, create=True)
    ...         away, standing.is_gone()
    (False, True)
    """

    def __init__(self, home: Home) -> None:
        self._folder = home.journal
        self._descriptor: int | None = None
        with contextlib.suppress(FileNotFoundError):
            # Held open, so that the folder of another home can't get its number.
            self._descriptor = descriptors.open_descriptor(self._folder, os.O_RDONLY | os.O_DIRECTORY)

    def is_gone(self) -> bool:
        """Whether it was deleted, or another one stands in its place. One that was moved may come back."""
        if self._descriptor is None:
            return True
        opened = os.fstat(self._descriptor)
        try:
            there = self._folder.stat()
        except OSError:
            there = None
        if there is None or not stat.S_ISDIR(there.st_mode):
            return opened.st_nlink == 0
        return not os.path.samestat(there, opened)

    def __exit__(self, *_: object) -> None:
        if self._descriptor is not None:
            descriptors.close_descriptor(self._descriptor)


def gone(home: Home) -> HomeError:
    """The error for who has a home open that stands there no longer."""
    return HomeError(
        "the home was deleted, or another one put in its place, while it was in use",
        where=str(home.path),
        hint="start this again: it opens the home that stands there then, or makes one; stop it before you do that",
    )


def is_there(path: Path) -> bool:
    """Whether something stands where a home should. Raises HomeError when nobody can tell: behind a folder that is closed to us."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise _unusable(path, error) from error
    return True


INCOMPLETE = "a copy or a backup may have left it out: put it back; any other command makes it anew, empty"
"""What to do about a folder of a home that is not there."""
_NOT_YOURS = "it belongs to another user or lies on a read-only disk: fix that, or set HEADWATER_HOME"


def unknown_format(found: str, where: Path, newest: int = FORMAT) -> FormatError:
    """The error for a home, a segment or an archive in a format that this version does not know."""
    known = f"formats {FORMAT} to {newest}" if newest > FORMAT else f"only format {FORMAT}"
    return FormatError(
        f"this home is in format {found[:40]!a}, and this version of Headwater knows {known}",
        where=str(where),
        hint="a newer version of Headwater wrote it: upgrade, or choose another home with HEADWATER_HOME",
    )


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    sync_file(folder)


def sync_file(path: Path) -> int:
    """Make what is in a file durable that somebody else wrote; answers with its size in bytes."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
        return os.fstat(descriptor).st_size
    finally:
        os.close(descriptor)


def _write_once(path: Path, text: str) -> None:
    # Under a name of its own first, so that nobody ever reads half a marker.
    draft = path.with_name(f"{path.name}.{new_id()}")
    try:
        with draft.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            draft.unlink()


def _unusable(path: Path, error: OSError) -> HomeError:
    return HomeError(
        f"the home can't be used: {error.strerror or error}",
        where=str(error.filename or path),
        hint=remedy(
            error, "it must be a folder on a local disk that you may write to; choose another with HEADWATER_HOME"
        ),
    )
