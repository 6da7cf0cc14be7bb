"""Who gets in, and what a page does while its server is away."""

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from api_world import serving, tokens_of, until
from playwright.sync_api import APIResponse, Browser, Page, Route, expect
from ui_world import Viewer, settled, viewing

from headwater import ids, settings
from headwater.api.client import Client
from headwater.core.request_events import WorkAsked
from headwater.project import Project

MEANWHILE = """
from headwater import flow

@flow
def while_nobody_looked():
    pass

while_nobody_looked()
"""

MADE = """
from headwater import materialize

@materialize("parquet://lake/single")
def single():
    return {"x": [1]}

single()
"""


BREAKS = """
import time
from pathlib import Path
from headwater import materialize

@materialize("parquet://lake/single")
def single():
    while Path("slow").exists():
        time.sleep(0.05)
    if Path("broken").exists():
        raise ValueError("it is broken")
    return [{"a": 1}]

if __name__ == "__main__":
    single()
"""


TALKS = """
import logging
from headwater import flow

@flow
def talks():
    for number in range(400):
        logging.getLogger("app").info("line %d", number)
    logging.getLogger("app").warning("the odd one")
    for number in range(400, 600):
        logging.getLogger("app").info("line %d", number)

talks()
"""


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def watching(browser: Browser, url: str) -> Iterator[Viewer]:
    return viewing(browser, url, width=1280, height=800)


def test_a_token_lets_one_in_and_reading_changes_nothing(browser: Browser, flights: Path) -> None:
    token, _ = tokens_of(flights).create("reader", "read")
    with serving(flights) as server:
        for viewer in watching(browser, server.url):
            page = viewer.go("/asset?name=weather")
            page.get_by_label("Token").fill("hw_000000000000_" + "a" * 43)
            page.get_by_role("button", name="Log in").click()
            expect(page.get_by_role("alert")).to_contain_text("no valid token")
            viewer.complaints.clear()  # the browser itself tells of answers of 401
            page.get_by_label("Token").fill(token)
            page.get_by_role("button", name="Log in").click()
            # One is where one wanted to be.
            expect(page.get_by_role("heading", name="weather")).to_be_visible()
            page = viewer.go("/partitions?asset=weather")
            page.get_by_role("button", name=re.compile("2013-01-20")).click()
            expect(page.get_by_role("button", name=re.compile("^Backfill"))).to_be_disabled()
            viewer.go("/")
            page.get_by_role("button", name="Account and theme").click()
            page.get_by_role("button", name="Log out").click()
            expect(page.get_by_label("Token")).to_be_visible()
            viewer.complaints.clear()


def test_a_page_finds_its_server_again(browser: Browser, flights: Path) -> None:
    port = free_port()
    with serving(flights, "--insecure-local", port=port) as server:
        watch = watching(browser, server.url)
        viewer = next(watch)
        page = viewer.go("/runs")
        live = page.locator(".shell-live")
        expect(live).to_have_attribute("data-connection", "live")
        # The code of a page comes after that of the frame around it, which listens already.
        expect(page.get_by_role("list", name="Runs")).to_be_visible()
    expect(live).to_have_attribute("data-connection", "lost")
    subprocess.run([sys.executable, "-c", MEANWHILE], cwd=flights, check=True)
    with serving(flights, "--insecure-local", port=port):
        expect(live).to_have_attribute("data-connection", "live", timeout=30_000)
        # The server has to read the journal before it answers: on a busy machine that takes a while.
        expect(page.get_by_role("link", name="while_nobody_looked").first).to_be_visible(timeout=30_000)
        viewer.complaints.clear()  # what the browser says of a server that was away
        for _ in watch:
            pass


