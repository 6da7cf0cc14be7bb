"""The documents that `--json` prints: the members that others rely on, with their types, and text for people without it."""

import contextlib
import io
import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
from cli_project import Cli, as_in_a_new_process, write_shop

from headwater.cli.app import run

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
MAYBE_NUMBER = (int, float, type(None))


def is_time(value: Any, *, absent: bool = False) -> bool:
    return (absent and value is None) or (isinstance(value, str) and TIME.fullmatch(value) is not None)


HISTORY = (
    ("materialize", "+daily", "-p", "2024-01-01..2024-01-03"),
    ("materialize", "totals"),
    ("run", "shop.py:report", "-p", "day=2024-01-05"),
    ("status",),
)
"""Three days and the totals were made, and a flow ran."""


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with that history, made once: for tests that only read."""
    folder = tmp_path_factory.mktemp("history")
    write_shop(folder)
    with contextlib.chdir(folder), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        for command in HISTORY:
            with as_in_a_new_process():
                assert run(list(command)) == 0
    return folder


@pytest.fixture
def made(cli: Cli, history: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """The command line in a project with that history; only for reading."""
    monkeypatch.chdir(history)
    return cli


@pytest.fixture
def remade(cli: Cli, shop: Path) -> Cli:
    """The command line in a project with that history, to do with as one likes."""
    for command in HISTORY:
        assert cli(*command).code == 0
    return cli


def test_status(made: Cli) -> None:
    value = made("status", "--json").json
    assert is_time(value["as_of"])
    assert {row["name"] for row in value["assets"]} == {"shops", "sales", "daily", "totals"}
    for row in value["assets"]:
        check_head(row)
        check_freshness(row)
        assert set(row["stale"]) >= {"is_stale", "partitions", "reasons"}
        for reason in row["stale"]["reasons"]:
            check_reason(reason)
    sales = next(row for row in value["assets"] if row["name"] == "sales")
    assert sales["partitions"] == {"total": 31, "materialized": 3, "failed": 0, "missing": 28}
    assert (sales["rows"], sales["kind"], sales["location"]) == (6, "parquet", "parquet://lake/sales")
    assert (sales["owners"], sales["tags"]) == (["team:ops"], {"tier": "gold"})
    assert sales["data_through"] == "2024-01-03T12:00:00.000000Z"
    assert sales["basis"] == "measured"


def check_head(row: dict[str, Any]) -> None:
    assert all(isinstance(row[name], str) for name in ("name", "kind", "location", "namespace", "dataset"))
    assert isinstance(row["owners"], list)
    assert isinstance(row["tags"], dict)
    assert isinstance(row["rows"], (int, type(None)))
    if row["partitions"] is not None:
        assert set(row["partitions"]) >= {"total", "materialized", "failed", "missing"}


def check_freshness(row: dict[str, Any]) -> None:
    for name in ("last_run", "last_materialized", "data_through", "complete_through"):
        assert is_time(row[name], absent=True), (name, row[name])
    assert isinstance(row["basis"], (str, type(None)))
    found = row["freshness"]
    assert set(found) >= {"verdict", "clock", "lag", "next_change", "witness", "reason"}
    assert found["verdict"] in ("fresh", "warn", "late", "unknown", "none")
    assert isinstance(found["lag"], MAYBE_NUMBER)
    assert is_time(found["next_change"], absent=True)
    assert all(isinstance(name, str) for name in found["witness"])
    assert isinstance(found["reason"], str)


def check_reason(reason: dict[str, Any]) -> None:
    assert set(reason) >= {"kind", "text", "because"}
    assert isinstance(reason["kind"], str)
    assert reason["text"]
    for one in reason["because"]:
        check_reason(one)


def test_status_of_a_selection(made: Cli) -> None:
    def names(selection: str) -> set[str]:
        return {row["name"] for row in made("status", selection, "--json").json["assets"]}

    assert names("+totals") == {"shops", "sales", "daily", "totals"}
    assert names("sales+1") == {"sales", "daily"}
    assert names("tag:tier=gold or kind:csv") == {"sales", "shops"}
    assert names("owner:team:ops") == {"sales"}
    assert names("stale()") == {"sales", "daily"}
    assert names("not (stale() or totals)") == {"shops"}


def test_status_counts_what_the_board_shows(made: Cli) -> None:
    at = ("--as-of", "2024-01-09")
    rows = made("status", *at, "--json").json["assets"]
    counted = made("status", "--count", *at, "--json").json
    told = [row["freshness"]["verdict"] for row in rows]
    assert counted["as_of"] == "2024-01-09T00:00:00.000000Z"
    assert {verdict: count for verdict, count in counted["verdicts"].items() if count} == {
        verdict: told.count(verdict) for verdict in told
    }
    assert (counted["assets"], counted["stale"]) == (len(rows), sum(row["stale"]["is_stale"] for row in rows))
    assert made("status", "stale()", "--count", *at, "--json").json["assets"] == counted["stale"]
    assert f"{len(rows)} assets: " in made("status", "--count", *at).out


def test_status_as_of_another_time(made: Cli) -> None:
    early = made("status", "--as-of", "2024-01-04", "--json").json
    late = made("status", "--as-of", "2024-01-04T15:00+01:00", "--json").json
    assert early["as_of"] == "2024-01-04T00:00:00.000000Z"
    assert late["as_of"] == "2024-01-04T14:00:00.000000Z"
    verdicts = [{row["name"]: row["freshness"]["verdict"] for row in value["assets"]} for value in (early, late)]
    assert [(one["sales"], one["totals"]) for one in verdicts] == [("fresh", "fresh"), ("fresh", "warn")]
    done = made("status", "--as-of", "tomorrow", "--json")
    assert (done.code, done.json["error"]["where"]) == (2, "--as-of")


@pytest.mark.parametrize("at", ["0001-01-01T00:00+14:00", "9999-12-31T23:59-14:00"])
def test_a_time_that_utc_can_not_write_is_refused(made: Cli, at: str) -> None:
    done = made("status", "--as-of", at, "--json")
    assert (done.code, done.json["error"]["kind"], done.json["error"]["where"]) == (2, "usage", "--as-of")


def test_freshness_prints_the_same_objects_without_the_rest(made: Cli) -> None:
    at = ("--as-of", "2024-01-09", "--json")
    board = {row["name"]: row for row in made("status", *at).json["assets"]}
    for row in made("freshness", *at).json["assets"]:
        check_freshness(row)
        assert row == {name: board[row["name"]][name] for name in row}


def test_freshness_fails_on_the_verdict_that_was_named(made: Cli) -> None:
    at = ("--as-of", "2024-01-09")
    assert made("freshness", *at).code == 0
    done = made("freshness", *at, "--fail-on", "late", "--json")
    assert done.code == 3
    assert {row["name"] for row in done.json["assets"]} == {"shops", "sales", "daily", "totals"}
    assert "sales" in done.err
    assert made("freshness", *at, "--fail-on", "warn").code == 0
    assert made("freshness", "shops", *at, "--fail-on", "late").code == 0
    assert made("freshness", *at, "--fail-on", "never").code == 2


@pytest.mark.parametrize("subject", ["totals", "daily", "daily@2024-01-02", "daily@2024-01-20", "shops"])
def test_explain(made: Cli, subject: str) -> None:
    value = made("explain", subject, "--json").json
    assert value["subject"] == subject
    assert isinstance(value["verdict"], str)
    check_reason(value["reason"])
    text = made("explain", subject).out
    assert text.splitlines()[0] == value["reason"]["text"]
    assert len(text.splitlines()) == count(value["reason"])


def count(reason: dict[str, Any]) -> int:
    return 1 + sum(map(count, reason["because"]))


def test_explain_of_what_is_not_there(made: Cli) -> None:
    assert made("explain", "dialy", "--json").json["error"]["hint"] == "did you mean 'daily'?"
    assert made("explain", "daily@2025-01-01").code == 2
    assert made("explain", "totals@2024-01-01").code == 2


def test_lineage(made: Cli) -> None:
    value = made("lineage", "daily", "--json").json
    assert value["root"] == "daily"
    assert {node["id"]: node["kind"] for node in value["nodes"]} == dict.fromkeys(
        ("shops", "sales", "daily", "totals"), "asset"
    )
    assert {(edge["from"], edge["to"]) for edge in value["edges"]} == {
        ("sales", "daily"),
        ("shops", "daily"),
        ("daily", "totals"),
    }
    for edge in value["edges"]:
        assert edge["origin"] == "observed"
        assert edge["runs"] == 1
        assert is_time(edge["last_seen"])


HIDDEN = """
import polars as pl
from headwater import Asset, materialize

