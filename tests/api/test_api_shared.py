"""What many ask for at once is worked out once, and nobody gets what was before something came."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import many_assets
import pytest
from api_world import served, until
from fastapi import Response

from headwater import failpoints, settings
from headwater.api import board, kept, shared
from headwater.api.problems import ApiError
from headwater.api.shared import Answers
from headwater.core import runtime
from headwater.lineage import ingest
from headwater.project import ServingProject
from headwater.testing import project


class World:
    """What has come, and answers that take until somebody lets them go."""

    def __init__(self) -> None:
        self.version = 1
        self.keeps_coming = False
        """Whether something comes while an answer is made."""
        self.made = 0
        self.answers = Answers(lambda: self.version)
        self.go = asyncio.Event()

    async def make(self) -> Response:
        self.made += 1
        found = f"{self.version}"
        await self.go.wait()
        self.version += self.keeps_coming
        return Response(found, headers={"x-made": str(self.made)})

    async def ask(self, asked: str = "/api/runs?") -> tuple[bytes, str]:
        answer = await self.answers.get(asked, self.make)
        return bytes(answer.body), answer.headers["x-made"]


def test_those_who_ask_at_the_same_time_share_an_answer() -> None:
    async def scenario() -> None:
        world = World()
        asking = [asyncio.create_task(world.ask()) for _ in range(5)]
        await asyncio.sleep(0)
        world.go.set()
        assert await asyncio.gather(*asking) == [(b"1", "1")] * 5
        assert await world.ask("/api/runs?limit=1") == (b"1", "2")

    asyncio.run(scenario())


def test_who_asks_after_something_has_come_gets_no_answer_from_before() -> None:
    async def scenario() -> None:
        world = World()
        early = asyncio.create_task(world.ask())
        await asyncio.sleep(0)
        world.version = 2
        late = asyncio.create_task(world.ask())
        await asyncio.sleep(0)
        world.go.set()
        assert (await early, await late) == ((b"1", "1"), (b"2", "2"))

    asyncio.run(scenario())


def test_of_many_who_wait_while_things_keep_coming_only_the_first_works_it_out() -> None:
    async def scenario() -> None:
        world = World()
        world.keeps_coming = True
        early = asyncio.create_task(world.ask())
        await asyncio.sleep(0)
        late = [asyncio.create_task(world.ask()) for _ in range(5)]
        await asyncio.sleep(0)
        world.go.set()
        assert await early == (b"1", "1")
        # What was begun after they asked is new enough for all five.
        assert await asyncio.gather(*late) == [(b"2", "2")] * 5
        assert await world.ask() == (b"3", "3")

    asyncio.run(scenario())


def test_answers_are_kept_for_a_moment_and_no_more_of_them_than_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0

    async def scenario() -> None:
        nonlocal now
        world = World()
        world.go.set()
        for at, made in ((0, 1), (1_000_000, 1), (1_000_001, 2)):
            now = at
            assert await world.ask() == (b"1", str(made))
        monkeypatch.setattr(shared, "MOST_BYTES", 20)
        await world.ask("another that is long")
        assert (await world.ask())[1] == "4"

    monkeypatch.setattr(shared.clock, "steady_us", lambda: now)
    asyncio.run(scenario())


def test_errors_are_nobody_elses() -> None:
    async def scenario() -> None:
        world = World()

        async def refuse() -> Response:
            raise ApiError(404, "unknown_name", "there is no such run")

        with pytest.raises(ApiError):
            await world.answers.get("/api/runs?", refuse)
        world.go.set()
        assert await world.ask() == (b"1", "1")

    asyncio.run(scenario())


def test_who_looks_while_a_server_reads_the_journal_never_finds_half_of_it(shop: Path) -> None:
    with runtime.use(None):
        live = ServingProject(settings.load(shop)).projection
        with project(shop) as writing:
            live.refresh()
            before = _looked(live)
            many_assets.define(3, days=1, width=1)
            with writing.recorded():
                pass
            definitions = writing.definitions.all()
            writing.journal.append(
                *many_assets.outcomes(definitions, [name for name in definitions if name != "sales"])
            )
            seen: dict[str, tuple[object, ...]] = {}
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(ingest.failpoints, "reach", _looking(seen, lambda: _looked(live)))
                live.refresh()
        after = _looked(live)
        live.close()
    # Neither what is in the tables already nor what limits the one who reads is anything to others.
    assert {seen[name] for name in ("projection.begin", "projection.inserted", "projection.commit")} == {before}
    assert seen["projection.committed"] == after
    assert after[0] == 0
    assert after[1] > before[1]


def _looked(live: object) -> tuple[object, ...]:
    sql = """SELECT (SELECT count(*) FROM state.pending), (SELECT count(*) FROM state.policies),
                    current_setting('memory_limit'), current_setting('threads')"""
    with live.session() as session:  # type: ignore[attr-defined]
        (found,) = session.rows(sql)
    return tuple(found)


def _looking(seen: dict[str, tuple[object, ...]], look: Callable[[], tuple[object, ...]]) -> Callable[[str], None]:
    reach = failpoints.reach

    def looking(name: str) -> None:
        seen[name] = look()
        reach(name)

    return looking


def test_a_board_of_very_many_says_how_far_behind_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(board, "LARGE", 0)
    with project(tmp_path) as writing:
        many_assets.define(3, days=1, width=1)
        with writing.recorded():
            pass
        with served(tmp_path, insecure=True) as (client, app):
            assert until(lambda: client.get("/api/ready").status_code == 200)
            monkeypatch.setattr(kept, "PATIENCE", 10**9)
            version = app.state.service.project.projection.version
            definitions = writing.definitions.all()
            writing.journal.append(*many_assets.outcomes(definitions, list(definitions)))
            assert until(lambda: app.state.service.project.projection.version > version)
            first = next(iter(definitions))
            came = client.get(f"/api/assets/history?name={first}").json()["attempts"][0]["at"]
            for path in ("/api/assets", "/api/assets/overview", f"/api/assets/one?name={first}", "/api/assets/summary"):
                assert client.get(path).json()["judged_as_of"] < came, path
            monkeypatch.setattr(kept, "PATIENCE", 0)
            assert until(lambda: client.get("/api/assets/overview").json()["judged_as_of"] > came)
            assert until(lambda: client.get("/api/assets").json()["assets"][0]["last_materialized"])
