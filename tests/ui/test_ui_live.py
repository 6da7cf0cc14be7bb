"""What a page does while its server is away or says no, and with what comes meanwhile."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest
from api_world import serving, until
from playwright.sync_api import APIResponse, Browser, Route, expect
from ui_world import Viewer, settled, watching

from headwater.api.client import Client

MEANWHILE = """
from headwater import flow

@flow
def while_nobody_looked():
    pass

while_nobody_looked()
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


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


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
            # Not asked for by its flow: a flow of which the server has not heard is an error.
            until(lambda: "while_it_connected_looked" in [run["flow"] for run in Client(server.url).runs()["runs"]])
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


def test_a_page_whose_answers_fail_says_that_it_is_not_up_to_date(browser: Browser, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", MEANWHILE], cwd=tmp_path, check=True)
    problem = {"type": "urn:headwater:error:journal", "title": "no", "detail": "the journal can't be read"}
    with serving(tmp_path, "--insecure-local") as server:
        for viewer in watching(browser, server.url):
            page = settled(viewer.go("/runs"))
            live = page.locator(".shell-live")
            expect(live).to_have_text("Live")
            page.route("**/api/runs?*", lambda route: route.fulfill(status=503, json=problem))
            subprocess.run([sys.executable, "-c", MEANWHILE], cwd=tmp_path, check=True)
            expect(live).to_have_text("Not up to date", timeout=20_000)
            expect(live).to_have_attribute("title", "Not up to date: the journal can't be read")
            # What was there stays; and it is asked for again though nothing more happens.
            runs = page.get_by_role("list", name="Runs").get_by_role("listitem")
            expect(runs).to_have_count(1)
            page.unroute("**/api/runs?*")
            expect(runs).to_have_count(2, timeout=20_000)
            expect(live).to_have_text("Live")
            viewer.complaints.clear()


def test_what_an_assets_columns_are_is_said_not_to_have_come(viewer: Viewer) -> None:
    problem = {"type": "urn:headwater:error:journal", "title": "no", "detail": "the journal can't be read"}
    page = viewer.page
    page.route("**/api/assets/detail?*", lambda route: route.fulfill(status=503, json=problem))
    viewer.go("/asset?name=route_risk")
    expect(page.get_by_role("alert")).to_contain_text("the journal can't be read", timeout=20_000)
    page.unroute("**/api/assets/detail?*")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("region", name="Columns")).to_be_visible()
    expect(page.get_by_role("alert")).to_have_count(0)
    viewer.complaints.clear()


def test_what_failed_on_a_page_that_asks_no_more_is_asked_for_again(browser: Browser, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", MEANWHILE], cwd=tmp_path, check=True)
    problem = {"type": "urn:headwater:error:journal", "title": "no", "detail": "the journal can't be read"}
    with serving(tmp_path, "--insecure-local") as server:
        (run,) = Client(server.url).runs()["runs"]
        for viewer in watching(browser, server.url):
            page = viewer.page
            page.clock.install()
            settled(viewer.go(f"/runs/{run['id']}"))
            live = page.locator(".shell-live")
            expect(live).to_have_text("Live")
            page.route(f"**/api/runs/{run['id']}", lambda route: route.fulfill(status=503, json=problem))
            page.clock.run_for(10_000)
            page.evaluate("window.dispatchEvent(new Event('visibilitychange'))")  # as one who comes back to the tab
            expect(live).to_have_text("Not up to date", timeout=20_000)
            page.unroute(f"**/api/runs/{run['id']}")
            page.clock.run_for(10_000)
            expect(live).to_have_text("Live")
            viewer.complaints.clear()
