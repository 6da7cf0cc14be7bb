"""Checks that look at each row: what is missing, repeated, not accepted, out of range; and how many rows there are.

A row with a null in a column that is looked at passes every check but `not_null`. NaN is a value: it is equal to itself,
and in no range.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Unpack

from headwater.assets.checks.base import (
    Check,
    Found,
    Options,
    Unmeasurable,
    column_names,
    named,
    require,
    share,
    taking,
)
from headwater.assets.events import CheckResult
from headwater.errors import DefinitionError
from headwater.records import dataclass
from headwater.wording import counted

if TYPE_CHECKING:
    import polars as pl

    from headwater.assets.checks.context import CheckContext

EXAMPLES = 3
"""So many failing rows are shown."""
_WIDTH = 40


class RowOptions(Options, total=False):
    """What can be said of a check that looks at rows.

    `at_most` is the share of all rows that may fail (0.01 is one in a hundred). `examples` names the columns whose values
    are shown of failing rows (default: those that the check is about); an empty list shows none.
    """

    at_most: float
    examples: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RowCheck(Check):
    """A check of rows: it fails when more than `at_most` of all rows do."""

    over: tuple[str, ...]
    at_most: float = 0.0
    examples: Sequence[str] | None = None

    def __post_init__(self) -> None:
        Check.__post_init__(self)
        where = f"the check {self.name!r}"
        if isinstance(self.at_most, bool) or not isinstance(self.at_most, (int, float)) or not 0 <= self.at_most <= 1:
            hint = "give the share of rows that may fail: at_most=0.01 is one in a hundred"
            raise DefinitionError(f"at_most can't be {self.at_most!r}", where=where, hint=hint)
        if isinstance(self.examples, str):
            hint = f"write examples=[{self.examples!r}]"
            raise DefinitionError("examples must be a list of columns", where=where, hint=hint)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it looks at."""
        return self.over

    @abstractmethod
    def failing(self, schema: pl.Schema) -> pl.Expr:
        """Whether a row fails: true or false, never null."""

    @abstractmethod
    def fault(self) -> str:
        """What is wrong with the rows that fail: "carrier is null"."""

    def figures(self) -> Mapping[str, pl.Expr]:
        """More figures for the metrics."""
        return {}

    def measures(self, schema: pl.Schema) -> Mapping[str, pl.Expr]:
        """How many rows fail, and a few of them."""
        import polars as pl

        listed = self.over if self.examples is None else tuple(self.examples)
        require(schema, *self.over, *listed)
        failing = self.failing(schema)
        found = {"rows": pl.len(), "failed": failing.sum(), **self.figures()}
        if listed:
            few = pl.struct(*listed).filter(failing).unique(maintain_order=True).head(EXAMPLES)
            found["examples"] = few.implode()
        return found

    def judge(self, found: Found, context: CheckContext) -> CheckResult:
        """Passed when no more rows fail than may."""
        rows, failed = found["rows"], found["failed"]
        passed = not failed or failed / rows <= self.at_most
        metrics = {name: value for name, value in found.items() if name != "examples"}
        return CheckResult(passed=passed, message=self._message(found) if failed else None, metrics=metrics)

    def _message(self, found: Found) -> str:
        rows, failed = found["rows"], found["failed"]
        may = f", at most {share(self.at_most)} may" if self.at_most else ""
        part = f" ({share(failed / rows)}{may})" if self.at_most else ""
        return f"{failed:,} of {rows:,} rows{part}: {self.fault()}{examples_of(found.get('examples') or ())}"


def examples_of(rows: Iterable[Mapping[str, Any]]) -> str:
    """A few rows as the end of a message.

    >>> examples_of([{"origin": "XXX", "n": 3}, {"origin": None, "n": 4}])
    " (origin='XXX', n=3; origin=null, n=4)"
    """
    text = "; ".join(", ".join(f"{name}={_short(value)}" for name, value in row.items()) for row in rows)
    return f" ({text})" if text else ""


def _short(value: object) -> str:
    text = "null" if value is None else repr(value) if isinstance(value, (str, bytes)) else str(value)
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 1]}…"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NotNull(RowCheck):
    """No nulls in these columns."""

    kind: ClassVar[str] = "not_null"

    def failing(self, schema: pl.Schema) -> pl.Expr:
        """A row fails when one of the columns is null."""
        import polars as pl

        return pl.any_horizontal(pl.col(column).is_null() for column in self.over)

    def fault(self) -> str:
        """Which column is empty."""
        return f"{' or '.join(self.over)} is null"

    def figures(self) -> Mapping[str, pl.Expr]:
        """The nulls of each column."""
        import polars as pl

        return {f"nulls({column})": pl.col(column).null_count() for column in self.over}


