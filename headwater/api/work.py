"""Starting what was asked for: a worker follows the journal and starts each request as a process of its own.

The processes are ordinary commands (`headwater backfill …`) that load the users' code; neither the server nor the worker does. They
survive the worker. A request is claimed by its lock, so that any number of workers may look for work.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headwater import clock
from headwater.core.events import WorkAsked, WorkEnded, WorkTaken
from headwater.core.journal.following import Follower
from headwater.core.journal.reader import Position
from headwater.errors import HeadwaterError, UnknownNameError

if TYPE_CHECKING:
    from headwater.core.journal.carrier import HeldLock
    from headwater.project import Project

EVERY = 0.3
"""Seconds between two looks for requests, and for the ends of what was started."""
_WHOLE = 15.0
"""Seconds between two looks at all requests that are open: whether another worker has left one behind."""
_SHOWN = 500
_log = logging.getLogger("headwater.worker")


@dataclass(frozen=True, slots=True)
class _Started:
    process: subprocess.Popen[bytes]
    lock: HeldLock
    output: Path


class Worker:
    """Takes requests and starts them. `where` are options for each command that say where assets are defined."""

    def __init__(self, project: Project, where: Sequence[str] = ()) -> None:
        self._project, self._where = project, tuple(where)
        self._started: dict[str, _Started] = {}
        self._follower: Follower | None = None
        self._look_at = 0

    def work(self, over: threading.Event) -> None:
        """Go on until `over` is set. What was started then goes on by itself."""
        told = ""
        while True:
            try:
                self.once()
                told = ""
            except (HeadwaterError, OSError) as error:
                if told != str(error):
                    _log.warning("no work can be taken now: %s", error)
                told = str(error)
            if over.wait(EVERY):
                self._let_go()
                return

    def once(self) -> None:
        """One look: note what has ended, and start what was asked for. Raises HeadwaterError, OSError."""
        self._settle_ended()
        if self._are_new():
            requests = self._project.reader.work_requests(open_only=True, limit=1_000)["requests"]
            for request in reversed(requests):
                if request["id"] not in self._started:
                    self._consider(request["id"])

    def _are_new(self) -> bool:
        now = clock.now_us()
        if self._follower is None:
            with self._project.projection.session() as session:
                rows = session.rows('SELECT writer, seq, "offset", closed FROM state.positions')
            after = {writer: Position(seq=seq, offset=at) for writer, seq, at, closed in rows if not closed}
            self._follower = Follower(
                self._project.carrier, after, closed={writer for writer, *_, closed in rows if closed}
            )
        new = bool(self._follower.new(WorkAsked))
        if not new and now < self._look_at:
            return False
        self._look_at = now + int(_WHOLE * 1e6)
        self._project.projection.refresh(wait=5)
        return True

    def _consider(self, request_id: str) -> None:
        lock = self._project.locks.try_hold(f"work:{request_id}")
        if lock is None:
            return
        try:
            # Looked at again now that nobody else can take it.
            self._project.projection.refresh(wait=5)
            request = self._project.reader.work_requests(request_id)["requests"][0]
            if request["state"] == "asked" or (request["state"] == "running" and self._is_lost(request)):
                self._started[request_id] = self._start(request, lock)
        finally:
            if request_id not in self._started:
                lock.release()

    def _is_lost(self, request: Mapping[str, Any]) -> bool:
        """Whether it has to be started again: its process is gone, and had not even recorded what it was to do."""
        if request["host"] != os.uname().nodename or _is_alive(request["pid"]):
            return False
        try:
            state = self._project.reader.backfill(request["arguments"].get("backfill", request["id"]))["state"]
        except UnknownNameError:
            return True
        # It ended while no worker was there to see it.
        code = 0 if state == "completed" else 1
        message = None if code == 0 else f"it ended while no worker was there; the backfill is {state}"
        self._project.journal.append(WorkEnded(request_id=request["id"], exit_code=code, message=message))
        return False

    def _start(self, request: Mapping[str, Any], lock: HeldLock) -> _Started:
        folder = self._project.home.path / "work"
        folder.mkdir(mode=0o700, exist_ok=True)
        output = folder / f"{request['id']}.log"
        descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            process = subprocess.Popen(  # noqa: S603 - our own program, and no shell
                [sys.executable, "-m", "headwater", *command(request["what"], request["arguments"], self._where)],
                cwd=self._project.root,
                env={**os.environ, "HEADWATER_REQUEST": request["id"]},
                stdin=subprocess.DEVNULL,
                stdout=descriptor,
                stderr=descriptor,
                start_new_session=True,  # Ctrl-C is meant for us
            )
        finally:
            os.close(descriptor)
        self._project.journal.append(WorkTaken(request_id=request["id"], pid=process.pid, host=os.uname().nodename))
        _log.info("started %s %s as process %d", request["what"], request["id"], process.pid)
        return _Started(process, lock, output)

    def _settle_ended(self) -> None:
        for request_id, started in list(self._started.items()):
            code = started.process.poll()
            if code is None:
                continue
            message = None if code == 0 else _last_words(started.output)
            self._project.journal.append(WorkEnded(request_id=request_id, exit_code=code, message=message))
            started.lock.release()
            del self._started[request_id]
            if code == 0:
                started.output.unlink(missing_ok=True)

    def _let_go(self) -> None:
        for started in self._started.values():
            started.process.returncode = 0  # it goes on: nobody waits for it any more
            started.lock.release()
        self._started.clear()


def command(what: str, arguments: Mapping[str, Any], where: Sequence[str] = ()) -> list[str]:
    """The command line of a request, without the program. What begins with a dash stays what it is.

    >>> command("backfill", {"selection": "-rf", "from": "2026-01-01", "to": "2026-01-31", "upstream": True})
    ['backfill', '--from=2026-01-01', '--to=2026-01-31', '--upstream', '--', '-rf']
    >>> command("resume", {"backfill": "0198a2"})
    ['backfill', 'resume', '0198a2']
    """
    if what in ("resume", "retry"):
        return ["backfill", what, *where, arguments["backfill"]]
    if what != "backfill":
        raise UnknownNameError.of("kind of work", what, ("backfill", "resume", "retry"))
    names = ("from", "to", "partition", "parallel", "order", "max_failures")
    options = [f"--{name.replace('_', '-')}={arguments[name]}" for name in names if name in arguments]
    options += [f"--only={one}" for one in arguments.get("only", ())]
    options += [f"--{name}" for name in ("upstream", "downstream") if arguments.get(name)]
    return ["backfill", *options, *where, "--", arguments["selection"]]


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _last_words(output: Path) -> str | None:
    try:
        text = output.read_bytes()[-20_000:].decode(errors="replace")
    except OSError:
        return None
    lines = text.strip().splitlines()
    start = next((place for place, line in enumerate(lines) if line.startswith("error: ")), max(0, len(lines) - 3))
    return "\n".join(lines[start : start + 4])[:_SHOWN] or None
