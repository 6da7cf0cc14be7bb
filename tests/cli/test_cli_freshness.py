"""`observe`, and the board in its other shapes: by group, by partition, and its history."""

import pytest

FEEDS = """\
from datetime import UTC, datetime, timedelta
from pathlib import Path

from headwater import Asset, DailyPartitions, Freshness, Partition, clock, materialize, observer, on_freshness

policy = Freshness("26h")
good = Asset("good", at="memory://good", freshness=policy, owners=["ann"], tags={"tier": "gold"})
bad = Asset("bad", at="memory://bad", freshness=policy, owners=["ann", "bob"], group="finance")
days = Asset("days", at="parquet://lake/days", partitions=DailyPartitions("2024-01-01", "2024-01-04"), freshness=policy)


@observer(good)
def look():
    return clock.now() - timedelta(hours=1)


@observer(bad)
def fails():
    raise OSError("no route to the feed")


@materialize(days)
def make_days(partition: Partition):
    return [{"n": 1}]


@on_freshness(good)
def tell(change):
    Path("told").write_text(f"{change.before} {change.verdict}")
"""
PYPROJECT = '[tool.headwater]\nproject = "feeds"\nmodules = ["feeds"]\n'


@pytest.fixture
def feeds(folder):
    (folder / "pyproject.toml").write_text(PYPROJECT)
    (folder / "feeds.py").write_text(FEEDS)
    return folder


def test_why_an_observer_failed_stands_in_lines_below_the_table(feeds, cli):
    (feeds / "feeds.py").write_text((feeds / "feeds.py").read_text() + ABSENT)
    done = cli("observe", "absent")
    assert done.code == 1
    assert "there is no file of 'absent'\n" in done.out
    assert "\\n" not in done.out
    assert f"absent: there is no file of 'absent'\n  where: {feeds / 'absent.csv'}\n  hint: " in done.err


ABSENT = """
from headwater import file_times

absent = Asset("absent", at="csv://absent.csv", observe=file_times())
"""


def test_observe_records_what_it_can_and_tells_what_failed(feeds, cli):
    done = cli("observe", "--json")
    assert done.code == 1
    rows = {row["asset"]: row for row in done.json["observed"]}
    assert rows["bad"]["error"] == "OSError: no route to the feed"
    assert rows["good"]["error"] is None
    assert rows["good"]["data_through"] is not None
    assert "1 of 2 observers failed: bad" in done.err
    assert (feeds / "told").read_text() == "None fresh"
    board = {row["name"]: row["freshness"]["verdict"] for row in cli("freshness", "--json").json["assets"]}
    assert board == {"good": "fresh", "bad": "unknown", "days": "unknown"}
    assert cli("observe", "good").code == 0
    assert "good" in cli("observe", "good").out
    assert cli("observe", "days").out.startswith("no source in the selection has an observer")
    assert cli("observe", "--parallel", "0").code == 2


def test_the_history_of_verdicts(feeds, cli):
    cli("observe", "bad")
    assert cli("freshness", "good", "--history", "--json").json["changes"][0]["verdict"] == "unknown"
    cli("observe", "good")
    found = cli("freshness", "good", "--history", "--json").json["changes"]
    assert [(row["before"], row["verdict"]) for row in found] == [("unknown", "fresh"), (None, "unknown")]
    assert "? unknown" in cli("freshness", "--history").out
    assert cli("freshness", "--history", "--limit", "0").code == 2


def test_another_time_is_looked_at_without_a_record(feeds, cli):
    cli("observe", "bad")
    cli("freshness", "--as-of", "2030-01-01")
    assert len(cli("freshness", "--history", "--json").json["changes"]) == 3


def test_each_partition_has_its_verdict(feeds, cli):
    cli("materialize", "days", "--partition", "2024-01-02")
    found = cli("freshness", "days", "--partitions", "--as-of", "2024-01-03T03:00", "--json").json["partitions"]
    # The 1st should have been there at 02:00 of the 2nd; the 2nd is, and stays; there is time for the 3rd.
    assert [(row["partition"], row["verdict"], row["next_change"]) for row in found] == [
        ("2024-01-03", "fresh", "2024-01-04T02:00:00.000001Z"),
        ("2024-01-02", "fresh", None),
        ("2024-01-01", "late", None),
    ]
    done = cli("freshness", "days", "--partitions", "--fail-on", "late", "--limit", "2")
    assert done.code == 3
    assert "and 1 more" in done.out
    assert "there are no partitions" in cli("freshness", "good", "--partitions").out
    # What is late stands behind the one row that is shown: a gate must not open for that.
    at = ("freshness", "days", "--partitions", "--as-of", "2024-01-03T03:00", "--limit", "1")
    assert cli(*at).code == cli(*at, "--fail-on", "warn").code == 0
    done = cli(*at, "--fail-on", "late", "--json")
    assert (done.code, len(done.json["partitions"]), done.json["more"]) == (3, 1, 2)
    assert "days: late, which --fail-on names" in done.err


@pytest.mark.parametrize(
    "command",
    ["freshness --history --fail-on late", "freshness --history --partitions", "status --count --by owner"],
)
def test_what_would_be_passed_over_is_refused(feeds, cli, command):
    done = cli(*command.split())
    assert done.code == 2
    assert "leave one of the two out" in done.err


def test_the_board_by_group(feeds, cli):
    groups = cli("status", "--by", "owner", "--json").json["groups"]
    assert [(row["group"], row["assets"], row["verdicts"]["unknown"]) for row in groups] == [
        ("ann", 2, 2),
        ("bob", 1, 1),
        (None, 1, 1),
    ]
    assert [row["group"] for row in cli("status", "--by", "tag:tier", "--json").json["groups"]] == ["gold", None]
    assert [row["group"] for row in cli("status", "--by", "kind", "--json").json["groups"]] == ["memory", "parquet"]
    assert [row["group"] for row in cli("status", "--by", "group", "owner:bob", "--json").json["groups"]] == ["finance"]
    assert "finance" in cli("status", "--by", "group").out
    assert cli("status", "--by", "colour").code == 2


def test_an_asset_whose_name_looks_like_a_task_of_a_run_is_explained(folder, cli):
    feed = '"feed/orders", at="memory://feed/orders", partitions=DailyPartitions("2024-01-01", "2024-01-04")'
    (folder / "feeds.py").write_text(f"from headwater import Asset, DailyPartitions\n\nfeed = Asset({feed})\n")
    for command in (("-m", "feeds"), ("-f", "feeds.py")):
        assert cli("explain", "feed/orders", *command, "--json").json["subject"] == "feed/orders"
    found = cli("explain", "feed/orders@2024-01-02", "-f", "feeds.py", "--json").json
    assert found["subject"] == "feed/orders@2024-01-02"
    (folder / "pyproject.toml").write_text(PYPROJECT)
    assert "there is no run 'feed'" in cli("explain", "feed/other").err
