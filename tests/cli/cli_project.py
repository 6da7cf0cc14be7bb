"""A small project for the tests of the command line. Files in its folder make it fail: `broken-<day>`, `empty-<day>`."""

import contextlib
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headwater import settings
from headwater.assets import registry
from headwater.core import runtime
from headwater.errors import HeadwaterError


@dataclass(frozen=True, slots=True)
class Done:
    """What a command left: its exit code and what it printed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as the one JSON document that it must be."""
        return json.loads(self.out)


Cli = Callable[..., Done]


@contextlib.contextmanager
def as_in_a_new_process() -> Iterator[None]:
    """Definitions, the project, modules and the import path as if this process had just begun."""
    for name in _of_users():
        del sys.modules[name]
    modules, path = set(sys.modules), list(sys.path)
    with registry.scope(), runtime.use(None):
        try:
            yield
        finally:
            root = settings.find_root()
            with contextlib.suppress(HeadwaterError):
                runtime.current().close()
            for name in set(sys.modules) - modules:
                if str(getattr(sys.modules[name], "__file__", "")).startswith(str(root)):
                    del sys.modules[name]
            sys.path[:] = path


def _of_users() -> list[str]:
    """The modules that come from a temporary folder: another test has left them behind."""
    ours, temporary = str(Path(__file__).parents[2]), tempfile.gettempdir()
    files = ((name, str(getattr(module, "__file__", None) or "")) for name, module in sys.modules.items())
    return [name for name, file in files if file.startswith(temporary) and not file.startswith(ours)]


def write_shop(folder: Path) -> None:
    """Write the project."""
    for name, text in {"pyproject.toml": PYPROJECT, "shop.py": SHOP, "shops.csv": SHOPS}.items():
        (folder / name).write_text(text)


PYPROJECT = """\
[tool.headwater]
project = "shop"
modules = ["shop"]
"""

SHOPS = "shop,city\n1,Berlin\n2,Lyon\n"

SHOP = '''\
"""Sales of two shops, day by day."""

from datetime import date, timedelta
from pathlib import Path
from typing import Annotated

import polars as pl

from headwater import Asset, DailyPartitions, Freshness, Partition, check, flow, get_logger, materialize, sql, task

days = DailyPartitions("2024-01-01", "2024-02-01")
shops = Asset("shops", at="csv://shops.csv", static=True)
sales = Asset(
    "sales",
    at="parquet://lake/sales",
    partitions=days,
    time_column="at",
    owners=["team:ops"],
    tags={"tier": "gold"},
    freshness=Freshness(max_lag="26h"),
)
daily = Asset("daily", at="duckdb://shop.duckdb/main.daily", partitions=days, partition_column="day")
totals = Asset("totals", at="duckdb://shop.duckdb/main.totals", freshness=Freshness(max_lag="26h", warn="25h"))


@materialize(sales)
def ingest(partition: Partition) -> pl.DataFrame:
    if Path(f"broken-{partition.key}").exists():
        raise ValueError(f"no sales of {partition.key}")
    at = pl.datetime_range(partition.start, partition.end - timedelta(hours=12), "12h", eager=True)
    found = pl.DataFrame({"at": at, "shop": [1, 2], "amount": [1.5, 2.5]})
    return found.head(0) if Path(f"empty-{partition.key}").exists() else found


@check(sales, blocking=True)
def some_sales(df: pl.DataFrame) -> bool:
    return df.height > 0


@materialize(daily)
def summarise(
    sold: Annotated[pl.LazyFrame, sales], where: Annotated[pl.LazyFrame, shops], partition: Partition
) -> pl.LazyFrame:
    cities = sold.join(where, on="shop").group_by("city").agg(total=pl.col("amount").sum())
    return cities.with_columns(day=pl.lit(partition.date))


@materialize(totals, inputs={"days": daily.all()})
def total(days: Asset):
    return sql("select city, sum(total) as total from {days} group by city", days=days)


@task
def double(number: int) -> int:
    get_logger().info("doubling %d", number)
    return 2 * number


@flow
def report(day: date, count: int = 1, names: list[str] = ["a"], rate: float = 0.5, deep: bool = False, note="none"):
    print("a line of the user's own")
    return {
        "day": f"{day:%d.%m.%Y}",
        "count": double(count),
        "names": names,
        "rate": rate,
        "deep": deep,
        "note": note,
    }


@flow
def breaks():
    double(1)
    raise RuntimeError("the roof is leaking")
'''
