"""`headwater materialize` and `headwater backfill`: the plan, what is carried out, and what is left."""

from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from cli_project import Cli

RANGE = ("--from", "2024-01-01", "--to", "2024-01-05")


def board(cli: Cli) -> dict[str, Any]:
    return {row["name"]: row for row in cli("status", "--json").json["assets"]}


def steps(plan: dict[str, Any]) -> list[tuple[str, str, int]]:
    return [(step["asset"], step["partitions"], step["count"]) for step in plan["steps"]]


def table(path: Path, name: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(path, read_only=True) as connection:
        return connection.execute(f"SELECT * FROM {name} ORDER BY ALL").fetchall()


def test_materialize_a_partition_reads_its_inputs(cli: Cli, shop: Path) -> None:
    done = cli("materialize", "sales", "--partition", "2024-01-05", "--json")
    assert (done.code, done.json["state"], done.json["partitions"]["completed"]) == (0, "completed", 1)
    done = cli("materialize", "daily", "--partition", "2024-01-05")
    assert done.code == 0
    assert [row[:2] for row in table(shop / "shop.duckdb", "daily")] == [("Berlin", 1.5), ("Lyon", 2.5)]


def test_materialize_everything_and_again(cli: Cli, shop: Path) -> None:
    done = cli("materialize", "+totals", "--json")
    assert done.code == 0
    assert done.json["partitions"] == {
        "requested": 63,
        "completed": 63,
        "failed": 0,
        "running": 0,
        "skipped": 0,
        "blocked": 0,
        "cancelled": 0,
    }
    assert table(shop / "shop.duckdb", "totals") == [("Berlin", 46.5), ("Lyon", 77.5)]
    again = cli("materialize", "+totals", "--only", "stale", "--json")
    assert (again.code, again.json["partitions"]["requested"]) == (0, 0)


def test_a_partitioned_asset_without_partition_gets_what_is_missing_or_stale(cli: Cli, shop: Path) -> None:
    cli("materialize", "sales", "-p", "2024-01-01..2024-01-29")
    plan = cli("materialize", "sales", "--dry-run", "--json").json
    assert steps(plan) == [("sales", "2024-01-30..2024-01-31", 2)]


def test_a_dry_run_is_what_the_run_does(cli: Cli, shop: Path) -> None:
    cli("materialize", "sales", "-p", "2024-01-02")
    command = ["backfill", "daily", *RANGE, "--upstream", "--only", "missing", "--json"]
    plan = cli(*command, "--dry-run").json
    assert (plan["id"], plan["state"], plan["partitions"]["requested"]) == (None, "planned", 9)
    assert steps(plan) == [("sales", "2024-01-01, 2024-01-03..2024-01-05", 4), ("daily", "2024-01-01..2024-01-05", 5)]
    assert [row["range"] for row in cli("backfill", "list", "--json").json["backfills"]] == ["2024-01-02"]

    done = cli(*command)
    assert done.code == 0
    shown = cli("backfill", "show", done.json["id"], "--json").json
    planned = {(asset, key) for asset, text, _ in steps(plan) for key in keys(text)}
    assert {(row["asset"], row["partition"]) for row in shown["outcomes"]} == planned
    assert {row["state"] for row in shown["outcomes"]} == {"completed"}


def keys(text: str) -> list[str]:
    found = []
    for part in text.split(", "):
        first, _, last = part.partition("..")
        found += [f"2024-01-{day:02}" for day in range(int(first[-2:]), int((last or first)[-2:]) + 1)]
    return found


def test_progress_goes_to_standard_error(cli: Cli, shop: Path) -> None:
    done = cli("backfill", "sales", *RANGE)
    assert done.err == "5 of 5 (100%)\n"
    assert done.out.startswith("completed: 5 completed of 5 ")


def test_a_failure_blocks_only_its_own_downstream_and_resume_finishes(cli: Cli, shop: Path) -> None:
    (shop / "broken-2024-01-03").touch()
    done = cli("backfill", "daily", *RANGE, "--upstream", "--json")
    assert done.code == 1
    assert done.json["state"] == "failed"
    counts = done.json["partitions"]
    assert (counts["completed"], counts["failed"], counts["blocked"]) == (8, 1, 1)
    (error,) = done.json["errors"]
    assert (error["subject"], error["message"]) == ("sales@2024-01-03", "ValueError: no sales of 2024-01-03")
    identity = done.json["id"]
    assert f"headwater backfill resume {identity}" in done.err
    assert board(cli)["sales"]["partitions"] == {"total": 31, "materialized": 4, "failed": 1, "missing": 27}

    (listed,) = cli("backfill", "list", "--json").json["backfills"]
    assert (listed["id"], listed["state"], listed["assets"]) == (identity, "failed", ["daily"])
    reasons = {
        (row["asset"], row["partition"]): (row["state"], row["reason"])
        for row in cli("backfill", "show", identity, "--json").json["outcomes"]
    }
    state, reason = reasons["daily", "2024-01-03"]
    assert state == "blocked"
    assert "sales@2024-01-03" in reason

    again = cli("backfill", "resume", identity, "--json")
    assert again.code == 1
    (shop / "broken-2024-01-03").unlink()
    again = cli("backfill", "resume", identity, "--json")
    assert (again.code, again.json["id"], again.json["state"]) == (0, identity, "completed")
    assert again.json["partitions"]["completed"] == 10

    assert made(cli) == 10
    (run,) = cli("runs", "--flow", "backfill daily", "--json").json["runs"]
    assert (run["id"], run["state"], run["attempt"]) == (identity, "Completed", 3)
    nothing = cli("backfill", "resume", identity[:24], "--json")
    assert (nothing.code, nothing.json["partitions"]["completed"]) == (0, 10)
    assert made(cli) == 10


def made(cli: Cli) -> int:
    cli("runs")
    with duckdb.connect(".headwater/headwater.duckdb", read_only=True) as connection:
        ((count,),) = connection.execute("SELECT count(*) FROM materializations").fetchall()
    return count


def test_a_materialization_that_failed_is_resumed_as_the_next_attempt(cli: Cli, shop: Path) -> None:
    (shop / "broken-2024-01-02").touch()
    made = cli("materialize", "sales", "--partition", "2024-01-01..2024-01-02", "--json")
    assert made.code == 1
    (listed,) = cli("backfill", "list", "--json").json["backfills"]
    assert (listed["state"], listed["attempt"]) == ("failed", 1)
    (shop / "broken-2024-01-02").unlink()
    assert cli("backfill", "resume", made.json["id"], "--json").code == 0
    (listed,) = cli("backfill", "list", "--json").json["backfills"]
    assert (listed["state"], listed["attempt"], listed["ended"] is None) == ("completed", 2, False)
    (run,) = cli("runs", "--json").json["runs"]
    assert (run["id"], run["state"], run["attempt"]) == (made.json["id"], "Completed", 2)


def test_what_is_no_exception_fails_alone_too(cli: Cli, shop: Path) -> None:
    text = (shop / "shop.py").read_text().replace("raise ValueError(", "raise Panic(")
    (shop / "shop.py").write_text("class Panic(BaseException):\n    pass\n\n\n" + text)
    (shop / "broken-2024-01-04").touch()
    (shop / "broken-2024-01-05").touch()
    done = cli("backfill", "sales", "--from", "2024-01-03", "--to", "2024-01-07")
    assert done.code == 1
    assert "sales@2024-01-04: Panic: no sales of 2024-01-04" in done.out
    (row,) = cli("backfill", "list", "--json").json["backfills"]
    assert (row["state"], row["partitions"]["completed"], row["partitions"]["failed"]) == ("failed", 3, 2)


def test_only_failed_runs_what_failed(cli: Cli, shop: Path) -> None:
    (shop / "broken-2024-01-02").touch()
    assert cli("backfill", "sales", *RANGE).code == 1
    (shop / "broken-2024-01-02").unlink()
    plan = cli("backfill", "sales", *RANGE, "--only", "failed", "--dry-run", "--json").json
    assert steps(plan) == [("sales", "2024-01-02", 1)]


def test_max_failures_stops_launching(cli: Cli, shop: Path) -> None:
    for day in range(1, 6):
        (shop / f"broken-2024-01-0{day}").touch()
    done = cli("backfill", "sales", *RANGE, "--max-failures", "2", "--json")
    assert done.code == 1
    assert (done.json["partitions"]["failed"], done.json["partitions"]["requested"]) == (2, 5)
    shown = cli("backfill", "show", done.json["id"], "--json").json
    assert sorted(row["partition"] for row in shown["outcomes"]) == ["2024-01-01", "2024-01-02"]
    for day in range(1, 6):
        (shop / f"broken-2024-01-0{day}").unlink()
    assert cli("backfill", "resume", done.json["id"], "--json").json["partitions"]["completed"] == 5


def test_newest_first(cli: Cli, shop: Path) -> None:
    done = cli("backfill", "sales", *RANGE, "--order", "newest", "--json")
    outcomes = cli("backfill", "show", done.json["id"], "--json").json["outcomes"]
    assert [row["partition"] for row in sorted(outcomes, key=lambda row: row["at"])] == [
        f"2024-01-0{day}" for day in (5, 4, 3, 2, 1)
    ]


def test_parallel_gives_the_same_tables(cli: Cli, shop: Path) -> None:
    done = cli("backfill", "+daily", "--from", "2024-01-01", "--to", "2024-01-12", "--parallel", "4", "--json")
    assert (done.code, done.json["partitions"]["completed"]) == (0, 24)
    assert len(table(shop / "shop.duckdb", "daily")) == 24
    assert cli("verify").code == 0


def test_downstream(cli: Cli, shop: Path) -> None:
    plan = cli("backfill", "sales", *RANGE, "--downstream", "--dry-run", "--json").json
    assert [step["asset"] for step in plan["steps"]] == ["sales", "daily", "totals"]


def test_a_refused_check_keeps_the_old_data(cli: Cli, shop: Path) -> None:
    assert cli("materialize", "sales", "-p", "2024-01-05").code == 0
    (shop / "empty-2024-01-05").touch()
    done = cli("materialize", "sales", "-p", "2024-01-05", "--json")
    assert done.code != 0
    assert "'some_sales'" in done.json["errors"][0]["message"]
    assert pl.scan_parquet(shop / "lake" / "sales").select(pl.len()).collect().item() == 2
    refused = cli("run", "shop.py:ingest", "--partition", "2024-01-05", "--json")
    assert (refused.code, refused.json["error"]["kind"]) == (3, "check_failed")


def test_a_refused_check_exits_with_3(cli: Cli, shop: Path) -> None:
    (shop / "empty-2024-01-05").touch()
    assert cli("materialize", "sales", "-p", "2024-01-05").code == 3


def test_an_input_that_was_never_made_is_refused(cli: Cli, shop: Path) -> None:
    done = cli("materialize", "daily", "-p", "2024-01-05", "--json")
    assert done.code == 3
    assert done.json["partitions"]["blocked"] == 1
    (error,) = done.json["errors"]
    assert (error["subject"], error["message"]) == (
        "daily@2024-01-05",
        "the input 'sales' misses 1 of 1 partitions: 2024-01-05",
    )


@pytest.mark.parametrize("command", ["materialize", "backfill"])
@pytest.mark.parametrize("selection", ["failed()", "late() and failed()", "stale() and kind:csv"])
def test_a_selection_that_is_empty_now_is_nothing_to_do(cli: Cli, shop: Path, command: str, selection: str) -> None:
    done = cli(command, selection)
    assert (done.code, done.out) == (0, "no asset is in the selection: nothing to do\n")
    assert cli(command, selection, "--json").json["partitions"]["requested"] == 0


@pytest.mark.parametrize("command", ["status", "freshness", "assets", "observe", "tags", "materialize"])
@pytest.mark.parametrize("selection", ["sales and daily", "tag:tier=gold and kind:csv", "not *"])
def test_a_selection_that_means_nothing_is_not_told_to_be_an_asset(
    cli: Cli, shop: Path, command: str, selection: str
) -> None:
    done = cli(command, selection, "--json")
    error = done.json["error"]
    assert (done.code, error["kind"]) == (2, "usage")
    assert error["message"] == f"no asset is in the selection '{selection}'"
    assert "did you mean" not in error["hint"]


def test_errors_about_many_assets_name_the_first_of_them(cli: Cli, folder: Path) -> None:
    source = """from headwater import Asset, Freshness, materialize
for n in range(30):
    Asset(f"source_{n:02}", at=f"csv://{n}.csv")
    made = Asset(f"made_{n:02}", at=f"parquet://made_{n}.parquet", freshness=Freshness("1h", clock="last_run"))
    @materialize(made)
    def make():
        return [{"n": 1}]
"""
    (folder / "many.py").write_text(source)
    done = cli("materialize", "source_*", "-f", "many.py")
    assert (done.code, done.out) == (2, "")
    assert "nothing produces 'source_*': source_00, source_01, " in done.err
    assert "source_09 and 20 more are sources" in done.err
    assert len(done.err) < 500
    done = cli("materialize", "made_*", "-f", "many.py", "-p", "2024-01-01")
    assert "made_09 and 20 more: no partitions, so 2024-01-01 can't be meant" in done.err
    done = cli("freshness", "made_*", "-f", "many.py", "--fail-on", "unknown")
    assert done.code == 3
    assert done.err == (f"{', '.join(f'made_{n:02}' for n in range(10))} and 20 more: unknown, which --fail-on names\n")


def test_where_nothing_is_defined_there_is_nothing_to_make(cli: Cli, folder: Path) -> None:
    done = cli("materialize", "*")
    assert (done.code, done.out) == (2, "")
    assert "there are no assets to make" in done.err
    assert "-f my_flow.py" in done.err


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["materialize", "shops"], "nothing produces 'shops'"),
        (["materialize", "shops or kind:csv"], "nothing produces 'shops or kind:csv': shops is a source"),
        (["materialize", "dialy"], "'dialy'"),
        (["materialize", "totals", "-p", "2024-01-01"], "totals: no partitions"),
        (["materialize", "sales", "-p", "2023-12-31"], "2023-12-31"),
        (["materialize", "sales", "-p", "yesterday"], "yesterday"),
        (["materialize", "sales", "--parallel", "0"], "--parallel 0"),
        (["backfill", "sales", "--from", "2024-01-01"], "--from and --to belong together"),
        (["backfill", "sales", "--from", "2024-01-05", "--to", "2024-01-01"], "2024-01-05"),
        (["backfill", "sales", *RANGE, "--partition", "2024-01-01"], "--partition and --from/--to"),
        (["backfill", "sales", *RANGE, "--only", "sometimes"], "sometimes"),
        (["backfill", "show", "nope"], "'nope'"),
        (["backfill", "resume", "nope"], "'nope'"),
    ],
)
def test_wrong_usage_is_said_and_nothing_runs(cli: Cli, shop: Path, command: list[str], said: str) -> None:
    done = cli(*command, "--json")
    assert done.code == 2
    assert said in done.json["error"]["message"]
    assert cli("runs", "--json").json["runs"] == []
    plain = cli(*command)
    assert (plain.code, plain.out) == (2, "")
    assert plain.err.startswith("error: ")
    assert "Traceback" not in plain.err


def test_so_many_backfills_are_listed_as_asked_for(cli: Cli, shop: Path) -> None:
    for day in ("2024-01-01", "2024-01-02", "2024-01-03"):
        assert cli("materialize", "sales", "--partition", day).code == 0
    listed = cli("backfill", "list", "--limit", "2", "--json").json["backfills"]
    assert [row["range"] for row in listed] == ["2024-01-03", "2024-01-02"]
    assert (cli("backfill", "list", "--limit", "0").code, len(cli("backfill", "list").out.splitlines())) == (2, 4)
