"""Looks for damage in what is kept of the destinations: their positions and their dead letters."""

from __future__ import annotations

from headwater.core.journal.home import Home
from headwater.errors import ExportError
from headwater.lineage.openlineage.cursor import CursorFile
from headwater.lineage.openlineage.dead import DeadLetters

_POSITION = ".json"
_DEAD = ".dead.ndjson"
_HINT = "rest.json"


def verify_outbox(home: Home) -> list[tuple[str, str]]:
    """What is not as it was written: the name of each file, and what is wrong with it.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     verify_outbox(Home.open(folder, create=True))
    []
    """
    found: list[tuple[str, str]] = []
    for path in sorted((home.path / "openlineage").glob("*")):
        try:
            if path.name.endswith(_DEAD):
                damaged = DeadLetters(home, path.name.removesuffix(_DEAD)).damaged()
                found += [
                    (path.name, f"{len(line)} bytes are not the dead letter that was written") for line in damaged
                ]
            elif path.name.endswith(_POSITION) and path.name != _HINT:
                CursorFile(home, path.name.removesuffix(_POSITION)).load()
        except ExportError as error:
            found.append((path.name, error.message))
    return found
