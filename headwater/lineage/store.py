"""A DuckDB file of ours: opened, recognised, given its schema, or found damaged, foreign or held by a stranger.

Nothing here takes a lock: `projection.py` holds it around everything that these functions do.
"""

from __future__ import annotations

import functools
import hashlib
import logging
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from headwater import clock, failpoints
from headwater.errors import ProjectionError
from headwater.lineage.statements import script

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_log = logging.getLogger(__name__)

APPLICATION = "headwater"

LOG_BYTES = 1 << 19
"""A write-ahead log up to this size stays beside the file: to replay it takes a fraction of what it takes to put it in."""

# What the system refuses is no damage: to rename the file aside and to make it again, which takes more of all, would help nobody.
_ROOM, _RIGHTS = "free space", "mend the permissions"
_SYSTEM = {
    "permission denied": _RIGHTS,
    "operation not permitted": _RIGHTS,
    "read-only file system": _RIGHTS,
    "no space left": _ROOM,
    "disk quota": _ROOM,
    "file too large": "raise the limit on the size of a file (ulimit -f)",
    "too many open files": "raise the limit on open files (ulimit -n)",
    "out of memory": "give it more memory, or ask again when less is at work",
}
"""What it says then, and what to do."""


class Damaged(Exception):
    """The file can't be used: damaged, foreign, or of another version. A finding that leads to a rebuild."""


class Outdated(Damaged):
    """Of another version, another home's as well, or made from events that have expired: rebuilt, and nothing of it is kept."""


class Held(Exception):
    """Another program has the file open. A finding that leads to a private projection."""


def connect(path: Path, *, temp: Path) -> DuckDBPyConnection:
    """A connection to the file, made when it is not there; raises Damaged, Held or ProjectionError."""
    import duckdb

    check_path(path)
    config: dict[str, str | bool | int | float | list[str]] = {
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "python_enable_replacements": False,
        "temp_directory": str(temp / "duckdb"),
    }
    new = not path.exists()
    if new:
        _wal(path).unlink(missing_ok=True)  # of a file that was deleted: this one knows nothing of it
    elif _has_another_name(path):
        raise Outdated("the home was copied with hard links, and the copy has the same file")
    try:
        connection = duckdb.connect(str(path), config=config)
    except duckdb.Error as error:
        raise finding(error, path) from error
    try:
        # It would be printed among what a command says on its standard output.
        connection.execute("SET enable_progress_bar = false")
        if not new:
            # It may turn out to be damaged later on: closing it then must not write to what is kept as it was found.
            keep_log(connection)
        _settle_schema(connection, path, new=new)
    except BaseException:
        connection.close()
        raise
    return connection


def _has_another_name(path: Path) -> bool:
    # Two homes would write to it, each under its own lock, and each would tell of the other's runs.
    links = 1
    for part in (path, _wal(path)):
        with suppress(FileNotFoundError):
            links = max(links, part.stat().st_nlink)
    return links > 1


def check_path(path: Path) -> None:
    """Raises ProjectionError when DuckDB can't open what has this path, or would open something else."""
    # DuckDB 2.0 takes what follows a '?' for the query of a URL, and looks for the write-ahead log somewhere else; a backslash
    # it takes for a slash; and what is no text ends in an error that names nothing.
    text = str(path).encode(errors="replace").decode()
    odd = [f"a '{sign}'" for sign in "?\\" if sign in str(path)] or ["bytes that are not UTF-8"] * (text != str(path))
    if odd:
        raise ProjectionError(
            f"DuckDB can't open a file whose path holds {odd[0]}",
            where=text,
            hint="put the home somewhere else, with the setting `home` (or HEADWATER_HOME)",
        )


def finding(error: BaseException, path: Path) -> Exception:
    """What an error of DuckDB means for the file: Held, a ProjectionError of the system's, or Damaged."""
    text = str(error)
    if "could not set lock" in text.lower() or "conflicting lock" in text.lower():
        return Held(text)
    remedy = next((remedy for sign, remedy in _SYSTEM.items() if sign in text.lower()), None)
    if remedy is not None:
        return ProjectionError(
            f"the projection can't be opened or written: {text.splitlines()[0]}",
            where=str(path),
            hint=f"{remedy}; nothing is lost, the journal has it all",
        )
    return Damaged(text.splitlines()[0] if text else type(error).__name__)


