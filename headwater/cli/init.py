"""`init`: a starter project."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headwater.cli.options import COMMON, Common
from headwater.cli.output import emit
from headwater.errors import UsageError

_PYPROJECT = """\
[tool.headwater]
project = "{name}"
modules = ["flows"]
"""

_FLOWS = '''\
"""A first flow: run it with `python flows.py`, then look at it with `headwater status`."""

from typing import Annotated

import polars as pl

from headwater import Asset, Freshness, flow, materialize, task

orders = Asset("orders", at="parquet://lake/orders", time_column="ordered_at", freshness=Freshness(max_lag="26h"))
revenue = Asset("revenue", at="parquet://lake/revenue")


@task(retries=2, retry_delay=[1, 10])
def fetch() -> pl.DataFrame:
    times = pl.datetime_range(pl.datetime(2024, 1, 1), pl.datetime(2024, 1, 2), "1h", eager=True, time_zone="UTC")
    return pl.DataFrame({"ordered_at": times}).with_row_index("id").with_columns(amount=pl.col("id") * 1.5)


@materialize(orders)
def ingest() -> pl.DataFrame:
    return fetch()


@materialize(revenue)
def summarise(sold: Annotated[pl.LazyFrame, orders]) -> pl.LazyFrame:
    return sold.group_by(pl.col("ordered_at").dt.date().alias("day")).agg(pl.col("amount").sum())


@flow
def daily() -> None:
    ingest()
    summarise()


if __name__ == "__main__":
    daily()
'''


def init(folder: Path = Path(), /, *, common: Common = COMMON) -> int:
    """Write a starter project: a pyproject.toml and flows.py. Files that are there already stay as they are.

    Parameters
    ----------
    folder
        Where to; the current folder when it is left out.
    """
    # The project is named after the folder, and `..` is no name.
    folder = folder.resolve() if folder.name == ".." else folder.absolute()
    files = {"pyproject.toml": _PYPROJECT.format(name=_name(folder)), "flows.py": _FLOWS}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        written = [name for name, text in files.items() if _write(folder / name, text)]
    except (FileExistsError, NotADirectoryError) as error:
        raise UsageError("a file stands where the folder should be", where=str(folder), hint="name another") from error
    except OSError as error:
        raise UsageError(
            f"the project can't be written: {error.strerror or error}", where=str(folder), hint="name another folder"
        ) from error
    value = {"folder": str(folder), "written": written, "kept": [name for name in files if name not in written]}
    emit(value, common.json, lambda: _init_text(value))
    return 0


def _name(folder: Path) -> str:
    return "".join(char if char.isalnum() or char in "-_" else "-" for char in folder.name) or "headwater"


def _write(path: Path, text: str) -> bool:
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        return False
    return True


def _init_text(value: Mapping[str, Any]) -> str:
    lines = [f"wrote {name}" for name in value["written"]] + [f"kept {name}" for name in value["kept"]]
    folder = Path(value["folder"])
    there = "" if folder == Path.cwd() else f"cd {shlex.quote(str(folder))}, then "
    return "\n".join(
        [*lines, "", f"next: {there}python flows.py, then headwater status, headwater lineage revenue --columns"]
    )
