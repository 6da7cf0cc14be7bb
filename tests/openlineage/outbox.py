"""A home with a journal and destinations over HTTP, for the tests of the outbox."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import openlineage_cases as cases
import orjson
from collector import Collector

from headwater import ids
from headwater.core.journal.events import Body
from headwater.core.journal.files import FileCarrier
from headwater.core.journal.home import Home
from headwater.core.journal.reader import Reader
from headwater.core.journal.writer import Writer
from headwater.lineage.openlineage.destination import Destination
from headwater.lineage.openlineage.exporter import Exporter
from headwater.lineage.openlineage.plainhttp import PlainHttp
from headwater.lineage.openlineage.translate import translate


class Outbox:
    """A home, and an exporter to a collector."""

    def __init__(self, folder: Path, destination: Destination | Collector) -> None:
        self.home = Home.open(folder / ".headwater", create=True)
        self.destination = PlainHttp(destination.url) if isinstance(destination, Collector) else destination

    def write(self, *bodies: Body) -> None:
        writer = Writer(self.home)
        writer.append(*bodies)
        writer.close()

    @property
    def exporter(self) -> Exporter:
        """As a new process would make it."""
        return Exporter(self.home, FileCarrier(self.home), self.destination)

    def expected(self) -> list[dict[str, Any]]:
        """What is to arrive, in order."""
        found = (translate(event) for event in Reader(self.home).events())
        return [orjson.loads(orjson.dumps(event)) for event in found if event is not None]


def a_run() -> list[Body]:
    """Four events for a catalog."""
    run_id = ids.new_id()
    start = cases.started(run_id, inputs=(cases.read(),))
    return [cases.run_started(run_id), start, cases.ended(start), cases.run_ended(run_id)]


def runs(count: int) -> Sequence[Body]:
    """Four times so many events."""
    return [body for _ in range(count) for body in a_run()]
