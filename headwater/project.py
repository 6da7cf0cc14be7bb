"""The one place where everything is put together: home, journal, projection, materializers, exporter."""

from __future__ import annotations

import atexit
import contextlib
import logging
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headwater import clock
from headwater import settings as settings_module
from headwater.errors import HeadwaterError, LocationError, SettingsError
from headwater.lazily import lazy
from headwater.settings import Settings

if TYPE_CHECKING:
    from datetime import timedelta

    from headwater.assets.dynamic_keys import DynamicKeys
    from headwater.assets.events import AssetDefined, AssetRef
    from headwater.assets.freshness_changes import FreshnessChange
    from headwater.assets.protocols import ColumnLineage, Form, Materializer, SqlQuery
    from headwater.assets.runtime import Definitions
    from headwater.core.context import RunContext
    from headwater.core.journal.carrier import Carrier, EventWriter, LockTable
    from headwater.core.journal.events import Body, Event
    from headwater.core.journal.home import Home
    from headwater.core.results import ResultStore
    from headwater.core.resuming import Resumption
    from headwater.lineage.backfills import AskedOfBackfill
    from headwater.lineage.catalog import ProjectionCatalog
    from headwater.lineage.live import LiveProjection
    from headwater.lineage.openlineage.courier import Courier
    from headwater.lineage.openlineage.destination import Destination
    from headwater.lineage.openlineage.exporter import Exporter
    from headwater.lineage.projection import Projection
    from headwater.lineage.reader import Reader
    from headwater.lineage.retention import Pruned
    from headwater.lineage.session import Session

_log = logging.getLogger("headwater")


