"""G1 in pages: whatever a text says, a page shows it, and does nothing that it says."""

import random
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from api_world import serving
from hostile_world import PAYLOADS, make_hostile
from playwright.sync_api import Browser
from ui_world import Viewer, settled, viewing


@pytest.fixture
def hostile(browser: Browser, tmp_path: Path) -> Iterator[Viewer]:
    make_hostile(tmp_path)
    with serving(tmp_path, "--insecure-local") as server:
        yield from viewing(browser, server.url, width=1280, height=800)


def test_no_text_does_anything(hostile: Viewer, stress: bool) -> None:
    page = hostile.go("/runs")
    page.get_by_role("link", name="hostile").first.click()
    page.wait_for_url("**/runs/*")
    run = page.url.removeprefix(hostile.url)
    every = ["/", "/checks", "/backfills", "/runs?flow=hostile", "/?group=owner", "/lineage", run]
    turn = random.randrange(3)
    for number, text in enumerate(PAYLOADS):
        name = quote(text, safe="")
        pages = [f"/asset?name={name}", f"/lineage?root={name}&columns=true", f"/partitions?asset={name}"]
        # In the quick form each text is on one of its pages, another one each time, and on all of those above.
        every += pages if stress else [pages[(number + turn) % 3]]
    seen = ""
    for path in every:
        page = settled(hostile.go(path))
        assert page.evaluate("window.owned") is None, path
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{path} scrolls sideways"
        seen += page.inner_text("body")
    for text in PAYLOADS:
        assert text in seen
    page.keyboard.press("Control+k")
    for text in PAYLOADS[:3]:
        page.keyboard.insert_text(text)
        page.get_by_role("option").first.wait_for()
        assert page.evaluate("window.owned") is None
        page.keyboard.press("Control+a")
