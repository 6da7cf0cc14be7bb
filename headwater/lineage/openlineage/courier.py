"""The courier: a process of its own that delivers in the background while this one works, and ends with it.

A thread would take the interpreter from the run for every event, and for most of a second while openlineage-python is
imported: see docs/decisions/0008. Run as `python -m headwater.lineage.openlineage.courier`, this module is the courier.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headwater import clock
from headwater.errors import HeadwaterError, SettingsError

if TYPE_CHECKING:
    from headwater.core.journal.home import Home
    from headwater.lineage.openlineage.exporter import Exporter

_log = logging.getLogger("headwater")
_LOOK = 0.2
"""Seconds between two looks at what is new."""
_TURN = 0.1
"""Seconds that one destination is served before there is a look at the others, and at whether this is the end."""
_MARGIN = 0.25
"""So many seconds, or half of what it has, a courier stops early, to take a note of what went out."""
_NICE = 10
_MISCONFIGURED = 60.0
"""Seconds until a configuration that could not be read is looked at again."""


class Courier:
    """Starts a courier, and ends it. In a forked child it is the parent's: nothing happens there."""

    def __init__(self, home: Path, root: Path, namespace: str, seconds: float) -> None:
        self._job = {"home": str(home), "root": str(root), "namespace": namespace, "seconds": seconds}
        self._rest = _Rest(home)
        self._seconds = seconds
        self._owner = os.getpid()
        self._pid: int | None = None
        self._pipe = -1

    def start(self) -> None:
        """Start it, unless all destinations are to be left alone for now. What can't be started is no error: events wait."""
        if self._pid is not None or not sys.executable:
            return
        if self._rest.holds():
            self._warn()
            return
        read, write = os.pipe()
        try:
            job = json.dumps({**self._job, "path": [entry or str(Path.cwd()) for entry in sys.path]})
            null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
            try:
                actions = [(os.POSIX_SPAWN_DUP2, source, to) for to, source in enumerate((read, null, null))]
                command = [sys.executable, "-P", "-m", __name__, job]
                self._pid = os.posix_spawn(sys.executable, command, os.environ, file_actions=actions)
            finally:
                os.close(null)
            self._pipe, write = write, -1
            os.register_at_fork(after_in_child=self._forget)
            atexit.register(self.finish)
        except OSError:
            self._pid = None
        finally:
            for descriptor in (read, write):
                if descriptor >= 0:
                    os.close(descriptor)

    def finish(self) -> None:
        """Give it its seconds for what is left, and end it."""
        pid, self._pid = self._pid, None
        atexit.unregister(self.finish)
        if pid is None or os.getpid() != self._owner:
            return
        os.close(self._pipe)
        until = time.monotonic() + self._seconds
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(pid, os.WNOHANG) == (0, 0):
                if time.monotonic() >= until:
                    os.kill(pid, signal.SIGKILL)
                    os.waitpid(pid, 0)
                    break
                time.sleep(0.002)
        self._warn()

    def _warn(self) -> None:
        """Say what a courier found wrong with the configuration: it has no output of its own."""
        if trouble := self._rest.trouble():
            _log.warning("OpenLineage events wait: %s", trouble)

    def _forget(self) -> None:
        # As long as somebody holds the pipe, the courier believes that its process is there.
        if self._pid is not None:
            self._pid = None
            os.close(self._pipe)


_LONGEST_REST = 2 * 3_600 * 1_000_000  # microseconds


