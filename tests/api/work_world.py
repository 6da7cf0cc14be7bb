"""A worker, and what became of a request."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from api_world import until
from fastapi.testclient import TestClient

from headwater import settings
from headwater.api import work
from headwater.core import runtime
from headwater.core.journal.home import Home
from headwater.core.journal.reader import Reader
from headwater.project import Project


@contextmanager
def working(shop: Path, *files: Path, limit: int | None = None) -> Iterator[Project]:
    """A worker in a thread; what it started has ended when this does."""
    project, over = Project(settings.load(shop)), threading.Event()
    worker = work.Worker(project, files, limit=limit)
    thread = threading.Thread(target=worker.work, args=(over,))
    with runtime.use(project):
        thread.start()
        try:
            yield project
            until(lambda: not worker._started)
        finally:
            over.set()
            thread.join()
            project.close()


def ended(client: TestClient, request_id: str) -> dict[str, Any]:
    """A request, once it has ended."""

    def look() -> Any:
        found = client.get(f"/api/requests/{request_id}").json()
        return found["state"] in ("done", "failed") and found

    found: dict[str, Any] = until(look)
    return found


def kinds(shop: Path) -> list[str]:
    """The kinds of the events in a journal."""
    return [event.kind for event in Reader(Home.open(shop / ".headwater", create=False)).events()]
