"""The pages over the flights example, as somebody uses them who wants to know why a table is late, and who mends it."""

import re
from itertools import pairwise

from playwright.sync_api import Route, expect
from ui_world import Viewer, settled

PAGES = (
    "/",
    "/?group=owner",
    "/asset?name=route_risk",
    "/asset?name=daily_delays",
    "/partitions?asset=flights",
    "/lineage",
    "/lineage?root=carrier_scorecard.avg_delay&columns=true",
    "/runs",
    "/backfills",
    "/checks",
)


def test_why_is_it_late_and_who_holds_it_back(viewer: Viewer) -> None:
    page = settled(viewer.go("/?as_of=2013-01-09T00:00:00Z"))
    viewer.keep("board")
    board = page.get_by_role("table", name="Assets")
    expect(board.get_by_role("row").filter(has_text="route_risk")).to_contain_text("late", ignore_case=True)
    page.get_by_role("textbox", name="Filter assets").fill("route_risk")
    expect(board.get_by_role("row")).to_have_count(2)  # the head is one
    board.get_by_role("link", name="route_risk").click()
    expect(page).to_have_url(re.compile(r"/asset\?name=route_risk"))
    settled(page)
    expect(page.get_by_role("heading", name="route_risk")).to_be_visible()
    way = page.get_by_role("navigation", name="The path to what holds it back")
    expect(way).to_contain_text("flights@2013-01-07")
    expect(page.get_by_text(re.compile("Policy: limit 12h"))).to_be_visible()
    viewer.keep("asset")
    way.get_by_role("link", name="flights@2013-01-07").click()
    expect(page.get_by_role("heading", name="flights", exact=True)).to_be_visible()
    page.get_by_role("complementary", name="About it").get_by_role("link", name="flights_csv").click()
    expect(page.get_by_role("heading", name="flights_csv")).to_be_visible()
    page.go_back()
    page.go_back()
    expect(page.get_by_role("heading", name="route_risk")).to_be_visible()


def test_an_asset_is_not_said_to_have_no_policy_before_it_is_known(viewer: Viewer) -> None:
    held: list[Route] = []
    viewer.page.route("**/api/assets/detail?*", lambda route: held.append(route))
    page = settled(viewer.go("/asset?name=route_risk"))
    policy = page.locator(".clocks-policy")
    expect(policy).to_have_text("…")
    held.pop().continue_()
    expect(policy).to_contain_text("Policy:")


def test_where_a_column_comes_from(viewer: Viewer) -> None:
    page = settled(viewer.go("/lineage?root=carrier_scorecard.avg_delay&columns=true&up=4"))
    panel = page.get_by_role("complementary", name=re.compile("carrier_scorecard.avg_delay"))
    expect(panel).to_contain_text("daily_delays.dep_delay")
    expect(panel).to_contain_text("round(sum(dep_delay * flights) / sum(flights), 9)")
    viewer.keep("lineage")
    panel.get_by_role("button", name="daily_delays.dep_delay").click()
    panel = page.get_by_role("complementary", name=re.compile("daily_delays.dep_delay"))
    panel.get_by_role("button", name="flights.dep_delay", exact=True).click()
    panel = page.get_by_role("complementary", name=re.compile("flights.dep_delay"))
    expect(panel).to_contain_text("flights_csv.dep_delay")


def test_of_two_changes_before_the_page_is_drawn_again_none_is_lost(viewer: Viewer) -> None:
    page = settled(viewer.go("/lineage?root=daily_delays&up=2&down=2"))
    steps = [page.get_by_label(f"One step more {way}").element_handle() for way in ("up", "down")]
    page.evaluate("buttons => buttons.forEach(button => button.click())", steps)
    expect(page).to_have_url(re.compile("up=3&down=3"))


