"""What the web pages ask: the search, the head of the board, an asset's columns and history, the answers of a check."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import cli_project
import pytest
from api_world import served
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from tried import tried_on

from headwater.api.finding import NameIndex
from headwater.cli import app as command_line


@pytest.fixture
def reader(looked_at: Path) -> Iterator[TestClient]:
    with served(looked_at, insecure=True) as (client, _):
        yield client


def test_search_finds_assets_columns_and_runs(reader: TestClient) -> None:
    run = reader.get("/api/runs").json()["runs"][0]
    found = reader.get("/api/search", params={"q": "SAL"}).json()
    assert [one["name"] for one in found["assets"]] == ["sales"]
    assert run["id"] in [one["id"] for one in found["runs"]]  # its flow is called "backfill sales"
    found = reader.get("/api/search", params={"q": "amount"}).json()
    assert (found["assets"], found["columns"]) == ([], [{"id": "sales.amount", "asset": "sales", "column": "amount"}])
    assert [one["id"] for one in reader.get("/api/search", params={"q": "sal.am"}).json()["columns"]] == [
        "sales.amount"
    ]
    (found,) = reader.get("/api/search", params={"q": run["id"]}).json()["runs"]
    assert {key: found[key] for key in ("flow", "state", "started")} == {
        key: run[key] for key in ("flow", "state", "started")
    }
    nothing = {"assets": [], "columns": [], "runs": []}
    assert reader.get("/api/search", params={"q": " "}).json() == nothing
    assert reader.get("/api/search", params={"q": "zzzz"}).json() == nothing


@given(st.lists(st.text(min_size=1, max_size=6), max_size=12), st.text(max_size=3), st.integers(1, 5))
@tried_on(20)
def test_an_index_finds_what_holds_the_text_the_best_first(names: list[str], text: str, limit: int) -> None:
    found = NameIndex(names).find(text, limit)

    def rank(name: str) -> int | None:
        folded, wanted = (one.casefold().replace("\0", " ") for one in (name, text))
        return 0 if folded == wanted else 1 if folded.startswith(wanted) else 2 if wanted in folded else None

    holding = [name for name in set(names) if rank(name) is not None] if text else []
    assert len(found) == len(set(found)) == min(limit, len(holding))
    assert set(found) <= set(holding)
    ranks = [rank(name) for name in found]
    assert ranks == sorted(rank(name) for name in holding)[:limit]


def test_the_overview_counts_what_is_meant(reader: TestClient) -> None:
    found = reader.get("/api/assets/overview").json()
    assert (found["assets"], found["stale"], found["failed"]) == (1, 1, 0)
    assert found["verdicts"] == {"late": 1, "unknown": 0, "warn": 0, "fresh": 0, "none": 0}
    assert found["groupings"] == ["owner", "kind", "tag:tier"]
    assert reader.get("/api/assets/overview", params={"q": "zz"}).json()["assets"] == 0
    at = reader.get("/api/assets/overview", params={"as_of": "2024-01-06T01:00:00Z"}).json()
    assert at["verdicts"]["fresh"] == 1
    assert reader.get("/api/assets/overview", params={"selection": "no such"}).status_code in (400, 404)


def test_a_group_comes_with_the_selection_that_means_it(reader: TestClient) -> None:
    for by, group in (
        ("owner", "team:ops"),
        ("kind", "parquet"),
        ("tag:tier", "gold"),
        ("tag:none", None),
        ("group", None),
    ):
        (found,) = reader.get("/api/assets/groups", params={"by": by}).json()["groups"]
        assert (found["group"], found["assets"], found["verdicts"]["late"]) == (group, 1, 1), by
        page = reader.get("/api/assets", params={"selection": found["selection"]}).json()
        assert [one["name"] for one in page["assets"]] == ["sales"], found["selection"]
    refused = reader.get("/api/assets/groups", params={"by": "colour"})
    assert (refused.status_code, refused.json()["hint"]) == (400, "group by owner, kind, group or tag:KEY")


def test_an_asset_tells_its_columns_and_its_policy(reader: TestClient) -> None:
    found = reader.get("/api/assets/detail", params={"name": "sales"}).json()
    assert [(one["name"], one["type"]) for one in found["columns"]][1:] == [("shop", "Int64"), ("amount", "Float64")]
    assert (found["policy"], found["max_lag"], found["consumers"]) == ("limit 26h", 93_600.0, [])
    assert not any(one["unknown"] for one in found["columns"])  # nothing was read that they could come from
    assert reader.get("/api/assets/detail", params={"name": "sale"}).status_code == 404


COUNTED = """
counted = Asset("counted", at="parquet://lake/counted")