class Project:
    """A folder with its home: what core and the assets layer run in, and what the command line asks.

    One that only looks (`create=False`) makes no home: where there is none, it sees an empty one that is gone with it.
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
        self._in_worker = False
        self._ran = False
        self._lock = threading.Lock()

    @classmethod
    def open(cls, root: str | Path | None = None, *, create: bool = True) -> Project:
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

    @lazy
    def home(self) -> Home:
        """The home, made when it does not exist yet. Raises HomeError."""
        from headwater.core.journal.home import Home, is_there

        path = self.settings.home_path
        if not self._create and not is_there(path):
            from headwater.lineage.readonly import private_home

            return private_home(self)
        return Home.open(path, create=self._create)

    @lazy
    def carrier(self) -> Carrier:
        """What carries the journal."""
        from headwater.core.journal.files import carrier_of

        return carrier_of(self.home)

    @lazy
    def results(self) -> ResultStore:
        """Where kept results lie."""
        from headwater.core.results import FileResults

        given = self.settings.results
        return FileResults(self.root / given if given else self.settings.home_path / "results")

    @property
    def refreshes(self) -> bool:
        """Whether tasks with a cache compute anew, unless they say otherwise."""
        return self.settings.refresh

    def sources_of(self, context: RunContext, value: Any) -> list[dict[str, Any]]:
        """The asset versions that a value is known to hold the data of, as plain values."""
        if "definitions" not in self.__dict__:
            return []  # no asset was made or read
        from headwater.assets.kept_values import sources_of

        return sources_of(context, value)

    def known_as(self, context: RunContext, value: Any) -> tuple[str, ...] | None:
        """The asset versions that stand for a table in the arguments of a call, if it is known to be just their data."""
        if "definitions" not in self.__dict__:
            return None
        from headwater.assets.restoring import known_as

        return known_as(context, value)

    def remember_sources(self, context: RunContext, value: Any, sources: Sequence[dict[str, Any]]) -> Any:
        """Follow a value that is restored as the data of these asset versions; returns what to hand out."""
        from headwater.assets.kept_values import remember

        return remember(self, context, value, sources)

    @lazy
    def journal(self) -> EventWriter:
        """This process's writer."""
        self.home.check_writable()
        writer = self.carrier.writer()
        self._start_courier()
        return writer

    @property
    def limits(self) -> Mapping[str, int]:
        """How many may hold a limit at once, as the settings say."""
        return self.settings.limits or {}

    @property
    def locks(self) -> LockTable:
        """The locks of all who share the journal."""
        return self.carrier.locks

    @lazy
    def definitions(self) -> Definitions:
        """What is defined in this process, with its places resolved here."""
        from headwater.assets.runtime import Definitions

        return Definitions(self.root, self.settings.locations, self.project)

    @lazy
    def columns(self) -> ColumnLineage:
        """Reads column lineage off plans and queries."""
        from headwater.lineage.columns import Columns

        return Columns()

    @lazy
    def projection(self) -> Projection:
        """The DuckDB projection of the journal."""
        from headwater.lineage.projection import Projection

        return Projection(self.home, settlers=(self._settle,), carrier=self.carrier)

    def _settle(self, events: Sequence[Event]) -> Iterator[Body]:
        # Imported when a process has died: a script that leaves nothing behind need not pay for it.
        from headwater.assets.settle import settler

        return settler(self.carrier, self.root, self.materializer)(events)

    @lazy
    def reader(self) -> Reader:
        """Questions to the projection; what is defined in this process says what an asset is called."""
        from headwater.lineage.reader import Reader

        return Reader(self.projection, self.definitions.all)

    @lazy
    def catalog(self) -> ProjectionCatalog:
        """What is known of the past; what is defined in this process wins over what the journal remembers."""
        from headwater.lineage.catalog import ProjectionCatalog

        return ProjectionCatalog(self.projection, self.definitions.all)

    def picture(self, asset: str) -> str:
        """An asset with what is directly around it, as a notebook shows it: one SVG document."""
        from headwater.lineage import shown

        return shown.asset(self.reader, self.catalog, asset)

    def resumption(self, run_id: str, *, from_task: str | None = None, claim: bool = True) -> Resumption:
        """What another attempt of a run needs; nobody else can begin one while it is claimed. Raises UsageError.

        With `from_task`, which calls are made again from that task on, also of a run that completed.
        """
        from headwater.lineage.earlier import resumption

        return resumption(self.projection, self.locks if claim else None, run_id, from_task)

    @lazy
    def dynamic(self) -> DynamicKeys:
        """The keys of dynamic partitions."""
        from headwater.assets.dynamic_keys import DynamicKeys

        return DynamicKeys(self.reader.dynamic_keys)

    def prune(self, older_than: str | timedelta | float, *, logs_only: bool = False, dry_run: bool = False) -> Pruned:
        """Let log records and the detail of task runs expire that are older; see `lineage.retention.prune`."""
        from headwater.lineage.retention import prune

        undelivered = None if logs_only else self._undelivered()
        return prune(
            self.projection, older_than=older_than, logs_only=logs_only, dry_run=dry_run, undelivered=undelivered
        )

    def _undelivered(self) -> int | None:
        # What catalogs are told of never expires; of what is told as traces, the detail of task runs does.
        try:
            waiting = [one.oldest_waiting() for one in self.trace_exporters()]
        except SettingsError:  # the variables may be meant for others
            return None
        return min((one for one in waiting if one is not None), default=None)

    def record_verdicts(self) -> tuple[FreshnessChange, ...]:
        """Journal how freshness verdicts changed since somebody looked, and tell the hooks of it; returns the changes.

        Each has the moment at which it came about, whoever looks whenever. While somebody else does it there is nothing to do.
        Raises HomeError where the home can't be written, ProjectionError.
        """
        from headwater.assets.freshness_changes import changes_of, tell

        self.home.check_writable()
        held = self.locks.try_hold("freshness")
        if held is None:
            return ()
        with held:
            found = self.catalog.news_of_verdicts(clock.now_us(), self.project)
            if found:
                self.journal.append(*found)
        changes = changes_of(found)
        tell(changes)
        return changes

    @contextlib.contextmanager
    def recorded(self, *, outlined: bool = False) -> Iterator[None]:
        """Journal what is defined in this process and differs from what the projection knows, or from what its name stands for;
        and one look for all that is asked inside: see `Projection.session`, also for what it raises.

        Where the home can't be written it is a look at what others recorded.
        """
        with self.projection.session(outlined=outlined) as session:
            new = self._new_definitions(session) if self.home.is_writable() else []
            if not new:
                yield
                return
        self.journal.append(*new)
        with self.projection.session(outlined=outlined):
            yield

    def _new_definitions(self, session: Session) -> list[AssetDefined]:
        from headwater.assets import registry
        from headwater.lineage.statements import statements

        known = set(session.rows(statements("catalog.sql")["standing"]))
        defined = self.definitions.new(list(registry.current().assets.values()))
        return [one for one in defined if (one.asset.namespace, one.asset.dataset, one.hash) not in known]

    def keeps_in_memory(self, ref: AssetRef) -> bool:
        """Whether the data of an asset is in the memory of this process only."""
        return ref.kind == "memory"

    def _refuse_memory(self, ref: AssetRef) -> None:
        if self._in_worker and self.keeps_in_memory(ref):
            raise LocationError(
                f"'{ref.name}' is kept in the memory of the process that runs the flow",
                where=ref.uri,
                hint="submit what makes or reads it by itself, which then stays there; or give it a place on the disk",
            )

    def elsewhere(self) -> Callable[[EventWriter], Project]:
        """What makes this project in a worker process, where events go to a writer that is given; it can be pickled."""
        return partial(_in_worker, type(self), self.settings)

    def asked_of(self, backfill_id: str, since: int) -> AskedOfBackfill:
        """What is asked of a backfill from a moment on (microseconds since the epoch)."""
        from headwater.lineage.backfills import AskedOfBackfill

        return AskedOfBackfill(self.projection, self.carrier, backfill_id, since)

    def materializer(self, ref: AssetRef) -> Materializer:
        """What writes and reads an asset. Raises LocationError in a worker for what only its coordinator has."""
        from headwater.materializers import registry

        self._refuse_memory(ref)
        return registry.for_ref(ref)

    def convert(self, value: Any, form: Form) -> Any:
        """A table in another form."""
        from headwater.materializers.convert import convert

        return convert(value, form)

    def connect(self, inputs: Mapping[str, Any]) -> Any:
        """A DuckDB database in memory that holds these inputs under their names."""
        from headwater.materializers.duckdb import connect

        return connect(inputs)

    def failing(self, query: SqlQuery, columns: Sequence[str], limit: int) -> tuple[int, list[tuple[Any, ...]]]:
        """How many rows a query gives, and these columns of the first of them."""
        from headwater.materializers.duckdb import failing

        return failing(query, columns, limit)

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

    def trace_exporters(self) -> list[Exporter]:
        """The one for traces, where OpenTelemetry is configured: a server sends them. Raises SettingsError."""
        from headwater.integrations.opentelemetry.configured import collector

        destination = collector()
        if destination is None:
            return []
        from headwater.integrations.opentelemetry.origins import Origins
        from headwater.integrations.opentelemetry.spans import KINDS, Spans, speaks
        from headwater.lineage.openlineage.exporter import Exporter

        tell = Spans(Origins(self.projection)).tell
        return [Exporter(self.home, self.carrier, destination, tell=tell, kinds=KINDS, what="traces", speaks=speaks)]

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
        _quietly("the projection", lambda: self._projects() and self.projection.refresh(wait=0))
        if self.settings.openlineage_file:
            file = self.root / self.settings.openlineage_file
            _quietly("OpenLineage", lambda: self.exporter(file).drain(self.settings.openlineage_drain))
        _keep_interruption()

    def _projects(self) -> bool:
        # A home in which no asset was made and nobody has ever looked has no projection yet. The first look makes it: plain
        # tasks need not pay for DuckDB, which costs twice what all the rest of a small script does.
        return "definitions" in self.__dict__ or self.home.database.exists()