@taking(RowOptions)
def not_null(*columns: str, **options: Unpack[RowOptions]) -> NotNull:
    """A check that no row has a null in one of these columns. NaN and empty text are values.

    Its message shows no values, unless `examples` names columns.

    >>> not_null("carrier", blocking=True).name
    'not_null(carrier)'
    """
    over = column_names("not_null", columns)
    options.setdefault("examples", ())
    return NotNull(over=over, **named(_name("not_null", over), options))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Unique(RowCheck):
    """No two rows with the same values in these columns."""

    kind: ClassVar[str] = "unique"

    def failing(self, schema: pl.Schema) -> pl.Expr:
        """A row fails when another one has the same values, none of them null."""
        import polars as pl

        known = pl.all_horizontal(pl.col(column).is_not_null() for column in self.over)
        key = pl.col(self.over[0]) if len(self.over) == 1 else pl.struct(*self.over)
        return key.is_duplicated() & known

    def fault(self) -> str:
        """What is repeated."""
        return f"{', '.join(self.over)} {'is' if len(self.over) == 1 else 'are'} not unique"


@taking(RowOptions)
def unique(*columns: str, **options: Unpack[RowOptions]) -> Unique:
    """A check that no two rows have the same values in these columns, taken together.

    Rows with a null in one of them are left out, as in SQL. Every row of a repeated key counts as failing.

    >>> unique("date", "carrier").name
    'unique(date, carrier)'
    """
    over = column_names("unique", columns)
    return Unique(over=over, **named(_name("unique", over), options))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AcceptedValues(RowCheck):
    """Only these values in a column."""

    kind: ClassVar[str] = "accepted_values"

    values: tuple[Any, ...]

    def failing(self, schema: pl.Schema) -> pl.Expr:
        """A row fails when its value is not null and none of these."""
        import polars as pl

        column = pl.col(self.over[0])
        values = _fitting(self.values, schema[self.over[0]])
        return ~column.is_in(values).fill_null(value=True) if len(values) else column.is_not_null()

    def fault(self) -> str:
        """Whose value is not accepted."""
        return f"{self.over[0]} is not accepted"