def test_the_log_shows_what_is_asked_for_also_to_one_who_has_scrolled_up(browser: Browser, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", TALKS], cwd=tmp_path, check=True)
    with serving(tmp_path, "--insecure-local") as server:
        (run,) = Client(server.url).runs()["runs"]
        for viewer in watching(browser, server.url):
            page = viewer.go(f"/runs/{run['id']}")
            log = page.get_by_role("log")
            expect(log).to_contain_text("line 599")
            log.evaluate("box => { box.scrollTop = 0 }")
            expect(page.get_by_role("button", name="Jump to the newest")).to_be_visible()
            page.get_by_label("Level").select_option("WARNING")
            expect(log).to_contain_text("the odd one")
            expect(log).not_to_contain_text("line 599")
            expect(page.get_by_role("button", name="Jump to the newest")).to_have_count(0)


def test_a_page_finds_its_server_again_behind_a_proxy_that_told_of_its_absence(browser: Browser, flights: Path) -> None:
    with serving(flights, "--insecure-local") as server:
        for viewer in watching(browser, server.url):
            # To this the browser does not come back by itself.
            viewer.page.route("**/api/events*", lambda route: route.fulfill(status=502, body="no server"))
            page = viewer.go("/runs")
            live = page.locator(".shell-live")
            expect(live).to_have_attribute("data-connection", "lost")
            expect(page.get_by_role("list", name="Runs")).to_be_visible()
            subprocess.run([sys.executable, "-c", MEANWHILE.replace("nobody", "only_a_proxy")], cwd=flights, check=True)
            page.unroute("**/api/events*")
            expect(live).to_have_attribute("data-connection", "live", timeout=15_000)
            expect(page.get_by_role("link", name="while_only_a_proxy_looked").first).to_be_visible(timeout=30_000)
            viewer.complaints.clear()


def test_a_page_whose_code_did_not_come_is_tried_again_when_the_server_is_back(browser: Browser, flights: Path) -> None:
    with serving(flights, "--insecure-local") as server:
        for viewer in watching(browser, server.url):
            absent = ("**/api/events*", "**/static/Runs-*.js")
            for address in absent:
                viewer.page.route(address, lambda route: route.fulfill(status=502, body="no server"))
            page = viewer.go("/runs")
            expect(page.get_by_role("alert")).to_contain_text("Something went wrong on this page")
            for address in absent:
                page.unroute(address)
            expect(page.get_by_role("list", name="Runs")).to_be_visible(timeout=15_000)
            viewer.complaints.clear()  # what the browser says of a server that was away


def test_what_comes_before_a_page_listens_is_shown(browser: Browser, flights: Path) -> None:
    held: list[Route] = []
    with serving(flights, "--insecure-local") as server:
        for viewer in watching(browser, server.url):
            viewer.page.route("**/api/events*", lambda route: held.append(route))
            page = viewer.go("/runs")
            expect(page.get_by_role("list", name="Runs")).to_be_visible()
            subprocess.run([sys.executable, "-c", MEANWHILE.replace("nobody", "it_connected")], cwd=flights, check=True)
            until(lambda: Client(server.url).runs(flow="while_it_connected_looked")["runs"])
            held[0].continue_()
            expect(page.get_by_role("link", name="while_it_connected_looked").first).to_be_visible(timeout=30_000)


def test_what_comes_while_the_first_answer_is_on_its_way_is_shown(browser: Browser, flights: Path) -> None:
    held: list[tuple[Route, APIResponse]] = []

    def hold_first(route: Route) -> None:
        if held:
            route.continue_()
        else:
            held.append((route, route.fetch()))

    with serving(flights, "--insecure-local") as server:
        for viewer in watching(browser, server.url):
            viewer.page.route("**/api/runs?*", hold_first)
            page = viewer.go("/runs")
            expect(page.locator(".shell-live")).to_have_attribute("data-connection", "live")
            until(lambda page=page: page.evaluate("1") and held)  # which also lets the browser be heard
            # The change is heard, and what it touches would be asked for again, while the old answer is still on its way.
            with page.expect_response("**/api/flows"):
                subprocess.run([sys.executable, "-c", MEANWHILE.replace("nobody", "it_came")], cwd=flights, check=True)
            route, answer = held[0]
            route.fulfill(response=answer)
            expect(page.get_by_role("link", name="while_it_came_looked").first).to_be_visible(timeout=30_000)


def test_an_answer_that_is_none_is_told_and_asked_for_again(viewer: Viewer) -> None:
    page = viewer.page
    page.route("**/api/runs?*", lambda route: route.fulfill(status=200, body="<html>we are back soon</html>"))
    viewer.go("/runs")
    expect(page.get_by_role("alert")).to_contain_text("The server's answer can't be read", timeout=15_000)
    page.unroute("**/api/runs?*")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("list", name="Runs")).to_contain_text("nightly_import")