@materialize(counted, inputs={"cities": shops})
def count(cities: pl.DataFrame) -> pl.DataFrame:
    return pl.DataFrame({"shops": [cities.height]})
"""


def test_a_column_of_unknown_origin_tells_why(shop: Path) -> None:
    with (shop / "shop.py").open("a") as file:
        file.write(COUNTED)
    with contextlib.chdir(shop), cli_project.as_in_a_new_process():
        assert command_line.run(["materialize", "counted", "--json"]) == 0
    with served(shop, insecure=True) as (client, _):
        (column,) = client.get("/api/assets/detail", params={"name": "counted"}).json()["columns"]
    assert (column["name"], column["unknown"][:14]) == ("shops", "an eager frame")


def test_history_comes_in_pages_with_durations(reader: TestClient) -> None:
    rows, cursor = [], None
    while True:
        given = {"name": "sales", "limit": "2", **({"cursor": cursor} if cursor else {})}
        page = reader.get("/api/assets/history", params=given).json()
        rows += page["attempts"]
        cursor = page["next"]
        if cursor is None:
            break
    assert {one["partition"] for one in rows} == {f"2024-01-0{day}" for day in range(1, 6)}
    assert len(rows) == 5
    assert all(one["state"] == "published" and one["rows"] == 2 and one["seconds"] > 0 for one in rows)
    assert [one["at"] for one in rows] == sorted((one["at"] for one in rows), reverse=True)
    only = {"name": "sales", "partition": "2024-01-03"}
    assert [one["partition"] for one in reader.get("/api/assets/history", params=only).json()["attempts"]] == [
        "2024-01-03"
    ]
    assert reader.get("/api/assets/history", params={"name": "sales", "state": "failed"}).json()["attempts"] == []
    assert reader.get("/api/assets/history", params={"name": "sales", "cursor": "WyJhIiwgMl0"}).json()["attempts"] == []


def test_a_check_tells_its_answers(reader: TestClient) -> None:
    found = reader.get("/api/checks/answers", params={"asset": "sales", "name": "some_sales", "limit": 3}).json()
    assert len(found["answers"]) == 3
    assert all(one["passed"] for one in found["answers"])


def test_a_mistyped_address_is_a_page_for_a_browser_and_a_problem_for_a_script(reader: TestClient) -> None:
    browser = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    for path in ("/asets", "/apiary"):
        page = reader.get(path, headers=browser)
        assert (page.status_code, page.headers["content-type"]) == (404, "text/html; charset=utf-8")
        assert page.content == reader.get("/", headers=browser).content
    for path, headers in (("/asets", {}), ("/api/asets", browser), ("/api", browser)):
        problem = reader.get(path, headers=headers)
        assert (problem.status_code, problem.headers["content-type"]) == (404, "application/problem+json"), path


def test_who_asks_for_the_head_is_answered_without_the_body(reader: TestClient) -> None:
    for path in ("/api/health", "/api/runs", "/metrics", "/", "/api/openapi.json"):
        whole, head = reader.get(path), reader.head(path)
        assert (head.status_code, head.content) == (200, b""), path
        assert head.headers["content-type"] == whole.headers["content-type"]
    assert reader.head("/api/runs/nothing-like-it").status_code == reader.get("/api/runs/nothing-like-it").status_code