class ServingProject(Project):
    """The project as a server has it: nothing of the users' is loaded or run, and the projection is the server's own.

    Its OpenLineage exporters are the server's to run.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings, delivers=False)

    @lazy
    def projection(self) -> LiveProjection:
        """The DuckDB projection of the journal, which stays open."""
        from headwater.lineage.live import LiveProjection

        return LiveProjection(self.home, settlers=(self._settle,), carrier=self.carrier)

    @lazy
    def reader(self) -> Reader:
        """Questions to the projection: all that a server knows."""
        from headwater.lineage.reader import Reader

        return Reader(self.projection)

    @lazy
    def catalog(self) -> ProjectionCatalog:
        """What is known of the past: all that a server knows."""
        from headwater.lineage.catalog import ProjectionCatalog

        return ProjectionCatalog(self.projection)

    def close(self) -> None:
        """End this process's writing and looking."""
        super().close()
        if "projection" in self.__dict__:
            self.projection.close()


def _in_worker(kind: type[Project], settings: Settings, journal: EventWriter) -> Project:
    found = kind(settings, delivers=False)
    found._in_worker = True
    # Its process writes no segment of its own: the coordinator alone appends to the journal.
    found.__dict__["journal"] = journal
    return found


def _quietly(what: str, do: Callable[[], Any]) -> None:
    # The run itself is recorded: what could not be brought up to date now is caught up by the next process that looks. The code
    # that ran may have left this one without the rights, the memory or the libraries for it.
    try:
        do()
    except (HeadwaterError, OSError, ImportError, MemoryError) as error:
        _log.warning("%s could not be brought up to date: %s", what, error)
    except BaseException as error:
        from headwater.core.signals import is_ctrl_c

        if not is_ctrl_c(error):
            raise


def _keep_interruption() -> None:
    # A script that Ctrl-C ended dies of SIGINT, so that a shell's loop around it ends too. The interpreter forgets that
    # as soon as text is executed, and importing at exit does (dataclasses): an interruption in such text tells it again.
    if getattr(sys, "last_type", None) is KeyboardInterrupt and not hasattr(sys, "ps1"):
        with contextlib.suppress(KeyboardInterrupt):
            exec("raise KeyboardInterrupt")  # noqa: S102 - a constant
