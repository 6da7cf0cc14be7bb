"""Values of one's own without a copy of the data: what stands for an asset must not be what somebody else goes on with."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from headwater.assets.forms import frame_form

if TYPE_CHECKING:
    import polars as pl


def own(value: Any) -> Any:
    """The value as an object of its own, sharing what is inside.

    A function that gives back what it was given, or a constant, would otherwise make one object stand for two assets.

    >>> rows = [{"id": 1}]
    >>> own(rows) == rows, own(rows) is rows
    (True, False)
    """
    if type(value) in (list, dict, set):
        return value.copy()
    if type(value) is tuple:
        return tuple(list(value))  # noqa: C414 - a tuple of a tuple is the very same object
    form = frame_form(value)
    if form == "eager":
        return value.clone()
    if form == "arrow":
        return value.slice()
    return value.copy(deep=False) if form == "pandas" else value


def apart(frame: pl.DataFrame, columns: Iterable[str]) -> pl.DataFrame:
    """The frame with memory of its own for the smallest of these columns.

    A lazy frame over memory is known by where its columns lie, and by nothing else: so it can be told from those of the
    frame that this one shares all its columns with.
    """
    import polars as pl

    column = min((frame[name] for name in columns), key=lambda series: series.estimated_size(), default=None)
    return frame if column is None else frame.with_columns(column.gather(pl.int_range(len(column), eager=True)))