def test_a_week_is_dragged_over_and_made(viewer: Viewer) -> None:
    page = settled(viewer.go("/partitions?asset=weather"))
    first = page.get_by_role("button", name=re.compile("2013-01-08"))
    last = page.get_by_role("button", name=re.compile("2013-01-14"))
    expect(first).to_have_attribute("data-state", "missing")
    box, end = first.bounding_box(), last.bounding_box()
    assert box is not None
    assert end is not None
    page.mouse.move(box["x"] + 5, box["y"] + 5)
    page.mouse.down()
    page.mouse.move(end["x"] + 5, end["y"] + 5, steps=8)
    page.mouse.up()
    side = page.get_by_role("complementary", name="What is chosen")
    expect(side).to_contain_text("2013-01-08..2013-01-14")
    expect(side).to_contain_text("7")
    side.get_by_role("button", name="Backfill 7 partitions").click()
    expect(side.get_by_text(re.compile("completed", re.IGNORECASE)).first).to_be_visible(timeout=60_000)
    viewer.keep("partitions")
    expect(page.get_by_role("button", name=re.compile("2013-01-14"))).to_have_attribute("data-state", "made")
    side.get_by_role("link", name="Open the backfill").click()
    expect(page).to_have_url(re.compile("/backfills/"))
    settled(page)
    viewer.keep("backfill")
    page = settled(viewer.go("/backfills"))
    expect(page.get_by_role("list", name="Backfills")).to_contain_text("weather")


def test_what_a_failed_run_said(viewer: Viewer) -> None:
    page = settled(viewer.go("/runs"))
    page.get_by_role("combobox", name="State").select_option(label="Failed")
    page.get_by_role("list", name="Runs").get_by_role("link", name="nightly_import").click()
    settled(page)
    failed = page.get_by_role("region", name="What failed")
    expect(failed).to_contain_text("no answer from JFK")
    viewer.keep("run")
    failed.get_by_role("button", name="Its log").first.click()
    expect(page.get_by_role("log")).to_contain_text("the tower of 2013-01-15 does not answer")
    page.get_by_label("Search the log").fill("nothing says this")
    expect(page.get_by_text("Nothing in the log like that")).to_be_visible()


def test_the_board_of_a_moment_to_come_lags_behind_nothing(viewer: Viewer) -> None:
    page = settled(viewer.go("/?as_of=2099-01-01T00:00:00Z"))
    expect(page.get_by_role("table", name="Assets")).to_contain_text("flights")
    expect(page.get_by_text("judged as of")).to_have_count(0)


def test_the_field_of_a_list_says_what_the_list_is_narrowed_by(viewer: Viewer) -> None:
    page = settled(viewer.go("/runs"))
    field, runs = page.get_by_label("Part of a flow's name"), page.get_by_role("list", name="Runs")
    field.press_sequentially("nightly_imp", delay=5)
    expect(page).to_have_url(re.compile("q=nightly_imp$"))
    expect(field).to_have_value("nightly_imp")
    page.get_by_role("link", name="Runs").click()
    expect(runs).to_contain_text("carrier_scorecard")
    expect(field).to_have_value("")
    field.fill("no flow is called so")
    page.get_by_role("link", name="Show all runs").click()
    expect(runs).to_contain_text("carrier_scorecard")
    expect(field).to_have_value("")


def test_the_keyboard_finds_assets_columns_and_runs(viewer: Viewer) -> None:
    page = settled(viewer.go("/"))
    options = page.get_by_role("dialog", name="Search").get_by_role("option")

    def search(key: str, text: str) -> None:
        page.keyboard.press(key)
        expect(page.get_by_role("combobox", name=re.compile("Search"))).to_be_focused()
        page.keyboard.insert_text(text)

    search("Control+k", "avg_del")
    expect(options.first).to_contain_text("avg_delay")
    viewer.keep("search")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/lineage.*avg_delay"))
    search("Control+k", "nightly")
    options.filter(has_text="nightly_import").first.click()
    expect(page).to_have_url(re.compile("/runs"))
    search("/", "route_risk")
    expect(options.first).to_contain_text("route_risk")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/asset\?name=route_risk"))
    search("Control+k", "x")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="Search")).to_be_hidden()


