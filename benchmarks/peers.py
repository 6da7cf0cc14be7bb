"""The libraries that we measure against, each in an environment of its own, made once and kept under .peers/."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent / ".peers"
POLARS = "polars==2.1.0"
_QUIET = {"DO_NOT_TRACK": "1", "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}


class NotInstalled(Exception):
    """An environment could not be made; the message says why, in one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A library and what is installed with it. The versions are pinned: change them here, and the results with them."""

    name: str
    requirements: tuple[str, ...]

    @property
    def folder(self) -> Path:
        """Where its environment lies."""
        return FOLDER / self.name

    @property
    def python(self) -> Path:
        """The interpreter of its environment."""
        return self.folder / "bin" / "python"

    @property
    def constraints(self) -> Path:
        """The versions of everything that it brings along: without them a new release of one of these may break it."""
        return Path(__file__).parent / "constraints" / f"{self.name}.txt"

    @property
    def seed(self) -> Path:
        """A home in which nothing was run, its database made."""
        return self.folder / "home"


PEERS = {
    "prefect": Peer(name="prefect", requirements=("prefect==3.8.8", "fastapi==0.139.0", POLARS)),
    "dagster": Peer(name="dagster", requirements=("dagster==1.13.28", POLARS)),
}


def install(peer: Peer, say: Callable[[str], None]) -> Path:
    """The interpreter of the peer's environment, which is made if it is not there. Raises NotInstalled."""
    stamp, wanted = peer.folder / "installed.txt", "\n".join([*peer.requirements, peer.constraints.read_text()])
    if stamp.is_file() and stamp.read_text() == wanted and peer.python.exists():
        return peer.python
    say(f"installing {', '.join(peer.requirements)} into {peer.folder} (a minute or two, once)")
    shutil.rmtree(peer.folder, ignore_errors=True)
    packages = (*peer.requirements, "--constraint", str(peer.constraints))
    uv, indexed = shutil.which("uv"), "the package index could not be used"
    if uv:
        _run("no environment", uv, "venv", "--quiet", "--python", sys.executable, str(peer.folder))
        into = ("--compile-bytecode", "--python", str(peer.python))
        _run(indexed, uv, "pip", "install", "--quiet", *into, *packages)
    else:
        _run("no environment", sys.executable, "-m", "venv", str(peer.folder))
        _run(indexed, str(peer.python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages)
    if peer.name == "prefect":
        # Its server needs ten seconds to make its database: that is done before, but for the rows that begin with a fresh home.
        upgrade = ("-m", "prefect", "server", "database", "upgrade", "-y")
        _run("its database could not be made", str(peer.python), *upgrade, PREFECT_HOME=str(peer.seed))
    stamp.write_text(wanted)
    return peer.python


def _run(wrong: str, *command: str, **environ: str) -> None:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=900, env={**os.environ, **_QUIET, **environ}
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotInstalled(f"{wrong}: {error}") from None
    if done.returncode:
        said = [line.strip() for line in done.stderr.splitlines() if line.strip()] or ["it said nothing"]
        reasons = [line for line in said if line.lower().startswith("error")] or said[-1:]
        raise NotInstalled(f"{wrong}: {reasons[-1][:200]}")