MANY = """
from headwater import Asset, materialize, materializing, flow

@flow
def many():
    pass

for _ in range(130):
    many()

@flow
def tables():
    for number in range(130):
        with materializing(Asset(f"table_{number:03}", at=f"parquet://lake/{number}")) as made:
            made.write({"x": [1]})

tables()
"""


@pytest.mark.parametrize(("path", "asked"), [("/runs", "**/api/runs?*cursor=*"), ("/", "**/api/assets?*cursor=*")])
def test_a_list_whose_next_page_is_refused_says_so_and_asks_when_it_is_told(
    browser: Browser, tmp_path: Path, path: str, asked: str
) -> None:
    refused: list[str] = []

    def refuse(route: Route) -> None:
        refused.append(route.request.url)
        problem = {"type": "urn:headwater:error:cursor", "title": "no", "detail": "that is no cursor of this list"}
        route.fulfill(status=400, json=problem)

    subprocess.run([sys.executable, "-c", MANY], cwd=tmp_path, check=True)
    with serving(tmp_path, "--insecure-local") as server:
        for viewer in watching(browser, server.url):
            viewer.page.route(asked, refuse)
            page = settled(viewer.go(path))
            page.mouse.wheel(0, 100_000)
            expect(page.get_by_role("alert")).to_contain_text("that is no cursor of this list")
            page.mouse.wheel(0, 100_000)
            page.wait_for_timeout(1_000)
            # It asked hundreds of times in a second. Once more is what a change that comes meanwhile asks for.
            assert len(refused) < 5
            page.unroute(asked)
            with page.expect_response(asked):
                page.get_by_role("button", name="Try again").click()
            expect(page.get_by_role("alert")).to_have_count(0)
            viewer.complaints.clear()


def test_a_tab_goes_on_after_another_one_has_logged_in_anew(browser: Browser, flights: Path) -> None:
    token, _ = tokens_of(flights).create("two tabs", "run")

    def log_in(page: Page) -> None:
        page.get_by_label("Token").fill(token)
        page.get_by_role("button", name="Log in").click()
        expect(page.get_by_role("button", name="Account and theme")).to_be_visible()

    def log_out(page: Page) -> None:
        page.get_by_role("button", name="Account and theme").click()
        page.get_by_role("button", name="Log out").click()
        expect(page.get_by_label("Token")).to_be_visible()

    with serving(flights) as server:
        for viewer in watching(browser, server.url):
            page = viewer.go("/")
            log_in(page)
            other = viewer.context.new_page()
            other.goto(server.url + "/partitions?asset=weather")
            expect(other.get_by_role("button", name=re.compile("2013-01-20"))).to_be_visible()
            log_out(page)
            log_in(page)
            other.get_by_role("button", name=re.compile("2013-01-20")).click()
            expect(other.get_by_text("Makes 1 partition")).to_be_visible()
            log_out(page)
            log_out(other)  # from a session that is over already
            viewer.complaints.clear()


@pytest.mark.parametrize(
    ("part", "keys", "shown"),
    [("Lineage", None, "Around an asset or a column"), ("Search", "/", "Search assets, columns and runs")],
)
def test_a_part_of_the_pages_that_did_not_come_is_asked_for_again(
    viewer: Viewer, part: str, keys: str | None, shown: str
) -> None:
    page = viewer.page
    page.route(f"**/static/{part}-*.js", lambda route: route.abort())
    settled(viewer.go("/runs"))
    if keys is None:
        page.get_by_role("link", name=part).click()
    else:
        page.keyboard.press(keys)
    expect(page.get_by_role("alert")).to_contain_text("Something went wrong on this page")
    expect(page.get_by_role("link", name="Runs")).to_be_visible()
    page.unroute(f"**/static/{part}-*.js")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("alert")).to_have_count(0)
    if keys is not None:
        page.get_by_role("button", name=part).click()
    expect(page.get_by_label(shown).first).to_be_visible()
    viewer.complaints.clear()  # the browser itself tells of what it did not get


