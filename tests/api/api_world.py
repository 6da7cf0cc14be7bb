"""A shop with a past, an application over it, and real servers as processes of their own."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cli_project
from fastapi import FastAPI
from fastapi.testclient import TestClient

from headwater import settings
from headwater.api.app import create_app
from headwater.api.tokens import Scope, Tokens
from headwater.cli import app as command_line
from headwater.core import runtime
from headwater.project import ServingProject

BASE = "http://127.0.0.1:8421"
PATIENCE = 30.0


def make_shop(folder: Path) -> None:
    """Write the shop and give it a past: five days of sales."""
    cli_project.write_shop(folder)
    with contextlib.chdir(folder), cli_project.as_in_a_new_process():
        assert command_line.run(["backfill", "sales", "--from", "2024-01-01", "--to", "2024-01-05", "--json"]) == 0


@contextlib.contextmanager
def served(folder: Path, **how: Any) -> Iterator[tuple[TestClient, FastAPI]]:
    """A client of an application over a folder, whose service runs."""
    with runtime.use(None):
        app = create_app(ServingProject(settings.load(folder)), **how)
        with TestClient(app, base_url=BASE, raise_server_exceptions=False) as client:
            yield client, app


def tokens_of(folder: Path) -> Tokens:
    """The tokens of a project."""
    project = ServingProject(settings.load(folder))
    return Tokens(project.home, project.locks)


def bearer(folder: Path, scope: Scope = "read", *, expires: int | None = None) -> dict[str, str]:
    """Headers with a new token."""
    text, _ = tokens_of(folder).create(f"a {scope}er", scope, expires=expires)
    return {"Authorization": f"Bearer {text}"}


def until(true: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    """What `true` gives, once that is something."""
    deadline = time.monotonic() + seconds
    while True:
        found = true()
        if found or time.monotonic() > deadline:
            assert found, "it did not happen in time"
            return found
        time.sleep(0.02)


@dataclass
class Server:
    """A server in a process of its own."""

    process: subprocess.Popen[str]
    url: str

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def stop(self, how: int = signal.SIGTERM) -> int:
        """End it; its exit code."""
        self.process.send_signal(how)
        return self.process.wait(PATIENCE)


@contextlib.contextmanager
def serving(folder: Path, *arguments: str, port: int = 0) -> Iterator[Server]:
    """A `headwater serve` on a port: a free one, unless one is asked for."""
    with (folder / "serve.log").open("a") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "headwater", "serve", "--port", str(port), "--json", *arguments],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env={**os.environ, "PYTHONWARNINGS": "default"},
        )
        assert process.stdout is not None
        try:
            text = ""
            while not text.endswith("}\n"):
                line = process.stdout.readline()
                assert line, (folder / "serve.log").read_text()
                text += line
            yield Server(process, json.loads(text)["url"])
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