def _fitting(values: tuple[Any, ...], dtype: pl.DataType) -> list[Any] | pl.Series:
    """The numbers among which a number is looked for, of the column's own kind: 7 and 7.0 are the same value."""
    import polars as pl

    if not all(isinstance(value, (int, float)) for value in values):
        return list(values)
    if dtype.is_float():
        # With the column's own precision: 0.1 in 32 bits is another number than in 64.
        return pl.Series([float(value) for value in values], dtype=dtype).implode()
    if dtype.is_integer():
        whole = [int(value) for value in values if value == value // 1 and abs(value) < 1 << 127]
        return pl.Series(whole, dtype=pl.Int128).implode()
    return list(values)


@taking(RowOptions)
def accepted_values(column: str, values: Iterable[Any], **options: Unpack[RowOptions]) -> AcceptedValues:
    """A check that a column holds these values only. A null passes: `not_null` says more.

    >>> accepted_values("origin", ["EWR", "JFK", "LGA"]).name
    'accepted_values(origin)'
    """
    over = column_names("accepted_values", (column,))
    if isinstance(values, str):
        hint = f'write accepted_values("{column}", [{values!r}])'
        raise DefinitionError("accepted_values needs a list of values, got a text", hint=hint)
    kept = tuple(value for value in values if value is not None)
    return AcceptedValues(over=over, values=kept, **named(_name("accepted_values", over), options))


Closed = Literal["both", "left", "right", "none"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class InRange(RowCheck):
    """A column within bounds."""

    kind: ClassVar[str] = "in_range"

    least: Any
    greatest: Any
    closed: Closed = "both"

    def failing(self, schema: pl.Schema) -> pl.Expr:
        """A row fails when its value is not null and outside; NaN is outside."""
        import polars as pl

        column, dtype = pl.col(self.over[0]), schema[self.over[0]]
        for bound in (self.least, self.greatest):
            if _is_foreign(bound, dtype):
                raise Unmeasurable(
                    f"the column {self.over[0]!r} is of type {dtype}, which can't be compared with {bound}"
                )
        least, greatest = _bound(self.least, dtype), _bound(self.greatest, dtype)
        outside = pl.lit(value=False)
        if least is not None:
            outside |= column < least if self.closed in ("both", "left") else column <= least
        if greatest is not None:
            outside |= column > greatest if self.closed in ("both", "right") else column >= greatest
        if dtype.is_float():
            outside |= column.is_nan()
        return column.is_not_null() & outside.fill_null(value=False)

    def fault(self) -> str:
        """What the bounds are."""
        name, low, high = self.over[0], self.least, self.greatest
        if high is None:
            return f"{name} is {'below' if self.closed in ('both', 'left') else 'not above'} {low}"
        if low is None:
            return f"{name} is {'above' if self.closed in ('both', 'right') else 'not below'} {high}"
        ends = {"both": "", "left": " (without the last)", "right": " (without the first)", "none": " (without both)"}
        return f"{name} is outside {low} to {high}{ends[self.closed]}"


def _is_foreign(bound: Any, dtype: pl.DataType) -> bool:
    """Whether one is a number and the other a time: Polars compares with the number that a date or a time is stored as, and
    nearly anything would be within."""
    if dtype.is_temporal():
        return isinstance(bound, (int, float))
    return dtype.is_numeric() and isinstance(bound, (date, time, timedelta))


def _bound(value: Any, dtype: pl.DataType) -> Any:
    """A bound as it can be compared with a column: a time with a zone is an instant, in whichever zone the column has it."""
    import polars as pl

    zone = dtype.time_zone if isinstance(dtype, pl.Datetime) else None
    if zone is None or not isinstance(value, datetime) or value.tzinfo is None:
        return value
    return pl.lit(value.astimezone(UTC)).dt.convert_time_zone(zone)


@taking(RowOptions)
def in_range(
    column: str, min: Any = None, max: Any = None, *, closed: Closed = "both", **options: Unpack[RowOptions]
) -> InRange:
    """A check that a column lies between two values: numbers, dates, datetimes or texts; one of them may be left out.

    `closed` says which ends belong to it: "both", "left", "right" or "none". A null passes, NaN fails.

    >>> in_range("dep_delay", -60, 2000).name
    'in_range(dep_delay)'
    """
    over = column_names("in_range", (column,))
    if min is None and max is None:
        raise DefinitionError("in_range needs a bound", hint=f'write in_range("{column}", 0, 100) or min=0')
    with suppress(TypeError):  # what Python can't compare an engine may: dates and datetimes
        if min is not None and max is not None and max < min:
            hint = f'write in_range("{column}", {max!r}, {min!r})'
            raise DefinitionError(f"nothing lies between {min!r} and {max!r}", where=f'in_range("{column}")', hint=hint)
    if closed not in ("both", "left", "right", "none"):
        raise DefinitionError(f"closed can't be {closed!r}", hint='give "both", "left", "right" or "none"')
    return InRange(over=over, least=min, greatest=max, closed=closed, **named(_name("in_range", over), options))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RowCount(Check):
    """So many rows."""

    kind: ClassVar[str] = "row_count"

    least: int
    greatest: int | None

    def measures(self, schema: pl.Schema) -> Mapping[str, pl.Expr]:
        """The number of rows."""
        import polars as pl

        return {"rows": pl.len()}

    def judge(self, found: Found, context: CheckContext) -> CheckResult:
        """Passed when it is neither less nor more."""
        rows = found["rows"]
        message = None
        if rows < self.least:
            message = f"{counted(rows, 'row')}, at least {self.least:,} must be there"
        elif self.greatest is not None and rows > self.greatest:
            message = f"{counted(rows, 'row')}, at most {self.greatest:,} may be there"
        return CheckResult(passed=message is None, message=message, metrics={"rows": rows})


@taking(Options)
def row_count(*, min: int = 0, max: int | None = None, **options: Unpack[Options]) -> RowCount:
    """A check on the number of rows: both bounds are included.

    >>> row_count(min=1, blocking=True).name
    'row_count'
    """
    for bound in (min, max):
        if bound is not None and (isinstance(bound, bool) or not isinstance(bound, int) or bound < 0):
            raise DefinitionError(f"row_count can't be held to {bound!r}", hint="write row_count(min=1, max=1_000)")
    if (max is None and min == 0) or (max is not None and max < min):
        raise DefinitionError(
            f"row_count(min={min}, max={max}) asks for nothing that can fail or pass",
            hint="write row_count(min=1, max=1_000)",
        )
    return RowCount(least=min, greatest=max, **named("row_count", options))


def _name(kind: str, columns: tuple[str, ...]) -> str:
    return f"{kind}({', '.join(columns)})"
