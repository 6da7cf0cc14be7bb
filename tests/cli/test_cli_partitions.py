"""Partitions of every kind as a user has them: products in files and tables, lists that grow, and keys that mean harm."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from cli_project import Cli
from test_hostile_names import HOSTILE

from headwater import StaticPartitions
from headwater.errors import DefinitionError
from headwater.lineage.session import Answer, Session
from headwater.lineage.statements import statements

SHOP = """
import json
from datetime import date
from pathlib import Path
from typing import Annotated

import polars as pl

from headwater import Asset, CronPartitions, DailyPartitions, DynamicPartitions, ProductPartitions, StaticPartitions, materialize

days = DailyPartitions("2024-01-01", "2024-01-11")
keys = json.loads(Path("keys.json").read_text())
both = ProductPartitions(region=StaticPartitions(keys), date=days)
columns = {"region": "where", "date": "day"}
sales = Asset("sales", at="parquet://lake/sales", partitions=both, partition_column=columns)
table = Asset("table", at="duckdb://shop.duckdb/main.sales", partitions=both, partition_column=columns)
plain = Asset("plain", at="duckdb://shop.duckdb/main.plain", partitions=both)
totals = Asset("totals", at="duckdb://shop.duckdb/main.totals", partitions=days, partition_column="day")
customers = Asset("customers", at="parquet://lake/customers", partitions=DynamicPartitions("customers"))
guests = Asset("guests", at="parquet://lake/guests")
visits = Asset("visits", at="parquet://lake/visits", partitions=customers.partitions, time_column="day")
reports = Asset("reports", at="parquet://lake/reports", partitions=CronPartitions("0 6 * * 1-5", "2024-01-01", "2024-01-11"))


@materialize(sales)
def sell(partition):
    return pl.DataFrame({"where": [partition["region"]], "day": [partition.date], "amount": [partition.date.day]})


@materialize(table)
def keep(rows: Annotated[pl.LazyFrame, sales]):
    return rows


@materialize(plain)
def keep_plain(rows: Annotated[pl.LazyFrame, sales]):
    return rows


@materialize(totals)
def total(rows: Annotated[pl.LazyFrame, sales]):
    return rows.group_by("day").agg(pl.col("amount").sum())


@materialize(customers)
def customer(partition):
    return pl.DataFrame({"customer": [partition.key]})


@materialize(guests)
def all_guests(rows: Annotated[pl.LazyFrame, customers]):
    return rows.group_by("customer").len()


@materialize(visits)
def visit(partition):
    assert not Path("broken").exists(), "it is broken"
    return pl.DataFrame({"day": [date(2024, 1, 10 if partition.key == "zeta" else 1)]})


@materialize(reports)
def report(rows: Annotated[pl.LazyFrame, totals], partition):
    return rows.select(pl.col("day").min(), until=pl.lit(partition.end))
