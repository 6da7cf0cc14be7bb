"""Starting what was asked for: a worker follows the journal and starts each request as a process of its own.

The processes are ordinary commands (`headwater backfill …`) that load the users' code; neither the server nor the worker does. They
survive the worker. A request is claimed by its lock, so that any number of workers may look for work; the process that is
started holds that lock, too, so that nobody starts a second one while it lives, whatever becomes of the worker.
"""

from __future__ import annotations

import errno
import logging
import os
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headwater import clock
from headwater.api import commands
from headwater.core.journal.following import Follower
from headwater.core.journal.home import Standing, gone
from headwater.core.journal.reader import Position
from headwater.core.journal.segment import process_numbers
from headwater.core.request_events import WorkAsked, WorkEnded, WorkStarted, WorkTaken
from headwater.core.states import TERMINAL
from headwater.errors import HeadwaterError
from headwater.lineage.asking import BEFORE, CANCELLED, request_lock
from headwater.records import dataclass

if TYPE_CHECKING:
    from headwater.core.journal.carrier import HeldLock
    from headwater.project import Project

EVERY = 0.3
"""Seconds between two looks for requests, and for the ends of what was started."""
_WHOLE = 15.0
"""Seconds between two looks at all requests that are open: whether another worker has left one behind."""
_LEFT = 3.0
"""Seconds that what this worker may not start is left to the others: one of them may have been told of its file."""
EXIT_REFUSED = 3
_TAKES = 3
"""So often a request is taken whose process ends each time before it has recorded anything."""
_SHOWN = 500
_log = logging.getLogger("headwater.worker")


@dataclass(frozen=True, slots=True)
class _Started:
    process: subprocess.Popen[bytes]
    claim: int
    """The descriptor of the request's lock, which the process holds as well."""
    output: Path