raw = Asset("raw", at="parquet://lake/raw")


@materialize(raw)
def fetch():
    return {"a": [1], "b": [2]}


@materialize(Asset("landed", at="parquet://lake/landed"))
def land():
    return pl.DataFrame({"a": [1]})


@materialize(Asset("part", at="parquet://lake/part"), inputs={"rows": raw})
def lazily(rows: pl.LazyFrame):
    hidden = pl.col("b").map_elements(abs, return_dtype=pl.Int64)
    return rows.select("a", z=hidden, **{"d.z": hidden})


@materialize(Asset("whole", at="parquet://lake/whole"), inputs={"rows": raw})
def eagerly(rows: pl.DataFrame):
    return rows.with_columns(x=1)
"""


def test_columns_of_unknown_origin_are_told_as_such_and_not_as_made_of_nothing(cli: Cli, folder: Path) -> None:
    (folder / "hidden.py").write_text(HIDDEN)
    assert cli("materialize", "*", "-f", "hidden.py").code == 0

    def told(*arguments: str) -> list[str]:
        lines = cli("lineage", *arguments).out.splitlines()
        found = [line for line in lines if "← unknown: " in line]
        unknown = cli("lineage", *arguments, "--json").json.get("unknown", [])  # only where columns are
        assert [line.rpartition(": ")[2] for line in found] == [row["reason"].rpartition(": ")[2] for row in unknown]
        return [line.partition(" ←")[0] for line in found]

    assert told("part", "--columns") == ['part."d.z"', "part.z"]
    assert told("part.z") == ["part.z"]
    assert told('part."d.z"') == ['part."d.z"']
    assert told("whole", "--columns") == told("whole.x", "--up") == ["whole"]
    assert told("part.a") == told("raw.a") == told("part") == told("raw", "--columns", "--down") == []
    assert sorted(told("raw", "--columns")) == ['part."d.z"', "part.z", "whole"]
    # It reads nothing that a column could come from.
    assert told("landed", "--columns") == []


def test_lineage_in_one_direction_and_to_a_depth(made: Cli) -> None:
    def ends(*options: str) -> set[tuple[str, str]]:
        edges = made("lineage", "totals", *options, "--json").json["edges"]
        return {(edge["from"], edge["to"]) for edge in edges}

    assert ends("--down") == set()
    assert ends("--up", "--depth", "1") == {("daily", "totals")}
    assert ends("--up") == {("sales", "daily"), ("shops", "daily"), ("daily", "totals")}


def test_lineage_of_columns(made: Cli) -> None:
    value = made("lineage", "totals.total", "--up", "--json").json
    assert value["root"] == "totals.total"
    columns = {node["id"]: node for node in value["nodes"] if node["kind"] == "column"}
    assert {"totals.total", "daily.total", "sales.amount"} <= columns.keys()
    assert all(node["asset"] == name.split(".")[0] for name, node in columns.items())
    direct = {(edge["from"], edge["to"], edge["subtype"]) for edge in value["edges"] if edge["type"] == "DIRECT"}
    assert ("daily.total", "totals.total", "AGGREGATION") in direct
    assert ("sales.amount", "daily.total", "AGGREGATION") in direct
    text = made("lineage", "totals", "--up", "--columns").out
    assert "totals.total ← daily.total (aggregation)" in text.splitlines()
    assert text.startswith("totals\n└── daily\n    ├── sales\n    └── shops\n")


def test_lineage_as_of_a_time(made: Cli) -> None:
    now = made("lineage", "daily", "--columns", "--json").json
    then = made("lineage", "daily", "--columns", "--as-of", "2100-01-01", "--json").json
    ends = {(edge["from"], edge["to"], edge.get("subtype")) for edge in now["edges"]}
    assert {(edge["from"], edge["to"], edge.get("subtype")) for edge in then["edges"]} == ends
    assert made("lineage", "daily", "--as-of", "2000-01-01", "--json").json["error"]["kind"] == "unknown_name"


def test_lineage_impact(made: Cli) -> None:
    value = made("lineage", "impact", "sales.amount", "--json").json
    assert (value["subject"], value["change"]) == ("sales.amount", "drop")
    effects = {one["id"]: one["effect"] for one in value["columns"]}
    assert effects["daily.total"] == "breaks"
    assert effects["totals.total"] == "affected"
    assert value["stale"] == ["daily", "totals"]
    assert "stale then: daily, totals" in made("lineage", "impact", "sales", "--change", "rename").out
    assert made("lineage", "impact", "sales.amuont").code == 2
    assert "reaches 1 column of 1 asset\n" in made("lineage", "impact", "daily.total").out


def test_lineage_path(made: Cli) -> None:
    assert made("lineage", "path", "sales", "totals").out == "sales → daily → totals\n"
    assert made("lineage", "path", "sales", "totals", "--json").json["path"] == ["sales", "daily", "totals"]
    back = made("lineage", "path", "totals", "sales", "--json")
    assert (back.code, back.json["path"]) == (1, None)


def test_lineage_diff(made: Cli) -> None:
    value = made("lineage", "diff", "2000-01-01", "2100-01-01", "--json").json
    assert {"sales", "daily", "totals"} <= {node["id"] for node in value["nodes"]["added"]}
    assert ("daily", "totals") in {(edge["from"], edge["to"]) for edge in value["edges"]["added"]}
    assert value["edges"]["removed"] == []
    assert made("lineage", "diff", "2100-01-01", "2100-01-01").out == "nothing differs\n"
    assert made("lineage", "diff", "2000-01-01", "now", "--json").json == {**value, "after": "now"}
    assert made("status", "--as-of", "now").code == 0
    assert made("lineage", "diff", "nobody", "2100-01-01").code == 2


def test_tags(made: Cli) -> None:
    assert made("tags").out == "no column carries a tag\n"
    assert made("tags", "--tag", "pii").out == "no column carries the tag 'pii'\n"
    assert made("tags", "daily", "--since", "2000-01-01", "--json").json["gained"] == []
    assert made("tags", "stale()").out == "no column carries a tag\n"


PEOPLE = """
import polars as pl
from typing import Annotated
from headwater import Asset, materialize