"""


@pytest.fixture
def lake(folder: Path) -> Path:
    (folder / "pyproject.toml").write_text('[tool.headwater]\nproject = "lake"\nmodules = ["lake"]\n')
    (folder / "lake.py").write_text(SHOP)
    (folder / "keys.json").write_text(json.dumps(["eu", "us"]))
    return folder


def rows(lake: Path, query: str) -> list[Any]:
    with duckdb.connect(lake / "shop.duckdb", read_only=True) as connection:
        return connection.execute(query).fetchall()


def counts(cli: Cli) -> dict[str, tuple[int, int]]:
    found = cli("status", "--json").json["assets"]
    divided = [(row["name"], row["partitions"]) for row in found if row["partitions"]]
    return {name: (counted["materialized"], counted["total"]) for name, counted in divided}


def test_a_product_from_the_plan_to_the_table(cli: Cli, lake: Path) -> None:
    planned = cli("materialize", "table", "--partition", "region=us,date=2024-01-02..", "--dry-run", "--json").json
    assert [(step["partitions"], step["count"]) for step in planned["steps"]] == [
        ("region=us,date=2024-01-02..2024-01-10", 9)
    ]
    done = cli("backfill", "table or totals", "--from", "2024-01-01", "--to", "2024-01-03", "--upstream", "--json")
    assert (done.code, done.json["partitions"]["completed"]) == (0, 6 + 6 + 3)
    assert sorted(path.name for path in (lake / "lake/sales").glob("*.parquet")) == sorted(
        f"region={region},date=2024-01-0{day}.parquet" for region in ("eu", "us") for day in (1, 2, 3)
    )
    assert rows(lake, 'SELECT "where", count(*), sum(amount) FROM sales GROUP BY ALL ORDER BY ALL') == [
        ("eu", 3, 6),
        ("us", 3, 6),
    ]
    assert rows(lake, "SELECT sum(amount) FROM totals") == [(12,)]
    # Made again, a partition replaces its own rows and no others.
    assert cli("materialize", "table", "--partition", "date=2024-01-02,region=eu").code == 0
    assert rows(lake, 'SELECT count(*), count(DISTINCT (day, "where")) FROM sales') == [(6, 6)]
    assert counts(cli) == {
        "sales": (6, 20),
        "table": (6, 20),
        "plain": (0, 20),
        "totals": (3, 10),
        "customers": (0, 0),
        "visits": (0, 0),
        "reports": (0, 8),
    }
    assert "is up to date" in cli("explain", "table@date=2024-01-02,region=eu").out
    assert "date: the same partition; region: all partitions" in cli("explain", "totals").out


def test_rows_of_another_partition_are_refused_by_each_column(cli: Cli, lake: Path) -> None:
    script = (lake / "lake.py").read_text()
    (lake / "lake.py").write_text(script.replace('[partition["region"]], "day"', '["mars"], "day"'))
    done = cli("materialize", "sales", "--partition", "region=eu,date=2024-01-02")
    assert done.code == 1
    assert "outside the partition region=eu,date=2024-01-02" in done.out + done.err
    assert not list((lake / "lake").rglob("*.parquet"))


def test_stale_partitions_of_a_product_are_those_that_read_what_changed(cli: Cli, lake: Path) -> None:
    assert cli("backfill", "table", "--from", "2024-01-01", "--to", "2024-01-02", "--upstream").code == 0
    assert cli("materialize", "sales", "--partition", "region=us,date=2024-01-02").code == 0
    planned = cli(
        "backfill", "table", "--from", "2024-01-01", "--to", "2024-01-02", "--only", "stale", "--dry-run", "--json"
    )
    assert [(step["partitions"], step["count"]) for step in planned.json["steps"]] == [("region=us,date=2024-01-02", 1)]


def test_cron_partitions_read_the_days_that_they_overlap(cli: Cli, lake: Path) -> None:
    assert cli("materialize", "reports", "--partition", "2024-01-05T06:00").code == 3
    done = cli("backfill", "reports", "--partition", "2024-01-05T06:00", "--upstream", "--json")
    # From Friday to Monday, 6 o'clock: four days of totals, of two regions each.
    assert (done.code, done.json["partitions"]["completed"]) == (0, 1 + 4 + 8)
    found = pl.read_parquet(next((lake / "lake/reports").glob("*.parquet")))
    assert found["until"].item().isoformat() == "2024-01-08T06:00:00+00:00"


def test_lists_that_grow_and_shrink(cli: Cli, lake: Path) -> None:
    assert cli("partitions", "list").out.strip() == "no dynamic partitions were added yet"
    assert cli("materialize", "customers").out.strip() == "everything is up to date: nothing to do"
    added = cli("partitions", "add", "customers", "zeta", "acme", "--json").json
    assert added == {"name": "customers", "added": ["zeta", "acme"], "partitions": 2}
    assert cli("partitions", "add", "customers", "acme", "--json").json["added"] == []
    assert cli("materialize", "customers", "--json").json["partitions"]["completed"] == 2
    assert cli("partitions", "remove", "customers", "zeta").code == 0
    assert cli("partitions", "list", "--json").json == {"lists": [{"name": "customers", "partitions": 1, "removed": 1}]}
    listed = cli("partitions", "list", "customers", "--json").json
    assert listed == {"name": "customers", "partitions": ["acme"], "removed": ["zeta"]}
    refused = cli("materialize", "customers", "--partition", "zeta")
    assert refused.code == 2
    assert "it was removed; add it: headwater partitions add customers zeta" in refused.err
    # What was made of it stays.
    assert (lake / "lake/customers/zeta.parquet").exists()
    assert len(cli("runs", "--json").json["runs"]) == 1
    assert cli("partitions", "add", "customers", "zeta").code == 0
    assert cli("materialize", "customers").out.strip() == "everything is up to date: nothing to do"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("list", "nobody"), 2, "nobody"),
        (("remove", "customers", "nobody"), 2, "nobody"),
        (("add", "customers"), 2, "no key was given"),
        (("add", "customers", "a\nb"), 2, "U+000A"),
        (("add", "customers", ""), 2, "is empty"),
    ],
)
def test_what_can_not_be_done_to_a_list(
    cli: Cli, lake: Path, arguments: tuple[str, ...], code: int, words: str
) -> None:
    done = cli("partitions", *arguments)
    assert done.code == code
    assert words in done.err


def taken(name: str) -> bool:
    """Whether a list of partitions takes the key; an error is clear and harmless to print."""
    try:
        StaticPartitions([name])
    except DefinitionError as raised:
        error = raised
    else:
        return True
    assert error.hint
    assert all(char == "\n" or char.isprintable() for char in str(error))
    return False


def test_keys_that_mean_harm_are_kept_exactly(cli: Cli, lake: Path) -> None:
    keys = [name for name in HOSTILE.values() if taken(name)]
    assert len(keys) >= 17
    (lake / "keys.json").write_text(json.dumps(keys))
    before = {path for path in lake.parent.rglob("*") if lake not in path.parents}
    done = cli("backfill", "table or plain", "--from", "2024-01-02", "--to", "2024-01-02", "--upstream", "--json")
    assert (done.code, done.json["partitions"]["completed"]) == (0, 3 * len(keys)), done.out + done.err
    for query in ('SELECT "where" FROM sales', 'SELECT "where" FROM plain'):
        assert sorted(key for (key,) in rows(lake, query)) == sorted(keys)
    assert len(list((lake / "lake/sales").iterdir())) == len(keys)
    assert {path for path in lake.parent.rglob("*") if lake not in path.parents} == before

    added = cli("partitions", "add", "customers", "--json", "--", *keys).json["added"]
    assert added == keys
    assert cli("partitions", "list", "customers", "--json").json["partitions"] == keys
    assert cli("materialize", "customers", "--json").json["partitions"]["completed"] == len(keys)
    found = [pl.read_parquet(path)["customer"].item() for path in (lake / "lake/customers").iterdir()]
    assert sorted(found) == sorted(keys)

    assert cli("openlineage", "export", "--to", "events.ndjson").code == 0
    told = set()
    for line in (lake / "events.ndjson").read_text().splitlines():
        for output in json.loads(line).get("outputs", ()):
            subset = output.get("outputFacets", {}).get("subset")
            if subset is not None:
                (one,) = subset["outputCondition"]["partitions"]
                told.add(one["dimensions"].get("region", one["dimensions"].get("partition")))
    assert told == set(keys)


def test_a_slip_in_the_name_of_a_list_begins_no_list(cli: Cli, lake: Path) -> None:
    for _ in range(2):
        refused = cli("partitions", "add", "custmers", "acme")
        assert (refused.code, refused.out) == (2, "")
        assert "there is no list of dynamic partitions 'custmers'" in refused.err
        assert "did you mean 'customers'? --new begins it" in refused.err
        # What has keys is known also while the definitions can't be loaded.
        assert cli("partitions", "add", "customers", "acme").code == 0
        (lake / "pyproject.toml").write_text('[tool.headwater]\nmodules = ["absent"]\n')
    assert cli("partitions", "add", "suppliers", "acme", "--new").code == 0
    assert cli("partitions", "add", "suppliers", "zeta").code == 0
    assert [one["name"] for one in cli("partitions", "list", "--json").json["lists"]] == ["customers", "suppliers"]
    removed = cli("partitions", "remove", "custmers", "acme")
    assert (removed.code, "did you mean 'customers'?" in removed.err) == (2, True)


def test_the_keys_of_other_lists_are_not_counted_for_one(cli: Cli, lake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, execute = [], Session.execute

    def noted(self: Session, sql: str, *given: Any) -> Answer:
        asked.append(sql)
        return execute(self, sql, *given)

    monkeypatch.setattr(Session, "execute", noted)
    assert cli("partitions", "add", "customers", "acme", "zeta", "--new").code == 0
    assert cli("partitions", "add", "customers", "delta").code == 0
    assert cli("partitions", "remove", "customers", "zeta").code == 0
    assert cli("partitions", "list", "customers").out == "acme\ndelta\n"
    assert cli("partitions", "list", "suppliers").code == 2
    counts = statements("runs.sql")["dynamic_lists"]
    assert asked
    assert counts not in asked
    assert cli("partitions", "list", "--json").json == {"lists": [{"name": "customers", "partitions": 2, "removed": 1}]}
    assert counts in asked


def test_a_list_of_a_product_is_known(cli: Cli, lake: Path) -> None:
    (lake / "more.py").write_text(
        "from headwater import Asset, DailyPartitions, DynamicPartitions, ProductPartitions\n"
        'both = ProductPartitions(who=DynamicPartitions("suppliers"), day=DailyPartitions("2024-01-01"))\n'
        'orders = Asset("orders", at="parquet://lake/orders", partitions=both)\n'
    )
    assert cli("partitions", "add", "suppliers", "acme").code == 2
    assert cli("partitions", "add", "suppliers", "acme", "-f", "more.py").code == 0


def test_a_partition_that_is_none_any_more_is_not_counted(cli: Cli, lake: Path) -> None:
    assert cli("partitions", "add", "customers", "acme", "zeta").code == 0
    assert cli("materialize", "customers").code == 0
    assert counts(cli)["customers"] == (2, 2)
    assert cli("partitions", "remove", "customers", "zeta").code == 0
    assert counts(cli)["customers"] == (1, 1)


def test_what_was_made_of_a_partition_that_is_none_any_more_counts_nowhere(cli: Cli, lake: Path) -> None:
    assert cli("partitions", "add", "customers", "acme", "zeta").code == 0
    assert cli("materialize", "visits", "--partition", "acme").code == 0
    assert cli("materialize", "visits", "--partition", "zeta").code == 0
    (before,) = cli("status", "visits", "--json").json["assets"]
    (lake / "broken").touch()
    assert cli("materialize", "visits", "--partition", "zeta").code == 1
    (failed,) = cli("status", "failed()", "--json").json["assets"]
    assert failed["partitions"]["failed"] == 1
    assert cli("partitions", "remove", "customers", "zeta").code == 0
    (after,) = cli("status", "visits", "--json").json["assets"]
    assert after["partitions"] == {"total": 1, "materialized": 1, "failed": 0, "missing": 0}
    assert after["refused"] == []
    assert cli("status", "failed()", "--json").json["assets"] == []
    assert (before["rows"], after["rows"]) == (2, 1)
    assert (before["data_through"][:10], after["data_through"][:10]) == ("2024-01-11", "2024-01-02")
    assert after["last_materialized"] < before["last_materialized"]


def test_what_reads_all_of_an_asset_without_a_partition_is_blocked(cli: Cli, lake: Path) -> None:
    dry = cli("materialize", "guests", "--dry-run").out
    assert "guests: 1 partition will be blocked: the input customers has no partition yet" in dry
    blocked = cli("materialize", "guests")
    assert blocked.code == 3
    assert "guests: the input 'customers' has no partition yet: it is dynamic, customers" in blocked.out
    assert "needs=0 reads no rows" in blocked.out
    assert cli("partitions", "add", "customers", "acme").code == 0
    assert cli("materialize", "+guests").code == 0
    assert pl.read_parquet(lake / "lake/guests.parquet").rows() == [("acme", 1)]


ODD = """
from typing import Annotated