def test_a_backfill_that_no_worker_has_begun_is_taken_back(browser: Browser, tmp_path: Path) -> None:
    (tmp_path / "made.py").write_text(MADE)
    subprocess.run([sys.executable, "made.py"], cwd=tmp_path, check=True)
    with serving(tmp_path, "--insecure-local") as server:
        asked = Client(server.url).materialize("single")["id"]
        waits = Client(server.url).backfill_create("single")["id"]
        for viewer in watching(browser, server.url):
            page = viewer.go(f"/backfills/{waits}")
            expect(page.get_by_text("Nobody has taken it yet.")).to_be_visible()
            page.get_by_role("button", name="Cancel").click()
            page.get_by_role("button", name="Yes, cancel").click()
            expect(page.get_by_text("Cancelled")).to_be_visible()
            expect(page.get_by_role("button", name="Cancel")).to_have_count(0)
        states = {one: Client(server.url).request(one)["state"] for one in (asked, waits)}
        assert states == {asked: "asked", waits: "cancelled"}


HANGS = """
import time
from pathlib import Path
from headwater import flow

if Path("hang").exists():
    Path("loads").touch()
    time.sleep(600)

@flow
def fails():
    raise ValueError("it is broken")

if __name__ == "__main__":
    fails()
"""


def test_a_resumption_that_hangs_while_its_code_is_loaded_is_taken_back(browser: Browser, tmp_path: Path) -> None:
    (tmp_path / "hangs.py").write_text(HANGS)
    subprocess.run([sys.executable, "hangs.py"], cwd=tmp_path, capture_output=True, check=False)
    (tmp_path / "hang").touch()
    with serving(tmp_path, "--insecure-local", "--run") as server:
        (run,) = Client(server.url).runs()["runs"]
        for viewer in watching(browser, server.url):
            page = viewer.go(f"/runs/{run['id']}")
            page.get_by_role("button", name="Resume", exact=True).click()
            expect(page.get_by_text("A worker has taken it, and loads its code.")).to_be_visible(timeout=30_000)
            until((tmp_path / "loads").is_file)
            page.get_by_role("button", name="Take it back").click()
            expect(page.get_by_role("button", name="Resume", exact=True)).to_be_enabled(timeout=30_000)
            expect(page.get_by_role("button", name="Take it back")).to_have_count(0)
        (asked,) = Client(server.url).work_requests()["requests"]
        assert (asked["state"], asked["cancelled_by"]) == ("cancelled", "local")


def test_all_backfills_that_wait_are_shown_when_one_asks(browser: Browser, tmp_path: Path) -> None:
    project = Project(settings.load(tmp_path))
    for number in range(120):
        what = "materialize" if number % 2 else "backfill"
        arguments = {"selection": f"asset_{number:03}"}
        project.journal.append(WorkAsked(request_id=ids.new_id(), what=what, arguments=arguments))
    project.close()
    with serving(tmp_path, "--insecure-local") as server:
        for viewer in watching(browser, server.url):
            page = settled(viewer.go("/backfills"))
            waiting = page.get_by_text("Nobody has taken it yet.")
            expect(waiting).to_have_count(50)
            page.get_by_role("button", name="10 more wait: show them").click()
            expect(waiting).to_have_count(60)
            expect(page.get_by_text("more wait")).to_have_count(0)


def breaking(folder: Path) -> None:
    """A project whose asset can't be made as long as there is the file `broken`."""
    (folder / "breaks.py").write_text(BREAKS)
    (folder / "pyproject.toml").write_text('[tool.headwater]\nmodules = ["breaks"]\n')
    subprocess.run([sys.executable, "breaks.py"], cwd=folder, check=True)
    (folder / "broken").touch()


def resume_to_its_end(page: Page) -> None:
    """Resume the backfill that a page shows, and wait until it has completed."""
    page.get_by_role("button", name="Resume").click()
    page.get_by_role("button", name="Yes, resume").click()
    expect(page.get_by_text("Completed", exact=True)).to_be_visible(timeout=30_000)


