"""A week of the flights example with a failed run and hostile names, and a browser to look at them with."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cli_project import as_in_a_new_process
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Playwright, Request, Response, expect

from headwater.cli import app as command_line

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "flights"
PICTURES = ROOT / "docs" / "pages"
AXE = ROOT / "ui" / "node_modules" / "axe-core" / "axe.min.js"

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

BROKEN = '''
import logging

from headwater import flow, task


@task
def fetch(day):
    logging.getLogger("airport").warning("the tower of %s does not answer", day)
    raise ConnectionError("no answer from JFK")


@flow
def nightly_import(day: str = "2013-01-15"):
    """Fails, so that there is a failed run to look at."""
    fetch(day)


nightly_import()
'''


def make_flights(folder: Path) -> None:
    """The example with its first week of 2013, and a run that failed."""
    for name in ("flights.py", "data.py", "pyproject.toml"):
        shutil.copy(EXAMPLE / name, folder / name)
    (folder / "broken.py").write_text(BROKEN)
    _python(folder, "data.py")
    with contextlib.chdir(folder):
        _headwater("run", "flights.py:observe_sources")
        days = ("--from", "2013-01-01", "--to", "2013-01-07")
        _headwater("backfill", "route_risk or daily_delays", *days, "--upstream", "--parallel", "2")
        _headwater("materialize", "carrier_scorecard")
    _python(folder, "broken.py", code=1)


def _headwater(*arguments: str) -> None:
    # Pages are what these tests are about: a process for each command would only take longer.
    with as_in_a_new_process():
        assert command_line.run([*arguments, "--json"]) == 0


def _python(folder: Path, *arguments: str, code: int = 0) -> None:
    done = subprocess.run([sys.executable, *arguments], cwd=folder, capture_output=True, text=True, timeout=110)
    assert done.returncode == code, done.stdout + done.stderr


def browser_of(playwright: Playwright) -> Browser | None:
    """Debian's Chromium, or another; None when there is none."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        found = shutil.which(name)
        if found is not None:
            return playwright.chromium.launch(executable_path=found, args=FLAGS)
    return None


@dataclass
class Viewer:
    """Somebody who looks at pages, and who minds what a console says and whom a page asks."""

    context: BrowserContext
    page: Page
    url: str
    complaints: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        self.page.on("request", self._asked)
        self.page.on("response", self._answered)

    def go(self, path: str) -> Page:
        """Open a page of the server."""
        self.page.goto(self.url + path)
        return self.page

    def keep(self, name: str) -> None:
        """Take a picture for the documentation, when it was asked for (make screenshots)."""
        if os.environ.get("HEADWATER_SCREENSHOTS") == "1":
            PICTURES.mkdir(exist_ok=True)
            self.page.wait_for_timeout(300)
            (PICTURES / f"{name}.png").write_bytes(self.page.screenshot())

    def serious(self) -> list[str]:
        """What axe finds on the page that is serious or critical."""
        if self.page.evaluate("typeof axe") == "undefined":
            self.page.evaluate(AXE.read_text())
        found: dict[str, Any] = self.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        return [
            f"{one['id']}: {one['help']}: {one['nodes'][0]['html'][:200]}"
            for one in found["violations"]
            if one["impact"] in ("serious", "critical")
        ]

    def _said(self, message: ConsoleMessage) -> None:
        # Of an answer that is an error the console tells no address: that is told below.
        if message.type in ("error", "warning") and not message.text.startswith("Failed to load resource"):
            self.complaints.append(f"{message.type}: {message.text}")

    def _answered(self, response: Response) -> None:
        if response.status >= 400:
            self.complaints.append(f"{response.status}: {response.url}")

    def _asked(self, request: Request) -> None:
        if not request.url.startswith((self.url, "blob:")):
            self.complaints.append(f"asked elsewhere: {request.url}")


def viewing(browser: Browser, url: str, *, width: int, height: int, **more: Any) -> Iterator[Viewer]:
    """Somebody with a screen of that size. At the end the console must have said nothing, and no page have asked elsewhere."""
    context = browser.new_context(
        viewport={"width": width, "height": height},
        timezone_id="Europe/Berlin",
        locale="en-GB",
        reduced_motion="reduce",
        **more,
    )
    context.set_default_timeout(15_000)
    found = Viewer(context=context, page=context.new_page(), url=url)
    yield found
    context.close()
    assert found.complaints == [], found.complaints


def watching(browser: Browser, url: str) -> Iterator[Viewer]:
    """Somebody at a screen of 1,280 px."""
    return viewing(browser, url, width=1280, height=800)


def settled(page: Page) -> Page:
    """The page, once all that it asked for has come."""
    page.get_by_role("main").wait_for()
    expect(page.get_by_role("status", name="Loading")).to_have_count(0, timeout=15_000)
    return page