def keep_log(connection: DuckDBPyConnection) -> None:
    """Let closing not put the write-ahead log into the file: `close` does, when it is time."""
    connection.execute("PRAGMA disable_checkpoint_on_shutdown")


def close(connection: DuckDBPyConnection, path: Path) -> None:
    """Close what `keep_log` was asked of, and put the write-ahead log into the file if it has grown long."""
    import duckdb

    try:
        if _wal(path).stat().st_size > LOG_BYTES:
            connection.rollback()
            connection.execute("CHECKPOINT")
    except FileNotFoundError:
        pass
    except duckdb.Error:  # a full disk, say; nothing is lost, and the next one tries again
        _log.debug("the projection's log could not be put into its file", exc_info=True)
    finally:
        connection.close()


def confine(connection: DuckDBPyConnection) -> None:
    """From here on no statement reaches a file, a network or an extension, and none can undo that."""
    connection.execute("SET enable_external_access = false; SET lock_configuration = true")


def move_aside(path: Path) -> Path | None:
    """Rename a file that can't be used, with its write-ahead log, and say what it is called now."""
    stamp = clock.now().strftime("%Y%m%dT%H%M%S.%fZ")
    aside = path.with_name(f"{path.name}.damaged-{stamp}")
    with suppress(FileNotFoundError):
        _wal(path).replace(_wal(aside))
    failpoints.reach("projection.aside")
    try:
        path.replace(aside)
    except FileNotFoundError:
        return None
    failpoints.reach("projection.moved")
    return aside


def remove(path: Path) -> None:
    """Delete a database file and its write-ahead log."""
    path.unlink(missing_ok=True)
    _wal(path).unlink(missing_ok=True)


def put_in_place(built: Path, path: Path) -> None:
    """Let a file that was built elsewhere, and closed, take the place of another one."""
    # The old log first: beside the new file it would be replayed into it.
    failpoints.reach("projection.built")
    _wal(path).unlink(missing_ok=True)
    failpoints.reach("projection.unlogged")
    built.replace(path)
    failpoints.reach("projection.replaced")


@functools.cache
def fingerprint() -> str:
    """Which schema this version of Headwater writes: any change to its SQL gives another one.

    >>> len(fingerprint())
    32
    """
    text = "\0".join(
        [*map(script, ("schema.sql", "staging.sql", "edges.sql", "ingest.sql", "views.sql")), _state_rank()]
    )
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _settle_schema(connection: DuckDBPyConnection, path: Path, *, new: bool) -> None:
    import duckdb

    try:
        if new:
            # Asking a database whether it is empty takes DuckDB as long as making the tables.
            _create(connection)
            return
        try:
            found = connection.execute("SELECT application, schema FROM state.format").fetchall()
        except (duckdb.CatalogException, duckdb.BinderException) as error:
            if not _is_empty(connection):
                raise Damaged("it is a database of another program") from error
            _create(connection)
            return
        if found != [(APPLICATION, fingerprint())]:
            raise Outdated("it was written by another version of Headwater")
    except duckdb.Error as error:
        raise finding(error, path) from error


def _is_empty(connection: DuckDBPyConnection) -> bool:
    return connection.execute("FROM duckdb_tables() WHERE NOT internal LIMIT 1").fetchone() is None


def _create(connection: DuckDBPyConnection) -> None:
    connection.execute("BEGIN")
    connection.execute(script("schema.sql"))
    connection.execute(_state_rank())
    connection.execute(script("views.sql"))
    connection.execute("INSERT INTO state.format VALUES ($1, $2)", [APPLICATION, fingerprint()])
    failpoints.reach("projection.schema")
    connection.execute("COMMIT")
    # Views take longer to replay from the log than to read from the file.
    connection.execute("CHECKPOINT")


def _state_rank() -> str:
    # A macro and not a table: a plain client of the file sees the views exactly as we do.
    from headwater.core.states import PRECEDENCE

    states = ", ".join("'" + str(state.value).replace("'", "''") + "'" for state in PRECEDENCE)
    return f"CREATE MACRO state_rank(state) AS coalesce(list_position([{states}], state), 1000)"


def _wal(path: Path) -> Path:
    return path.with_name(path.name + ".wal")
