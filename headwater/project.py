"""The one place where everything is put together: home, journal, projection, materializers, exporter."""

from __future__ import annotations

import atexit
import contextlib
import logging
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headwater import settings as settings_module
from headwater.errors import HeadwaterError
from headwater.settings import Settings

if TYPE_CHECKING:
    from datetime import timedelta

    from headwater.assets.events import AssetRef
    from headwater.assets.protocols import ColumnLineage, Form, Materializer
    from headwater.assets.runtime import Definitions
    from headwater.core.journal.carrier import Carrier, EventWriter, LockTable
    from headwater.core.journal.events import Body, Event
    from headwater.core.journal.home import Home
    from headwater.lineage.backfills import AskedOfBackfill
    from headwater.lineage.catalog import ProjectionCatalog
    from headwater.lineage.openlineage.courier import Courier
    from headwater.lineage.openlineage.destination import Destination
    from headwater.lineage.openlineage.exporter import Exporter
    from headwater.lineage.projection import Projection
    from headwater.lineage.reader import Reader
    from headwater.lineage.retention import Pruned

_log = logging.getLogger("headwater")


class Project:
    """A folder with its home: what core and the assets layer run in, and what the command line asks.

    Everything is made when it is first asked for: a flow without assets imports no DuckDB until its end.
    """

    def __init__(
        self, settings: Settings, *, create: bool = True, delivers: bool = True, carrier: Carrier | None = None
    ) -> None:
        self.settings = settings
        if carrier is not None:
            self.carrier = carrier
        self._create = create
        self._delivers = delivers
        self._courier: Courier | None = None
        self._ran = False
        self._lock = threading.Lock()

    @classmethod
    def open(cls, root: Path | None = None, *, create: bool = True) -> Project:
        """The project of a folder (default: of the current one). Raises SettingsError."""
        return cls(settings_module.load(root), create=create)

    @property
    def project(self) -> str:
        """The project's name."""
        return self.settings.project

    @property
    def root(self) -> Path:
        """The project's root folder."""
        return self.settings.root

    @cached_property
    def home(self) -> Home:
        """The home, made when it does not exist yet. Raises HomeError."""
        from headwater.core.journal.home import Home

        return Home.open(self.settings.home_path, create=self._create)

    @cached_property
    def carrier(self) -> Carrier:
        """What carries the journal."""
        from headwater.core.journal.files import carrier_of

        return carrier_of(self.home)

    @cached_property
    def journal(self) -> EventWriter:
        """This process's writer."""
        self.home.check_writable()
        writer = self.carrier.writer()
        self._start_courier()
        return writer

    @property
    def locks(self) -> LockTable:
        """The locks of all who share the journal."""
        return self.carrier.locks

    @cached_property
    def definitions(self) -> Definitions:
        """What is defined in this process, with its places resolved here."""
        from headwater.assets.runtime import Definitions

        return Definitions(self.root, self.settings.locations, self.project)

    @cached_property
    def columns(self) -> ColumnLineage:
        """Reads column lineage off plans and queries."""
        from headwater.lineage.columns import Columns

        return Columns()

    @cached_property
    def projection(self) -> Projection:
        """The DuckDB projection of the journal."""
        from headwater.lineage.projection import Projection

        return Projection(self.home, settlers=(self._settle,), carrier=self.carrier)

    def _settle(self, events: Sequence[Event]) -> Iterator[Body]:
        # Imported when a process has died: a script that leaves nothing behind need not pay for it.
        from headwater.assets.settle import settler

        return settler(self.carrier, self.root, self.materializer)(events)

    @cached_property
    def reader(self) -> Reader:
        """Questions to the projection."""
        from headwater.lineage.reader import Reader

        return Reader(self.projection)

    @cached_property
    def catalog(self) -> ProjectionCatalog:
        """What is known of the past; what is defined in this process wins over what the journal remembers."""
        from headwater.lineage.catalog import ProjectionCatalog

        return ProjectionCatalog(self.projection, self.definitions.all)

    def prune(self, older_than: str | timedelta | float, *, logs_only: bool = False, dry_run: bool = False) -> Pruned:
        """Let log records and the detail of task runs expire that are older; see `lineage.retention.prune`."""
        from headwater.lineage.retention import prune

        return prune(self.projection, older_than=older_than, logs_only=logs_only, dry_run=dry_run)

    def record_definitions(self) -> None:
        """Journal what is defined in this process and differs from what the projection knows."""
        from headwater.assets import registry

        with self.projection.session() as session:
            known = set(session.rows("SELECT namespace, dataset, hash FROM assets"))
        defined = self.definitions.new(list(registry.current().assets.values()))
        new = [one for one in defined if (one.asset.namespace, one.asset.dataset, one.hash) not in known]
        if new:
            self.journal.append(*new)

    def asked_of(self, backfill_id: str, since: int) -> AskedOfBackfill:
        """What is asked of a backfill from a moment on (microseconds since the epoch)."""
        from headwater.lineage.backfills import AskedOfBackfill

        return AskedOfBackfill(self.projection, self.carrier, backfill_id, since)

    def materializer(self, ref: AssetRef) -> Materializer:
        """What writes and reads an asset."""
        from headwater.materializers import registry

        return registry.for_ref(ref)

    def convert(self, value: Any, form: Form) -> Any:
        """A table in another form."""
        from headwater.materializers.convert import convert

        return convert(value, form)

    def exporter(self, file: Path) -> Exporter:
        """What appends this project's OpenLineage events to a file."""
        from headwater.lineage.openlineage.file import FileDestination

        return self._exporter(FileDestination(file))

    def exporters(self) -> list[Exporter]:
        """One for each configured OpenLineage destination: the file of the settings, then openlineage-python's.

        Raises SettingsError.
        """
        from headwater.lineage.openlineage.configured import destinations

        file = self.settings.openlineage_file
        found = [self.exporter(self.root / file)] if file else []
        return found + [self._exporter(one) for one in destinations(self.root)]

    def _exporter(self, destination: Destination) -> Exporter:
        from headwater.lineage.openlineage.exporter import Exporter
        from headwater.lineage.openlineage.naming import job_namespace

        namespace = job_namespace(self.settings.openlineage_namespace)
        return Exporter(self.home, self.carrier, destination, namespace=namespace)

    def _start_courier(self) -> None:
        # With something to tell, that is: a process that only looks never gets here.
        from headwater.lineage.openlineage.configured import is_configured

        if self._delivers and is_configured(self.root):
            from headwater.lineage.openlineage.courier import Courier
            from headwater.lineage.openlineage.naming import job_namespace

            namespace = job_namespace(self.settings.openlineage_namespace)
            self._courier = Courier(self.home.path, self.root, namespace, self.settings.openlineage_drain)
            self._courier.start()

    def run_ended(self) -> None:
        """Core says that a root run ended: bring the projection and the exports up to date when the process ends."""
        with self._lock:
            if not self._ran:
                self._ran = True
                atexit.register(self._finish)

    def close(self) -> None:
        """End this process's writing; the next one opens a new segment."""
        atexit.unregister(self._finish)
        if "journal" in self.__dict__:
            self.journal.close()
        if self._courier is not None:
            self._courier.finish()

    def _finish(self) -> None:
        self.journal.close()
        if self._projects():
            _quietly("the projection", lambda: self.projection.refresh(wait=0))
        if self.settings.openlineage_file:
            file = self.root / self.settings.openlineage_file
            _quietly("OpenLineage", lambda: self.exporter(file).drain(self.settings.openlineage_drain))
        _keep_interruption()

    def _projects(self) -> bool:
        # A home in which no asset was made and nobody has ever looked has no projection yet. The first look makes it: plain
        # tasks need not pay for DuckDB, which costs twice what all the rest of a small script does.
        return "definitions" in self.__dict__ or self.home.database.exists()


def _quietly(what: str, do: Callable[[], Any]) -> None:
    # The run itself is recorded: what could not be brought up to date now is caught up by the next process that looks.
    try:
        do()
    except HeadwaterError as error:
        _log.warning("%s could not be brought up to date: %s", what, error)


def _keep_interruption() -> None:
    # A script that Ctrl-C ended dies of SIGINT, so that a shell's loop around it ends too. The interpreter forgets that
    # as soon as text is executed, and importing at exit does (dataclasses): an interruption in such text tells it again.
    if getattr(sys, "last_type", None) is KeyboardInterrupt and not hasattr(sys, "ps1"):
        with contextlib.suppress(KeyboardInterrupt):
            exec("raise KeyboardInterrupt")  # noqa: S102 - a constant
