"""Live updates: what has changed, where one was, and what happens to who was away."""

import asyncio
import json
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from api_world import serving, until

from headwater.api import stream
from headwater.api.stream import Hub
from headwater.lineage.changes import MOST, Change, changes


def change(number: int) -> Change:
    return Change(kind="run", id=f"r{number}", event="run.started")


async def message(listening: AsyncIterator[str]) -> tuple[str, str, list[str]]:
    """Id, event and the ids of what changed."""
    text = await asyncio.wait_for(anext(listening), 5)
    lines = dict(line.split(": ", 1) for line in text.strip().splitlines())
    return lines["id"], lines["event"], [one["id"] for one in json.loads(lines["data"])["changes"]]


def test_who_listens_is_told_and_goes_on_where_he_was() -> None:
    async def scenario() -> None:
        hub = Hub()
        hub.open()
        first = hub.listen(None)
        assert (await message(first))[1] == "hello"
        hub.publish([change(1), change(2)])
        seen, event, ids = await message(first)
        assert (event, ids) == ("change", ["r1", "r2"])
        await first.aclose()  # type: ignore[attr-defined]
        hub.publish([change(3)])
        hub.publish([change(4)])
        again = hub.listen(seen)
        assert [(await message(again))[2], (await message(again))[2]] == [["r3"], ["r4"]]
        hub.close()
        assert [text async for text in again] == []
        assert hub.listeners == 0

    asyncio.run(scenario())


def test_who_may_listen_no_longer_is_told_nothing_more() -> None:
    async def scenario() -> None:
        hub, may = Hub(), [True]
        hub.open()
        listening = hub.listen(None, lambda: may[0])
        assert (await message(listening))[1] == "hello"
        hub.publish([change(1)])
        assert (await message(listening))[2] == ["r1"]
        may[0] = False
        hub.publish([change(2)])
        assert [text async for text in listening] == []
        assert hub.listeners == 0

    asyncio.run(scenario())


def test_who_was_away_for_too_long_reads_everything_again(monkeypatch: Any) -> None:
    async def scenario() -> None:
        monkeypatch.setattr(stream, "KEPT", 3)
        hub, other = Hub(), Hub()
        hub._messages = type(hub._messages)(maxlen=3)
        hub.open()
        listening = hub.listen(None)
        start = (await message(listening))[0]
        for number in range(10):
            hub.publish([change(number)])
        await asyncio.sleep(0)
        assert (await message(listening))[1] == "reset"  # it did not read while they came
        for last in (start, f"{other._name}-1", "nonsense", f"{hub._name}-999999", f"{hub._name}-" + "9" * 40):
            one = hub.listen(last)
            assert (await message(one))[1] == "reset", last
            await one.aclose()  # type: ignore[attr-defined]
        await listening.aclose()  # type: ignore[attr-defined]

    asyncio.run(scenario())


def test_what_lines_change() -> None:
    def line(kind: str, body: dict[str, Any]) -> bytes:
        event = {"w": "a", "n": 0, "id": "i", "t": 1, "k": kind, "v": 1, "b": body, "c": "0"}
        return json.dumps(event, separators=(",", ":")).encode()

    lines = [
        line("task.started", {"run_id": "r"}),
        line("run.ended", {"run_id": "r"}),
        line("log.written", {"run_id": "r"}),
        line("materialization.ended", {"started": {"asset": {"name": "sales"}}}),
        line("asset.defined", {"asset": {"name": "sales"}}),
        line("backfill.asked", {"backfill_id": "b"}),
        line("writer.opened", {}),
        line("run.started", {}),
        b"damaged",
    ]
    assert [(one.kind, one.id, one.event) for one in changes(lines)] == [
        ("run", "r", "run.ended"),
        ("log", "r", "log.written"),
        ("asset", "sales", "asset.defined"),
        ("backfill", "b", "backfill.asked"),
    ]
    many = [line("run.started", {"run_id": str(number)}) for number in range(MOST + 1)]
    assert [one.kind for one in changes(many)] == ["everything"]


def test_who_asks_for_the_position_first_misses_nothing() -> None:
    async def scenario() -> None:
        hub = Hub()
        hub.open()
        position = hub.position
        hub.publish([change(1)])
        await asyncio.sleep(0)
        listening = hub.listen(position)
        assert (await message(listening))[1:] == ("change", ["r1"])
        assert hub.position != position
        await listening.aclose()  # type: ignore[attr-defined]

    asyncio.run(scenario())


def test_a_session_says_where_live_updates_stand(shop: Path) -> None:
    with serving(shop, "--insecure-local") as server:
        stands = json.load(urllib.request.urlopen(f"{server.url}/api/session", timeout=30))["events"]
        subprocess.run(
            [sys.executable, "-m", "headwater", "materialize", "sales", "-p", "2024-01-06"], cwd=shop, check=True
        )
        until(lambda: json.load(urllib.request.urlopen(f"{server.url}/api/session", timeout=30))["events"] != stands)
        with urllib.request.urlopen(f"{server.url}/api/events?after={stands}", timeout=30) as stream:
            assert stream.readline().decode().strip().startswith("id: ")
            assert stream.readline() == b"event: change\n"