def test_a_backfill_that_failed_at_first_and_then_completed_tells_no_failure(browser: Browser, tmp_path: Path) -> None:
    breaking(tmp_path)
    with serving(tmp_path, "--insecure-local", "--run") as server:
        asked = Client(server.url).backfill_create("single")["id"]
        until(lambda: Client(server.url).request(asked)["state"] == "failed")
        (tmp_path / "broken").unlink()
        for viewer in watching(browser, server.url):
            page = viewer.go(f"/backfills/{asked}")
            resume_to_its_end(page)
            expect(page.get_by_text("It could not be carried out.")).to_have_count(0)


@pytest.mark.parametrize("where", ["backfills", "runs"])
def test_what_becomes_of_a_resumption_is_told_where_it_was_asked_for(
    browser: Browser, tmp_path: Path, where: str
) -> None:
    breaking(tmp_path)
    broken = [sys.executable, "-m", "headwater", "backfill", "single", "--json"]
    run = json.loads(subprocess.run(broken, cwd=tmp_path, capture_output=True, check=False).stdout)["id"]
    (tmp_path / "breaks.py").unlink()
    with serving(tmp_path, "--insecure-local") as server:
        for viewer in watching(browser, server.url):
            page = viewer.go(f"/{where}/{run}")
            page.get_by_role("button", name="Resume", exact=True).click()
            if where == "backfills":
                page.get_by_role("button", name="Yes, resume").click()
            expect(page.get_by_text("Nobody has taken it yet.")).to_be_visible()
            worker = subprocess.Popen([sys.executable, "-m", "headwater", "worker"], cwd=tmp_path)
            try:
                expect(page.get_by_text("It could not be carried out.")).to_contain_text("breaks", timeout=30_000)
                expect(page.get_by_text("Nobody has taken it yet.")).to_have_count(0)
                expect(page.get_by_role("button", name="Resume", exact=True)).to_be_enabled()
            finally:
                worker.kill()
                worker.wait()


def test_what_can_not_be_resumed_is_not_offered(browser: Browser, tmp_path: Path) -> None:
    breaking(tmp_path)
    assert subprocess.run([sys.executable, "breaks.py"], cwd=tmp_path, capture_output=True, check=False).returncode == 1
    with serving(tmp_path, "--insecure-local") as server:
        run = Client(server.url).runs()["runs"][0]
        assert (run["type"], run["state"]) == ("materialize", "Failed")
        for viewer in watching(browser, server.url):
            page = viewer.go(f"/runs/{run['id']}")
            expect(page.get_by_role("region", name="What failed")).to_be_visible()
            expect(page.get_by_role("button", name="Resume")).to_have_count(0)


def test_a_backfill_that_was_stopped_by_a_signal_is_resumed(browser: Browser, tmp_path: Path) -> None:
    breaking(tmp_path)
    (tmp_path / "broken").unlink()
    (tmp_path / "slow").touch()
    with serving(tmp_path, "--insecure-local", "--run") as server:
        asked = Client(server.url).backfill_create("single")["id"]
        until(lambda: any(one["id"] == asked for one in Client(server.url).backfills()["backfills"]))
        Client(server.url).cancel_run(asked)  # as Ctrl-C, and SIGTERM
        until(lambda: Client(server.url).backfill(asked)["state"] == "cancelled")
        (tmp_path / "slow").unlink()
        for viewer in watching(browser, server.url):
            page = viewer.go(f"/backfills/{asked}")
            resume_to_its_end(page)


def test_a_backfill_whose_process_died_before_it_began_is_resumed(browser: Browser, tmp_path: Path) -> None:
    breaking(tmp_path)
    (tmp_path / "broken").unlink()
    dies = {**os.environ, "HEADWATER_FAILPOINT": "backfill.requested"}
    subprocess.run([sys.executable, "-m", "headwater", "backfill", "single"], cwd=tmp_path, env=dies, check=False)
    with serving(tmp_path, "--insecure-local", "--run") as server:
        (left,) = Client(server.url).backfills()["backfills"]
        for viewer in watching(browser, server.url):
            page = viewer.go(f"/backfills/{left['id']}")
            resume_to_its_end(page)