import polars as pl

from headwater import Asset, StaticPartitions, materialize

keys = StaticPartitions(["a,b", "*", "1..2", "100%"])
raw = Asset("raw data", at="parquet://lake/raw", partitions=keys)
clean = Asset("clean", at="parquet://lake/clean", partitions=keys)


@materialize(raw)
def load(partition):
    return [{"key": partition.key}]


@materialize(clean)
def tidy(rows: Annotated[pl.LazyFrame, raw]):
    return rows
"""


def advised(out: str) -> list[str]:
    """What stands behind `headwater` in the commands that hints give."""
    return re.findall(r"hint: make it .*?headwater (materialize .*?)(?:\), or .*)?$", out, re.MULTILINE)


def test_the_command_of_a_hint_makes_exactly_that_partition(cli: Cli, lake: Path) -> None:
    (lake / "odd.py").write_text(ODD)
    blocked = cli("materialize", "clean", "-f", "odd.py")
    assert "misses 1 of 1 partitions: a%2Cb" in blocked.out
    commands = advised(blocked.out)
    assert len(commands) == 4
    for number, command in enumerate(commands, start=1):
        assert cli(*shlex.split(command), "-f", "odd.py").code == 0, command
        assert len(list((lake / "lake/raw").iterdir())) == number
    for damaged in (lake / "lake/raw").iterdir():
        damaged.write_bytes(b"")
    commands = advised(cli("materialize", "clean", "-f", "odd.py").out)
    assert len(commands) == 4
    for command in commands:
        assert cli(*shlex.split(command), "-f", "odd.py", "--json").json["partitions"]["completed"] == 1, command
    assert cli("run", "odd.py:load").err.strip().endswith("hint: give --partition a%2Cb")


SPACED = """
from headwater import Asset, DynamicPartitions, StaticPartitions, check, flow, materialize

