"""What every check is: a name, what a failure of it means, what it measures of the data, and how it judges that."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from functools import wraps
from typing import TYPE_CHECKING, Any, ClassVar, Literal, ParamSpec, TypeAlias, TypedDict, TypeVar

from headwater.assets.events import CheckResult
from headwater.errors import DefinitionError, UnknownNameError
from headwater.records import dataclass

if TYPE_CHECKING:
    import polars as pl

    from headwater.assets.checks.context import CheckContext

Severity: TypeAlias = Literal["warn", "error"]
P = ParamSpec("P")
C = TypeVar("C", bound="Check")
Found: TypeAlias = Mapping[str, Any]
"""What was measured of the data, by the names that the check gave."""


class Options(TypedDict, total=False):
    """What can be said of every check.

    `name` (made of what it looks at, when it is left out), `blocking` (a failure keeps the data from being published),
    `severity` ("error" for one that blocks, else "warn") and `description`.
    """

    name: str
    blocking: bool
    severity: Severity
    description: str


class Unmeasurable(Exception):
    """The data is not such that the check can look at it. Its text is the check's message."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Check(ABC):
    """A check on an asset. What it `measures` of a table is computed in one pass with what the others do."""

    kind: ClassVar[str]
    """The kind of check: not_null, unique, …"""

    name: str
    blocking: bool = False
    severity: Severity | None = None
    description: str | None = None

    def __post_init__(self) -> None:
        where = f"the check {self.name!r}"
        if not isinstance(self.name, str) or not self.name.isprintable() or not self.name.strip():
            raise DefinitionError(
                f"a check can't be named {self.name!a}", hint='give a text such as name="one_row_a_day"'
            )
        if not isinstance(self.blocking, bool):
            raise DefinitionError(f"blocking can't be {self.blocking!r}", where=where, hint="give True or False")
        if self.severity not in (None, "warn", "error"):
            raise DefinitionError(f"severity can't be {self.severity!r}", where=where, hint='give "warn" or "error"')
        if self.blocking and self.severity == "warn":
            hint = "leave severity out, or let the check not block"
            raise DefinitionError("what keeps data from being published is an error", where=where, hint=hint)
        object.__setattr__(self, "severity", self.severity or ("error" if self.blocking else "warn"))

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it is about."""
        return ()

    def measures(self, schema: pl.Schema) -> Mapping[str, pl.Expr]:
        """Expressions of one value each, by name; raises Unmeasurable when a table of this schema has no such."""
        return {}

    @abstractmethod
    def judge(self, found: Found, context: CheckContext) -> CheckResult:
        """The verdict on what was found. An error that it raises is a failure of the check."""


def require(schema: pl.Schema, *columns: str) -> None:
    """Raise Unmeasurable when one of these columns is not there."""
    for column in columns:
        if column not in schema:
            known = ", ".join(list(schema)[:10]) + (" …" if len(schema) > 10 else "")
            raise Unmeasurable(f"there is no column {column!r} (there are: {known or 'none'})")


def taking(options: type[Options]) -> Callable[[Callable[P, C]], Callable[P, C]]:
    """Let a function that makes a check refuse what is no parameter of it and none of these options, by its own name.

    >>> @taking(Options)
    ... def some_rows(*, most: int = 9, **options): ...
    >>> some_rows(at_most=3)
    Traceback (most recent call last):
    headwater.errors.UnknownNameError: there is no option 'at_most'
      where: some_rows
      hint: it takes most, name, blocking, severity, description
    """

    def decorate(make: Callable[P, C]) -> Callable[P, C]:
        code = make.__code__
        own = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        known = (*own, *options.__annotations__)

        @wraps(make)
        def made(*args: P.args, **given: P.kwargs) -> C:
            for name in given:
                if name not in known:
                    hint = f"it takes {', '.join(known)}"
                    raise UnknownNameError(f"there is no option '{name}'", where=make.__name__, hint=hint)
            return make(*args, **given)

        return made

    return decorate


def named(name: str, options: Options) -> dict[str, Any]:
    """What was said of a check, with the name that it has when none was given."""
    return {"name": name, **options}


def column_names(kind: str, columns: tuple[object, ...]) -> tuple[str, ...]:
    """The names of columns, as they were given to a check. Raises DefinitionError for what is none."""
    if not columns or not all(isinstance(column, str) and column for column in columns):
        raise DefinitionError(f"{kind} needs the names of columns, got {columns!r}", hint=f'write {kind}("id")')
    return tuple(str(column) for column in columns)


def number(value: object) -> float | None:
    """A figure as it is kept: a number that JSON has, else None.

    >>> number(3), number(True), number(float("nan")), number("3")
    (3, 1, None, None)
    """
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int) and abs(value) < 1 << 53:
        return value
    try:
        found = float(value) if not isinstance(value, (str, bytes)) else None  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None
    return found if found is not None and abs(found) < float("inf") else None


def shown(value: float | None) -> str:
    """A figure for people.

    >>> shown(1234567), shown(0.123456), shown(7.0), shown(None)
    ('1,234,567', '0.1235', '7', 'none')
    """
    if value is None:
        return "none"
    return f"{int(value):,}" if value == int(value) and abs(value) < 1e15 else f"{value:.4g}"


def share(part: float) -> str:
    """A share in percent.

    >>> share(0.01), share(1 / 3)
    ('1%', '33.3%')
    """
    return f"{100 * part:.3g}%"