class Worker:
    """Takes requests and starts them; `files` and `modules` say where assets and flows are defined, as the settings do.

    It has at most `limit` of them at work at once; what is asked for beyond that waits, or another worker takes it.
    """

    def __init__(
        self, project: Project, files: Sequence[Path] = (), modules: Sequence[str] = (), limit: int | None = None
    ) -> None:
        self._project, self._limit = project, limit
        self._files = frozenset(file.resolve() for file in files)
        self._where = (*(f"--file={file}" for file in files), *(f"--module={module}" for module in modules))
        self._started: dict[str, _Started] = {}
        self._taken: set[str] = set()
        """What this worker has taken and could not start yet, for want of processes, memory or files: that is no try of its own."""
        self._follower: Follower | None = None
        self._look_at = 0

    def work(self, over: threading.Event) -> None:
        """Go on until `over` is set. What was started then goes on by itself. Raises HomeError once the home is gone."""
        with Standing(self._project.home) as standing:
            try:
                self._work(over, standing)
            finally:
                self._let_go()

    def _work(self, over: threading.Event, standing: Standing) -> None:
        told = ""
        while True:
            if standing.is_gone():
                raise gone(self._project.home)
            try:
                self.once()
                told = ""
            except (HeadwaterError, OSError) as error:
                if told != str(error):
                    _log.warning("no work can be taken now: %s", error)
                told = str(error)
            except Exception:  # noqa: BLE001 - it must go on: what failed now may work again in a moment
                _log.exception("no work can be taken now")
            if over.wait(EVERY):
                return

    def once(self) -> None:
        """One look: note what has ended, and start what was asked for. Raises HeadwaterError, OSError."""
        self._settle_ended()
        if self._are_new():
            own = self._project.project
            requests = self._project.reader.work_requests(open_only=True, project=own, limit=1_000)["requests"]
            flows = cache(self._flows)
            for request in reversed(requests):
                if self._limit is not None and len(self._started) >= self._limit:
                    return
                if request["id"] in self._started:
                    continue
                refused = self._refused(request, flows)
                if refused is None or not self._leaves(request):
                    self._consider(request["id"], refused)

    def _are_new(self) -> bool:
        now = clock.steady_us()
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

    def _consider(self, request_id: str, refused: str | None) -> None:
        lock = self._project.locks.try_hold(request_lock(request_id))
        if lock is None:
            return
        with lock:
            # Looked at again now that nobody else can take it.
            self._project.projection.refresh(wait=5)
            request = self._project.reader.work_request(request_id)
            if request is None or (request["state"] == "running" and not self._is_lost(request)):
                return
            if request["state"] in ("asked", "running"):
                if refused is not None:
                    self._end(request_id, EXIT_REFUSED, refused)
                else:
                    started = self._start(request, lock)
                    if started is not None:
                        self._started[request_id] = started
                        pid, host = started.process.pid, os.uname().nodename
                        self._project.journal.append(
                            WorkStarted(request_id=request_id, pid=pid, host=host, numbers=process_numbers())
                        )

    def _is_lost(self, request: Mapping[str, Any]) -> bool:
        """Whether one that was taken has to be started again: nobody holds its lock, so its process is gone, or never was."""
        began = self._project.reader.began(request["id"])
        if began is None:
            if request["cancelled_by"] is not None:
                self._end(request["id"], CANCELLED, BEFORE)
                return False
            if request["takes"] < _TAKES:
                return True
            self._end(request["id"], 1, "each time that it was started its process ended before it recorded anything")
        elif began in TERMINAL:
            # It ended while no worker was there to see it.
            code = 0 if began == "Completed" else 1
            self._end(request["id"], code, None if code == 0 else f"it ended as {began} while no worker was there")
        return False

    def _leaves(self, request: Mapping[str, Any]) -> bool:
        """Whether others may look first at what this worker may not start. Its lock is theirs to take meanwhile."""
        asked = clock.to_us(datetime.fromisoformat(request["at"]))
        if not 0 <= clock.now_us() - asked < _LEFT * 1e6:
            return False
        self._look_at = min(self._look_at, clock.steady_us() + int(_LEFT * 1e6))
        return True

    def _flows(self) -> frozenset[tuple[str | None, str | None]]:
        """The files and names of the flows that ran here."""
        known = self._project.reader.known_flows(project=self._project.project)
        return frozenset((one["file"], one["name"]) for one in known)

    def _refused(
        self, request: Mapping[str, Any], flows: Callable[[], frozenset[tuple[str | None, str | None]]]
    ) -> str | None:
        """Why it must not be started: a flow that never ran here is loaded only where this worker was told of its file."""
        if request["what"] != "run":
            return None
        target = request["arguments"]["target"]
        file, _, name = target.partition(":")
        if (self._project.root / file).resolve() in self._files or (file, name) in flows():
            return None
        return f"error: no run of {target} is known, and no worker was told of {file}: headwater worker -f {shlex.quote(file)}"

    def _start(self, request: Mapping[str, Any], lock: HeldLock) -> _Started | None:
        """Start it; None when no command line can say what was asked for, which has ended it."""
        folder = self._project.home.path / "work"
        folder.mkdir(mode=0o700, exist_ok=True)
        output = folder / f"{request['id']}.log"
        # Before it is there: a worker that dies between the two leaves one that is started again, for nothing holds its lock.
        if request["id"] not in self._taken:
            self._project.journal.append(WorkTaken(request_id=request["id"], pid=os.getpid(), host=os.uname().nodename))
            self._taken.add(request["id"])
        made_new = commands.makes_new(request["what"])
        opened = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        # From here on the lock is held by whoever of the two lives: nobody starts it again while its process is there.
        claim = lock.detach()
        try:
            process = subprocess.Popen(  # noqa: S603 - our own program, and no shell
                [sys.executable, "-m", "headwater", *self._command(request)],
                cwd=self._project.root,
                env={**os.environ, "HEADWATER_REQUEST" if made_new else "HEADWATER_RESUMES": request["id"]},
                stdin=subprocess.DEVNULL,
                stdout=opened,
                stderr=opened,
                start_new_session=True,  # Ctrl-C is meant for us
                pass_fds=(claim,),
            )
        except BaseException as error:
            os.close(claim)
            never = _never_starts(error)
            if never is None:
                raise
            output.unlink(missing_ok=True)
            self._taken.discard(request["id"])
            self._end(request["id"], EXIT_REFUSED, f"error: it can't be started: {never}")
            return None
        finally:
            os.close(opened)
        self._taken.discard(request["id"])
        _log.info("started %s %s as process %d", request["what"], request["id"], process.pid)
        return _Started(process, claim, output)

    def _command(self, request: Mapping[str, Any]) -> list[str]:
        return commands.command(request["what"], request["arguments"], self._where)

    def _settle_ended(self) -> None:
        for request_id, started in list(self._started.items()):
            code = started.process.poll()
            if code is None:
                continue
            self._end(request_id, code, None if code == 0 else _why(code, started.output))
            del self._started[request_id]
            self._look_at = 0  # there is room for what waits
            os.close(started.claim)
            if code == 0:
                started.output.unlink(missing_ok=True)
            lock = self._project.locks.try_hold(request_lock(request_id))
            if lock is not None:
                lock.release()  # which removes its file

    def _end(self, request_id: str, code: int, message: str | None) -> None:
        self._project.journal.append(WorkEnded(request_id=request_id, exit_code=code, message=message))

    def _let_go(self) -> None:
        for started in self._started.values():
            started.process.returncode = 0  # it goes on: nobody waits for it any more
            os.close(started.claim)
        self._started.clear()


def _never_starts(error: BaseException) -> str | None:
    """Why a process can't be started, however often it is tried; None when it may work another time."""
    if isinstance(error, ValueError):
        return "what it is given holds a character that no command line can hold"
    if isinstance(error, OSError) and error.errno == errno.E2BIG:
        return "what it is given is too long for a command line"
    return None


def _why(code: int, output: Path) -> str | None:
    """Why a process has failed: the signal that ended it, else its last words."""
    if code < 0:
        # It came to say nothing of it: what stands last in its output is what it did before.
        return f"its process was ended by signal {-code} ({signal.strsignal(-code)})"
    return _last_words(output)


def _last_words(output: Path) -> str | None:
    try:
        text = output.read_bytes()[-20_000:].decode(errors="replace")
    except OSError:
        return None
    lines = text.strip().splitlines()
    told = [place for place, line in enumerate(lines) if line.startswith("error: ")]
    # A flow may print such lines as well: why it failed comes behind all that it prints.
    start = told[-1] if told else max(0, len(lines) - 3)
    return "\n".join(lines[start : start + 4])[:_SHOWN] or None
