"""What stands behind the routes: the project as a server has it, what follows its journal, and who is told of what comes."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from headwater import clock
from headwater.api import requests
from headwater.api.access import AccessLog
from headwater.api.board import Board
from headwater.api.finding import Finder
from headwater.api.kept import Kept
from headwater.api.partition_grids import Grids
from headwater.api.problems import ApiError
from headwater.api.stream import Hub
from headwater.core import in_use, runtime
from headwater.errors import HeadwaterError, HomeError, UnknownNameError
from headwater.lineage import asking

if TYPE_CHECKING:
    from headwater.api.commands import What
    from headwater.lineage.openlineage.exporter import Exporter
    from headwater.lineage.reader import Reader
    from headwater.project import ServingProject

_log = logging.getLogger("headwater.server")
_JUDGED = 0.2
"""Seconds between two looks at whether what takes long has to be judged again."""
_DELIVERED = 1.0
"""Seconds between two looks at what catalogs have not got yet."""
_TURN = 0.5
"""Seconds that one catalog is served before there is a look at whether the server stops."""
_CONFIGURED = 60.0
"""Seconds between two looks at which catalogs are configured."""
_STUCK = 30.0
"""Seconds without a look at the journal after which the server is not well."""
_PROBED = 5.0
"""Seconds between two tries to write."""


class Service:
    """Everything that routes ask. `start` follows the journal, `stop` ends that; both wait for nobody else."""

    def __init__(self, project: ServingProject, *, runs_work: bool = False) -> None:
        self.project = project
        self.hub = Hub()
        self.access = AccessLog(project)
        self.board = Board(project.projection, project.catalog)
        self.grids = Grids(self)
        self._figures = Kept[dict[str, Any]]()
        self.finder = Finder(project.projection)
        self.warm_too: Callable[[], object] = lambda: None
        """What else takes long with many assets, and is worked out before the server is ready."""
        self.lost: HeadwaterError | None = None
        """Why there is nothing left to serve; None as long as there is."""
        self.when_lost: Callable[[], None] = lambda: None
        self._runs_work = runs_work
        self._over = threading.Event()
        self._is_warm = False
        self._threads: list[threading.Thread] = []
        self._traces: list[Exporter] = []
        self._writable: tuple[int, str | None] = (0, None)

    @property
    def reader(self) -> Reader:
        """Questions to the server's own projection."""
        return self.project.reader

    def start(self) -> None:
        """Follow the journal, deliver to catalogs, and start work if this server does; in threads of their own."""
        runtime.set_current(self.project)
        self._over.clear()
        self.project.projection.follow(self.hub.publish, self._lose)
        self._spawn("headwater-exporter", self._deliver)
        self._spawn("headwater-board", self._judge)
        if self._runs_work:
            self._spawn("headwater-worker", self._work)

    def stop(self) -> None:
        """End all that, and close the projection and the journal. What was started goes on by itself."""
        self._over.set()
        # First of all: the others may wait for what it reads.
        self.project.projection.unfollow()
        for thread in self._threads:
            thread.join()
        self._threads.clear()
        self.access.flush(all_of_them=True)
        self.project.close()

    def failing(self) -> list[str]:
        """What is not well: "journal" when it can't be read, "home" when nothing can be written; nothing when all is."""
        projection, now = self.project.projection, clock.now_us()
        found = []
        if projection.trouble is not None or (projection.looked or now) < now - _STUCK * 1e6:
            found.append("journal")
        if self._write_trouble() is not None:
            found.append("home")
        return found

    def is_ready(self) -> bool:
        """Whether everything that the journal held when the server began has been read, and what takes long is worked out."""
        return self._is_warm

    def limits(self) -> dict[str, Any]:
        """Limits and rates, as they stand."""
        return in_use.limits(self.project.locks, self.project.limits, self.project.home.path)

    def figures(self) -> dict[str, Any]:
        """How many runs and task runs there were, and how long they took: see `Reader.figures`."""
        return self._figures.get(self.project.projection.version, self.reader.figures, patient=True)

    def destinations(self) -> list[dict[str, Any]]:
        """How each configured catalog is doing, and what traces go to."""
        found = []
        for exporter in (*self.project.exporters(), *self._traces):
            status = exporter.status()
            found.append(
                {
                    "destination": status.destination,
                    "what": status.what,
                    "delivered": status.delivered,
                    "pending": status.pending,
                    "dead": status.dead,
                    "at": None if status.at is None else clock.rfc3339(status.at),
                    "error": status.error,
                    "next_try": None if status.next_try is None else clock.rfc3339(status.next_try),
                }
            )
        return found

    def ask(self, what: What, arguments: Mapping[str, Any], asked_by: str) -> dict[str, Any]:
        """Ask for work to be started: durable when this returns. The request."""
        return self.request(requests.ask(self.project, what, arguments, asked_by))

    def stop_backfill(self, backfill_id: str, what: asking.Stop, asked_by: str) -> dict[str, Any]:
        """Ask a backfill to pause or to be cancelled."""
        project = self.project
        project.projection.refresh()
        try:
            found = asking.stop_backfill(
                project.projection, project.carrier, project.journal, backfill_id, what, asked_by
            )
        except UnknownNameError:
            if what != "cancel" or self.reader.work_request(backfill_id) is None:
                raise
            return self.cancel_request(backfill_id, asked_by)
        project.projection.refresh()
        return self.reader.backfill(found)

    def cancel_run(self, run_id: str, asked_by: str) -> dict[str, Any]:
        """Ask the process of a run to stop."""
        project = self.project
        project.projection.refresh()
        try:
            run_id = self.reader.run_id(run_id)
        except UnknownNameError:
            if self.reader.work_request(run_id) is None:
                raise
            return self.cancel_request(run_id, asked_by)
        asking.cancel_run(project.projection, project.carrier, project.journal, run_id, asked_by)
        project.projection.refresh()
        return self.reader.run(run_id)

    def cancel_request(self, request_id: str, asked_by: str) -> dict[str, Any]:
        """Take back what was asked for, before its run has begun: the request."""
        project = self.project
        asking.cancel_request(project.projection, project.carrier, project.journal, request_id, asked_by)
        return self.request(request_id)

    def request(self, request_id: str) -> dict[str, Any]:
        """One request for work. Raises ApiError when there is none."""
        found = self.reader.work_request(request_id)
        if found is None:
            raise ApiError(404, "unknown_name", f"there is no request '{request_id}'")
        return found

    def _spawn(self, name: str, do: Callable[[threading.Event], None]) -> None:
        thread = threading.Thread(target=do, args=(self._over,), name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _lose(self, error: HeadwaterError) -> None:
        self.lost = error
        self.hub.close()
        self.when_lost()

    def _work(self, over: threading.Event) -> None:
        from headwater.api.work import Worker

        with contextlib.suppress(HomeError):  # the server notices that the home is gone by itself
            Worker(self.project).work(over)

    def _judge(self, over: threading.Event) -> None:
        while not over.wait(_JUDGED):
            self.access.flush()
            try:
                if not self._is_warm and self.project.projection.looked is not None:
                    if self.board.warm():
                        self.finder.warm(self.project.projection.version)
                        self.warm_too()
                    self._is_warm = True
                self.board.renew()
                self._figures.renew()
            except HeadwaterError as error:
                _log.warning("the board can't be brought up to date now: %s", error)
            except Exception:  # noqa: BLE001 - it must go on: what failed now may work again in a moment
                _log.exception("the board can't be brought up to date now")

    def _deliver(self, over: threading.Event) -> None:
        told: dict[str, str] = {}
        exporters: list[Exporter] = []
        # Variables stay as they are while a process lives, and what tells traces keeps in mind what it has heard.
        self._traces = self._configured("OpenTelemetry", self.project.trace_exporters, [])
        read_at, wait = 0, 0.0
        while not over.wait(wait):
            wait, now = _DELIVERED, clock.steady_us()
            if now >= read_at:
                read_at = now + int(_CONFIGURED * 1e6)
                exporters = self._configured("OpenLineage", self.project.exporters, exporters)
            for exporter in (*exporters, *self._traces):
                if over.is_set():
                    return
                self._serve(exporter, told)

    def _configured(self, what: str, find: Callable[[], list[Exporter]], before: list[Exporter]) -> list[Exporter]:
        try:
            return find()
        except HeadwaterError as error:
            _log.warning("%s: %s", what, error)
            return before

    def _serve(self, exporter: Exporter, told: dict[str, str]) -> None:
        name = str(exporter.destination)
        try:
            exporter.drain(_TURN, patient=True)
            told.pop(name, None)
        except HeadwaterError as error:
            if told.get(name) != error.message:
                _log.warning("%s: %s", name, error)
            told[name] = error.message
        except Exception:  # noqa: BLE001 - whatever a transport raises: it is tried again
            _log.exception("%s", name)

    def _write_trouble(self) -> str | None:
        """Why nothing can be written; None when it can. Tried by writing, for a full disk looks writable."""
        now, (at, trouble) = clock.steady_us(), self._writable
        if now - at < _PROBED * 1e6:
            return trouble
        path = self.project.home.tmp / f"probe-{os.getpid()}"
        trouble = None
        try:
            self.project.home.check_writable()
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            try:
                os.write(descriptor, b"x" * 4096)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except (OSError, HeadwaterError) as error:
            trouble = str(error)
        finally:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
        self._writable = (now, trouble)
        return trouble
