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
    assert cli("assets", "failed()").out == "no asset is in the selection\n"
