"""`assets`: what is defined, as a table, of one asset all of it, and as JSON."""

from cli_project import Cli


def test_definitions_are_listed_inputs_first(shop, cli: Cli):
    rows = cli("assets", "--json").json["assets"]
    names = [row["name"] for row in rows]
    assert sorted(names) == ["daily", "sales", "shops", "totals"]
    assert names.index("sales") < names.index("daily") < names.index("totals")
    found = {row["name"]: row for row in rows}
    shops = found["shops"]
    assert (shops["kind"], shops["is_source"], shops["static"], shops["code"], shops["inputs"]) == (
        "csv",
        True,
        True,
        None,
        [],
    )
    assert found["sales"]["owners"] == ["team:ops"]
    assert found["sales"]["tags"] == {"tier": "gold"}
    assert found["sales"]["freshness"] == "limit 26h"
    assert found["sales"]["checks"] == ["some_sales"]
    assert found["daily"]["inputs"][0] == {"asset": "sales", "parameter": "sold", "mapping": "the same partition"}
    assert (found["daily"]["code"]["file"], found["daily"]["code"]["name"]) == ("shop.py", "summarise")


def test_a_selection_and_one_asset(shop, cli: Cli):
    table = cli("assets", "tag:tier=gold").out
    assert "sales" in table
    assert "totals" not in table
    one = cli("assets", "sales").out
    assert "daily, 2024-01-01..2024-01-31" in one
    assert "some_sales" in one
    assert "ingest (shop.py:" in one
    assert cli("assets", "saels").code == 2


def test_a_selection_of_none(shop, cli: Cli):
    for command in ("assets", "status", "freshness"):
        assert cli(command, "failed()").out == "no asset is in the selection\n"
    assert cli("status", "failed()", "--count").out == "0 assets\n"
    assert cli("status", "sales", "--count").out == "1 asset: 1 ? unknown; 1 stale\n"


def test_without_assets_it_is_told_how_to_come_by_some(cli: Cli, folder):
    (folder / "flows.py").write_text("from headwater import flow\n")
    assert cli("observe", "-f", "flows.py").code == 0  # makes the home
    for command in ("assets", "status", "freshness"):
        done = cli(command, "-f", "flows.py")
        assert (done.code, done.out.startswith("no assets yet: run a flow that materializes one")) == (0, True)


def test_an_asset_that_reads_its_own_day_before(cli: Cli, folder):
    (folder / "sums.py").write_text(
        "import polars as pl\n"
        "from headwater import Asset, DailyPartitions, materialize\n"
        "sums = Asset('sums', at='parquet://lake/sums', partitions=DailyPartitions('2024-01-01', '2024-01-04'))\n"
        "@materialize(sums, inputs={'before': sums.window(-1, -1)})\n"
        "def add(before: pl.DataFrame):\n"
        "    return {'n': [1 + (before['n'].sum() if before.width else 0)]}\n"
    )
    assert cli("assets", "-f", "sums.py").code == 0
    assert cli("materialize", "sums", "-f", "sums.py").code == 0
    rows = cli("status", "--json", "-f", "sums.py").json["assets"]
    assert (rows[0]["partitions"]["materialized"], rows[0]["stale"]["is_stale"]) == (3, False)


def test_the_history_of_an_asset_tells_what_was_tried_and_what_came_of_it(shop, cli: Cli):
    assert cli("assets", "sales", "--history").out == "nothing tried to make sales yet\n"
    assert cli("materialize", "sales", "--partition", "2024-01-01").code == 0
    (shop / "broken-2024-01-02").touch()
    assert cli("materialize", "sales", "--partition", "2024-01-02").code == 1
    header, failed, made = cli("assets", "sales", "--history").out.splitlines()
    assert header.split() == ["at", "partition", "state", "rows", "size", "version", "run", "error"]
    assert "2024-01-02  failed" in failed
    assert "2024-01-01  published" in made
    run = cli("runs", "--json").json["runs"][0]["id"]
    assert run in failed
    (newest,) = cli("assets", "sales", "--history", "--limit", "1", "--json").json["materializations"]
    assert (newest["run"], newest["state"]) == (run, "failed")
    wrong = cli("assets", "sale", "--history")
    assert (wrong.code, wrong.err) == (2, "error: there is no asset 'sale'\n  hint: did you mean 'sales'?\n")
    assert cli("assets", "--limit", "3").code == 2
