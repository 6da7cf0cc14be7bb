"""A2 within a transaction: killed before its commit nothing is visible, killed within it each asset is there or is not."""

from __future__ import annotations

from pathlib import Path

from kill_world import Shop
from nursery import Nursery, said

from headwater.testing import project

TOGETHER = ("run", "shop.py:together")
NAMES = ("report", "stock", "raw", "totals")
"""The assets in the order in which the transaction makes and publishes them."""
KILLS = {
    "publish.staged:3": 0,
    "transaction.commit": 0,
    "publish.recorded:2": 1,
    "publish.detached": 2,
    "transaction.published:2": 2,
    "transaction.committed": 4,
    "transaction.rollback": 0,
    "transaction.rolled_back": 0,
    "publish.discarded:2": 0,
}
"""Where the process is killed, and how many of the assets are published then."""
FEW = ("publish.staged:3", "transaction.published:2", "transaction.committed", "transaction.rolled_back")


def test_a2_a_killed_transaction_leaves_each_asset_published_or_as_it_was(
    tmp_path: Path, nest: Nursery, stress: bool
) -> None:
    shop = Shop.make(tmp_path / "shop")
    points = tuple(KILLS) if stress else FEW
    shop.set_factor(1)
    assert nest.run(shop.folder, TOGETHER) == 0, said(shop.folder)
    shop.judge()
    for number, point in enumerate(points):
        shop.set_factor(number + 2)
        kill(shop, nest, point)
    shop.set_factor(99)
    assert nest.run(shop.folder, TOGETHER) == 0, said(shop.folder)
    shop.finished()
    print(f"A2: {len(points)} kills in transactions: each asset published or as it was, and its outcome says which")


def kill(shop: Shop, nest: Nursery, point: str) -> None:
    fails = ("-p", "fails=true") if "roll" in point or "discarded" in point else ()
    before = shop.content()
    assert nest.run(shop.folder, (*TOGETHER, *fails), failpoint=point) == -9, said(shop.folder)
    # Nobody has looked yet: what is visible is whole, and is the new or the old.
    after = shop.content()
    changed = {name for name, key in after if after[name, key] != before[name, key]}
    assert changed == set(NAMES[: KILLS[point]])
    shop.judge()
    with project(shop.folder) as found:
        run = found.reader.runs()["runs"][0]
        _, rows = found.reader.sql(f"SELECT asset, state FROM materialization_outcomes WHERE run_id = '{run['id']}'")
    made = NAMES[:3] if point == "publish.staged:3" else NAMES
    assert dict(rows) == {name: "published" if name in changed else "discarded" for name in made}
    assert run["state"] == "Crashed"