late = Asset("late $(it's) flights", at="parquet://lake/late")
listed = Asset("listed", at="parquet://lake/listed", partitions=DynamicPartitions("the customers"))
keyed = Asset("keyed", at="parquet://lake/keyed", partitions=StaticPartitions(["-rf"]))


@materialize(late)
def fly():
    return [{"key": 1}]


@materialize(listed)
def fill():
    return [{"key": 1}]


@materialize(keyed)
def load():
    return [{"key": 1}]


@check(late)
def some(rows) -> bool:
    return True


@flow
def nightly(day: str) -> None: ...
"""


def test_the_commands_of_hints_can_be_pasted_into_a_shell(cli: Cli, lake: Path) -> None:
    (lake / "odd.py").write_text(SPACED)
    for verb in ("explain", "check"):
        (line,) = re.findall(r"hint: headwater (.*)", cli(verb, "late $(it's) flights@2024", "-f", "odd.py").err)
        assert shlex.split(line) == [verb, "late $(it's) flights"]
    for key in ("it's $HOME", "-rf"):
        refused = cli("materialize", "listed", "-f", "odd.py", f"--partition={key}")
        (line,) = re.findall(r"add it: headwater (.*)", refused.err)
        assert cli(*shlex.split(line)[:2], "-f", "odd.py", *shlex.split(line)[2:]).code == 0
    assert cli("partitions", "list", "the customers").out == "it's $HOME\n-rf\n"
    # What can be no key is not to be added.
    assert "add it" not in cli("materialize", "listed", "-f", "odd.py", "--partition", "a\u200bb").err
    (option,) = re.findall(r"hint: give (.*)", cli("run", "odd.py:load").err)
    assert cli("run", "odd.py:load", *shlex.split(option)).code == 0
    (option,) = re.findall(r"instead: (.*)", cli("run", "odd.py:nightly", "--partition", "the day").err)
    assert cli("run", "odd.py:nightly", *shlex.split(option)).code == 0
    assert cli("run", "odd.py:fly").code == 0
    (lake / "odd.py").write_text(SPACED.split("late =")[0])
    assert (
        "see headwater explain 'late $(it'\"'\"'s) flights'"
        in cli("retire", "late $(it's) flights", "-f", "odd.py").out
    )
