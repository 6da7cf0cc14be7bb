"""`serve` and `worker`: the server, and what starts the work that is asked of it."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Annotated

from cyclopts import Parameter

from headwater import settings
from headwater.cli.common import open_project
from headwater.cli.options import COMMON, WHERE, Common, Flag, Where, check_limit
from headwater.cli.output import emit, say
from headwater.errors import UsageError


def serve(
    *,
    host: str = "127.0.0.1",
    port: int = 8421,
    allow_host: Annotated[tuple[str, ...], Parameter(negative=(), show_default=False)] = (),
    insecure_local: Flag = False,
    run: Flag = False,
    common: Common = COMMON,
) -> int:
    """Serve the API, live updates and metrics, and deliver to catalogs, until Ctrl-C. It loads no module of yours.

    Who asks needs a token: headwater token create.

    Parameters
    ----------
    host
        The address to listen on.
    port
        The port; 0 takes any that is free.
    allow_host
        Another name that it answers to, as behind a proxy; it can be given several times.
    insecure_local
        Ask for no tokens: whoever reaches it may do everything. On loopback only.
    run
        Also start what is asked for, as `headwater worker` does.
    """
    if not 0 <= port < 65_536:
        raise UsageError(f"--port {port} is not a port", hint="give one from 1 to 65535, or 0 for any that is free")
    from headwater.api import serving
    from headwater.project import ServingProject

    project = ServingProject(settings.load())

    def ready(url: str) -> None:
        emit({"url": url, "pid": os.getpid()}, common.json, lambda: f"Headwater serves {url}")
        if insecure_local:
            say("it asks for no tokens: whoever reaches it on this machine may do everything")
        elif not (project.home.path / "tokens.json").exists():
            say("there is no token yet: headwater token create makes one")

    with _logging_to_standard_error():
        serving.serve(
            project, host=host, port=port, allowed=allow_host, insecure=insecure_local, runs_work=run, ready=ready
        )
    return 0


def worker(*, limit: int | None = None, common: Common = COMMON, where: Where = WHERE) -> int:
    """Start what is asked for through the server, each as a process of its own that survives this one; until Ctrl-C.

    It starts what was asked of a server of the same project: where several share a home, each wants workers of its own.

    Parameters
    ----------
    limit
        So many of them at most at once; the others wait their turn.
    """
    if limit is not None:
        check_limit(limit, "runs")
    from headwater.api.work import Worker
    from headwater.loading import text_of

    files = [file.absolute() for file in where.file]
    for file in files:
        text_of(file)  # it loads none of them: what it starts does, and would fail each time
    project = open_project(None, writes=True)
    project.home.check_writable()
    over = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        over.set()

    before = {one: signal.signal(one, stop) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        emit({"pid": os.getpid()}, common.json, lambda: f"Headwater waits for work of {project.project}")
        with _logging_to_standard_error():
            Worker(project, files, where.module, limit).work(over)
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
        project.close()
    return 0


@contextmanager
def _logging_to_standard_error() -> Iterator[None]:
    logger = logging.getLogger("headwater")
    if logger.handlers:
        yield
        return
    handler, before = logging.StreamHandler(sys.stderr), logger.level
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s"))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
