"""Columns of times as Python can tell them: engines know years before 1 and after 9999."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from headwater import clock

if TYPE_CHECKING:
    import polars as pl

_FIRST_US, _LAST_US = (clock.to_us(moment.replace(tzinfo=UTC)) for moment in (datetime.min, datetime.max))


def told(name: str, dtype: pl.DataType | None) -> pl.Expr:
    """A column of this type, its dates and times no earlier and no later than Python knows; those with a zone are in UTC.

    >>> import polars as pl
    >>> frame = pl.DataFrame({"day": [5_000_000]}, schema={"day": pl.Int32}).cast(pl.Date)
    >>> frame.select(told("day", pl.Date())).item()
    datetime.date(9999, 12, 31)
    """
    import polars as pl

    if isinstance(dtype, pl.Date):
        return pl.col(name).clip(pl.lit(date.min), pl.lit(date.max))
    if isinstance(dtype, pl.Datetime):
        kept = pl.Datetime("us", None if dtype.time_zone is None else "UTC")
        return pl.col(name).dt.epoch("us").clip(_FIRST_US, _LAST_US).cast(kept)
    return pl.col(name)
