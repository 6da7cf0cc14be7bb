"""Who gets in, and out again."""

import re
from pathlib import Path

from api_world import serving, tokens_of
from playwright.sync_api import Browser, Page, expect
from ui_world import watching


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


def test_a_page_that_only_listens_asks_for_a_token_once_its_own_has_ended(browser: Browser, flights: Path) -> None:
    token, made = tokens_of(flights).create("soon over", "read")
    with serving(flights) as server:
        for viewer in watching(browser, server.url):
            page = viewer.go("/runs")
            page.get_by_label("Token").fill(token)
            page.get_by_role("button", name="Log in").click()
            expect(page.get_by_role("list", name="Runs")).to_be_visible()
            expect(page.locator(".shell-live")).to_have_attribute("data-connection", "live")
            tokens_of(flights).revoke(made.name)
            # The server looks every fifteen seconds at whether who listens still may.
            expect(page.get_by_label("Token")).to_be_visible(timeout=40_000)
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


def test_a_tab_that_asks_for_a_token_goes_on_once_another_one_has_logged_in(browser: Browser, flights: Path) -> None:
    token, _ = tokens_of(flights).create("two that wait", "read")
    with serving(flights) as server:
        for viewer in watching(browser, server.url):
            other = viewer.context.new_page()
            other.goto(server.url + "/asset?name=weather")
            expect(other.get_by_label("Token")).to_be_visible()
            page = viewer.go("/")
            page.get_by_label("Token").fill(token)
            page.get_by_role("button", name="Log in").click()
            expect(page.get_by_role("button", name="Account and theme")).to_be_visible()
            expect(other.get_by_role("heading", name="weather")).to_be_visible()
            viewer.complaints.clear()  # the browser itself tells of answers of 401
