"""Looking at a home that can't be written, or is not there: in a private folder, which is gone with this process."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from pathlib import Path

from headwater.core.journal.home import Home
from headwater.errors import ProjectionError


def private_home(owner: object) -> Home:
    """A home in the temporary folder that stands for another one, removed with its owner. Raises ProjectionError."""
    try:
        folder = Path(tempfile.mkdtemp(prefix="headwater-"))
    except OSError as error:
        raise ProjectionError(
            f"the home is not writable, and there is no room for a projection elsewhere: {error.strerror or error}",
            where=tempfile.gettempdir(),
            hint="make room in the temporary folder, or point TMPDIR at a folder that you may write to",
        ) from error
    weakref.finalize(owner, _remove, folder, os.getpid())
    return Home.open(folder, create=True)


def _remove(folder: Path, pid: int) -> None:
    # A forked child runs the parent's finalizers, too.
    if os.getpid() == pid:
        shutil.rmtree(folder, ignore_errors=True)
