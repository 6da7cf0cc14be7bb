"""Schemas of pandera as checks: each is one check that validates the whole table."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, ClassVar, Unpack

from headwater.assets.checks.base import Check, Found, Options, named, taking
from headwater.assets.events import CheckResult
from headwater.errors import DefinitionError
from headwater.records import dataclass

if TYPE_CHECKING:
    from headwater.assets.checks.context import CheckContext

_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PanderaCheck(Check):
    """A schema of pandera: a DataFrameSchema, or a DataFrameModel, for Polars or for pandas."""

    kind: ClassVar[str] = "pandera"

    schema: Any

    def judge(self, found: Found, context: CheckContext) -> CheckResult:
        """Passed when the schema accepts the data; else with what it says of it, without any of the data's values."""
        from pandera.errors import SchemaError, SchemaErrors

        of_pandas = "pandas" in {part for cls in _mro(self.schema) for part in cls.__module__.split(".")}
        frame = context.data_as("pandas" if of_pandas else "eager")
        try:
            self.schema.validate(frame, lazy=True)
        except SchemaErrors as error:
            return _failed([_fault(one) for one in error.schema_errors])
        except SchemaError as error:
            return _failed([_fault(error)])
        return CheckResult(passed=True, metrics={"failed": 0})


def _fault(error: Any) -> tuple[str, str]:
    """Where an error is, and what it says: the text of its check, which holds what was asked for, and no data."""
    if str(getattr(error.reason_code, "name", "")) in _OF_COLUMNS:
        return str(error.schema.name or "schema"), str(error).splitlines()[0].partition(" {")[0]
    return str(error.schema.name), str(getattr(error.check, "error", None) or error.check)


_OF_COLUMNS = ("COLUMN_NOT_IN_DATAFRAME", "COLUMN_NOT_IN_SCHEMA", "WRONG_DATATYPE")
"""What pandera says of these names columns and types, and no values."""


def _failed(faults: list[tuple[str, str]]) -> CheckResult:
    counted = Counter(f"{where}: {what}" for where, what in faults)
    listed = "; ".join(list(counted)[:_SHOWN]) + (
        f"; and {len(counted) - _SHOWN} more" if len(counted) > _SHOWN else ""
    )
    return CheckResult(passed=False, message=listed, metrics={"failed": len(counted)})


def _mro(schema: Any) -> tuple[type, ...]:
    return schema.__mro__ if isinstance(schema, type) else type(schema).__mro__


def is_schema(value: object) -> bool:
    """Whether a value is a schema of pandera; asking imports nothing."""
    return hasattr(value, "validate") and any(cls.__module__.partition(".")[0] == "pandera" for cls in _mro(value))


@taking(Options)
def pandera_check(schema: Any, **options: Unpack[Options]) -> PanderaCheck:
    """A check that a pandera schema accepts the data (`pip install headwater[pandera]`); a model is given as its class.

    A schema may also stand in `Asset(…, checks=[…])` as it is.

    >>> pandera_check(object())
    Traceback (most recent call last):
    headwater.errors.DefinitionError: pandera_check needs a schema of pandera, got object
      hint: give a pandera.polars.DataFrameSchema, or a DataFrameModel as its class
    """
    if not is_schema(schema):
        raise DefinitionError(
            f"pandera_check needs a schema of pandera, got {type(schema).__name__}",
            hint="give a pandera.polars.DataFrameSchema, or a DataFrameModel as its class",
        )
    name = schema.__name__ if isinstance(schema, type) else getattr(schema, "name", None) or "schema"
    return PanderaCheck(schema=schema, **named(f"pandera({name})", options))