class _Rest:
    """Until when no destination can take anything: a process that starts before that needs no courier."""

    def __init__(self, home: Path) -> None:
        self._path = home / "openlineage" / "rest.json"

    def holds(self) -> bool:
        return self._read() is not None

    def trouble(self) -> str | None:
        """What is wrong with the configuration, when it holds because of that, and when that is looked at again."""
        found = self._read() or {}
        if not isinstance(why := found.get("why"), str):
            return None
        return f"{why}; it is looked at again at {clock.rfc3339(found['until'])[:19]}Z"

    def set(self, until: int | None, why: str | None = None) -> None:
        # A hint: it need not survive a power loss, and what can't be written costs a courier that finds nothing to do.
        with contextlib.suppress(OSError):
            if until is None:
                self._path.unlink(missing_ok=True)
            else:
                self._path.parent.mkdir(mode=0o700, exist_ok=True)
                draft = self._path.with_suffix(".draft")
                draft.write_text(json.dumps({"until": until, "why": why}))
                draft.replace(self._path)

    def _read(self) -> dict[str, Any] | None:
        try:
            found = json.loads(self._path.read_bytes())
            until = found["until"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        # No pause is that long: a damaged file must not keep everything waiting.
        return found if isinstance(until, int) and 0 < until - clock.now_us() < _LONGEST_REST else None


def wake(home: Home) -> None:
    """Forget that destinations are to be left alone: one of them took something."""
    _Rest(home.path).set(None)


def main() -> None:
    """Be the courier: deliver until the process that started this one ends, and a moment longer."""
    with contextlib.suppress(OSError):
        os.setsid()  # Ctrl-C is not meant for it
    from headwater.lineage.openlineage.destination import TimeUp

    job = json.loads(sys.argv[1])
    end = _End(job["seconds"] - min(_MARGIN, job["seconds"] / 2))
    # What the configuration may name is found as the process that started this one finds it.
    sys.path.extend(entry for entry in job["path"] if entry not in sys.path)
    with contextlib.suppress(TimeUp, HeadwaterError):
        _serve(job, end)
    os._exit(0)


class _End:
    """Sees the end of the process that started this one, and raises TimeUp when that was so many seconds ago."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._near = threading.Event()
        self._until = 0.0
        signal.signal(signal.SIGALRM, self._raise)
        threading.Thread(target=self._watch, daemon=True).start()

    def wait(self, seconds: float) -> None:
        self._near.wait(seconds)

    def left(self) -> float | None:
        """Seconds until the end; None while it is not in sight."""
        return self._until - time.monotonic() if self._near.is_set() else None

    def _watch(self) -> None:
        os.read(0, 1)
        left = max(0.01, self._seconds)
        self._until = time.monotonic() + left
        self._near.set()
        signal.setitimer(signal.ITIMER_REAL, left)

    def _raise(self, *_: Any) -> None:
        from headwater.lineage.openlineage.destination import TimeUp

        raise TimeUp


def _serve(job: dict[str, Any], end: _End) -> None:
    exporters, rest = _exporters(job), _Rest(Path(job["home"]))
    polite = False
    while True:
        last = end.left() is not None
        for exporter in exporters:
            left = end.left()
            with contextlib.suppress(HeadwaterError):
                exporter.drain(_TURN if left is None else left, patient=True)
        waits = [exporter.resting_until() for exporter in exporters]
        rest.set(min((until for until in waits if until is not None), default=None) if all(waits) else None)
        if last:
            return
        if not polite:
            # The first events of a short script are worth a place beside it; what is long stands back behind what computes.
            polite = True
            os.nice(_NICE)
        end.wait(_LOOK)


def _exporters(job: dict[str, Any]) -> Sequence[Exporter]:
    from headwater.core.journal.files import carrier_of
    from headwater.core.journal.home import Home
    from headwater.lineage.openlineage.configured import destinations
    from headwater.lineage.openlineage.exporter import Exporter

    home = Home.open(Path(job["home"]), create=False)
    try:
        found = destinations(Path(job["root"]))
    except SettingsError as error:
        _Rest(home.path).set(clock.now_us() + int(_MISCONFIGURED * 1_000_000), f"{error.message} ({error.where})")
        raise
    return [Exporter(home, carrier_of(home), one, namespace=job["namespace"]) for one in found]


if __name__ == "__main__":
    main()
