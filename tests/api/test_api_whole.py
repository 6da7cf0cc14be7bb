"""Of very many assets all are judged together: what pages say of one is what they say when it is judged by itself."""

import base64
import contextlib
import json
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import many_assets
import pytest
from api_world import served, until
from fastapi.testclient import TestClient
from lineage_world import defined, made

from headwater import DailyPartitions, clock
from headwater.api import board, kept
from headwater.api.partition_grids import Grids
from headwater.api.whole import Whole
from headwater.assets.definitions import AssetDefinition
from headwater.assets.events import AssetRef
from headwater.assets.facts import AssetFacts, Facts, Made
from headwater.testing import project

NOW, THEN = "2024-03-01T00:00:00Z", "2023-01-02T12:00:00Z"
WIDTH = 4
LAST = "a10"
PATHS = (
    [f"/api/assets{rest}" for rest in ("", "?stale=true", "?limit=3", "/overview", "/groups?by=kind")]
    + [f"/api/assets/one?name={LAST}", f"/api/explain?subject={LAST}", f"/api/explain?subject={LAST}@2023-01-02"]
    + ["/api/freshness", "/api/staleness"]
)
ASKED = [f"{path}{'&' if '?' in path else '?'}as_of={at}" for path in PATHS for at in (THEN, NOW)] + [
    f"/api/partitions?asset={LAST}",
    f"/api/partitions/one?asset={LAST}&partition=2023-01-02",
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project of three layers of assets, the last ones never made, and one that was made again behind the others."""
    with project(tmp_path) as found:
        many_assets.define(3 * WIDTH, days=3, width=WIDTH)
        with found.recorded():
            pass
        definitions = found.definitions.all()
        names = list(definitions)
        for some in (names[:WIDTH], names[WIDTH : 3 * WIDTH - 1], names[:1]):
            found.journal.append(*many_assets.outcomes(definitions, some))
    return tmp_path


def answers(client: TestClient) -> dict[str, Any]:
    """What is said of each of these."""
    assert until(lambda: client.get("/api/ready").status_code == 200)
    found = {path: client.get(path) for path in ASKED}
    assert {path: one.text for path, one in found.items() if one.status_code != 200} == {}
    # When it was judged differs, of course.
    return {
        path: {name: told for name, told in one.json().items() if name != "judged_as_of"} for path, one in found.items()
    }


@pytest.mark.parametrize("limit", ["LARGE", "LONG"])
def test_an_asset_of_very_many_is_judged_as_it_is_alone(
    folder: Path, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    whole: list[Facts] = []
    monkeypatch.setattr(board, "Whole", lambda facts, at: whole.append(facts) or Whole(facts, at))
    with served(folder, insecure=True) as (client, _):
        alone = answers(client)
    assert not whole
    monkeypatch.setattr(board, limit, 0)
    with served(folder, insecure=True) as (client, _):
        assert answers(client) == alone
    assert whole


@pytest.mark.parametrize("large", [0, board.LARGE])
def test_the_pages_of_the_board_hold_each_asset_once(folder: Path, monkeypatch: pytest.MonkeyPatch, large: int) -> None:
    monkeypatch.setattr(board, "LARGE", large)
    with served(folder, insecure=True) as (client, _):
        whole = [one["name"] for one in client.get("/api/assets").json()["assets"]]
        names, asked = [], {"limit": "5"}
        while asked.get("cursor", "") is not None:
            page = client.get("/api/assets", params=asked).json()
            names += [one["name"] for one in page["assets"]]
            asked = {"limit": "5", "cursor": page["next"]}
        assert names == whole
        assert len(set(names)) == len(names) == 3 * WIDTH


@pytest.mark.parametrize("members", [["late", "sales"], [0, 1], ["sales", 0]])
def test_a_cursor_of_another_list_is_refused(looked_at: Path, members: list[object]) -> None:
    cursor = base64.urlsafe_b64encode(json.dumps(members).encode()).decode().rstrip("=")
    with served(looked_at, insecure=True) as (client, _):
        assert client.get("/api/assets", params={"cursor": cursor}).status_code == 400


def test_who_asks_each_hour_hears_how_very_many_assets_stand_now(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(board, "LARGE", 0)
    with served(folder, insecure=True) as (client, _):
        assert until(lambda: client.get("/api/ready").status_code == 200)
        later = clock.now_us() + 3_600_000_000
        now_us, machine_us = clock.now_us, clock.machine_us
        monkeypatch.setattr(clock, "now_us", lambda: now_us() + 3_600_000_000)
        monkeypatch.setattr(clock, "machine_us", lambda: machine_us() + 3_600_000_000)
        found = client.get("/api/assets/summary").json()
        assert datetime.fromisoformat(found["judged_as_of"]) >= clock.from_us(later)


class Following:
    """A projection that takes something in whenever it is told to, and a catalog of one asset that is made or is not."""

    def __init__(self, *, made: bool) -> None:
        self.version, self.made = 0, made
        ref = AssetRef(name="a", uri="memory://a", kind="memory", namespace="memory", dataset="a")
        self._defined = {"a": AssetDefinition(ref=ref, partitions=DailyPartitions("2023-01-01"), code_version="1")}

    def session(self) -> Any:
        return contextlib.nullcontext(self)

    def rows(self, _: str, of: object = None) -> list[tuple[Any, ...]]:
        return [(self.version,)] if of is None else []

    def definitions(self) -> dict[str, AssetDefinition]:
        return dict(self._defined)

    def facts(self) -> Facts:
        made = Made(partition="2023-01-01", version=str(self.version), at=1, started=1, run_id="r")
        return Facts(
            definitions=self._defined, assets={"a": AssetFacts(made={"2023-01-01": made})} if self.made else {}
        )


def test_what_is_stale_at_another_moment_is_told_of_what_is_known_now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(board, "LARGE", 0)
    monkeypatch.setattr(kept, "PATIENCE", 0)
    followed = Following(made=True)
    asked: Any = board.Board(followed, followed)  # type: ignore[arg-type]
    asked.definitions()
    for _ in range(40):
        stale = asked.staleness(clock.to_us(datetime(2023, 1, 2, 12, tzinfo=UTC)))
        assert (len(stale["a"].stale) == 0) == followed.made
        # Twice, so that what is known then stands where the first of the three stood.
        followed.made = not followed.made
        for _ in range(2):
            followed.version += 1
            asked.staleness()
            asked.renew()


def test_states_of_partitions_are_those_of_the_server_that_is_asked() -> None:
    for is_made in (True, True, False, False) * 10:
        followed = Following(made=is_made)
        facts = followed.facts()
        service = SimpleNamespace(project=SimpleNamespace(projection=followed), board=SimpleNamespace())
        service.board.known = lambda _, facts=facts: (facts, None)
        states = Grids(service).states("a")  # type: ignore[arg-type]
        assert ("2023-01-01" in states.sets["missing"]) == (not is_made)


@pytest.mark.parametrize("large", [0, board.LARGE])
def test_what_was_renamed_and_moved_is_one_asset_for_selections_and_searches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, large: int
) -> None:
    monkeypatch.setattr(board, "LARGE", large)
    with project(tmp_path) as found:
        for name in ("bad", "mended"):
            then = f"{name} then"
            found.journal.append(
                defined(then),
                made(then, None, f"{name} 1", columns={"fare": ()}),
                made(then, None, f"{name} 2", state="failed"),
                defined(name, place="/2", renamed_from=then),
            )
        found.journal.append(made("mended", None, "mended 3", place="/2"))
    with served(tmp_path, insecure=True) as (client, _):
        assert until(lambda: client.get("/api/ready").status_code == 200)
        chosen = client.get("/api/assets", params={"selection": "failed()"}).json()
        assert [one["name"] for one in chosen["assets"]] == ["bad"]
        searched = client.get("/api/search", params={"q": "bad"}).json()
        assert [one["name"] for one in searched["assets"]] == ["bad"]
        assert {one["id"] for one in client.get("/api/search", params={"q": "fare"}).json()["columns"]} == {
            "bad.fare",
            "mended.fare",
        }