people = Asset("people", at="parquet://lake/people", column_tags={"mail": ["pii"]})
hashed = Asset("hashed.people", at="parquet://lake/hashed", masks={"key": ["pii"]})


@materialize(people)
def read() -> pl.DataFrame:
    return pl.DataFrame({"mail": ["a@example.org"]})


@materialize(hashed)
def hash_them(people: Annotated[pl.LazyFrame, people]) -> pl.LazyFrame:
    return people.select(key=pl.col("mail").hash())
"""


def test_tags_of_some_assets_tell_where_their_columns_mask_one(cli: Cli, folder: Path) -> None:
    (folder / "people.py").write_text(PEOPLE)
    assert cli("materialize", "*", "-f", "people.py").code == 0
    masked = [{"id": '"hashed.people".key', "tag": "pii", "from": "people.mail"}]
    for selection, expected in (("*", masked), ("hashed.people", masked), ("people", [])):
        assert cli("tags", selection, "--json").json["masked"] == expected
    assert cli("tags", "hashed.people", "--tag", "other", "--json").json["masked"] == []


def test_lineage_in_other_forms(made: Cli) -> None:
    assert made("lineage", "daily", "--format", "mermaid").out.startswith("flowchart LR\n")
    assert made("lineage", "daily", "--format", "dot").out.startswith("digraph lineage {\n")
    assert made("lineage", "daily", "--format", "json").json == made("lineage", "daily", "--json").json
    rows = made("lineage", "daily", "--format", "table").out.splitlines()
    assert rows[0].split()[:3] == ["from", "to", "origin"]
    assert len(rows) == 4
    assert made("lineage", "daily").out == "daily\n├── sales\n└── shops\n\nused by:\ndaily\n└── totals\n"
    assert made("lineage", "daily", "--format", "svg").out.startswith("<svg xmlns=")
    assert len(made("lineage", "*", "--format", "table").out.splitlines()) == 4
    assert made("lineage", "daily", "--format", "png").code == 2
    assert made("lineage", "dialy").code == 2


def test_lineage_as_of_a_time_before_an_asset_was_known_says_so(made: Cli) -> None:
    error = made("lineage", "daily", "--as-of", "2001-01-01", "--json").json["error"]
    assert (error["message"], error["where"]) == ("there is no asset or column 'daily'", "what was known then")
    assert error["hint"] == "nothing was known then: give a later time"
    assert (
        made("lineage", "dialy", "--as-of", "2100-01-01", "--json")
        .json["error"]["hint"]
        .startswith("did you mean 'daily'")
    )


def test_lineage_before_anything_ran_is_what_is_declared(cli: Cli, shop: Path) -> None:
    value = cli("lineage", "daily", "--json").json
    assert {(edge["from"], edge["to"], edge["origin"]) for edge in value["edges"]} == {
        ("sales", "daily", "declared"),
        ("shops", "daily", "declared"),
        ("daily", "totals", "declared"),
    }


def test_drift(made: Cli) -> None:
    assert made("lineage", "--drift", "--json").json == {"declared_only": [], "observed_only": [], "unknown": []}
    assert made("lineage", "--drift").out == "no drift: what was declared is what was observed\n"


def test_lineage_of_no_asset_is_the_drift_and_says_so(made: Cli) -> None:
    assert made("lineage").out == made("lineage", "--drift").out
    assert "Without one it is --drift that is shown." in " ".join(
        made("lineage", "--help").out.replace("│", "").split()
    )
    for wrong in (["--up"], ["--depth", "0"], ["--format", "svg"], ["--columns", "--drift"], ["--as-of", "2024-01-01"]):
        done = made("lineage", *wrong)
        assert (done.code, done.out) == (2, "")
        assert done.err.startswith(f"error: {wrong[0]} ")
        assert "name an asset; '*' is everything" in done.err
    done = made("lineage", "daily", "--drift")
    assert (done.code, "--drift is of all assets, and 'daily' is one" in done.err) == (2, True)


def test_runs(made: Cli) -> None:
    rows = made("runs", "--json").json["runs"]
    assert [row["flow"] for row in rows] == ["report", "materialize totals", "materialize +daily"]
    for row in rows:
        assert set(row) >= {"id", "flow", "state", "started", "ended", "duration", "tasks"}
        assert row["state"] == "Completed"
        assert is_time(row["started"])
        assert is_time(row["ended"])
        span = datetime.fromisoformat(row["ended"]) - datetime.fromisoformat(row["started"])
        assert row["duration"] == pytest.approx(span.total_seconds())
        assert "error" not in row
    assert [row["tasks"] for row in rows] == [{"Completed": 1}, {"Completed": 1}, {"Completed": 6}]
    assert [row["flow"] for row in made("runs", "--limit", "1", "--json").json["runs"]] == ["report"]
    done = made("runs", "--flow", "nothing", "--json")
    assert (done.code, done.json["error"]["kind"]) == (2, "unknown_name")
    assert made("runs").out.splitlines()[1].split()[1:4] == ["report", "●", "Completed"]


def test_logs(made: Cli) -> None:
    run = made("runs", "--flow", "report", "--json").json["runs"][0]["id"]
    value = made("logs", run, "--json").json
    assert [(row["logger"], row["message"]) for row in value["logs"]] == [
        ("print", "a line of the user's own"),
        ("headwater.run", "doubling 1"),
    ]
    line = made("logs", run).out
    assert line.endswith("doubling 1\n")
    assert "INFO" in line
    assert made("logs", "no-such-run", "--json").json["error"]["kind"] == "unknown_name"
    silent = made("runs", "--flow", "materialize totals", "--json").json["runs"][0]["id"]
    assert made("logs", silent).out == "it logged nothing\n"
    assert made("logs", run, "--level", "ERROR").out == "it logged nothing of this level\n"


def test_backfills(remade: Cli) -> None:
    done = remade("backfill", "sales", "--from", "2024-01-01", "--to", "2024-01-02", "--json").json
    listed = remade("backfill", "list", "--json").json["backfills"][0]
    shown = remade("backfill", "show", done["id"], "--json").json
    planned = remade("backfill", "sales", "--from", "2024-01-01", "--to", "2024-01-02", "--dry-run", "--json").json
    counts = {"requested", "completed", "failed", "running", "skipped", "blocked"}
    for value in (done, listed, shown, planned):
        assert set(value) >= {"id", "state", "assets", "range", "partitions"}
        assert set(value["partitions"]) >= counts
        assert (value["assets"], value["range"]) == (["sales"], "2024-01-01..2024-01-02")
    assert [value["state"] for value in (done, listed, shown, planned)] == [*["completed"] * 3, "planned"]
    assert remade("backfill", "list").out.splitlines()[1].startswith(done["id"])
    assert remade("backfill", "show", done["id"][:24], "--json").json == shown
    assert remade("backfill", "show", done["id"]).out.startswith(f"{done['id']}  completed\n")


def test_openlineage(remade: Cli, shop: Path) -> None:
    first = remade("openlineage", "export", "--to", "events.ndjson", "--json").json
    assert first["destinations"][0]["destination"] == str(shop / "events.ndjson")
    lines = (shop / "events.ndjson").read_text().splitlines()
    assert first["exported"] == len(lines) > 0
    assert {json.loads(line)["eventType"] for line in lines} == {"START", "COMPLETE"}
    assert remade("openlineage", "export", "--to", "events.ndjson", "--json").json["exported"] == 0
    assert (shop / "events.ndjson").read_text().splitlines() == lines

    assert remade("openlineage", "export").code == 2
    assert remade("openlineage", "status", "--json").json == {"destinations": []}
    (shop / "pyproject.toml").write_text(
        '[tool.headwater]\nproject = "shop"\nmodules = ["shop"]\nopenlineage_file = "out.ndjson"\n'
    )
    (pending,) = remade("openlineage", "status", "--json").json["destinations"]
    assert pending["pending"] > 0
    assert remade("openlineage", "export").code == 0
    assert len((shop / "out.ndjson").read_text().splitlines()) == len(lines)
    (delivered,) = remade("openlineage", "status", "--json").json["destinations"]
    assert delivered["pending"] == 0


def test_verify_and_rebuild(remade: Cli, shop: Path) -> None:
    assert remade("verify", "--json").json == {"ok": True, "problems": []}
    assert remade("verify").out == "clean: journal and projection agree\n"
    before = remade("status", "--as-of", "2024-02-01", "--json").json
    database = shop / ".headwater" / "headwater.duckdb"
    database.unlink()
    assert remade("rebuild", "--json").code == 0
    assert database.exists()
    assert remade("status", "--as-of", "2024-02-01", "--json").json == before
    assert remade("verify").code == 0


def test_verify_finds_what_is_wrong(remade: Cli, shop: Path) -> None:
    with duckdb.connect(shop / ".headwater" / "headwater.duckdb") as connection:
        connection.execute("UPDATE facts.outcomes SET rows = 7 WHERE asset = 'totals'")
    done = remade("verify", "--json")
    assert done.code == 1
    assert done.json["ok"] is False
    assert any("outcomes" in json.dumps(problem) for problem in done.json["problems"])
    assert remade("rebuild").code == 0
    assert remade("verify").code == 0


def test_a_damaged_line_of_the_journal_is_named(remade: Cli, shop: Path) -> None:
    segment = next(
        path for path in sorted((shop / ".headwater" / "journal").iterdir()) if b"doubling" in path.read_bytes()
    )
    segment.write_bytes(segment.read_bytes().replace(b"doubling", b"doublinG"))
    done = remade("verify", "--json")
    assert done.code == 1
    assert any(segment.name.removesuffix(".ndjson") in json.dumps(problem) for problem in done.json["problems"])
    assert remade("runs").code == 0
