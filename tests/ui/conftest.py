"""A browser and a server over the flights example, made once for all of these tests."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from api_world import Server, serving
from playwright.sync_api import Browser, sync_playwright
from ui_world import AXE, Viewer, browser_of, make_flights, viewing, watching

ABSENT = "no Chromium was found, so the pages were NOT tested (`make browser` says how to get one)"


# Not for the session: as long as Playwright runs, so does its event loop, in which no other test can run one of its own.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A real browser. In CI, and as root, where `make browser` installs it, it has to be there."""
    with sync_playwright() as playwright:
        found = browser_of(playwright)
        if found is None:
            if os.environ.get("CI") == "true" or os.geteuid() == 0:
                pytest.fail(ABSENT)
            pytest.skip(ABSENT)
        assert AXE.is_file(), "`make ui-check` installs what the pages are tested with"
        yield found
        found.close()


@pytest.fixture(scope="session")
def flights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A week of the flights example."""
    folder = tmp_path_factory.mktemp("flights")
    make_flights(folder)
    return folder


@pytest.fixture(scope="session")
def server(flights: Path) -> Iterator[Server]:
    """A server over it, which starts what is asked for."""
    with serving(flights, "--insecure-local", "--run") as found:
        yield found


@pytest.fixture
def viewer(browser: Browser, server: Server) -> Iterator[Viewer]:
    """Somebody at a screen of 1,280 px."""
    yield from watching(browser, server.url)


@pytest.fixture
def phone(browser: Browser, server: Server) -> Iterator[Viewer]:
    """Somebody with a phone."""
    yield from viewing(browser, server.url, width=390, height=844, has_touch=True)