def test_a_wrong_selection_is_told_where_it_stands(viewer: Viewer) -> None:
    page = settled(viewer.go("/?selection=" + "tag:"))
    expect(page.get_by_text(re.compile("tag")).first).to_be_visible()
    assert viewer.complaints
    assert all("400" in one for one in viewer.complaints)
    viewer.complaints.clear()  # the browser itself tells of an answer of 400


def test_checks_are_found_by_a_part_of_their_assets_names(viewer: Viewer) -> None:
    page = settled(viewer.go("/checks"))
    expect(page.get_by_role("button", name=re.compile("^What ")).first).to_be_visible()
    page.get_by_label("Filter assets").fill("DELAY")
    expect(page.locator(".check-asset").get_by_text("daily_delays").first).to_be_visible()
    expect(page.locator(".check-asset").get_by_text("flights", exact=True)).to_have_count(0)
    page.get_by_label("Filter assets").fill("nothing is called so")
    expect(page.get_by_text("No asset like that has checks")).to_be_visible()


def test_pages_are_accessible(viewer: Viewer) -> None:
    found = {}
    for path in PAGES:
        page = settled(viewer.go(path))
        for scheme, dark in (("light", False), ("dark", True)):
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            assert page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches") is dark
            found[path, scheme] = viewer.serious()
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{path} scrolls sideways"
            if (path, scheme) == ("/", "dark"):
                viewer.keep("board-dark")
    assert {where: what for where, what in found.items() if what} == {}


def test_each_page_has_a_title_and_headings_below_it_in_order(viewer: Viewer) -> None:
    nothing_there = ("/nowhere", "/asset", "/asset?name=none", "/partitions", "/runs/none", "/backfills/none")
    for path in (*PAGES, *nothing_there):
        page = settled(viewer.go(path))
        levels = page.evaluate(
            "Array.from(document.querySelectorAll('h1, h2, h3, h4'), (one) => Number(one.tagName[1]))"
        )
        assert levels.count(1) == 1, (path, levels)
        assert all(after <= before + 1 for before, after in zip([0, *levels], levels, strict=False)), (path, levels)
    viewer.complaints.clear()  # the browser itself tells of answers of 404


def test_a_finger_chooses_days_sideways_and_scrolls_downward(phone: Viewer) -> None:
    page = settled(phone.go("/partitions?asset=weather"))
    hand = phone.context.new_cdp_session(page)

    def day(name: str) -> tuple[float, float]:
        box = page.get_by_role("button", name=re.compile(name)).bounding_box()
        assert box is not None
        return box["x"] + 8, box["y"] + 8

    def drag(*corners: tuple[float, float]) -> None:
        hand.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [_point(*corners[0])]})
        for (x, y), (right, low) in pairwise(corners):
            for step in range(1, 6):
                there = _point(x + (right - x) * step / 5, y + (low - y) * step / 5)
                hand.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [there]})
        hand.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})

    drag(day("2013-01-08"), day("2013-01-11"), day("2013-01-23"))
    side = page.get_by_role("complementary", name="What is chosen")
    expect(side).to_contain_text("16 partitions")
    expect(page).to_have_url(re.compile("from=2013-01-08&to=2013-01-23"))
    expect(side.get_by_role("button", name="Backfill 16 partitions")).to_be_in_viewport()
    drag(day("2013-01-15"), day("2013-01-01"))
    expect(page).to_have_url(re.compile("from=2013-01-08&to=2013-01-23"))


def _point(x: float, y: float) -> dict[str, float]:
    return {"x": x, "y": y}


def test_pages_fit_a_phone(phone: Viewer) -> None:
    for path in PAGES:
        page = settled(phone.go(path))
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{path} scrolls sideways"
        if path == "/":
            phone.keep("phone")
