"""What is asked for through the pages: taken back while nobody has begun it, resumed, told to its end."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from api_world import serving, until
from playwright.sync_api import Browser, Page, expect
from ui_world import settled, watching

from headwater import ids, settings
from headwater.api.client import Client
from headwater.core.request_events import WorkAsked
from headwater.project import Project

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


CATCHES = """
import asyncio
from headwater import flow, task

@task(timeout=0.01)
async def hangs():
    await asyncio.sleep(600)

@flow
async def catches():
    try:
        await hangs()
    except TimeoutError:
        pass

asyncio.run(catches())
"""


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


def test_a_double_click_asks_for_one_backfill(browser: Browser, tmp_path: Path) -> None:
    (tmp_path / "made.py").write_text(MADE)
    subprocess.run([sys.executable, "made.py"], cwd=tmp_path, check=True)
    with serving(tmp_path, "--insecure-local") as server:
        for viewer in watching(browser, server.url):
            page = settled(viewer.go("/partitions?asset=single"))
            button = page.get_by_role("button", name="Backfill 1 partition")
            # However quick the answer to the first click is, the second one comes behind it.
            with page.expect_response("**/api/backfills"):
                button.click()
            expect(page.get_by_text("Nobody has taken it yet.")).to_be_visible()
            expect(button).to_be_disabled()
            page.get_by_label("downstream").check()
            expect(button).to_be_enabled()
            page.get_by_label("downstream").uncheck()
            (asked,) = Client(server.url).work_requests()["requests"]
            Client(server.url).cancel_request(asked["id"])
            expect(button).to_be_enabled()


def test_what_was_asked_of_one_run_is_not_told_of_another(browser: Browser, tmp_path: Path) -> None:
    (tmp_path / "hangs.py").write_text(HANGS)
    for _ in range(2):
        subprocess.run([sys.executable, "hangs.py"], cwd=tmp_path, capture_output=True, check=False)
    with serving(tmp_path, "--insecure-local") as server:
        asked, other = Client(server.url).runs()["runs"]
        for viewer in watching(browser, server.url):
            page = settled(viewer.go(f"/runs/{other['id']}"))
            page.keyboard.press("/")
            page.get_by_role("combobox", name="Search assets").press_sequentially(asked["id"])
            page.get_by_role("dialog", name="Search").get_by_role("option").first.click()
            page.get_by_role("button", name="Resume", exact=True).click()
            expect(page.get_by_text("Nobody has taken it yet.")).to_be_visible()
            page.go_back()
            expect(page.get_by_role("button", name=other["id"], exact=True)).to_be_visible()
            expect(page.get_by_text("Nobody has taken it yet.")).to_have_count(0)
            expect(page.get_by_role("button", name="Resume", exact=True)).to_be_enabled()


def test_a_task_that_timed_out_is_told_though_its_flow_went_on(browser: Browser, tmp_path: Path) -> None:
    (tmp_path / "catches.py").write_text(CATCHES)
    subprocess.run([sys.executable, "catches.py"], cwd=tmp_path, check=True)
    with serving(tmp_path, "--insecure-local") as server:
        (run,) = Client(server.url).runs()["runs"]
        assert run["state"] == "Completed"
        for viewer in watching(browser, server.url):
            page = viewer.go(f"/runs/{run['id']}")
            expect(page.get_by_role("region", name="What failed")).to_contain_text("TimeLimitExceeded")


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


def test_an_asset_without_partitions_is_chosen_as_a_whole(browser: Browser, tmp_path: Path) -> None:
    (tmp_path / "made.py").write_text(MADE)
    subprocess.run([sys.executable, "made.py"], cwd=tmp_path, check=True)
    with serving(tmp_path, "--insecure-local") as server:
        for viewer in watching(browser, server.url):
            page = settled(viewer.go("/partitions?asset=single"))
            expect(page.get_by_role("button", name="the whole: up to date", pressed=True)).to_be_visible()
            expect(page.get_by_role("button", name="Backfill 1 partition")).to_be_visible()
            expect(page.get_by_role("button", name="Choose nothing")).to_have_count(0)


def test_a_backfill_that_nobody_takes_is_asked_for_when_it_changes(browser: Browser, tmp_path: Path) -> None:
    (tmp_path / "made.py").write_text(MADE)
    subprocess.run([sys.executable, "made.py"], cwd=tmp_path, check=True)
    with serving(tmp_path, "--insecure-local") as server:
        waits = Client(server.url).backfill_create("single")["id"]
        asked: list[str] = []
        for viewer in watching(browser, server.url):
            viewer.page.clock.install()
            page = settled(viewer.go(f"/backfills/{waits}"))
            expect(page.get_by_text("Nobody has taken it yet.")).to_be_visible()
            expect(page.locator(".shell-live")).to_have_text("Live")
            page.on("request", lambda request: asked.append(request.url))
            page.clock.run_for(60_000)
            page.evaluate("fetch('/favicon.svg').then((answer) => answer.text())")
            assert [one for one in asked if "/api/" in one] == []
            Client(server.url).cancel_request(waits)
            expect(page.get_by_text("Cancelled")).to_be_visible()
